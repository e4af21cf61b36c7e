//! Objects that somebody removed and that were made again: each has a new id, and the records of the old one know the
//! name alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::model::Json;

use super::{Subject, Trail, by_ids, of_names, ours};
use crate::provider::{Facts, Observation};

/// Which objects may have had the place of another.
pub(in crate::platform::bk_cmdb::kinds) struct Namesakes {
    /// The condition that all their records meet.
    pub(in crate::platform::bk_cmdb::kinds) condition: Value,
    /// The attribute by which the rows of namesakes differ; only records with details tell it.
    pub(in crate::platform::bk_cmdb::kinds) container: Option<&'static str>,
}

/// Returns the ids of those subjects that were made after one of the same name was removed, and that the target's own
/// account has not changed since; nothing while answers are missing.
pub(super) fn remade(
    trails: &BTreeMap<&Subject<'_>, &Trail<'_>>,
    namesakes: &Namesakes,
    observation: &mut Observation,
    facts: &Facts,
) -> Option<BTreeSet<i64>> {
    let made: Vec<_> =
        trails.iter().filter_map(|(subject, trail)| Some((subject.id, foreign(trail, facts)?))).collect();
    let names: BTreeSet<&str> = made.iter().filter_map(|(_, record)| record["resource_name"].as_str()).collect();
    let mut condition = namesakes.condition.clone();
    condition["action"] = json!(["delete"]);
    let removals = of_names(&condition, &names, observation, facts)?.map(|records| records.latest).unwrap_or_default();
    let pairs: Vec<_> = made
        .into_iter()
        .flat_map(|(id, record)| removals.iter().map(move |removal| (id, record, *removal)))
        .filter(|(id, record, removal)| is_before(removal, *id, record))
        .collect();
    let Some(container) = namesakes.container else { return Some(pairs.iter().map(|(id, ..)| *id).collect()) };
    let ids: BTreeSet<i64> = pairs.iter().filter_map(|(_, _, removal)| removal["id"].as_i64()).collect();
    let details = by_ids(&ids.into_iter().collect::<Vec<_>>(), observation, facts)?;
    let is_there = |record: &Json, removal: &Json| shares(container, record, removal, &details);
    Some(pairs.iter().filter(|(_, record, removal)| is_there(record, removal)).map(|(id, ..)| *id).collect())
}

/// Returns the record of the creation of an object that nobody changed in the name of the target's own account.
fn foreign<'f>(trail: &Trail<'f>, facts: &Facts) -> Option<&'f Json> {
    let records = &trail.as_ref()?.latest;
    let is_ours = |record: &&Json| ours(record["user"].as_str(), facts) == Some(true);
    if records.iter().any(is_ours) {
        return None;
    }
    records.iter().copied().find(|record| record["action"] == "create")
}

/// Returns true if a record tells that another object of the name was removed before one was made.
fn is_before(removal: &Json, id: i64, creation: &Json) -> bool {
    removal["action"] == "delete"
        && removal["resource_name"] == creation["resource_name"]
        && removal["resource_id"].as_i64().is_some_and(|removed| removed != id)
        && removal["id"].as_i64() < creation["id"].as_i64()
}

/// Returns true if an object was made in the container that the removed one was in.
fn shares(container: &str, creation: &Json, removal: &Json, details: &HashMap<i64, &Json>) -> bool {
    let removal = removal["id"].as_i64().and_then(|id| details.get(&id));
    let was = removal.map(|removal| &removal["operation_detail"]["details"]["pre_data"][container]);
    was.is_some_and(|was| *was == creation["operation_detail"]["details"]["cur_data"][container])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_before_the_creation_of_another_of_the_name() {
        let creation = json!({"id": 5, "action": "create", "resource_id": 2, "resource_name": "a"}).into();
        let check = |change: Value, expected: bool| {
            let mut removal = json!({"id": 4, "action": "delete", "resource_id": 1, "resource_name": "a"});
            removal.as_object_mut().expect("an object").extend(change.as_object().cloned().unwrap_or_default());
            assert_eq!(is_before(&(&removal).into(), 2, &creation), expected, "{removal}");
        };
        check(json!({}), true);
        check(json!({"id": 6}), false);
        check(json!({"action": "update"}), false);
        check(json!({"resource_id": 2}), false);
        check(json!({"resource_id": null}), false);
        check(json!({"resource_name": "b"}), false);
    }

    #[test]
    fn of_namesakes_those_in_the_same_container_count() {
        let creation = json!({"operation_detail": {"details": {"cur_data": {"bk_set_id": 11}}}}).into();
        let check = |set: Value, expected: bool| {
            let removal = json!({"id": 4, "operation_detail": {"details": {"pre_data": {"bk_set_id": set}}}}).into();
            assert_eq!(shares("bk_set_id", &creation, &removal, &HashMap::from([(4, &removal)])), expected, "{set}");
        };
        check(json!(11), true);
        check(json!(12), false);
        assert!(!shares("bk_set_id", &creation, &json!({"id": 4}).into(), &HashMap::new()));
    }
}

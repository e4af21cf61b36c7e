//! Instances of custom layers of the topology: what lies below them goes with them (contract section 4.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use crate::{
    model::{Desired, Json, Request, Undeletable},
    platform::bk_cmdb::{
        kinds::impact,
        lookup::{self, LookupError, PARENT, Selector, read_rows},
    },
    provider::{Facts, ImpactSet, Observation},
};

/// The longest chain of custom layers that is followed.
const DEPTH: usize = 16;
/// Most layers, sets or modules of one question.
const IDS: usize = 500;
/// The key by which a document agrees to the removal of what lies below.
pub(in crate::platform::bk_cmdb::kinds) const CASCADE: &str = "cascade";

/// The objects below an instance of a layer.
#[derive(Debug, Clone, Default)]
pub(super) struct Below {
    /// Instances of lower layers.
    pub(super) layers: Arc<ImpactSet>,
    /// Sets.
    pub(super) sets: Arc<ImpactSet>,
    /// Modules.
    pub(super) modules: Arc<ImpactSet>,
    /// Hosts in the modules.
    pub(super) hosts: Arc<ImpactSet>,
}

/// Reads what lies below instances of a layer, by instance.
pub(super) fn below(
    model: &str,
    ids: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<BTreeMap<i64, Below>, LookupError> {
    let mut found = BTreeMap::new();
    if ids.is_empty() {
        return Ok(found);
    }
    let selectors: BTreeSet<Selector> = ids.iter().copied().map(Selector::Id).collect();
    let rows = lookup::instances(model, None, &selectors, ["bk_biz_id"], observation, facts)?;
    let mut error = None;
    for id in ids {
        // One without a business holds nothing (contract, "Edges measured later").
        let business = rows.row(*id).and_then(|row| row["bk_biz_id"].as_i64()).filter(|business| *business > 0);
        let below =
            business.map_or(Ok(Below::default()), |business| below_instance(model, *id, business, observation, facts));
        match below {
            Ok(below) => _ = found.insert(*id, below),
            Err(LookupError::Pending) => error = error.or(Some(LookupError::Pending)),
            Err(other) => return Err(other),
        }
    }
    error.map_or(Ok(found), Err)
}

fn below_instance(
    model: &str,
    id: i64,
    business: i64,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Below, LookupError> {
    let (mut layers, mut sets, mut modules, mut hosts) = <(ImpactSet, ImpactSet, ImpactSet, ImpactSet)>::default();
    let (mut level, mut parents) = (model.to_owned(), BTreeSet::from([id]));
    for _ in 0..DEPTH {
        // Below each layer there is another, or the sets.
        let Some(child) = child(&level, observation, facts)? else {
            return Err(LookupError::Failed(format!("no layer below `{level}` is defined")));
        };
        let key = if child == "set" { "bk_set_id" } else { "bk_inst_id" };
        let question = |chunk: &[i64]| {
            let condition = json!({PARENT: {"$in": chunk}});
            if child == "set" {
                search("search_set", json!({"bk_biz_id": business}), condition, &[key, "bk_set_name", PARENT])
            } else {
                search("search_inst_by_object", json!({"bk_obj_id": child}), condition, &[key, "bk_inst_name", PARENT])
            }
        };
        let children = ids_below(&parents, key, &question, observation, facts)?;
        if child != "set" {
            children.iter().for_each(|id| layers.add(format!("{child} #{id}")));
            (level, parents) = (child, children);
            continue;
        }
        children.iter().for_each(|id| sets.add(format!("set #{id}")));
        let question = |chunk: &[i64]| {
            let arguments = json!({"bk_biz_id": business, "bk_set_id": 0});
            search("search_module", arguments, json!({"bk_set_id": {"$in": chunk}}), &["bk_module_id"])
        };
        let ids = ids_below(&children, "bk_module_id", &question, observation, facts)?;
        ids.iter().for_each(|id| modules.add(format!("module #{id}")));
        if !ids.is_empty() {
            impact::hosts(business, &ids, observation, facts)?.values().for_each(|more| hosts.join(more));
        }
        break;
    }
    let [layers, sets, modules, hosts] = [layers, sets, modules, hosts].map(Arc::new);
    Ok(Below { layers, sets, modules, hosts })
}

/// Reads the ids of what lies below `parents`; the parts of a long list of these are asked for together.
fn ids_below(
    parents: &BTreeSet<i64>,
    key: &str,
    question: &dyn Fn(&[i64]) -> Request,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<BTreeSet<i64>, LookupError> {
    let parents: Vec<i64> = parents.iter().copied().collect();
    let mut ids = Ok(BTreeSet::new());
    for chunk in parents.chunks(IDS) {
        match (read_rows(question(chunk), "info", observation, facts), &mut ids) {
            (Ok(rows), Ok(ids)) => ids.extend(rows.iter().filter_map(|row| row[key].as_i64())),
            (Err(error), _) => ids = Err(error),
            (Ok(_), Err(_)) => {}
        }
    }
    ids
}

/// A read of all rows that fit a condition.
fn search(operation: &'static str, mut arguments: Value, condition: Value, fields: &[&str]) -> Request {
    arguments["condition"] = condition;
    arguments["fields"] = json!(fields);
    arguments["page"] = json!({"start": 0, "limit": 0, "sort": fields[0]});
    Request { operation, arguments, repeatable: true }
}

/// Returns the model of the layer below another.
fn child(model: &str, observation: &mut Observation, facts: &Facts) -> Result<Option<String>, LookupError> {
    let arguments = json!({"condition": {"bk_asst_obj_id": model}});
    let request = Request { operation: "find_object_association", arguments, repeatable: true };
    let rows = read_rows(request, "", observation, facts)?;
    Ok(rows.iter().find(|row| is_main_line(row)).and_then(|row| row["bk_obj_id"].as_str()).map(str::to_owned))
}

/// Returns true if an association between models is one of the topology.
pub(super) fn is_main_line(row: &Json) -> bool {
    row["bk_asst_id"] == "bk_mainline"
        || row["bk_obj_asst_id"].as_str().is_some_and(|name| name.contains("_bk_mainline_"))
}

/// Returns why an instance of a layer is not removed; `None` if it can be. `below` is `None` if it is unknown.
pub(super) fn undeletable(desired: &Desired, below: Option<&Below>) -> Option<Undeletable> {
    let agreed = desired.locate(CASCADE).is_some_and(|cascade| *cascade == true);
    let Some(below) = below else {
        let reason = "what lies below it goes with it, and could not be counted".to_owned();
        return (!agreed)
            .then_some(Undeletable { reason, hint: "`cascade: true` removes it with all that lies below" });
    };
    let said = |unit: &str, count: u64| match count {
        0 => None,
        1 => Some(format!("1 {unit}")),
        count => Some(format!("{count} {unit}s")),
    };
    if let Some(hosts) = said("host", below.hosts.count()) {
        let reason = format!("{hosts} below it");
        return Some(Undeletable { reason, hint: "the server removes no layer over hosts: move them away first" });
    }
    let impact_units = [("layer", &below.layers), ("set", &below.sets), ("module", &below.modules)];
    let goes: Vec<_> = impact_units.iter().filter_map(|(unit, things)| said(unit, things.count())).collect();
    if goes.is_empty() || agreed {
        return None;
    }
    let reason = format!("{} below it would go with it", goes.join(", "));
    Some(Undeletable { reason, hint: "`cascade: true` removes it with all that lies below" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A business with one custom layer, `count` sets below the instance 1 of it, and a module in each.
    fn answer(request: &Request, count: i64) -> Value {
        let asked = |field: &str| {
            let ids = request.arguments["condition"][field]["$in"].as_array().cloned().unwrap_or_default();
            ids.into_iter().filter_map(|id| id.as_i64())
        };
        let info = |rows: Vec<Value>| json!({"count": rows.len(), "info": rows});
        match request.operation {
            "find_object_association" => json!([{"bk_obj_id": "set", "bk_asst_id": "bk_mainline"}]),
            "search_set" => info((1..=count).map(|id| json!({"bk_set_id": id})).collect()),
            "search_module" => info(asked("bk_set_id").map(|set| json!({"bk_module_id": set + 10_000})).collect()),
            "find_host_topo_relation" => json!({"count": 0, "data": []}),
            _ => info(vec![json!({"bk_inst_id": 1, "bk_biz_id": 2})]),
        }
    }

    #[test]
    fn a_long_list_is_asked_for_in_one_round() {
        let check = |count: i64, expected: &[&[(&str, usize)]]| {
            let mut facts = Facts::default();
            let mut rounds = Vec::new();
            let below = loop {
                let mut observation = Observation::default();
                if let Ok(below) = below("layer", &BTreeSet::from([1]), &mut observation, &facts) {
                    break below;
                }
                let mut round: BTreeMap<&str, usize> = BTreeMap::new();
                for request in observation.ask {
                    *round.entry(request.operation).or_default() += 1;
                    let answer = answer(&request, count);
                    facts.learn(request, Ok(answer.into()));
                }
                rounds.push(round.into_iter().collect::<Vec<_>>());
            };
            assert_eq!(rounds, expected, "{count}");
            let found = &below[&1];
            assert_eq!([found.sets.count(), found.modules.count()], [count.unsigned_abs(); 2]);
        };
        let first: &[_] = &[("search_object_instances", 1)];
        let (layers, sets): (&[_], &[_]) = (&[("find_object_association", 1)], &[("search_set", 1)]);
        check(2, &[first, layers, sets, &[("search_module", 1)], &[("find_host_topo_relation", 1)]]);
        check(1001, &[first, layers, sets, &[("search_module", 3)], &[("find_host_topo_relation", 3)]]);
    }
}

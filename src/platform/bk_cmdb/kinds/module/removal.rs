//! Modules that the server does not remove: built-in ones (code 1101098) and those that hold hosts (code 1101030).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    diff::identity::Assigned,
    model::{Desired, Ensure, Json, Undeletable},
    platform::bk_cmdb::{kinds::impact, lookup::LookupError},
    provider::{Facts, ImpactSet, Observation},
};

/// Returns the modules that documents ask to remove.
pub(super) fn going(documents: &[&Desired], assigned: &[Assigned<i64>]) -> BTreeSet<i64> {
    let going = documents.iter().zip(assigned).filter_map(|(desired, assigned)| match assigned {
        Assigned::One(id) if desired.ensure == Ensure::Absent => Some(*id),
        _ => None,
    });
    going.collect()
}

/// Counts the hosts of modules that are to be removed. What cannot be read is left to the server.
pub(super) fn hosts(
    business: i64,
    going: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<BTreeMap<i64, ImpactSet>, LookupError> {
    if going.is_empty() {
        return Ok(BTreeMap::new());
    }
    match impact::hosts(business, going, observation, facts) {
        Err(LookupError::Failed(_) | LookupError::NoModel) => Ok(BTreeMap::new()),
        counted => counted,
    }
}

/// Returns why a module is not removed; `None` if it can be.
pub(super) fn undeletable(row: &Json, hosts: &BTreeMap<i64, ImpactSet>) -> Option<Undeletable> {
    if !matches!(row["default"].as_i64(), None | Some(0 | 4)) {
        let reason = "it is a built-in module, which the server never removes".to_owned();
        return Some(Undeletable { reason, hint: "leave it out" });
    }
    let count = row["bk_module_id"].as_i64().and_then(|id| hosts.get(&id)).map_or(0, ImpactSet::count);
    let reason = match count {
        0 => return None,
        1 => "1 host lies in it".to_owned(),
        count => format!("{count} hosts lie in it"),
    };
    Some(Undeletable { reason, hint: "the server removes no module with hosts: move them to another module first" })
}

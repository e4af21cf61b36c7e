//! Modules in scopes of `reconcile.yaml` that no document means.

use std::collections::BTreeSet;

use super::{NAME, live, observe, removal};
use crate::{
    model::{Desired, Json},
    platform::bk_cmdb::{
        kinds::{
            prune_common::{in_businesses, meant, pruned},
            sets,
        },
        lookup::{LookupError, modules_of_sets},
    },
    provider::{Facts, Observation},
};

pub(super) fn prune(scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let kept = meant("Module", all, facts, |_, handle| handle["module"].as_i64());
    in_businesses(scopes, all, facts, |scope, business, observation| search(scope, business, &kept, observation, facts))
}

fn search(
    scope: &Desired,
    business: i64,
    kept: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), LookupError> {
    let sets = sets::sets(business, &[scope], observation, facts)?;
    let Some(set) = sets::set_of(scope, &sets, &[], observation, facts).and_then(|set| set.id()) else { return Ok(()) };
    let rows = modules_of_sets(business, &[set].into(), None, &observe::fields(&[scope]), observation, facts)?;
    let goes = |row: &&Json| {
        let is_there = row["bk_set_id"].as_i64() == Some(set) && row["bk_biz_id"].as_i64() == Some(business);
        // Nobody may remove a built-in one.
        let is_ours = row["default"].as_i64() == Some(0);
        is_there && is_ours && row["bk_module_id"].as_i64().is_some_and(|id| !kept.contains(&id))
    };
    let rows: Vec<&Json> = rows.into_iter().filter(goes).collect();
    let going = rows.iter().filter_map(|row| row["bk_module_id"].as_i64()).collect();
    let hosts = removal::hosts(business, &going, observation, facts)?;
    for row in rows {
        let undeletable = removal::undeletable(row, &hosts).map(Box::new);
        observation.surplus.push(pruned(scope, NAME, live(scope, row).related(|own| own.undeletable = undeletable)));
    }
    Ok(())
}

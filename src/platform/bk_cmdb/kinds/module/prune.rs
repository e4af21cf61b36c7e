//! Modules in scopes of `reconcile.yaml` that no document means.

use std::collections::BTreeSet;

use super::{live, observe};
use crate::{
    kind::{Facts, Observation},
    model::Desired,
    platform::bk_cmdb::{
        kinds::{
            spec::{placed, spread},
            surplus::{meant, pruned},
        },
        lookup::{Businesses, Trouble},
    },
};

pub(super) fn prune(scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let scoped: Vec<&Desired> = all.iter().chain(scopes).copied().collect();
    let businesses = match Businesses::of(&scoped, &mut observation, facts) {
        Ok(businesses) => businesses,
        Err(trouble) => {
            spread(&trouble, scopes, &mut observation);
            return observation;
        }
    };
    let kept = meant("Module", all, facts, |_, handle| handle["module"].as_i64());
    for scope in scopes {
        let Some(given) = scope.locate("business") else { continue };
        match placed(businesses.find(given, &mut observation, facts), scope) {
            Ok(business) => {
                if let Err(trouble) = search(scope, business, &kept, &mut observation, facts) {
                    spread(&trouble, &[scope], &mut observation);
                }
            }
            Err(sight) => observation.known.extend(sight.map(|sight| (scope.id.clone(), sight))),
        }
    }
    observation
}

fn search(
    scope: &Desired,
    business: i64,
    kept: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), Trouble> {
    let sets = observe::sets(business, &[scope], observation, facts)?;
    let Some(set) = observe::set_of(scope, &sets, observation) else { return Ok(()) };
    let rows = observe::modules(business, &[set].into(), None, &observe::fields(&[]), observation, facts)?;
    for row in rows {
        let is_there = row["bk_set_id"].as_i64() == Some(set) && row["bk_biz_id"].as_i64() == Some(business);
        // Nobody may remove a built-in one.
        let is_ours = row["default"].as_i64() == Some(0);
        let is_meant = row["bk_module_id"].as_i64().is_none_or(|id| kept.contains(&id));
        if is_there && is_ours && !is_meant {
            observation.surplus.push(pruned(scope, live(scope, row)));
        }
    }
    Ok(())
}

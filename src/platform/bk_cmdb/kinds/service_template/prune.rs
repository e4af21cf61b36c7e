//! Service templates in scopes of `reconcile.yaml` that no document means.

use std::collections::BTreeSet;

use super::{KIND, NAME, below, live};
use crate::{
    model::{Desired, Json},
    platform::bk_cmdb::{
        kinds::prune_common::{in_businesses, meant, pruned},
        lookup::{LookupError, service_templates},
    },
    provider::{Facts, Observation},
};

pub(super) fn prune(scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let kept = meant(KIND, all, facts, |_, handle| handle.as_i64());
    in_businesses(scopes, all, facts, |scope, business, observation| {
        search(scope, business, (&kept, all), observation, facts)
    })
}

fn search(
    scope: &Desired,
    business: i64,
    (kept, all): (&BTreeSet<i64>, &[&Desired]),
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), LookupError> {
    let rows = service_templates(business, observation, facts)?;
    let goes = |row: &&Json| row["id"].as_i64().is_some_and(|id| !kept.contains(&id));
    let rows: Vec<&Json> = rows.into_iter().filter(goes).collect();
    let going = rows.iter().filter_map(|row| row["id"].as_i64()).collect();
    let below = below::of_going(business, &going, observation, facts)?;
    for row in rows {
        let holds = row["id"].as_i64().and_then(|id| below.get(&id)).and_then(|below| below.holds(all, facts));
        let holds = holds.unwrap_or_default();
        observation.surplus.push(pruned(scope, NAME, live(business, row).related(|own| own.holds = holds)));
    }
    Ok(())
}

//! Live objects in a scope of `reconcile.yaml` that no document declares.

use std::collections::BTreeSet;

use super::decode_common::{business_id, fail_all};
use crate::{
    model::{Desired, Json, Live, ObservedState, ResourceId},
    platform::bk_cmdb::lookup::{Businesses, LookupError},
    provider::{Facts, Observation},
};

/// Looks into each scope that lies in a business, once its business is found.
pub(super) fn in_businesses(
    scopes: &[&Desired],
    all: &[&Desired],
    facts: &Facts,
    search: impl Fn(&Desired, i64, &mut Observation) -> Result<(), LookupError>,
) -> Observation {
    let mut observation = Observation::default();
    let scoped: Vec<&Desired> = all.iter().chain(scopes).copied().collect();
    let businesses = match Businesses::of(&scoped, &mut observation, facts) {
        Ok(businesses) => businesses,
        Err(error) => {
            fail_all(&error, scopes, &mut observation);
            return observation;
        }
    };
    for scope in scopes {
        let Some(given) = scope.locate("business") else { continue };
        match business_id(businesses.find(given, &mut observation, facts), scope) {
            Ok(business) => {
                if let Err(error) = search(scope, business, &mut observation) {
                    fail_all(&error, &[scope], &mut observation);
                }
            }
            Err(observed) => observation.know_if(&scope.id, observed),
        }
    }
    observation
}

/// Returns the ids of the live objects that objects of a kind mean; `id` takes it from a handle.
pub(super) fn meant(
    kind: &str,
    all: &[&Desired],
    facts: &Facts,
    id: impl Fn(&Desired, &Json) -> Option<i64>,
) -> BTreeSet<i64> {
    let found = |desired: &&Desired| match facts.observed(&desired.id)? {
        ObservedState::Found(live) => id(desired, &live.handle),
        _ => None,
    };
    all.iter().filter(|desired| desired.id.kind == kind).filter_map(found).collect()
}

/// Returns a live object of a scope as one that is to go, known to people by the field `name`.
pub(super) fn pruned(scope: &Desired, name: &str, live: Live) -> (Desired, Live) {
    // A property of a process is a value with a lock.
    let named = live.field(name).get("value").unwrap_or(live.field(name)).as_str();
    let key = match named.filter(|named| !named.is_empty()) {
        Some(named) => format!("pruned {named} ({})", live.label),
        None => format!("pruned {}", live.label),
    };
    let id = ResourceId::new(scope.id.kind, key);
    (Desired { id, ..scope.clone() }, live)
}

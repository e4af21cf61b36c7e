//! What lies in a scope of `reconcile.yaml` and no document means.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    kind::Facts,
    model::{Desired, Live, ResourceId, Sight},
};

/// Returns the ids of the live objects that objects of a kind mean; `id` takes it from a handle.
pub(super) fn meant(
    kind: &str,
    all: &[&Desired],
    facts: &Facts,
    id: impl Fn(&Desired, &Value) -> Option<i64>,
) -> BTreeSet<i64> {
    let found = |one: &&Desired| match facts.sight(&one.id)? {
        Sight::Found(live) => id(one, &live.handle),
        _ => None,
    };
    all.iter().filter(|one| one.id.kind == kind).filter_map(found).collect()
}

/// Returns a live object of a scope as one that is to go.
pub(super) fn pruned(scope: &Desired, live: Live) -> (Desired, Live) {
    let id = ResourceId { kind: scope.id.kind, key: format!("pruned {}", live.label).into() };
    (Desired { id, ..scope.clone() }, live)
}

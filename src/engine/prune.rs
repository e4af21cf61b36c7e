//! Finds what no document means in the scopes of `reconcile.yaml`.

use std::collections::BTreeMap;

use super::{connection::Reader, drive::drive, observe};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, ObservedState},
    plan::TargetState,
    provider::{Freshness, Kind},
};

/// Adds to the surplus of scenes what lies in scopes and is meant by no document. The documents have been observed; a
/// scope of whose kind one is not known takes nothing: the object might be the one that is meant.
pub async fn prune<'d>(readers: &[Reader], states: &mut Vec<TargetState<'d>>, scopes: &'d [Desired]) {
    for reader in readers {
        let target = reader.target();
        let own: Vec<&Desired> = scopes.iter().filter(|scope| scope.target == target.name).collect();
        if own.is_empty() {
            continue;
        }
        if states.iter().all(|state| state.target != target.name) {
            states.push(observe::observe_target(reader, Vec::new(), Freshness::Replica).await);
        }
        let Some(state) = states.iter_mut().find(|state| state.target == target.name) else { continue };
        state.scopes.clone_from(&own);
        let mut by_kind: BTreeMap<&str, Vec<&Desired>> = BTreeMap::new();
        for scope in own {
            by_kind.entry(scope.id.kind).or_default().push(scope);
        }
        for (name, scopes) in by_kind {
            if let Some(kind) = target.platform.kind(name) {
                search(reader, kind, &scopes, state).await;
            }
        }
    }
}

/// Says that all might go, because nothing is declared.
fn emptied(scope: &Desired) -> Diagnostic {
    let message = format!("no document means anything that is there on {}: nothing is pruned", scope.target);
    let hint = "are all manifests there? What is to go can be declared `ensure: absent`";
    Diagnostic::error("P155", message, &scope.origin).hint(hint)
}

/// Searches the scopes of one kind.
async fn search(reader: &Reader, kind: &dyn Kind, scopes: &[&Desired], state: &mut TargetState<'_>) {
    // What should be there and is not may be there under another name.
    let is_open = |desired: &&&Desired| match state.facts.observed(&desired.id) {
        Some(ObservedState::Found(_)) => false,
        Some(ObservedState::Absent { .. }) => desired.ensure == Ensure::Existing,
        _ => true,
    };
    let is_open = |desired: &&&Desired| desired.id.kind == kind.name() && is_open(desired);
    if let Some(open) = state.desired.iter().find(is_open) {
        let needs = ObservedState::Needs(open.id.clone());
        scopes.iter().for_each(|scope| state.facts.record(scope.id.clone(), needs.clone()));
        return;
    }
    let prune = |state: &mut TargetState<'_>| kind.prune(scopes, &state.declared().collect::<Vec<_>>(), &state.facts);
    let observation = match drive(reader, kind, state, prune).await {
        Ok(observation) => observation,
        Err(error) => {
            let unknown = ObservedState::Unknown(error.to_string());
            scopes.iter().for_each(|scope| state.facts.record(scope.id.clone(), unknown.clone()));
            return;
        }
    };
    for (id, observed) in observation.known {
        state.facts.record(id, *observed);
    }
    // Declared objects may not be here yet, or not any more: an empty list means that nothing is declared.
    let is_meant = |desired: &Desired| matches!(state.facts.observed(&desired.id), Some(ObservedState::Found(_)));
    if !state.desired.iter().any(|desired| is_meant(desired)) && !observation.surplus.is_empty() {
        for scope in scopes {
            if state.facts.observed(&scope.id).is_none() {
                state.facts.record(scope.id.clone(), ObservedState::Impossible(Box::new(emptied(scope))));
            }
        }
        return;
    }
    for (surplus, live) in observation.surplus {
        if state.facts.observed(&surplus.id).is_none() {
            state.facts.record(surplus.id.clone(), ObservedState::Found(live));
            state.surplus.push(surplus);
        }
    }
}

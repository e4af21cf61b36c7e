//! Says what became of an object since its change was planned.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::TargetState;
use crate::model::{Action, Change, Desired, FieldChange, FieldPath, Live, ObservedState, policy::Policy};

/// Returns in words how an object differs from the one that its change was planned on, as far as the change tells; what
/// is passed back with the declared fields may have moved too.
pub fn moved(change: &Change, states: &[TargetState<'_>]) -> String {
    let state = states.iter().find(|state| state.target == change.target);
    match (change.action, state.and_then(|state| state.facts.observed(&change.id))) {
        (Action::Create, Some(ObservedState::Found(live))) => format!("it is there by now: {}", live.label),
        (Action::Create, _) => "what it depends on is another one".to_owned(),
        (_, Some(ObservedState::Found(live))) if live.handle != change.handle => {
            format!("another object is meant by now: {}", live.label)
        }
        (_, Some(ObservedState::Found(live))) => {
            let moved = state.map(|state| fields(change, live, state)).unwrap_or_default();
            if moved.is_empty() {
                "what it is known by, or what goes back with the declared fields, has changed".to_owned()
            } else {
                moved.join(", ")
            }
        }
        (_, Some(ObservedState::Absent { .. })) => "it is gone".to_owned(),
        _ => "it cannot be told from others any more".to_owned(),
    }
}

/// Returns the fields that moved: those whose live value the kind finds to be another one than the planned one.
fn fields(change: &Change, live: &Live, state: &TargetState<'_>) -> Vec<String> {
    let desired: Option<&Desired> = state.desired.iter().copied().find(|desired| desired.id == change.id);
    if change.action != Action::Update {
        return Vec::new();
    }
    let Some((kind, desired)) = state.kind(&change.id).zip(desired) else { return Vec::new() };
    let Ok(now) = kind.compare(desired, Some(live), &state.facts) else { return Vec::new() };
    let by_path = |fields: &[FieldChange]| -> BTreeMap<FieldPath, FieldChange> {
        fields.iter().map(|field| (field.path.clone(), field.clone())).collect()
    };
    let (before, now) = (by_path(&change.fields), by_path(&now));
    let paths: BTreeSet<&FieldPath> = before.keys().chain(now.keys()).collect();
    let moved = paths.into_iter().filter_map(|path| describe(path, before.get(path), now.get(path), desired));
    moved.collect()
}

/// Says how a field moved; `None` if it did not, or was not looked at when the change was planned.
fn describe(
    path: &FieldPath,
    before: Option<&FieldChange>,
    now: Option<&FieldChange>,
    desired: &Desired,
) -> Option<String> {
    let text = |field: &FieldChange| match field.display.as_ref().and_then(|display| display.from.clone()) {
        Some(words) => Value::String(words).to_string(),
        None => field.from.as_ref().unwrap_or(&Value::Null).to_string(),
    };
    match (before, now) {
        (Some(before), Some(now)) => {
            (before.from != now.from).then(|| format!("{path} was {} and is {}", text(before), text(now)))
        }
        (Some(before), None) => Some(format!("{path} was {} and is as declared", text(before))),
        (None, Some(now)) if desired.policies.of(path) == Policy::Enforce => {
            Some(format!("{path} was as declared and is {}", text(now)))
        }
        _ => None,
    }
}

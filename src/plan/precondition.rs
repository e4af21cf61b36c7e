//! Preconditions of changes: the live object is still the one that the change was planned on.
//!
//! Only what matters to the call counts: the object's ids, what it is known by, the declared fields and those that the
//! call sends back as they were read; for a create its absence and the ids of the objects it depends on. Times and
//! names of those who changed it do not count, so unrelated moves do no harm.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Plan, TargetState};
use crate::{
    model::{
        Action, Change, CreateContext, Desired, Ensure, FieldChange, FieldPath, Json, ObservedState, Outcome,
        ResourceId, policy::Policy,
    },
    provider::Kind,
};

/// Returns what a change of an object rests on, as it was seen; null where nothing is known of the object.
pub fn precondition(kind: &dyn Kind, desired: &Desired, observed: &ObservedState) -> Value {
    match observed {
        ObservedState::Found(live) => {
            let known = kind.precondition_fields(desired);
            let declared: BTreeSet<_> = desired.fields.keys().map(FieldPath::root).collect();
            let matters = |path: &FieldPath| {
                known.as_ref().is_none_or(|known| known.contains(&path.as_str())) || declared.contains(&path.root())
            };
            let fields: Map<String, Value> = live
                .fields
                .iter()
                .filter(|(path, _)| matters(path))
                .map(|(path, value)| (path.to_string(), value.to_value()))
                .collect();
            json!({"found": live.handle, "fields": fields})
        }
        ObservedState::Absent { context, .. } => absence(context),
        ObservedState::Needs(_)
        | ObservedState::Ambiguous(_)
        | ObservedState::Impossible(_)
        | ObservedState::Unknown(_) => Value::Null,
    }
}

/// Returns the precondition of a create. The labels of objects that it depends on are no part of it: their ids are.
fn absence(context: &CreateContext) -> Value {
    json!({"absent": context.handle()})
}

/// Returns the context in which an object would be made that is not there. A list that came with its holder and is empty is there, but
/// is what was not there before its holder was.
fn context_now(desired: &Desired, observed: &ObservedState) -> Option<CreateContext> {
    match observed {
        ObservedState::Absent { context, .. } => Some(context.clone()),
        ObservedState::Found(live) if live.fields.is_empty() && !desired.fields.is_empty() => {
            Some(CreateContext::new(live.handle.clone()))
        }
        _ => None,
    }
}

/// Returns the digest of what a change rests on, in hexadecimal digits.
pub fn precondition_digest(kind: &dyn Kind, desired: &Desired, observed: &ObservedState) -> Arc<str> {
    digest(&precondition(kind, desired, observed)).into()
}

/// Returns the SHA-256 of a value in hexadecimal digits.
pub(super) fn digest(value: &(impl Serialize + ?Sized)) -> String {
    let mut sum = Sum(Sha256::new());
    // A sum takes everything.
    let _ = serde_json::to_writer(&mut sum, value);
    sum.0.finalize().iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
}

/// Takes a text piece by piece.
struct Sum(Sha256);

impl std::io::Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns true if an object is as it was when its change was planned. An object that a create depends on may have been
/// created since: where a placeholder stood for it, any id will do.
pub fn precondition_holds(kind: &dyn Kind, desired: &Desired, before: &ObservedState, now: &ObservedState) -> bool {
    let (was, is) = (precondition(kind, desired, before), precondition(kind, desired, now));
    if !is.is_null() && was == is {
        return true;
    }
    match (before, context_now(desired, now)) {
        (ObservedState::Absent { context, .. }, Some(now)) => now.continues(context),
        _ => false,
    }
}

/// How an object of a saved plan stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SavedChangeState {
    /// As it was when the change was planned.
    Fresh,
    /// As the change would make it.
    AlreadyTrue,
    /// Neither.
    Stale,
    /// It could not be read.
    Unknown(String),
}

/// Says how each object of a saved plan stands, from what was read of it now.
pub fn saved_change_states(plan: &Plan, states: &[TargetState<'_>]) -> Vec<(ResourceId, SavedChangeState)> {
    let objects: HashMap<&ResourceId, (&TargetState<'_>, &Desired)> =
        states.iter().flat_map(|state| state.objects().map(move |one| (&one.id, (state, one)))).collect();
    // What the plan was to make and is there, as planned.
    let made = plan.changes.iter().filter(|change| change.action == Action::Create).filter_map(|change| {
        let (state, desired) = objects.get(&change.id)?;
        let ObservedState::Found(live) = state.facts.observed(&change.id)? else { return None };
        let is_made = is_true(state.kind(&change.id)?, desired, change, state.facts.observed(&change.id)?, state);
        is_made.then_some((&change.id, &live.handle))
    });
    let made: HashMap<&ResourceId, &Json> = made.collect();
    let saved_change_state = |change: &Change| match objects.get(&change.id) {
        Some((state, desired)) => saved_change_state(change, state, desired, &made),
        None => SavedChangeState::Unknown("it was not read".to_owned()),
    };
    plan.changes.iter().map(|change| (change.id.clone(), saved_change_state(change))).collect()
}

fn saved_change_state(
    change: &Change,
    state: &TargetState<'_>,
    desired: &Desired,
    made: &HashMap<&ResourceId, &Json>,
) -> SavedChangeState {
    let unknown = || SavedChangeState::Unknown("it was not read".to_owned());
    let (Some(kind), Some(observed)) = (state.kind(&change.id), state.facts.observed(&change.id)) else {
        return unknown();
    };
    if let ObservedState::Unknown(why) = observed {
        return SavedChangeState::Unknown(why.clone());
    }
    if *precondition_digest(kind, desired, observed) == *change.precondition {
        SavedChangeState::Fresh
    } else if is_true(kind, desired, change, observed, state) {
        SavedChangeState::AlreadyTrue
    } else if context_now(desired, observed).is_some_and(|context| is_context_of(change, context, made)) {
        SavedChangeState::Fresh
    } else {
        SavedChangeState::Stale
    }
}

/// Returns true if a change makes its object in this context, where placeholders stood for what has been made since.
fn is_context_of(change: &Change, context: CreateContext, made: &HashMap<&ResourceId, &Json>) -> bool {
    if change.action != Action::Create {
        return false;
    }
    let ids: Vec<_> =
        context.handle().as_object().into_iter().flatten().map(|(key, id)| (key.to_owned(), id.clone())).collect();
    let mut contexts = vec![context];
    for id in &change.after {
        let Some(handle) = made.get(id) else { continue };
        let keys = ids.iter().filter(|(_, value)| is_part(value, handle)).map(|(key, _)| key);
        // Other objects may have the same number: the digest knows which of them was meant.
        for key in keys {
            let more: Vec<_> = contexts
                .iter()
                .cloned()
                .map(|mut context| {
                    context.set_made(key, id);
                    context
                })
                .collect();
            contexts.extend(more);
        }
    }
    contexts.iter().any(|context| digest(&absence(context)) == *change.precondition)
}

/// Returns true if a value is a handle or an id in it.
fn is_part(value: &Json, handle: &Json) -> bool {
    value == handle || handle.as_object().is_some_and(|parts| parts.values().any(|part| part == value))
}

/// Returns true if an object is already as a change would make it.
pub fn is_true(
    kind: &dyn Kind,
    desired: &Desired,
    change: &Change,
    observed: &ObservedState,
    state: &TargetState<'_>,
) -> bool {
    let is_enforced = |field: &FieldChange| desired.policies.of(&field.path) == Policy::Enforce;
    match (change.action, observed) {
        (Action::Delete, ObservedState::Absent { .. }) => true,
        (Action::Create, ObservedState::Found(live)) => {
            kind.compare(desired, Some(live), &state.facts).is_ok_and(|fields| fields.is_empty())
        }
        (Action::Update | Action::Sync, ObservedState::Found(live)) => {
            live.handle == change.handle
                && desired.ensure != Ensure::Absent
                && kind.compare(desired, Some(live), &state.facts).is_ok_and(|fields| !fields.iter().any(is_enforced))
        }
        _ => false,
    }
}

impl SavedChangeState {
    /// Returns the outcome of a change that is not sent for it; `None` if it is sent.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Fresh => None,
            Self::AlreadyTrue => Some(Outcome::AlreadyTrue),
            Self::Stale => Some(Outcome::Stale),
            Self::Unknown(why) => Some(Outcome::Unknown(format!("not sent, for it could not be read: {why}"))),
        }
    }
}

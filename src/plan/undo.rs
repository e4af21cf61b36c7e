//! Putting back what a run changed: documents whose plan does that, as far as nobody changed the same since. Pure.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Plan, TargetState};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Change, Desired, Ensure, FieldChange, FieldPath, Live, ObservedState, ResourceId, placeholder_of,
        policy::Policies,
    },
    provider::{Facts, Kind, Reversal},
};

/// Code of warnings about what is left as it is.
const LEFT: &str = "P170";
/// Why a sync is not put back.
const NOT_UNDONE: &str = "a sync is not undone; where what it followed is put back, the next plan syncs it again";
/// Code of warnings about objects that are made again.
const MADE_AGAIN: &str = "P171";

/// A change that a run made, or may have made.
#[derive(Debug, Clone)]
pub struct MadeChange<'a> {
    /// The change as it was planned.
    pub change: &'a Change,
    /// The ids of the object, those of a created one too; null where they are not known.
    pub handle: Value,
    /// Values that the platform stored in place of those that were sent.
    pub stored: Vec<(FieldPath, Value)>,
}

/// Documents, and the changes by whose ids their objects are found.
#[derive(Debug, Default)]
pub struct Documents {
    /// The documents; only those that are selected are changed.
    pub objects: Vec<Desired>,
    /// The changes of a plan that is about the same objects.
    pub changes: Vec<Change>,
    /// Warnings about what is left as it is, and about objects that are made again.
    pub remarks: Vec<Diagnostic>,
    /// True if an object could not be read.
    pub unread: bool,
}

impl Documents {
    fn leave(&mut self, desired: &Desired, path: Option<&FieldPath>, why: &str) {
        let what = path.map(|path| format!("`{path}` of ")).unwrap_or_default();
        let message = format!("{what}{} is left as it is: {why}", desired.id);
        self.remarks.push(Diagnostic::warning(LEFT, message, &desired.origin));
    }

    fn push(&mut self, desired: Desired, made: &MadeChange<'_>) {
        let handle = if made.change.action == Action::Delete { Value::Null } else { made.handle.clone() };
        self.changes.push(Change { handle, implicit: false, ..made.change.clone() });
        self.objects.push(desired);
    }

    /// Adds the documents that others refer to, to be read and not to be changed.
    fn add_others(&mut self, all: &[Desired]) {
        let known: HashSet<ResourceId> = self.objects.iter().map(|desired| desired.id.clone()).collect();
        let others = all.iter().filter(|desired| !known.contains(&desired.id));
        self.objects.extend(others.map(|desired| Desired { selected: false, ..desired.clone() }));
    }
}

/// Puts the ids of created objects where placeholders stand for them in the ids of others.
pub fn fill_handles(made: &mut [MadeChange<'_>]) {
    let by_address: HashMap<String, Value> =
        made.iter().map(|made| (made.change.id.to_string(), made.handle.clone())).collect();
    for made in made {
        let Some(parts) = made.handle.as_object_mut() else { continue };
        for (key, part) in parts {
            let Some(handle) = placeholder_of(part).and_then(|address| by_address.get(address)) else { continue };
            *part = if handle.is_object() { handle[key.as_str()].clone() } else { handle.clone() };
        }
    }
}

/// Makes the deletions of a plan implicit: no manifest asks for them, so they count against the limit on those.
pub fn count_as_implicit(plan: &mut Plan) {
    for change in plan.changes.iter_mut().filter(|change| change.action == Action::Delete && !change.implicit) {
        change.implicit = true;
        if let Some(count) = plan.live.get_mut(&(change.target.clone(), change.id.kind)) {
            *count = count.saturating_sub(1);
        }
    }
}

/// The kinds by their names.
type Kinds<'k> = &'k dyn Fn(&ResourceId) -> Option<&'static dyn Kind>;

/// Returns the documents by which the objects of a run are read, with what cannot be put back at all among the remarks.
/// `objects` are those of the run's plan.
pub fn questions(objects: &[Desired], made: &[MadeChange<'_>], kinds: Kinds<'_>) -> Documents {
    let by_id: HashMap<&ResourceId, &Desired> = objects.iter().map(|desired| (&desired.id, desired)).collect();
    let mut documents = Documents::default();
    for made in made {
        let (Some(desired), Some(kind)) = (by_id.get(&made.change.id), kinds(&made.change.id)) else { continue };
        match made.change.action {
            Action::Delete => match kind.recreation(desired, made.change, &Facts::default()) {
                Ok(recreation) => documents.push(recreation, made),
                Err(why) => documents.leave(desired, None, &format!("it was removed, and {why}")),
            },
            // Its declared fields are read, to see if they are still those of the run.
            Action::Create | Action::Update => documents.push(still_there(desired), made),
            Action::Sync => documents.leave(desired, None, NOT_UNDONE),
        }
    }
    documents.add_others(objects);
    documents
}

fn still_there(desired: &Desired) -> Desired {
    Desired { ensure: Ensure::Existing, policies: Policies::default(), selected: true, ..desired.clone() }
}

/// Returns the documents whose plan puts back what a run changed, from what was read by [`questions`]. What was changed
/// since is left, and named among the remarks.
pub fn reversals(
    objects: &[Desired],
    made: &[MadeChange<'_>],
    states: &[TargetState<'_>],
    asked: Documents,
) -> Documents {
    let by_id: HashMap<&ResourceId, (&TargetState<'_>, &Desired)> = states
        .iter()
        .flat_map(|state| state.desired.iter().map(move |desired| (&desired.id, (state, *desired))))
        .collect();
    let mut documents = Documents { remarks: asked.remarks, ..Documents::default() };
    for made in made {
        let Some((state, desired)) = by_id.get(&made.change.id) else { continue };
        let (Some(kind), Some(observed)) = (state.kind(&desired.id), state.facts.observed(&desired.id)) else {
            continue;
        };
        match (made.change.action, observed) {
            (_, ObservedState::Unknown(why)) => {
                documents.unread = true;
                documents.leave(desired, None, &format!("it could not be read: {why}"));
            }
            (Action::Update, ObservedState::Found(live)) => update(kind, desired, live, made, state, &mut documents),
            (Action::Create, ObservedState::Found(live)) => removal(kind, desired, live, made, state, &mut documents),
            (Action::Update, _) => documents.leave(desired, None, "it is gone"),
            // It is gone, as before the run; that a sync is left was told with the questions.
            (Action::Create, ObservedState::Absent { .. }) | (Action::Sync, _) => {}
            (Action::Create, _) => documents.leave(desired, None, "it cannot be told from others any more"),
            (Action::Delete, ObservedState::Found(live)) => {
                documents.leave(desired, None, &format!("it is there again: {}", live.label));
            }
            (Action::Delete, _) => recreation(kind, objects, made, state, &mut documents),
        }
    }
    documents.add_others(objects);
    documents
}

fn update(
    kind: &dyn Kind,
    desired: &Desired,
    live: &Live,
    made: &MadeChange<'_>,
    state: &TargetState<'_>,
    documents: &mut Documents,
) {
    let stored: HashMap<&FieldPath, &Value> = made.stored.iter().map(|(path, value)| (path, value)).collect();
    let changes: Vec<FieldChange> = made
        .change
        .fields
        .iter()
        .map(|field| match stored.get(&field.path) {
            Some(value) => FieldChange { to: Some((*value).clone()), ..field.clone() },
            None => field.clone(),
        })
        .collect();
    let Reversal { desired: reversed, is_needed, left } = kind.reversal(desired, live, &changes, &state.facts);
    left.iter().for_each(|(path, why)| documents.leave(desired, Some(path), why));
    if !is_needed {
        return;
    }
    match kind.compare(&reversed, Some(live), &state.facts) {
        // Some of what differs is known only when it is read for this document.
        Ok(_) => documents.push(reversed, made),
        Err(problems) => {
            let why = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
            documents.leave(desired, None, &format!("it cannot be put back: {why}"));
        }
    }
}

/// A created object goes only if it is still as it was created, as far as its document says.
fn removal(
    kind: &dyn Kind,
    desired: &Desired,
    live: &Live,
    made: &MadeChange<'_>,
    state: &TargetState<'_>,
    documents: &mut Documents,
) {
    let Some(removal) = kind.removal(desired) else { return };
    if made.handle.is_null() {
        return documents.leave(desired, None, "the ids of the object that was created are not known");
    }
    if live.handle != made.handle {
        return documents.leave(desired, None, &format!("another object is meant by now: {}", live.label));
    }
    let is_stored = |field: &FieldChange| {
        made.stored.iter().any(|(path, value)| *path == field.path && field.from.as_ref() == Some(value))
    };
    match kind.compare(desired, Some(live), &state.facts) {
        Ok(changes) => {
            let moved: Vec<&str> =
                changes.iter().filter(|field| !is_stored(field)).map(|field| field.path.as_str()).collect();
            if moved.is_empty() {
                documents.push(removal, made);
            } else {
                documents.leave(desired, None, &format!("it was created, and changed since: {}", moved.join(", ")));
            }
        }
        Err(problems) => {
            let why = problems.first().map(|problem| problem.message.clone()).unwrap_or_default();
            documents.leave(desired, None, &format!("it cannot be told if it was changed since: {why}"));
        }
    }
}

fn recreation(
    kind: &dyn Kind,
    objects: &[Desired],
    made: &MadeChange<'_>,
    state: &TargetState<'_>,
    documents: &mut Documents,
) {
    let Some(desired) = objects.iter().find(|desired| desired.id == made.change.id) else { return };
    match kind.recreation(desired, made.change, &state.facts) {
        Ok(recreation) => {
            let message = format!(
                "{} is made again: its ids will be others, and what the plan did not show of it is lost",
                desired.id
            );
            documents.remarks.push(Diagnostic::warning(MADE_AGAIN, message, &desired.origin));
            documents.push(Desired { selected: true, ..recreation }, made);
        }
        Err(why) => documents.leave(desired, None, &format!("it was removed, and {why}")),
    }
}

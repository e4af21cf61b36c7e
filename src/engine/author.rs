//! Finds out who changed what differs.

use std::collections::HashMap;

use super::{connection::Reader, drive::drive_all};
use crate::{
    model::{Action, Change, FieldPath, ObservedState, ResourceId, author::Changed},
    plan::{Plan, TargetState},
    provider::{Authors, Kind},
};

/// The last change of each value, by object and path; an object that is created or deleted has no path.
#[derive(Debug, Clone, Default)]
pub struct Trace(HashMap<(ResourceId, Option<FieldPath>), Changed>);

impl Trace {
    /// Returns the last change of a field of an object.
    pub fn of(&self, id: &ResourceId, path: Option<&FieldPath>) -> Changed {
        self.0.get(&(id.clone(), path.cloned())).cloned().unwrap_or_else(Changed::unknown)
    }

    /// Returns the last change of a field, else that of its object, whatever of it; `None` if nothing tells either.
    pub fn last(&self, id: &ResourceId, path: &FieldPath) -> Option<&Changed> {
        self.0.get(&(id.clone(), Some(path.clone()))).or_else(|| self.object(id))
    }

    /// Returns the last change of an object as a whole; `None` if nothing tells it.
    pub fn object(&self, id: &ResourceId) -> Option<&Changed> {
        self.0.get(&(id.clone(), None))
    }

    fn extend(&mut self, authors: Authors) {
        self.0.extend(authors.known.into_iter().map(|(id, path, changed)| ((id, path), changed)));
    }

    /// Returns the last changes of all that a change of an object is about: its fields, or the object itself.
    pub fn all<'c>(&self, change: &'c Change) -> Vec<(Option<&'c FieldPath>, Changed)> {
        let paths: Vec<_> = match change.action {
            Action::Update | Action::Sync => change.fields.iter().map(|field| Some(&field.path)).collect(),
            Action::Create | Action::Delete => vec![None],
        };
        paths.into_iter().map(|path| (path, self.of(&change.id, path))).collect()
    }
}

/// Asks who changed live objects last, whatever of them, and who else each of their fields. A read that fails makes the
/// answer worse, and nothing else.
pub async fn touched(readers: &[Reader], states: &mut [TargetState<'_>]) -> Trace {
    let mut told = Trace::default();
    for state in states {
        let Some(reader) = readers.iter().find(|reader| reader.target().name == state.target) else { continue };
        let touched = |kind: &'static dyn Kind, state: &mut TargetState<'_>| {
            let own = state.desired.iter().filter(|desired| desired.selected && desired.id.kind == kind.name());
            let live = own.filter_map(|desired| match state.facts.observed(&desired.id)? {
                ObservedState::Found(live) => Some((*desired, live)),
                _ => None,
            });
            kind.touched(&live.collect::<Vec<_>>(), &state.facts)
        };
        for (_, found) in drive_all(reader, state.platform.kinds().iter().copied(), state, touched).await {
            told.extend(found.unwrap_or_default());
        }
    }
    told
}

/// Asks who changed what differs, of what is to be changed and of what is only reported. A read that fails makes the
/// answer worse, and nothing else.
pub async fn trace(readers: &[Reader], states: &mut [TargetState<'_>], plan: &Plan) -> Trace {
    let mut trace = Trace::default();
    for state in states {
        let Some(reader) = readers.iter().find(|reader| reader.target().name == state.target) else { continue };
        let changed = |kind: &'static dyn Kind, state: &mut TargetState<'_>| {
            let changes = plan.changes.iter().chain(&plan.reported);
            kind.changed(&state.planned_of(kind, state.declared(), changes), &state.facts)
        };
        for (_, authors) in drive_all(reader, state.platform.kinds().iter().copied(), state, changed).await {
            trace.extend(authors.unwrap_or_default());
        }
    }
    trace
}

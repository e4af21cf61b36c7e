//! The results of the last looks at the objects: a look at a few of them adds to those of the others.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::report::State;
use crate::{
    model::{Desired, ObservedState, ResourceId},
    plan::TargetState,
};

/// The result of a look at an object.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) target: Arc<str>,
    pub(super) state: State,
    /// It was not as declared when it was read.
    pub(super) differed: bool,
    /// A window or a suspension holds back what would make it so.
    pub(super) held: bool,
}

/// What is known of all objects.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) objects: HashMap<ResourceId, Found>,
    /// The documents by the live objects that they mean, these by a hash of their kinds and labels.
    owners: HashMap<u64, ResourceId>,
    /// The documents by the objects of events that they mean, these by a hash of their targets and names.
    subjects: HashMap<u64, ResourceId>,
    hasher: RandomState,
    /// All objects were looked at, and what was found of each is known.
    is_whole: bool,
}

impl Looked {
    /// Returns true if a look at a part is enough.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the objects that were held back.
    pub(super) fn held(&self) -> HashSet<ResourceId> {
        self.objects.iter().filter(|(_, found)| found.held).map(|(id, _)| id.clone()).collect()
    }

    /// Returns true if an object was blocked or unknown when it was last looked at.
    pub(super) fn was_blocked(&self, id: &ResourceId) -> bool {
        self.objects.get(id).is_some_and(|found| matches!(found.state, State::Blocked | State::Unknown))
    }

    /// Returns the document that means the object of an event, with true if it was as declared when it was last looked at.
    pub(super) fn owner(&self, target: &str, subject: &str) -> Option<(&ResourceId, bool)> {
        let id = self.subjects.get(&self.hasher.hash_one((target, subject)))?;
        let is_well = self.objects.get(id).is_some_and(|found| matches!(found.state, State::InSync | State::Changed));
        Some((id, is_well))
    }

    /// Returns true if an object is not known to be as declared.
    pub(super) fn is_open(&self, id: &ResourceId) -> bool {
        self.objects.get(id).is_none_or(|found| !matches!(found.state, State::InSync | State::Changed))
    }

    /// Notes whether the next look may be at a part.
    pub(super) fn set_whole(&mut self, is_whole: bool) {
        self.is_whole = is_whole;
    }

    /// Forgets what is declared no longer.
    pub(super) fn keep(&mut self, declared: &[Desired]) {
        let declared: HashSet<&ResourceId> = declared.iter().map(|object| &object.id).collect();
        self.objects.retain(|id, _| declared.contains(id));
        self.owners.retain(|_, id| declared.contains(id));
        self.subjects.retain(|_, id| declared.contains(id));
    }

    /// Forgets everything, before a look at everything.
    pub(super) fn clear(&mut self) {
        self.objects.clear();
        self.owners.clear();
        self.subjects.clear();
    }

    fn mark(&self, state: &TargetState<'_>, id: &ResourceId) -> Option<u64> {
        let Some(ObservedState::Found(live)) = state.facts.observed(id) else { return None };
        Some(self.hasher.hash_one((&state.target, id.kind, &live.label)))
    }

    /// Returns true if a document that was looked at now means the live object of another one that was not: only a look
    /// at both can tell whose it is.
    pub(super) fn is_contested(&self, states: &[TargetState<'_>]) -> bool {
        let contested = |state: &TargetState<'_>| {
            state.declared().any(|object| {
                let owner = self.mark(state, &object.id).and_then(|mark| self.owners.get(&mark));
                let is_looked_at = |owner: &ResourceId| state.declared().any(|object| object.id == *owner);
                owner.is_some_and(|owner| *owner != object.id && !is_looked_at(owner))
            })
        };
        states.iter().any(contested)
    }

    /// Notes which live objects documents mean.
    pub(super) fn own(&mut self, states: &[TargetState<'_>]) {
        for state in states {
            for object in state.desired.iter().copied() {
                if let Some(mark) = self.mark(state, &object.id) {
                    self.owners.insert(mark, object.id.clone());
                }
                let schema = state.platform.events();
                if let Some(ObservedState::Found(live)) = state.facts.observed(&object.id)
                    && let Some(subject) = schema.and_then(|schema| schema.subject(object, live))
                {
                    self.subjects.insert(self.hasher.hash_one((&*state.target, subject)), object.id.clone());
                }
            }
        }
    }
}

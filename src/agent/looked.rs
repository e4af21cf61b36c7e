//! The results of the last looks at the objects: a look at a few of them adds to those of the others.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::{
    manifests::Manifests,
    report::State,
    status::{ByKind, Counts, KindCounts},
};
use crate::{
    model::{ObservedState, ResourceId},
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

impl Found {
    /// Returns the counts of this one object.
    fn counts(&self) -> KindCounts {
        let mut counts = Counts::default();
        *match self.state {
            State::Changed => &mut counts.changed,
            State::InSync => &mut counts.in_sync,
            State::Drifted => &mut counts.drifted,
            State::Failed => &mut counts.failed,
            State::Blocked => &mut counts.blocked,
            State::Unknown => &mut counts.unknown,
        } = 1;
        KindCounts { counts, drift: usize::from(self.differed), held: usize::from(self.held) }
    }
}

/// What is known of all objects.
#[derive(Debug, Default)]
pub(super) struct Looked {
    objects: HashMap<ResourceId, Found>,
    /// How many objects of each target and kind are in which state.
    by_kind: ByKind,
    /// Those of the objects that no document declares, such as one that was removed.
    undeclared: HashSet<ResourceId>,
    /// The number of the manifests by which objects were forgotten last.
    kept: u64,
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

    /// Notes what was found of an object.
    pub(super) fn note(&mut self, id: &ResourceId, found: Found, is_declared: bool) {
        if !is_declared {
            self.undeclared.insert(id.clone());
        }
        let kind = self.by_kind.entry((found.target.clone(), id.kind)).or_default();
        kind.add(found.counts());
        if let Some(before) = self.objects.insert(id.clone(), found) {
            self.count_off(id, &before);
        }
    }

    fn forget(&mut self, id: &ResourceId) {
        if let Some(before) = self.objects.remove(id) {
            self.count_off(id, &before);
        }
    }

    fn count_off(&mut self, id: &ResourceId, found: &Found) {
        let key = (found.target.clone(), id.kind);
        if let Some(kind) = self.by_kind.get_mut(&key) {
            kind.subtract(found.counts());
            if *kind == KindCounts::default() {
                self.by_kind.remove(&key);
            }
        }
    }

    /// Returns what was found of all objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&ResourceId, &Found)> {
        self.objects.iter()
    }

    /// Counts the objects, all together and by target and kind.
    pub(super) fn counts(&self) -> (Counts, ByKind) {
        let mut all = Counts::default();
        self.by_kind.values().for_each(|kind| all.add(kind.counts));
        (all, self.by_kind.clone())
    }

    /// Forgets what is declared no longer.
    pub(super) fn keep(&mut self, manifests: &Manifests) {
        std::mem::take(&mut self.undeclared).iter().for_each(|id| self.forget(id));
        let missed = manifests.number - self.kept.min(manifests.number);
        self.kept = manifests.number;
        let gone: HashSet<ResourceId> = match &manifests.changes {
            _ if missed == 0 => return,
            Some(changes) if missed == 1 => changes.gone().map(|object| object.id.clone()).collect(),
            _ => {
                let declared: HashSet<&ResourceId> = manifests.desired.iter().map(|object| &object.id).collect();
                self.objects.keys().filter(|id| !declared.contains(id)).cloned().collect()
            }
        };
        if gone.is_empty() {
            return;
        }
        gone.iter().for_each(|id| self.forget(id));
        self.owners.retain(|_, id| !gone.contains(id));
        self.subjects.retain(|_, id| !gone.contains(id));
    }

    /// Forgets everything, before a look at everything that the manifests declare.
    pub(super) fn clear(&mut self, manifests: &Manifests) {
        self.kept = manifests.number;
        self.objects.clear();
        self.by_kind.clear();
        self.undeclared.clear();
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

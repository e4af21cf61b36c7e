//! Reads objects back after their calls.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use serde_json::Value;

use super::{Attempt, ReadBack, Run};
use crate::{
    engine::{observe::reread, verify::look_up},
    model::{Action, Desired, ObservedState, ResourceId},
    plan::implicit_dependencies,
    provider::SyncProgress,
};

/// Waits before what was accepted, but does not show, is read once more.
const LAGS: &[Duration] = &[Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2)];

impl<'a> Run<'a> {
    /// Reads objects back; a replica may not know yet of what came or went just now, and is given time.
    pub(super) async fn read_back_patiently(&self, attempts: &[Attempt<'a>]) -> HashMap<ResourceId, ObservedState> {
        let all: Vec<ReadBack<'a>> = attempts.iter().map(|attempt| attempt.object.clone()).collect();
        let mut observed_states = self.read_back(&all).await;
        for pause in LAGS {
            let late: Vec<ReadBack<'_>> = attempts
                .iter()
                .filter(|attempt| attempt.lost.is_none() && self.is_late(attempt.object.id, &observed_states))
                .map(|attempt| attempt.object.clone())
                .collect();
            if late.is_empty() {
                break;
            }
            tokio::time::sleep(*pause).await;
            observed_states.extend(self.read_back(&late).await);
        }
        let parts: Vec<ReadBack<'a>> = all.into_iter().filter(|part| self.is_sync(part.id)).collect();
        self.wait_for_tasks(&parts, &mut observed_states).await;
        observed_states
    }

    /// Reads objects back: by handle where there is one, by key where a create got lost.
    pub(super) async fn read_back(&self, objects: &[ReadBack<'_>]) -> HashMap<ResourceId, ObservedState> {
        let reader = self.writer.reader();
        let mut observed_states = HashMap::new();
        let mut unnamed: Vec<&Desired> = objects
            .iter()
            .filter(|object| object.handle.is_none())
            .filter_map(|object| self.desired.get(object.id).copied())
            .collect();
        // A row is known by its ends, so they are looked up with it, and so is what gave them other names.
        let all: Vec<&Desired> = self.desired.values().copied().collect();
        let mut ends: Vec<&Desired> = implicit_dependencies(self.state.platform, &unnamed, &all);
        let references = unnamed.iter().flat_map(|desired| &desired.references);
        ends.extend(references.filter_map(|reference| self.desired.get(&reference.to).copied()));
        let mut known: HashSet<&ResourceId> = unnamed.iter().map(|desired| &desired.id).collect();
        unnamed.extend(ends.into_iter().filter(|desired| known.insert(&desired.id)));
        let is_listed = |object: &&ReadBack<'_>| object.handle.is_some() && self.is_listed_with(object.id, &unnamed);
        let listed: Vec<&Desired> =
            objects.iter().filter(is_listed).filter_map(|object| self.desired.get(object.id).copied()).collect();
        unnamed.extend(listed.into_iter().filter(|desired| known.insert(&desired.id)));
        if !unnamed.is_empty() {
            observed_states.extend(look_up(&reader, unnamed.clone()).await);
        }
        for kind in self.state.platform.kinds() {
            let named: Vec<(&Desired, &Value)> = objects
                .iter()
                .filter(|object| object.id.kind == kind.name())
                .filter(|object| !is_shown(object, &observed_states) || !self.is_listed_with(object.id, &unnamed))
                .filter_map(|object| Some((*self.desired.get(object.id)?, object.handle.as_ref()?)))
                .collect();
            if !named.is_empty() {
                observed_states.extend(reread(&reader, *kind, &named).await);
            }
        }
        observed_states
    }

    /// Returns true if looking others up shows an object, too.
    fn is_listed_with(&self, id: &ResourceId, others: &[&Desired]) -> bool {
        let (Some(kind), Some(desired)) = (self.kind(id), self.desired.get(id)) else { return false };
        others.iter().any(|other| {
            other.id.kind == id.kind && other.id != *id && kind.is_listed_with(desired, other, &self.state.facts)
        })
    }

    /// Returns true if an object that was created does not show yet, one that was removed still does, or the task of a
    /// sync does not show.
    fn is_late(&self, id: &ResourceId, observed_states: &HashMap<ResourceId, ObservedState>) -> bool {
        if let (true, Some(ObservedState::Found(live))) = (self.is_sync(id), observed_states.get(id)) {
            let is_working = matches!(self.progress(id, observed_states.get(id)), SyncProgress::Working(_));
            return !is_working && !self.is_in_sync(id, live);
        }
        matches!(
            (self.changes.get(id).map(|change| change.action), observed_states.get(id)),
            (Some(Action::Create), Some(ObservedState::Absent { .. }))
                | (Some(Action::Delete), Some(ObservedState::Found(_)))
        )
    }
}

/// Returns true if an object was found with the handle that it is known by.
fn is_shown(object: &ReadBack<'_>, observed_states: &HashMap<ResourceId, ObservedState>) -> bool {
    let Some(ObservedState::Found(live)) = observed_states.get(object.id) else { return false };
    object.handle.as_ref().is_some_and(|handle| live.handle == *handle)
}

//! Reads objects back after their calls.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use serde_json::Value;

use super::Run;
use crate::{
    engine::verify::{look_up, reread},
    model::{Action, Desired, ObservedState, Refusal, ResourceId},
    plan::implicit_dependencies,
};

/// Waits before what was accepted, but does not show, is read once more.
const LAGS: &[Duration] = &[Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2)];

impl Run<'_> {
    /// Reads objects back; a replica may not know yet of what came or went just now, and is given time.
    pub(super) async fn read_back_patiently(
        &self,
        open: &[(&ResourceId, Option<Value>, Option<Refusal>, Duration)],
    ) -> HashMap<ResourceId, ObservedState> {
        let mut observed_states = self.read_back(open).await;
        for pause in LAGS {
            let late: Vec<_> =
                open.iter().filter(|one| one.2.is_none() && self.is_late(one.0, &observed_states)).cloned().collect();
            if late.is_empty() {
                break;
            }
            tokio::time::sleep(*pause).await;
            observed_states.extend(self.read_back(&late).await);
        }
        observed_states
    }

    /// Reads objects back: by handle where there is one, by key where a create got lost.
    pub(super) async fn read_back(
        &self,
        open: &[(&ResourceId, Option<Value>, Option<Refusal>, Duration)],
    ) -> HashMap<ResourceId, ObservedState> {
        let reader = self.writer.reader();
        let mut observed_states = HashMap::new();
        let mut unnamed: Vec<&Desired> =
            open.iter().filter(|one| one.1.is_none()).filter_map(|one| self.desired.get(one.0).copied()).collect();
        // A row is known by its ends, so they are looked up with it, and so is what gave them other names.
        let all: Vec<&Desired> = self.desired.values().copied().collect();
        let mut ends: Vec<&Desired> = implicit_dependencies(self.state.platform, &unnamed, &all);
        let references = unnamed.iter().flat_map(|one| &one.references);
        ends.extend(references.filter_map(|reference| self.desired.get(&reference.to).copied()));
        let mut known: HashSet<&ResourceId> = unnamed.iter().map(|one| &one.id).collect();
        unnamed.extend(ends.into_iter().filter(|one| known.insert(&one.id)));
        if !unnamed.is_empty() {
            observed_states.extend(look_up(&reader, unnamed).await);
        }
        for kind in self.state.platform.kinds() {
            let objects: Vec<(&Desired, &Value)> = open
                .iter()
                .filter(|one| one.0.kind == kind.name())
                .filter_map(|one| Some((*self.desired.get(one.0)?, one.1.as_ref()?)))
                .collect();
            if !objects.is_empty() {
                observed_states.extend(reread(&reader, *kind, &objects).await);
            }
        }
        observed_states
    }

    /// Says whether an object that was made does not show yet, or one that was removed still does.
    fn is_late(&self, id: &ResourceId, observed_states: &HashMap<ResourceId, ObservedState>) -> bool {
        matches!(
            (self.changes.get(id).map(|change| change.action), observed_states.get(id)),
            (Some(Action::Create), Some(ObservedState::Absent { .. }))
                | (Some(Action::Delete), Some(ObservedState::Found(_)))
        )
    }
}

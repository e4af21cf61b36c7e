//! All that can be seen of a running agent.

use std::{io, sync::Arc};

use serde::Serialize;

use super::{Control, Counts, Inventory, Status};
use crate::{
    engine::connection::{Attempted, RequestCounters, TargetRequests},
    journal::{Store, history::RunHistory},
};

/// The view of an agent that its pages show.
#[derive(Clone, Default)]
pub struct Observer {
    /// Its state.
    pub status: Status,
    /// Its objects.
    pub inventory: Inventory,
    /// Its controls.
    pub control: Control,
    /// The requests to each target; `None` where nobody counts them.
    pub counters: Option<Arc<RequestCounters>>,
    /// Its journal; `None` where none is kept.
    pub store: Option<Arc<dyn Store>>,
}

/// The health of a target.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetStatus {
    /// The name of the target.
    pub name: String,
    /// True if the platform answers; `None` before the first request.
    pub up: Option<bool>,
    /// When a read was last answered, in seconds since 1970.
    pub last_read: Option<f64>,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that the platform refused.
    pub refused: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that were sent once more.
    pub retries: u64,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// Requests that are on their way.
    pub in_flight: usize,
    /// The mean time of a request, in seconds; `None` before the first one.
    pub mean_seconds: Option<f64>,
    /// Its objects by state.
    pub objects: Counts,
    /// Objects that differ, and that a window or a suspension holds back.
    pub held: usize,
}

impl Observer {
    /// Returns the health of each target that was asked or has objects.
    pub fn targets(&self) -> Vec<TargetStatus> {
        let mut requests = self.counters.as_ref().map(|counters| counters.by_target()).unwrap_or_default();
        let mut objects = std::collections::BTreeMap::<Arc<str>, Counts>::new();
        let mut held = std::collections::BTreeMap::<Arc<str>, usize>::new();
        for ((target, _), found) in &self.status.snapshot().last.map(|report| report.by_kind).unwrap_or_default() {
            objects.entry(target.clone()).or_default().add(found.counts);
            *held.entry(target.clone()).or_default() += found.held;
        }
        objects.keys().for_each(|target| {
            requests.entry(target.clone()).or_default();
        });
        let status = |(name, requests): (Arc<str>, TargetRequests)| {
            let of = |attempted| requests.outcomes.get(&attempted).copied().unwrap_or_default();
            let (answered, refused, failed) = (of(Attempted::Answered), of(Attempted::Refused), of(Attempted::Failed));
            let ended: u64 = requests.buckets.iter().sum();
            #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
            let mean_seconds = (ended > 0).then(|| requests.seconds / ended as f64);
            TargetStatus {
                up: (answered + refused + failed > 0).then(|| requests.is_up()),
                last_read: requests.last_read,
                answered,
                refused,
                failed,
                retries: requests.retries,
                waiting: requests.waiting,
                in_flight: requests.in_flight(),
                mean_seconds,
                objects: objects.get(&name).copied().unwrap_or_default(),
                held: held.get(&name).copied().unwrap_or_default(),
                name: name.to_string(),
            }
        };
        requests.into_iter().map(status).collect()
    }

    /// Returns the newest runs, the newest first, and how many could not be read. Reads files.
    pub fn runs(&self, limit: usize) -> io::Result<(Vec<RunHistory>, usize)> {
        let Some(store) = &self.store else { return Ok((Vec::new(), 0)) };
        let ids = store.runs()?;
        let read = ids.iter().rev().take(limit).map(|id| Some(RunHistory::of(id, &store.journal(id).ok()?)));
        let read: Vec<Option<RunHistory>> = read.collect();
        let unread = read.iter().filter(|run| run.is_none()).count();
        Ok((read.into_iter().flatten().collect(), unread))
    }

    /// Returns a run; nothing where there is none of that id. Reads a file.
    pub fn run(&self, id: &str) -> io::Result<Option<RunHistory>> {
        let Some(store) = &self.store else { return Ok(None) };
        if !store.runs()?.iter().any(|known| known == id) {
            return Ok(None);
        }
        Ok(Some(RunHistory::of(id, &store.journal(id)?)))
    }
}

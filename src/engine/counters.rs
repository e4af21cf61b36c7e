//! How much was sent, and what came back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::clock;

/// Upper bounds of the times that requests took, in seconds.
pub const SECONDS: [f64; 9] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 40.0];

/// The time without an answer after which a target no longer counts as up. Long before a request is given up.
const OVERDUE: Duration = Duration::from_secs(10);

/// What came of an attempt at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attempted {
    /// The platform did what was asked.
    Answered,
    /// The platform refused it with a code of its own.
    Refused,
    /// No answer came, or one that is not the platform's own, such as a gateway's.
    Failed,
}

impl Attempted {
    /// Returns its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The requests to one target.
#[derive(Debug, Clone, Default)]
pub struct TargetRequests {
    /// Attempts by what came of them.
    pub outcomes: BTreeMap<Attempted, u64>,
    /// Requests that were sent once more.
    pub retries: u64,
    /// How many attempts took up to each of [`SECONDS`] and longer than the one before; the last number is of all others.
    pub buckets: [u64; SECONDS.len() + 1],
    /// Seconds that all attempts took.
    pub seconds: f64,
    /// When a read was last answered, in seconds since 1970.
    pub last_read: Option<f64>,
    /// What came of the attempt that ended last.
    last: Option<Attempted>,
    /// The attempts that are on their way, by their numbers.
    in_flight: BTreeMap<u64, Instant>,
    started: u64,
}

impl TargetRequests {
    /// Returns true if the platform itself answers, even where it refuses.
    pub fn is_up(&self) -> bool {
        let is_overdue = self.in_flight.values().any(|start| start.elapsed() >= OVERDUE);
        matches!(self.last, Some(Attempted::Answered | Attempted::Refused)) && !is_overdue
    }
}

/// The number of requests by target and operation, with true for those that write.
pub(super) type SentCounts = BTreeMap<(Arc<str>, &'static str, bool), usize>;

/// Counts what was sent.
#[derive(Debug, Default)]
pub struct RequestCounters {
    sent: Mutex<SentCounts>,
    targets: Mutex<BTreeMap<Arc<str>, TargetRequests>>,
}

impl RequestCounters {
    /// Counts a request that is about to be sent.
    pub(super) fn start(self: &Arc<Self>, target: &Arc<str>, operation: &'static str, write: bool) -> Attempt {
        *self.sent().entry((target.clone(), operation, write)).or_default() += 1;
        let mut targets = self.targets();
        let requests = targets.entry(target.clone()).or_default();
        requests.started += 1;
        let (id, start) = (requests.started, Instant::now());
        requests.in_flight.insert(id, start);
        Attempt { counters: self.clone(), target: target.clone(), id, start }
    }

    /// Counts a request that is to be sent once more.
    pub(super) fn retry(&self, target: &Arc<str>) {
        self.targets().entry(target.clone()).or_default().retries += 1;
    }

    /// Notes that a target cannot even be asked, such as for want of a secret.
    pub(super) fn unreachable(&self, target: &Arc<str>) {
        self.targets().entry(target.clone()).or_default().last = Some(Attempted::Failed);
    }

    fn sent(&self) -> MutexGuard<'_, SentCounts> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn targets(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, TargetRequests>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of requests by operation, those that write apart from those that read.
    pub fn by_operation(&self, write: bool) -> Vec<(&'static str, usize)> {
        let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
        for ((_, operation, writes), count) in &*self.sent() {
            if *writes == write {
                *counts.entry(operation).or_default() += count;
            }
        }
        counts.into_iter().collect()
    }

    /// Returns the number of all requests that write, or that read.
    pub fn total(&self, write: bool) -> usize {
        self.by_operation(write).iter().map(|(_, count)| count).sum()
    }

    /// Returns the number of requests by target and operation, with true for those that write.
    pub fn by_target_and_operation(&self) -> SentCounts {
        self.sent().clone()
    }

    /// Returns the requests to each target that was asked.
    pub fn by_target(&self) -> BTreeMap<Arc<str>, TargetRequests> {
        self.targets().clone()
    }
}

/// An attempt at a request that is on its way. One that is dropped before it has ended was broken off.
pub(super) struct Attempt {
    counters: Arc<RequestCounters>,
    target: Arc<str>,
    id: u64,
    start: Instant,
}

impl Attempt {
    /// Counts what came of it.
    pub(super) fn end(self, attempted: Attempted, is_read: bool) {
        let seconds = self.start.elapsed().as_secs_f64();
        let mut targets = self.counters.targets();
        let Some(requests) = targets.get_mut(&self.target) else { return };
        *requests.outcomes.entry(attempted).or_default() += 1;
        requests.last = Some(attempted);
        requests.buckets[SECONDS.partition_point(|bound| *bound < seconds)] += 1;
        requests.seconds += seconds;
        if is_read && attempted == Attempted::Answered {
            requests.last_read = Some(clock::now().as_duration().as_secs_f64());
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(requests) = self.counters.targets().get_mut(&self.target) {
            requests.in_flight.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_up_while_its_platform_answers() {
        let (counters, target) = (Arc::new(RequestCounters::default()), Arc::from("roma"));
        let check = |expected: bool| assert_eq!(counters.by_target()[&target].is_up(), expected);
        let start = || counters.start(&target, "list", false);
        let first = start();
        check(false);
        first.end(Attempted::Refused, true);
        check(true);
        assert_eq!(counters.by_target()[&target].last_read, None);
        start().end(Attempted::Failed, true);
        check(false);
        start().end(Attempted::Answered, true);
        check(true);
        assert!(counters.by_target()[&target].last_read.is_some());
        let slow = start();
        check(true);
        let long_ago = Instant::now().checked_sub(OVERDUE).expect("the clock is older");
        counters.targets().get_mut(&target).expect("it was asked").in_flight.insert(slow.id, long_ago);
        check(false);
        drop(slow);
        check(true);
        counters.unreachable(&target);
        check(false);
        let requests = &counters.by_target()[&target];
        assert_eq!(requests.buckets.iter().sum::<u64>(), 3);
        assert_eq!((counters.total(false), counters.total(true)), (4, 0));
    }
}

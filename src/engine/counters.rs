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
    /// The program itself broke it off, such as at its end.
    Cancelled,
}

impl Attempted {
    /// Returns its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
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
    /// The attempts that are on their way, by their numbers: since when, and what is asked.
    in_flight: BTreeMap<u64, (Instant, &'static str)>,
    started: u64,
    /// Since when its settings and secrets are being fetched.
    fetching: Option<Instant>,
    /// Requests that wait for their turn.
    pub waiting: usize,
}

impl TargetRequests {
    /// Returns true if the platform itself answers, even where it refuses.
    pub fn is_up(&self) -> bool {
        let is_overdue = self.in_flight.values().any(|(start, _)| start.elapsed() >= OVERDUE);
        matches!(self.last, Some(Attempted::Answered | Attempted::Refused)) && !is_overdue
    }

    /// Returns the number of requests that were sent and not answered yet.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

/// A request that is on its way, or something that has to be there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InFlight {
    /// The target that is asked.
    pub target: Arc<str>,
    /// The operation, or what is fetched.
    pub operation: &'static str,
    /// How long ago it began.
    pub age: Duration,
}

/// The number of requests by target and operation, with true for those that write.
pub(super) type SentCounts = BTreeMap<(Arc<str>, &'static str, bool), usize>;

/// The number of attempts that have ended by target, operation and result, with true for those that write.
pub(super) type EndedCounts = BTreeMap<(Arc<str>, &'static str, bool, Attempted), u64>;

/// Counts what was sent.
#[derive(Debug, Default)]
pub struct RequestCounters {
    sent: Mutex<SentCounts>,
    ended: Mutex<EndedCounts>,
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
        requests.in_flight.insert(id, (start, operation));
        Attempt { counters: self.clone(), target: target.clone(), operation, write, id, start, ended: None }
    }

    /// Notes that the settings and secrets of a target are being fetched, until the result is dropped.
    pub(super) fn fetch(self: &Arc<Self>, target: &Arc<str>) -> Fetching {
        self.targets().entry(target.clone()).or_default().fetching = Some(Instant::now());
        Fetching { counters: self.clone(), target: target.clone() }
    }

    /// Counts a request that waits for its turn, until the result is dropped.
    pub(super) fn wait(self: &Arc<Self>, target: &Arc<str>) -> Waiting {
        self.targets().entry(target.clone()).or_default().waiting += 1;
        Waiting { counters: self.clone(), target: target.clone() }
    }

    /// Returns what is on its way at present.
    pub fn in_flight(&self) -> Vec<InFlight> {
        let targets = self.targets();
        let all = targets.iter().flat_map(|(target, requests)| {
            let fetching = requests.fetching.map(|start| (start, "its settings and secrets"));
            requests.in_flight.values().copied().chain(fetching).map(|(start, operation)| InFlight {
                target: target.clone(),
                operation,
                age: start.elapsed(),
            })
        });
        all.collect()
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

    /// Returns the number of attempts that have ended.
    pub fn ended(&self) -> EndedCounts {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
    operation: &'static str,
    write: bool,
    id: u64,
    start: Instant,
    ended: Option<Attempted>,
}

impl Attempt {
    /// Counts what came of it.
    pub(super) fn end(mut self, attempted: Attempted, is_read: bool) {
        self.ended = Some(attempted);
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
        let result = self.ended.unwrap_or(Attempted::Cancelled);
        let mut ended = self.counters.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *ended.entry((self.target.clone(), self.operation, self.write, result)).or_default() += 1;
    }
}

/// Settings and secrets that are being fetched.
pub(super) struct Fetching {
    counters: Arc<RequestCounters>,
    target: Arc<str>,
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if let Some(requests) = self.counters.targets().get_mut(&self.target) {
            requests.fetching = None;
        }
    }
}

/// A request that waits for its turn.
pub(super) struct Waiting {
    counters: Arc<RequestCounters>,
    target: Arc<str>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(requests) = self.counters.targets().get_mut(&self.target) {
            requests.waiting -= 1;
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
        counters.targets().get_mut(&target).expect("it was asked").in_flight.insert(slow.id, (long_ago, "list"));
        check(false);
        let [InFlight { operation, age, .. }] = &counters.in_flight()[..] else { panic!("one is on its way") };
        assert!(*operation == "list" && *age >= OVERDUE, "{operation} {age:?}");
        drop(slow);
        check(true);
        counters.unreachable(&target);
        check(false);
        let requests = &counters.by_target()[&target];
        assert_eq!(requests.buckets.iter().sum::<u64>(), 3);
        assert_eq!((counters.total(false), counters.total(true)), (4, 0));
        let ended: Vec<_> = counters.ended().into_iter().map(|((.., result), count)| (result.name(), count)).collect();
        assert_eq!(ended, [("answered", 1), ("refused", 1), ("failed", 1), ("cancelled", 1)]);
        let waiting = counters.wait(&target);
        assert_eq!((counters.by_target()[&target].waiting, counters.by_target()[&target].in_flight()), (1, 0));
        drop(waiting);
        assert_eq!(counters.by_target()[&target].waiting, 0);
    }
}

//! Limits and counts that all connections of a run share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Semaphore;

use super::RequestCounters;
use crate::{
    engine::{
        limit::{ConcurrencyLimiter, IntervalLimiter},
        session::Turnstiles,
    },
    provider::ConcurrencyGroup,
    transport::Transport,
};

/// The turns of each lane of each platform.
type Lanes = Mutex<HashMap<(&'static str, String), Arc<ConcurrencyLimiter>>>;

/// The state that all connections of a run share.
#[derive(Clone)]
pub struct Shared {
    pub(super) transport: Transport,
    pub(super) all: Arc<Semaphore>,
    pub(super) parallelism: usize,
    pub(super) pace: Option<Arc<IntervalLimiter>>,
    pub(super) counters: Arc<RequestCounters>,
    pub(super) turnstiles: Arc<Turnstiles>,
    pub(super) groups: Arc<Lanes>,
}

impl Shared {
    /// Returns what connections share: at most `parallelism` requests at once and `rate` a second in all.
    pub fn new(transport: Transport, parallelism: usize, rate: Option<f64>) -> Self {
        Self {
            transport,
            all: Arc::new(Semaphore::new(parallelism.max(1))),
            parallelism,
            pace: rate.map(|rate| Arc::new(IntervalLimiter::per_second(rate))),
            counters: Arc::default(),
            turnstiles: Arc::default(),
            groups: Arc::default(),
        }
    }

    /// Returns the turns of a lane; who comes first says how many there are.
    pub(super) fn group(
        &self,
        platform: &'static str,
        group: ConcurrencyGroup,
        most: Option<usize>,
    ) -> Arc<ConcurrencyLimiter> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(ConcurrencyLimiter::new(most.unwrap_or(self.parallelism).min(self.parallelism)));
        groups.entry((platform, group.0)).or_insert_with(new).clone()
    }

    /// Lets the connections that are made from now on say anew how many turns each lane has.
    pub fn renew_groups(&self) {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the count of what was sent.
    pub fn counters(&self) -> &Arc<RequestCounters> {
        &self.counters
    }
}

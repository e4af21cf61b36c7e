//! Limits and counts that all connections of a run share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::Semaphore;

use super::Tally;
use crate::{
    engine::{limit::IntervalLimiter, session::Turnstiles},
    provider::Lane,
    transport::Transport,
};

/// The turns of each lane of each platform.
type Lanes = Mutex<HashMap<(&'static str, String), Arc<Semaphore>>>;

/// What all connections of a run share.
#[derive(Clone)]
pub struct Shared {
    pub(super) transport: Transport,
    pub(super) all: Arc<Semaphore>,
    pub(super) parallelism: usize,
    pub(super) pace: Option<Arc<IntervalLimiter>>,
    pub(super) tally: Arc<Tally>,
    pub(super) turnstiles: Arc<Turnstiles>,
    pub(super) lanes: Arc<Lanes>,
}

impl Shared {
    /// Returns what connections share: at most `parallelism` requests at once and `rate` a second in all.
    pub fn new(transport: Transport, parallelism: usize, rate: Option<f64>) -> Self {
        Self {
            transport,
            all: Arc::new(Semaphore::new(parallelism.max(1))),
            parallelism,
            pace: rate.map(|rate| Arc::new(IntervalLimiter::per_second(rate))),
            tally: Arc::default(),
            turnstiles: Arc::default(),
            lanes: Arc::default(),
        }
    }

    /// Returns the turns of a lane; who comes first says how many there are.
    pub(super) fn lane(&self, platform: &'static str, lane: Lane, most: Option<usize>) -> Arc<Semaphore> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(most.unwrap_or(lane.most).max(1)));
        lanes.entry((platform, lane.key)).or_insert_with(new).clone()
    }

    /// Returns the count of what was sent.
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

//! The secondary of the store, which lags behind.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::world::{Change, Tables};

/// A copy of the tables that follows some time behind.
#[derive(Debug, Clone)]
pub(super) struct Replica {
    pub(super) tables: Tables,
    waiting: VecDeque<Change>,
    pub(super) lag: jiff::SignedDuration,
}

impl Replica {
    /// A replica that starts equal.
    pub(super) fn new(tables: &Tables, lag: jiff::SignedDuration) -> Self {
        Self { tables: tables.clone(), waiting: VecDeque::new(), lag }
    }

    /// Takes over the changes that are old enough.
    pub(super) fn catch_up(&mut self, now: Timestamp) {
        while let Some(change) = self.waiting.front()
            && now.duration_since(change.time) >= self.lag
        {
            if let Some(change) = self.waiting.pop_front() {
                self.tables.put(&change.place, change.id, change.after);
            }
        }
    }

    /// Takes a change that is to be seen later.
    pub(super) fn follow(&mut self, change: Change) {
        self.waiting.push_back(change);
    }

    /// Returns true if a change still waits.
    pub(super) fn is_behind(&self, now: Timestamp) -> bool {
        self.waiting.front().is_some_and(|change| now.duration_since(change.time) >= self.lag)
    }
}

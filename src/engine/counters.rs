//! How much was sent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Counts what was sent.
#[derive(Debug, Default)]
pub struct RequestCounters {
    sent: Mutex<BTreeMap<&'static str, (bool, usize)>>,
}

impl RequestCounters {
    pub(super) fn count(&self, operation: &'static str, write: bool) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).entry(operation).or_insert((write, 0)).1 += 1;
    }

    /// Returns the number of requests by operation, those that write apart from those that read.
    pub fn by_operation(&self, write: bool) -> Vec<(&'static str, usize)> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.iter().filter(|(_, (writes, _))| *writes == write).map(|(name, (_, count))| (*name, *count)).collect()
    }

    /// Returns the number of all requests that write, or that read.
    pub fn total(&self, write: bool) -> usize {
        self.by_operation(write).iter().map(|(_, count)| count).sum()
    }
}

//! The list of calls.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;

use super::simulator::Record;

/// A call that a platform answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoggedCall {
    /// When it came.
    pub time: jiff::Timestamp,
    /// The platform.
    pub platform: &'static str,
    /// The access it came through.
    pub access: &'static str,
    /// The operation as the platform's pages spell it; empty for what is none.
    pub operation: String,
    /// True if the operation writes.
    pub write: bool,
    /// HTTP status; 0 where the connection ended without an answer.
    pub status: u16,
    /// The platform's code, null for success.
    pub code: Value,
    /// How long the answer took in milliseconds.
    pub ms: f64,
    /// The body of a write, without credentials.
    pub body: Value,
}

/// How many calls are kept; older ones go, their counts stay.
const KEPT: usize = 100_000;

/// The calls since the start, or since they were last cleared.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: VecDeque<LoggedCall>,
    counts: BTreeMap<String, u64>,
}

impl Calls {
    /// Adds a call.
    pub(super) fn add(
        &mut self,
        time: jiff::Timestamp,
        platform: &'static str,
        status: u16,
        took: Duration,
        record: Record,
    ) {
        let Record { access, operation, write, code, body } = record;
        *self.counts.entry(operation.clone()).or_default() += 1;
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        let ms = (took.as_secs_f64() * 1e6).round() / 1e3;
        self.calls.push_back(LoggedCall { time, platform, access, operation, write, status, code, ms, body });
    }

    pub(super) fn all(&self) -> Vec<LoggedCall> {
        self.calls.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

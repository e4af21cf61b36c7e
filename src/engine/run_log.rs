//! The record of an apply: calls before they leave, outcomes of changes. Where it is kept is its owner's business.

use std::time::Duration;

use serde_json::Value;

use crate::model::{Change, Outcome, Request};

/// A call that is about to be sent.
#[derive(Debug)]
pub struct IntendedCall<'a> {
    /// Its number in the plan, from 0.
    pub number: usize,
    /// The number of the attempt in this apply, from 1.
    pub attempt: usize,
    /// The target that it goes to.
    pub target: &'a str,
    /// The request, with the ids of objects that were created before.
    pub request: &'a Request,
    /// The changes that it makes.
    pub changes: Vec<&'a Change>,
}

/// A record of an apply, written from several tasks.
pub trait RunLog: Sync {
    /// Records calls. When this returns they are recorded for good, so that they may leave. After an error none of them
    /// is sent.
    fn intend(&self, calls: &[IntendedCall<'_>]) -> Result<(), String>;

    /// Records the outcome of a change, with the ids of an object that it created.
    fn finish(&self, change: &Change, outcome: &Outcome, handle: Option<&Value>, took: Duration);

    /// Records for good what was recorded so far. A failure is kept and told with the next call.
    fn sync(&self);
}

/// An apply that nobody records.
#[derive(Debug, Clone, Copy)]
pub struct Unrecorded;

impl RunLog for Unrecorded {
    fn intend(&self, _calls: &[IntendedCall<'_>]) -> Result<(), String> {
        Ok(())
    }

    fn finish(&self, _change: &Change, _outcome: &Outcome, _handle: Option<&Value>, _took: Duration) {}

    fn sync(&self) {}
}

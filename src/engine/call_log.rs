//! The log of calls: one line each, on demand with what finds it again in the servers' logs.

use std::time::Duration;

use crate::model::Refusal;

/// One attempt at a call, free of secrets. Arguments and answers are not part of it: they may hold some.
pub(super) struct CallRecord<'a> {
    /// The name of the target.
    pub(super) target: &'a str,
    /// The operation.
    pub(super) operation: &'static str,
    /// HTTP method.
    pub(super) method: &'static str,
    /// The address without its query.
    pub(super) url: &'a str,
    /// HTTP status; `None` if no answer came.
    pub(super) status: Option<u16>,
    /// Our id of the attempt, which the servers note too.
    pub(super) request_id: &'a str,
    /// The time from sending to the answer.
    pub(super) took: Duration,
    /// The reason why it was not done, if it was not.
    pub(super) refusal: Option<&'a Refusal>,
}

impl CallRecord<'_> {
    /// Writes the call to the log: `-v` shows it, `-vv` with the address, the status and the id.
    pub(super) fn log(&self) {
        let Self { target, operation, method, url, status, request_id, took, refusal } = *self;
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let outcome = refusal.map_or_else(|| "answered".to_owned(), |refusal| format!("refused: {refusal}"));
        if tracing::enabled!(target: "reconcile::calls", tracing::Level::TRACE) {
            tracing::trace!(
                target: "reconcile::calls",
                target, operation, method, url, status, request_id, ms, "{operation} {outcome}"
            );
        } else {
            tracing::debug!(target: "reconcile::calls", target, operation, ms, "{operation} {outcome}");
        }
    }
}

/// Returns an address without its query, in which credentials may stand.
pub(super) fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

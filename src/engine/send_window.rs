//! How long a write may wait for its turn, and what becomes of one that waits longer.

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::{Json, Refusal};

/// How long a write may wait.
#[derive(Clone, Copy)]
pub(super) struct SendWindow<'a> {
    /// Once cancelled, nothing is sent.
    pub(super) stop: &'a CancellationToken,
    /// Until when it may leave.
    pub(super) until: Instant,
}

impl SendWindow<'_> {
    /// Returns true if it may not leave any more.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() > self.until
    }
}

/// The result of sending a request.
#[derive(Debug)]
pub enum SendResult {
    /// It was sent, and this is the answer.
    Answered(Result<Json, Refusal>),
    /// It was not sent, or not once more, because nothing answers at the target.
    Down(Refusal),
    /// It was not sent, because the run is to end.
    Stopped,
    /// It was not sent, or not once more after this refusal, because its time was over.
    Late(Option<Refusal>),
}

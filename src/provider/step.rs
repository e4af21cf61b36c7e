//! The two things that a step of a reading can come to.

use crate::model::Request;

/// Reads to be made before there is a result, or the result.
///
/// Whoever returns a step is called again with the answers. It asks for everything that it can name already, so that the
/// number of rounds stays small.
#[derive(Debug)]
pub enum Step<T> {
    /// Reads that are missing. An empty list waits for what others find out in the same round.
    Ask(Vec<Request>),
    /// The result; nothing is missing any more.
    Done(T),
}

impl<T> Step<T> {
    /// Returns a step that asks for the missing reads, and is done with a value if there are none.
    pub fn new(missing: Vec<Request>, value: T) -> Self {
        if missing.is_empty() { Self::Done(value) } else { Self::Ask(missing) }
    }
}

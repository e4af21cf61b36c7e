//! Suspensions: for a while nothing is written.

use std::sync::Arc;

use jiff::Timestamp;

/// A time during which an object, or all objects of a target, are observed and not written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Suspension {
    /// Why, in the words of the one who wrote it.
    pub reason: Arc<str>,
    /// Its end.
    pub until: Timestamp,
}

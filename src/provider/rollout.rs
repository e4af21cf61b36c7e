//! Roll-outs: parts of a platform that follow an object only when they are synced, in waves.

use std::time::Duration;

use crate::model::{Desired, Live, Refusal};

/// How a part stands towards the object that it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncProgress {
    /// Nothing is under way.
    Idle,
    /// The platform is at work on it; the text is its name for the state.
    Working(String),
    /// The last attempt failed; the text says how.
    Failed(String),
}

/// What a change means for the parts that follow the same object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncNeed {
    /// The part goes with it.
    Gone,
    /// Nothing.
    None,
    /// They are synced only once it is made.
    Order,
    /// It puts those of them out of sync that are in use. A change of the object that they follow puts only those out of
    /// sync of which it says so.
    Sync,
}

/// How fast a roll-out goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutPace {
    /// The wait before each wave but the first.
    pub pause: Duration,
    /// The longest wait for the platform's work on one wave.
    pub timeout: Duration,
}

/// The roll-out of a kind: how its parts are grouped into waves, watched and synced.
///
/// A part has the address of its document with a part, and its live object tells by [`Kind::compare`](super::Kind::compare)
/// if it is in sync. The calls of one wave serve the parts of one document.
pub trait Rollout: Sync {
    /// Returns true if an object is such a part.
    fn is_part(&self, desired: &Desired) -> bool;

    /// Returns the waves of parts of one document that need a sync: for each its number, from 0 on. Numbers ascend
    /// without gaps; `parts` is in the order in which they are synced.
    fn waves(&self, parts: &[&Desired]) -> Vec<usize>;

    /// Returns true if a change could put a part out of sync.
    fn is_in_use(&self, live: &Live) -> bool;

    /// Returns why a part cannot be synced by a call; `None` if it can.
    fn unavailable(&self, live: &Live) -> Option<String>;

    /// Returns how a part stands.
    fn progress(&self, live: &Live) -> SyncProgress;

    /// Returns how fast the roll-out of a part goes.
    fn pace(&self, desired: &Desired) -> RolloutPace;

    /// Returns true if a refusal says that the platform is at work on one of the parts.
    fn is_busy(&self, refusal: &Refusal) -> bool;
}

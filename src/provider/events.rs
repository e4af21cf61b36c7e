//! Events: how a platform tells of changes that anybody makes.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use crate::model::{Desired, Live, Refusal, Request};

/// A sequence of events that a server keeps, such as those of the instances of one model.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream {
    /// The sort of objects, as the platform spells it.
    pub resource: &'static str,
    /// The part of them, such as a model; empty if all.
    pub part: Arc<str>,
}

/// A change of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The object, as [`EventSchema::subject`] names it.
    pub subject: String,
    /// The names under which documents may mean the object, as [`EventSchema::keys`] spells them.
    pub keys: Vec<String>,
    /// The object after an update; `None` if it was created or removed.
    pub updated: Option<Value>,
}

/// The answer to a request for events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBatch {
    /// The events, the oldest first.
    pub events: Vec<Event>,
    /// The cursor to continue from.
    pub cursor: String,
}

/// The form of a platform's events.
///
/// An event is a hint to look: nothing is concluded from it but that an object may differ. Events may come late, twice and
/// in any order, and some may be lost.
pub trait EventSchema: Sync {
    /// Returns the streams that tell of changes of documents' objects.
    fn streams(&self, desired: &[&Desired]) -> BTreeSet<Stream>;

    /// Returns the request that waits for the events behind a cursor. Without one, the answer is the cursor of the next
    /// event.
    fn request(&self, stream: &Stream, cursor: Option<&str>) -> Request;

    /// Reads the answer.
    fn batch(&self, stream: &Stream, answer: &Value) -> Result<EventBatch, Refusal>;

    /// Returns true if a refusal says that the server does not know the cursor any more: events were missed.
    fn is_expired(&self, refusal: &Refusal) -> bool;

    /// Returns how events name the live object that a document means; `None` if none tells of its changes.
    fn subject(&self, desired: &Desired, live: &Live) -> Option<String>;

    /// Returns the names under which events may tell of an object that a document comes to mean.
    fn keys(&self, desired: &Desired) -> Vec<String>;

    /// Returns true if an object that was as declared is so after an update, too: the update was our own, or changed what
    /// is not declared. False in any doubt.
    fn is_as_declared(&self, desired: &Desired, updated: &Value) -> bool;
}

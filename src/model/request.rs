//! Requests to a platform, and their refusals.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::ResourceId;

/// One operation with its arguments, free of credentials and of the access it goes through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Request {
    /// The operation's name as the platform's own pages spell it.
    pub operation: &'static str,
    /// Its arguments. A [`placeholder`](super::placeholder) stands for the id of an object that an earlier call creates.
    pub arguments: Value,
    /// Sending it twice has the effect of sending it once.
    pub repeatable: bool,
}

/// A request that writes, and the objects it serves.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The request to send.
    pub request: Request,
    /// The target to send it to.
    pub target: Arc<str>,
    /// The objects it serves; a batch serves many.
    pub serves: Vec<ResourceId>,
}

/// When a refused request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Never: the same request gets the same answer.
    Never,
    /// When the platform has had a moment.
    Soon,
    /// After a moment, but not more than once where nothing has answered there yet.
    Once,
    /// After the time the platform asked for.
    After(Duration),
    /// When fewer requests go out, and after the time the platform asked for, where it did: it limits their rate.
    Slower(Option<Duration>),
}

/// The code of a refusal of an operation that the server does not have, whatever the platform's own code for it.
const ABSENT: &str = "absent";

/// A request that was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", marks(code.as_deref(), request_id.as_deref()))]
pub struct Refusal {
    /// The platform's code, where it gave one.
    pub code: Option<Arc<str>>,
    /// The platform's message.
    pub message: String,
    /// When to try again.
    pub retry: Retry,
    /// No answer was had: the request may have been carried out.
    pub lost: bool,
    /// The id of the request in the servers' logs.
    pub request_id: Option<Arc<str>>,
}

fn marks(code: Option<&str>, request_id: Option<&str>) -> String {
    match (code, request_id) {
        (Some(code), Some(id)) => format!(" (code {code}, request {id})"),
        (Some(code), None) => format!(" (code {code})"),
        (None, Some(id)) => format!(" (request {id})"),
        (None, None) => String::new(),
    }
}

impl Refusal {
    /// Returns true if a platform gave a code of its own. An HTTP status alone may come from anything on the way.
    pub fn has_own_code(&self) -> bool {
        self.code.as_deref().is_some_and(|code| code.len() != 3 || code.parse::<u16>().is_err())
    }

    /// Returns a refusal that says no for good.
    pub fn new(code: Option<Arc<str>>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry: Retry::Never, lost: false, request_id: None }
    }

    /// Returns a refusal of an operation that the server does not have.
    pub fn absent(operation: &str, why: &str) -> Self {
        Self::new(Some(ABSENT.into()), format!("the server has no operation `{operation}`: {why}"))
    }

    /// Returns true if the server does not have the operation.
    pub fn is_absent(&self) -> bool {
        self.code.as_deref() == Some(ABSENT)
    }

    /// Returns the code as a number, where it is one.
    pub fn number(&self) -> Option<i64> {
        self.code.as_ref()?.parse().ok()
    }
}

//! The interface between a platform's simulator and the sandbox: synchronous, in memory, free of any network.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value};

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// HTTP method in capitals.
    pub method: String,
    /// Path as on the request line: percent-encoded, without the query.
    pub path: String,
    /// Query as on the request line, without the question mark; empty for none.
    pub query: String,
    /// Header names in small letters, with their values, in the order of arrival.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the first value of a header; the name is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// An entry in the list of calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The access: `esb`, `gateway`, `direct`, `roma` or `iam`.
    pub access: &'static str,
    /// The operation as the platform's pages (ESB, Huawei SDKs) spell it; empty for what is none.
    pub operation: String,
    /// True if the operation writes.
    pub write: bool,
    /// The platform's code, null for success.
    pub code: Value,
    /// The body of a write without credentials; null for reads.
    pub body: Value,
}

/// An answer as it leaves.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names and values.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// Its entry in the list of calls.
    pub record: Record,
}

/// A mistake in a state that was to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateError {
    /// JSON pointer below the platform's section, such as `/instances/bk_switch/0/bk_inst_id`.
    pub pointer: String,
    /// One sentence without a final period.
    pub message: String,
}

/// A call that the platform handles otherwise than it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misbehaviour {
    /// A write is accepted but not done.
    Drop,
    /// A write stores an equivalent of what was sent.
    Normalise,
    /// A read sees the state of some time ago, if the operation reads a secondary.
    Lag {
        /// Milliseconds.
        ms: u64,
    },
    /// A page of rows begins a row early, repeating one, or late, skipping one.
    PageShift {
        /// True if a row is skipped.
        skip: bool,
    },
    /// An answer lacks the last row of its list, if the operation reads no secondary.
    LostRow,
    /// The tasks that a write starts fail.
    TaskFails {
        /// The number of hosts that each deals with before.
        after: u64,
    },
    /// The tasks that a write starts hang.
    TaskHangs {
        /// Milliseconds until each is put back.
        ms: u64,
    },
}

/// Values by the names of their cells, such as `instances/bk_switch/1/ports`.
pub type Cells = BTreeMap<String, Value>;

/// All rows that one read listed, such as all instances of a model: what a snapshot holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The operation as the platform's pages spell it.
    pub operation: String,
    /// The arguments that say which rows there are, such as a model.
    pub arguments: Value,
    /// The rows, or what is known of them.
    pub rows: Vec<Value>,
}

/// How a program that embeds the sandbox reaches a simulator, in place of the server that it is configured for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestAccess {
    /// Settings of its configuration by their names: those with a value get it, the others do not count.
    pub settings: Vec<(&'static str, Option<String>)>,
    /// Secrets in place of all that are configured, by their names.
    pub secrets: Vec<(&'static str, String)>,
}

/// A platform's simulator. Many threads call it at once.
pub trait Simulator: Send + Sync {
    /// Returns the platform's name, which is also the name of its section in a state file.
    fn platform(&self) -> &'static str;

    /// Returns true if a path belongs to this platform.
    fn serves(&self, path: &str) -> bool;

    /// Answers a request.
    fn answer(&self, request: &Request) -> Answer;

    /// Reads a section of a state file, or reports every mistake in it. What is returned replaces the whole state.
    fn prepare<'a>(&'a self, state: &Value) -> Result<Box<dyn FnOnce() + 'a>, Vec<StateError>>;

    /// Replaces the whole state by a section of a state file, or reports every mistake and changes nothing.
    fn load(&self, state: &Value) -> Result<(), Vec<StateError>> {
        self.prepare(state).map(|replace| replace())
    }

    /// Returns the whole state, such that loading it again changes nothing.
    fn state(&self) -> Value;

    /// Returns another simulator with the same state, and with options and clock as they are at first.
    fn fork(&self) -> Box<dyn Simulator>;

    /// Returns what clients can change, cell by cell, for comparisons: without times and authors, and with a name in
    /// place of each id that was given out after the state `since`.
    fn cells(&self, _since: &Value) -> Cells {
        Cells::new()
    }

    /// Returns one of these cells.
    fn cell(&self, name: &str, since: &Value) -> Option<Value> {
        self.cells(since).remove(name)
    }

    /// Changes a field of an object as somebody else would; `pick` picks which, and `keep` names fields that are not to
    /// be changed. Returns false if there is none.
    fn disturb(&self, _pick: &mut fastrand::Rng, _keep: &BTreeSet<String>) -> bool {
        false
    }

    /// Adds a guest to the section of a state that asks for credentials.
    fn admit(&self, _state: &mut Value, _guest: &str) {}

    /// Returns what leads a guest here; `given` returns the settings that its configuration spells out, `state` is the
    /// section that was loaded.
    fn guest_access(&self, _state: &Value, _given: &dyn Fn(&str) -> Option<String>, _guest: &str) -> GuestAccess {
        GuestAccess::default()
    }

    /// Returns a section of a state file that answers reads as listings say; `settings` are those of a client that are
    /// not secret. What was not listed is not in it.
    fn listed(&self, _listings: &[Listing], _settings: &BTreeMap<String, String>) -> Value {
        Value::Object(Map::new())
    }

    /// Says what a request is without answering it: its access, operation and whether it writes. Faults select by that.
    fn peek(&self, request: &Request) -> Record;

    /// Returns true if the answer to a write shows the object as it is afterwards, so that clients need not read it.
    fn shows_writes(&self) -> bool {
        false
    }

    /// Answers a request otherwise than it should.
    fn answer_twisted(&self, request: &Request, misbehaviour: &Misbehaviour) -> Answer;

    /// Refuses a request with a code in the platform's envelope.
    fn refuse(&self, request: &Request, code: &Value, message: &str) -> Answer;

    /// Refuses a request as the rate limiter of its access does; `inside` is the limiter behind the access.
    fn refuse_rate(&self, request: &Request, inside: bool) -> Answer;

    /// Returns the credentials as a state has them.
    fn credentials(&self) -> Value;

    /// Replaces the credentials of the state.
    fn set_credentials(&self, credentials: &Value) -> Result<(), Vec<StateError>>;

    /// Makes a call as somebody else; `None` if the platform has no such operation.
    fn edit(&self, _user: &str, _operation: &str, _body: &Value) -> Option<Answer> {
        None
    }

    /// Returns true if the answer to a request waits for something to happen; it is asked again and again.
    fn waits(&self, _arrival: &Request, _waited: Duration) -> bool {
        false
    }

    /// Returns the platform's options: `{name: {"value": …, "values": […]}}`.
    fn options(&self) -> Map<String, Value> {
        Map::new()
    }

    /// Sets an option; returns true if the platform has it.
    fn set_option(&self, _name: &str, _value: &Value) -> Result<bool, String> {
        Ok(false)
    }
}

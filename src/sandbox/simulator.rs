//! What a platform's simulator is to the sandbox that serves it: synchronous, in memory, free of any network.

use serde_json::Value;

/// A request as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Arrival {
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

impl Arrival {
    /// Returns the first value of a header; the name is in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What is noted of a request in the list of calls.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The door: `esb`, `gateway`, `direct`, `roma` or `iam`.
    pub door: &'static str,
    /// The operation as the platform's pages (ESB, Huawei SDKs) spell it; empty for what is none.
    pub operation: String,
    /// Whether the operation writes.
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
    /// What is noted of it.
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

/// A platform's simulator. Many threads call it at once.
pub trait Simulator: Send + Sync {
    /// Returns the platform's name, which is also the name of its section in a state file.
    fn platform(&self) -> &'static str;

    /// Says whether a path belongs to this platform.
    fn serves(&self, path: &str) -> bool;

    /// Answers a request.
    fn answer(&self, arrival: &Arrival) -> Answer;

    /// Replaces the whole state by a section of a state file, or reports every mistake and changes nothing.
    fn load(&self, state: &Value) -> Result<(), Vec<StateError>>;

    /// Returns the whole state, such that loading it again changes nothing.
    fn state(&self) -> Value;
}

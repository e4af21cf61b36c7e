//! Requests to a simulated CMDB, past the server.

use reconcile_sandbox::{
    bk_cmdb::Simulator,
    simulator::{Request, Simulator as _},
};
use serde_json::Value;

/// Returns the status of an answer and its body, a text if that is no JSON.
pub(crate) fn send(simulator: &Simulator, request: &Request) -> (u16, Value) {
    let answer = simulator.answer(request);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    (answer.status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Calls an operation through the ESB and returns the envelope.
pub(crate) fn esb(simulator: &Simulator, operation: &str, body: &Value) -> Value {
    let path = format!("/api/c/compapi/v2/cc/{operation}/");
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    send(simulator, &Request { method: "POST".to_owned(), path, body, ..Request::default() }).1
}

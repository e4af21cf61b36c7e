//! Tests: tables of calls through the simulator's own front door.

mod access;
mod edit;
mod family;
mod fields;
mod identity;
mod listing;
mod robust;
mod signature;
mod state;
mod switches;

use serde_json::{Value, json};

use super::Simulator;
use crate::simulator::{Answer, Request, Simulator as _};

/// The time at which the clock of a test stands.
const NOW: &str = "2026-01-02T03:04:05Z";

/// Returns a simulator with one instance, its clock standing still, and some switches.
fn start(options: &Value) -> Simulator {
    start_with(
        &json!({"projects": [{"id": "p1", "name": "cn-north-4"}], "instances": [{"id": "i1", "project_id": "p1"}]}),
        options,
    )
}

/// Returns a simulator with a state.
fn start_with(state: &Value, options: &Value) -> Simulator {
    let simulator = Simulator::new();
    simulator.set_options(&json!({"clock": {"frozen": NOW}})).expect("the clock can be set");
    simulator.set_options(options).expect("the options hold");
    simulator.load(state).expect("the state loads");
    simulator
}

/// Returns a request; the target is a path and perhaps a query, below the instance `i1` unless it starts with a slash.
fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &Value) -> Request {
    let whole = if target.starts_with('/') { target.to_owned() } else { format!("/v2/p1/instances/i1/{target}") };
    let (path, query) = whole.split_once('?').unwrap_or((&whole, ""));
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
    }
}

/// Sends a request without credentials.
fn send(simulator: &Simulator, method: &str, target: &str, body: &Value) -> (u16, Value) {
    read(&simulator.answer(&request(method, target, &[], body)))
}

/// Sends a request as the holder of a token that the state lists.
fn send_as(simulator: &Simulator, token: &str, method: &str, target: &str, body: &Value) -> (u16, Value) {
    read(&simulator.answer(&request(method, target, &[("x-auth-token", token)], body)))
}

/// Returns status and body of an answer.
fn read(answer: &Answer) -> (u16, Value) {
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// Returns a header of an answer.
fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Creates an application and returns it.
fn create(simulator: &Simulator, body: &Value) -> Value {
    let (status, app) = send(simulator, "POST", "apps", body);
    assert_eq!(status, 201, "{body} is refused: {app}");
    app
}

/// Returns the names in a list.
fn names(list: &Value) -> Vec<&str> {
    let apps = list["apps"].as_array().expect("a list has apps");
    apps.iter().filter_map(|app| app["name"].as_str()).collect()
}

/// Returns a state with one instance and three users who have tokens of their own names; `ops` is the first.
fn shared() -> Value {
    json!({
        "instances": [{"id": "i1"}],
        "credentials": {
            "users": [{"id": "u1", "name": "ops"}, {"id": "u2", "name": "ann"}, {"id": "u3", "name": "bob"}],
            "tokens": {"ops": {"user": "u1"}, "ann": {"user": "u2"}, "bob": {"user": "bob"}},
        },
    })
}

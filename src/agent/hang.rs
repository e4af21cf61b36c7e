//! Names what a pass that does not end waits for.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{self, RunningProgram},
    engine::connection::{Connection, InFlight},
};

/// Most things that are named.
const NAMED: usize = 3;

/// Returns what the targets of some connections keep waiting, the longest wait first.
pub(super) fn waiting_for(connections: &[Arc<Connection>]) -> String {
    let mut waits: Vec<(Duration, String)> = Vec::new();
    let name = |connection: &Arc<Connection>| connection.target().name.clone();
    // All connections share the counts.
    for InFlight { target, operation, age } in connections.first().map(Connection::in_flight).unwrap_or_default() {
        if connections.iter().any(|connection| name(connection) == target) {
            waits.push((age, format!("target `{target}`: {operation}, for {} s", age.as_secs())));
        }
    }
    for RunningProgram { program, target, start } in config::running_programs() {
        if target.is_none_or(|target| connections.iter().any(|connection| name(connection) == target)) {
            waits.push((start.elapsed(), format!("the program `{program}`, for {} s", start.elapsed().as_secs())));
        }
    }
    waits.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    let mut named: Vec<String> = waits.into_iter().map(|(_, wait)| wait).take(NAMED).collect();
    if named.is_empty() {
        let down = connections.iter().filter_map(|connection| Some((name(connection), connection.writer().down()?)));
        named.extend(down.map(|(target, refusal)| format!("target `{target}`: {refusal}")).take(NAMED));
    }
    if named.is_empty() { "no request is under way".to_owned() } else { format!("waiting for {}", named.join("; ")) }
}

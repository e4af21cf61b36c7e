//! Compares the calls that a saved plan holds with those that its objects give now.

use std::collections::HashSet;

use super::{Plan, Scene, plan, seen::Standing};
use crate::model::{Call, ResourceId};

/// Returns why the calls of a saved plan are not those of its changes; nothing if they are. Calls of objects that moved
/// since are not sent and not compared.
pub fn mismatch(saved: &Plan, scenes: &[Scene<'_>], standings: &[(ResourceId, Standing)]) -> Option<String> {
    if standings.iter().any(|(_, standing)| matches!(standing, Standing::Unknown(_))) {
        // An object that could not be read gives no calls to compare with; no call that rests on it is sent.
        return saved.calls.iter().find(|call| !serves_changes(call, saved)).map(unexpected);
    }
    let fresh: HashSet<&ResourceId> =
        standings.iter().filter(|(_, standing)| *standing == Standing::Fresh).map(|(id, _)| id).collect();
    let again = plan(scenes);
    let is_whole = fresh.len() == standings.len();
    let is_expected = |call: &Call| {
        let same_objects = || again.calls.iter().filter(|one| is_alike(one, call) && one.serves == call.serves);
        if is_whole {
            return again.calls.contains(call);
        }
        // Without those that moved, batches are others, and what was to be made has an id.
        let is_exact = call.serves.iter().all(|id| fresh.contains(id)) && !has_placeholder(call);
        let exact = !is_exact || same_objects().next().is_none() || same_objects().any(|one| one == call);
        let serves = |id: &&ResourceId| again.calls.iter().any(|one| is_alike(one, call) && one.serves.contains(id));
        exact && call.serves.iter().filter(|id| fresh.contains(id)).all(|id| serves(&id))
    };
    if let Some(call) = saved.calls.iter().find(|call| !serves_changes(call, saved) || !is_expected(call)) {
        return Some(unexpected(call));
    }
    let missing = again.calls.iter().find(|call| is_whole && !saved.calls.contains(call))?;
    Some(format!("it lacks the call `{}` that {} needs", missing.request.operation, objects(missing)))
}

fn serves_changes(call: &Call, saved: &Plan) -> bool {
    !call.serves.is_empty() && call.serves.iter().all(|id| saved.changes.iter().any(|change| change.id == *id))
}

fn is_alike(one: &Call, other: &Call) -> bool {
    one.target == other.target && one.request.operation == other.request.operation
}

fn has_placeholder(call: &Call) -> bool {
    call.request.arguments.to_string().contains("\"$handle\"")
}

fn unexpected(call: &Call) -> String {
    format!("its call `{}` is not what {} gives now", call.request.operation, objects(call))
}

fn objects(call: &Call) -> String {
    match call.serves.as_slice() {
        [] => "no object".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

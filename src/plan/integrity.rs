//! True if a saved plan agrees with itself, and its calls with those that its objects give now.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{Plan, TargetState, plan, precondition::SavedChangeState};
use crate::model::{Action, Call, Change, ResourceId, has_placeholder};

/// Returns where a saved plan contradicts itself, as far as that shows without reading what is live; nothing where it
/// does not. Calls serve its changes, on their target, and limits count among as many objects as it is about.
pub fn contradiction(saved: &Plan) -> Option<String> {
    let changes: HashSet<(&str, &ResourceId)> =
        saved.changes.iter().map(|change| (&*change.target, &change.id)).collect();
    let serves_changes = |call: &Call| call.serves.iter().all(|id| changes.contains(&(&*call.target, id)));
    if let Some(call) = saved.calls.iter().find(|call| call.serves.is_empty() || !serves_changes(call)) {
        return Some(format!("its call `{}` serves {}, without a change there", call.request.operation, objects(call)));
    }
    let was_live = |change: &&Change| !matches!(change.action, Action::Create | Action::Sync) && !change.implicit;
    let mut changed: BTreeMap<(Arc<str>, &'static str), usize> = BTreeMap::new();
    for change in saved.changes.iter().filter(was_live) {
        *changed.entry((change.target.clone(), change.id.kind)).or_default() += 1;
    }
    for (group, changed) in &changed {
        let told = saved.live.get(group).copied().unwrap_or_default();
        if *changed > told {
            return Some(format!("it changes {changed} live objects of {} on {} and counts {told}", group.1, group.0));
        }
    }
    // The numbers may be of any size.
    let live = saved.live.values().copied().fold(0, usize::saturating_add);
    let most =
        saved.unchanged.saturating_add(changed.values().sum::<usize>() + saved.reported.len() + saved.blocked.len());
    (live > most).then(|| format!("it counts {live} live objects and is about {most}"))
}

/// Returns why the calls of a saved plan are not those of its changes; nothing if they are. Calls of objects that moved
/// since are not sent and not compared.
pub fn mismatch(
    saved: &Plan,
    states: &[TargetState<'_>],
    saved_change_states: &[(ResourceId, SavedChangeState)],
) -> Option<String> {
    if saved_change_states
        .iter()
        .any(|(_, saved_change_state)| matches!(saved_change_state, SavedChangeState::Unknown(_)))
    {
        // An object that could not be read gives no calls to compare with; no call that rests on it is sent.
        return None;
    }
    let fresh: HashSet<&ResourceId> = saved_change_states
        .iter()
        .filter(|(_, saved_change_state)| *saved_change_state == SavedChangeState::Fresh)
        .map(|(id, _)| id)
        .collect();
    let syncs = syncs(saved);
    let is_sync = |call: &&Call| call.serves.first().is_some_and(|id| syncs.contains_key(id));
    if let Some(call) = saved.calls.iter().filter(is_sync).find(|call| !is_own_sync(call, &syncs, states)) {
        return Some(unexpected(call));
    }
    // Which modules need a sync, and in which waves, depends on what is in sync by now.
    let again = plan(states);
    let is_whole = fresh.len() == saved_change_states.len();
    let is_expected = |call: &Call| {
        let same_objects = || again.calls.iter().filter(|sent| is_alike(sent, call) && sent.serves == call.serves);
        if is_whole {
            return again.calls.contains(call);
        }
        // Without those that moved, batches are others, and what was to be made has an id.
        let is_exact = call.serves.iter().all(|id| fresh.contains(id)) && !has_placeholder(&call.request.arguments);
        let exact = !is_exact || same_objects().next().is_none() || same_objects().any(|sent| sent == call);
        let serves = |id: &&ResourceId| again.calls.iter().any(|sent| is_alike(sent, call) && sent.serves.contains(id));
        exact && call.serves.iter().filter(|id| fresh.contains(id)).all(|id| serves(&id))
    };
    if let Some(call) = saved.calls.iter().filter(|call| !is_sync(call)).find(|call| !is_expected(call)) {
        return Some(unexpected(call));
    }
    let mut others = again.calls.iter().filter(|call| !is_sync(call));
    let missing = others.find(|call| is_whole && !saved.calls.contains(call))?;
    Some(format!("it lacks the call `{}` that {} needs", missing.request.operation, objects(missing)))
}

/// Returns the changes that sync parts of roll-outs.
fn syncs(plan: &Plan) -> HashMap<&ResourceId, &Change> {
    let syncs = plan.changes.iter().filter(|change| change.action == Action::Sync);
    syncs.map(|change| (&change.id, change)).collect()
}

/// Returns true if a call is the one that those of its parts give that are still there: others are not sent.
fn is_own_sync(call: &Call, syncs: &HashMap<&ResourceId, &Change>, states: &[TargetState<'_>]) -> bool {
    let Some(state) = states.iter().find(|state| state.target == call.target) else { return false };
    let Some(kind) = call.serves.first().and_then(|id| state.kind(id)) else { return false };
    let served: Vec<&Change> = call.serves.iter().filter_map(|id| syncs.get(id).copied()).collect();
    let planned = state.planned_of(kind, state.objects(), served.iter().copied());
    let live: Vec<_> = planned.iter().copied().filter(|planned| planned.live.is_some()).collect();
    let request = kind.narrowed(&call.request, &live);
    planned.len() == call.serves.len()
        && kind.calls(&live, &state.facts).iter().all(|own| Some(&own.request) == request.as_ref())
}

fn is_alike(call: &Call, other: &Call) -> bool {
    call.target == other.target && call.request.operation == other.request.operation
}

fn unexpected(call: &Call) -> String {
    format!("its call `{}` is not what {} gives now", call.request.operation, objects(call))
}

fn objects(call: &Call) -> String {
    match call.serves.as_slice() {
        [] => "no object".to_owned(),
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

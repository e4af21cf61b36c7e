//! The checks of a run. They look at the state of the servers, and use nothing of the engine.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use reconcile_sandbox::simulator::Cells;
use serde_json::Value;

use super::{Rehearsal, schedule::FaultKind, world::World};
use crate::model::{Outcome, ResourceId};

/// Most mistakes that are named of one sort.
const NAMED: usize = 5;

/// The values that somebody else wrote, by cell, the last one last.
type Edits = BTreeMap<String, Vec<Option<Value>>>;

fn edits(world: &World) -> Edits {
    let mut edits = Edits::new();
    for edit in &world.events().edits {
        edits.entry(edit.cell.clone()).or_default().push(edit.to.clone());
    }
    edits
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

/// Returns true if a cell has a value. Where servers normalised what they were sent, another form of it will do: a number
/// as text, blanks around a text, no value for an open lock.
fn has(world: &World, is: Option<&Value>, value: Option<&Value>) -> bool {
    if is == value {
        return true;
    }
    let text = |value: &Value| match value {
        Value::Null | Value::Bool(false) => String::new(),
        Value::String(text) => text.trim().to_owned(),
        value => value.to_string(),
    };
    let is_normalised = world.events().strikes.contains_key(&FaultKind::Normalised);
    is_normalised && is.map(text) == value.map(text)
}

/// Checks that the outcomes of a run are true: what counts as applied is there, and what counts as not sent is not.
pub(super) fn truth(rehearsal: &Rehearsal, world: &World, outcomes: &[(ResourceId, Outcome)]) -> Vec<String> {
    let (cells, edits) = (world.cells(), edits(world));
    let outcomes: HashMap<&ResourceId, &Outcome> = outcomes.iter().map(|(id, outcome)| (id, outcome)).collect();
    let mut untrue = Vec::new();
    for (at, effect) in &rehearsal.baseline.effects {
        let call = &rehearsal.saved.plan.calls[*at];
        let of_call: Vec<&Outcome> = call.serves.iter().filter_map(|id| outcomes.get(id).copied()).collect();
        if of_call.is_empty() {
            // A run that was refused says nothing about its changes, and that is told for itself.
            if !outcomes.is_empty() {
                untrue.push(format!("{} has no outcome", call.serves[0]));
            }
            continue;
        }
        let claimed = if of_call.iter().all(|outcome| outcome.converged()) {
            true
        } else if of_call.iter().all(|outcome| is_not_sent(outcome)) {
            false
        } else {
            continue;
        };
        // A cell that somebody else edited too does not show what the run wrote to it.
        let own = effect.iter().filter(|(cell, _)| !edits.contains_key(*cell));
        for (cell, (from, to)) in own {
            let expected = if claimed { to } else { from };
            if !has(world, cells.get(cell), expected.as_ref()) {
                let outcome = of_call.first().map_or("missing", |outcome| outcome.name());
                let (is, id) = (shown(cells.get(cell)), &call.serves[0]);
                untrue.push(format!("{id} is {outcome}, but {cell} is {is}, not {}", shown(expected.as_ref())));
                break;
            }
        }
    }
    untrue.truncate(NAMED);
    untrue
}

/// Returns true for outcomes that say that nothing was changed. Some of several calls of an object may have been made.
fn is_not_sent(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Refused(_) | Outcome::Skipped(_) | Outcome::Unsent(_) | Outcome::Interrupted | Outcome::Manual(_)
    )
}

/// Checks that a run wrote nothing but what was planned: each cell has its value of before, that of the uninterrupted
/// run, or somebody else's. A cell that the plan does not change keeps somebody else's last value.
pub(super) fn untouched(rehearsal: &Rehearsal, world: &World) -> Vec<String> {
    let (baseline, edits, cells) = (&rehearsal.baseline, edits(world), world.cells());
    let mut wrong = Vec::new();
    for cell in names(&[&baseline.before, &baseline.after, &cells]) {
        let (is, before, after) = (cells.get(cell), baseline.before.get(cell), baseline.after.get(cell));
        let theirs = edits.get(cell);
        let allowed = match theirs.and_then(|theirs| theirs.last()) {
            Some(last) if before == after => is == last.as_ref(),
            _ => {
                is == before
                    || has(world, is, after)
                    || theirs.is_some_and(|all| all.iter().any(|to| is == to.as_ref()))
            }
        };
        if !allowed {
            wrong.push(format!("{cell} is {}, which nobody asked for (it was {})", shown(is), shown(before)));
        }
    }
    wrong.truncate(NAMED);
    wrong
}

/// Returns true if all that was planned is there, but for what somebody else wrote.
pub(super) fn is_complete(rehearsal: &Rehearsal, world: &World) -> bool {
    unfinished(rehearsal, world).is_empty()
}

/// Checks that all is as planned at last, but for what somebody else wrote.
pub(super) fn end(rehearsal: &Rehearsal, world: &World, is_mended: bool) -> Vec<String> {
    let mut wrong = unfinished(rehearsal, world);
    wrong.truncate(NAMED);
    if !is_mended && wrong.is_empty() {
        wrong.push("new plans find changes again and again".to_owned());
    }
    wrong
}

fn unfinished(rehearsal: &Rehearsal, world: &World) -> Vec<String> {
    let (baseline, edits, cells) = (&rehearsal.baseline, edits(world), world.cells());
    let mut wrong = Vec::new();
    for cell in names(&[&baseline.after, &cells]) {
        let (is, planned) = (cells.get(cell), baseline.after.get(cell));
        let is_theirs = edits.get(cell).and_then(|theirs| theirs.last()).is_some_and(|last| is == last.as_ref());
        if !has(world, is, planned) && !is_theirs {
            wrong.push(format!("{cell} is {} at last, not {}", shown(is), shown(planned)));
        }
    }
    wrong
}

fn names<'c>(all: &[&'c Cells]) -> BTreeSet<&'c String> {
    all.iter().flat_map(|cells| cells.keys()).collect()
}

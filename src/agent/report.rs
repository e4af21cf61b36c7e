//! The result of a pass, in numbers and words.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    model::{Desired, Outcome, ResourceId},
    plan::{Blocked, Cause, Plan},
};

use super::{
    held::Held,
    looked::{Found, Looked},
    status::{ByKind, Counts, Verdict},
};

/// Returns what is to be said about an outcome besides its name.
pub(super) fn outcome_detail(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied | Outcome::AlreadyTrue => String::new(),
        Outcome::Stale => "it moved after it was planned".to_owned(),
        Outcome::Normalised(fields) | Outcome::Dropped(fields) | Outcome::Overtaken(fields) => {
            fields.iter().map(|field| field.path.as_str()).collect::<Vec<_>>().join(", ")
        }
        Outcome::Refused(refusal) => refusal.to_string(),
        Outcome::NotApplied(why) | Outcome::Unknown(why) | Outcome::Unsent(why) => why.clone(),
        Outcome::Skipped(needed) => format!("{needed} is not as declared"),
        Outcome::Interrupted => "the agent was told to end or to pause".to_owned(),
        Outcome::Manual(why) => format!("left to people: {why}"),
    }
}

/// Returns why an object was blocked.
pub(super) fn cause(blocked: &Blocked) -> String {
    match &blocked.cause {
        Cause::Wrong(diagnostics) => {
            diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        Cause::Unread(why) => format!("it could not be read: {why}"),
        Cause::Needs(other) => format!("{other} is not as declared"),
    }
}

/// The totals of a plan and its outcomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) counts: Counts,
    pub(super) by_kind: ByKind,
    pub(super) verdict: Verdict,
    pub(super) error: Option<String>,
    /// All has to be done again soon.
    pub(super) retry: bool,
    /// Objects that failed for a reason that may go away by itself.
    pub(super) failing: HashSet<ResourceId>,
}

/// The state in which a pass left an object.
#[derive(Debug, Clone, Copy)]
pub(super) enum State {
    Changed,
    InSync,
    Drifted,
    Failed,
    Blocked,
    Unknown,
}

impl State {
    /// Returns its name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::InSync => "in_sync",
            Self::Drifted => "drifted",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Unknown => "unknown",
        }
    }
}

/// Adds up. Without outcomes nothing was sent. `held` are objects that are held back, `unserved` are objects whose target nobody can talk to. What was looked at
/// is added to what is known of the others.
pub(super) fn sum(
    plan: &Plan,
    outcomes: &[(ResourceId, Outcome)],
    desired: &[Desired],
    unserved: &HashSet<&ResourceId>,
    held: &Held,
    looked: &mut Looked,
) -> Sum {
    let mut error = (!unserved.is_empty()).then(|| "no connection to a target".to_owned());
    let mut failing: HashSet<ResourceId> = HashSet::new();
    let mut interrupted = false;
    let by_id: HashMap<&ResourceId, &Outcome> = outcomes.iter().map(|(id, outcome)| (id, outcome)).collect();
    // By object: one may be enforced in some fields and reported in others.
    let mut states: HashMap<&ResourceId, (&Arc<str>, State)> = HashMap::new();
    for object in desired.iter().filter(|object| object.selected) {
        let state = if unserved.contains(&object.id) { State::Unknown } else { State::InSync };
        states.insert(&object.id, (&object.target, state));
    }
    let mut undeclared = HashSet::new();
    let mut set = |id, target, state| {
        if states.insert(id, (target, state)).is_none() {
            undeclared.insert(id);
        }
    };
    plan.reported.iter().for_each(|change| set(&change.id, &change.target, State::Drifted));
    for change in &plan.changes {
        let outcome = by_id.get(&change.id).copied();
        set(&change.id, &change.target, outcome.map_or(State::Drifted, left));
        let Some(outcome) = outcome else { continue };
        interrupted |= *outcome == Outcome::Interrupted;
        if !outcome.converged() && !matches!(outcome, Outcome::Interrupted | Outcome::Manual(_)) {
            failing.insert(change.id.clone());
            let message = || format!("{} {}: {}", change.id, outcome.name(), outcome_detail(outcome));
            error.get_or_insert_with(message);
        }
    }
    for blocked in &plan.blocked {
        let unread = matches!(blocked.cause, Cause::Unread(_));
        set(&blocked.id, &blocked.target, if unread { State::Unknown } else { State::Blocked });
        // A mistake in a manifest waits for the manifests to change; a failed read does not.
        if unread {
            failing.insert(blocked.id.clone());
        }
        error.get_or_insert_with(|| {
            let (id, cause) = (blocked.id.to_string(), cause(blocked));
            // Some causes name the object themselves.
            if cause.starts_with(&id) { cause } else { format!("{id}: {cause}") }
        });
    }
    while let Some(blocked) = plan.blocked.iter().find(|blocked| waits(blocked, &failing)) {
        failing.insert(blocked.id.clone());
    }
    let differing: HashSet<&ResourceId> = plan.changes.iter().chain(&plan.reported).map(|change| &change.id).collect();
    for (id, (target, state)) in states {
        let differed = differing.contains(id);
        let held = differed && held.contains_key(id);
        let found = Found { target: target.clone(), state, differed, held };
        looked.note(id, found, !undeclared.contains(id));
    }
    let (counts, by_kind) = looked.counts();
    let elsewhere = counts.failed + counts.blocked + counts.unknown;
    if elsewhere > 0 {
        error.get_or_insert_with(|| format!("objects that are not as declared since an earlier pass: {elsewhere}"));
    }
    let drifted = counts.drifted > 0 || !plan.reported.is_empty();
    let verdict = if interrupted {
        Verdict::Interrupted
    } else if error.is_some() {
        Verdict::Failed
    } else if drifted {
        Verdict::Drifted
    } else {
        Verdict::Converged
    };
    Sum { counts, by_kind, verdict, error, retry: false, failing }
}

/// Returns true if an object that does not fail itself is blocked by one that does.
fn waits(blocked: &Blocked, failing: &HashSet<ResourceId>) -> bool {
    matches!(&blocked.cause, Cause::Needs(other) if failing.contains(other)) && !failing.contains(&blocked.id)
}

/// Returns the state in which a change leaves its object.
fn left(outcome: &Outcome) -> State {
    match outcome {
        Outcome::Applied | Outcome::Normalised(_) => State::Changed,
        Outcome::AlreadyTrue => State::InSync,
        Outcome::Dropped(_) | Outcome::Overtaken(_) | Outcome::NotApplied(_) | Outcome::Refused(_) => State::Failed,
        Outcome::Unknown(_) => State::Unknown,
        Outcome::Stale | Outcome::Skipped(_) | Outcome::Unsent(_) | Outcome::Interrupted | Outcome::Manual(_) => {
            State::Drifted
        }
    }
}

//! The result of a pass, in numbers and words.

use std::collections::HashMap;

use crate::{
    model::{Outcome, ResourceId},
    plan::{Blocked, Cause, Plan},
};

use super::status::{Counts, Verdict};

/// Returns what is to be said about an outcome besides its name.
pub(super) fn outcome_detail(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Applied | Outcome::AlreadyTrue => String::new(),
        Outcome::Stale => "it moved after it was planned".to_owned(),
        Outcome::Normalised(fields) | Outcome::Dropped(fields) | Outcome::Overtaken(fields) => {
            fields.iter().map(|field| field.path.as_str()).collect::<Vec<_>>().join(", ")
        }
        Outcome::Refused(refusal) => refusal.to_string(),
        Outcome::NotApplied(why) | Outcome::Unknown(why) => why.clone(),
        Outcome::Skipped(needed) => format!("{needed} is not as declared"),
        Outcome::Interrupted => "the agent was told to end".to_owned(),
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
    pub(super) verdict: Verdict,
    pub(super) error: Option<String>,
    pub(super) retry: bool,
}

/// Adds up. Without outcomes nothing was sent. `unserved` are objects whose target nobody can talk to.
pub(super) fn sum(plan: &Plan, outcomes: &[(ResourceId, Outcome)], unserved: usize) -> Sum {
    // An object may be enforced in some fields and reported in others; it is one object.
    let drifted = plan.differing() - plan.changes.len();
    let mut counts = Counts { in_sync: plan.unchanged, unknown: unserved, drifted, ..Counts::default() };
    let mut error = (unserved > 0).then(|| "no connection to a target".to_owned());
    let mut retry = false;
    let mut interrupted = false;
    let by_id: HashMap<&ResourceId, &Outcome> = outcomes.iter().map(|(id, outcome)| (id, outcome)).collect();
    for change in &plan.changes {
        let Some(outcome) = by_id.get(&change.id) else {
            counts.drifted += 1;
            continue;
        };
        let count = match outcome {
            Outcome::Applied | Outcome::Normalised(_) => &mut counts.changed,
            Outcome::AlreadyTrue => &mut counts.in_sync,
            Outcome::Dropped(_) | Outcome::Overtaken(_) | Outcome::NotApplied(_) | Outcome::Refused(_) => {
                &mut counts.failed
            }
            Outcome::Unknown(_) => &mut counts.unknown,
            Outcome::Stale | Outcome::Skipped(_) | Outcome::Interrupted => &mut counts.drifted,
        };
        *count += 1;
        interrupted |= **outcome == Outcome::Interrupted;
        if !outcome.converged() && **outcome != Outcome::Interrupted {
            retry = true;
            let message = || format!("{} {}: {}", change.id, outcome.name(), outcome_detail(outcome));
            error.get_or_insert_with(message);
        }
    }
    for blocked in &plan.blocked {
        let unread = matches!(blocked.cause, Cause::Unread(_));
        *if unread { &mut counts.unknown } else { &mut counts.blocked } += 1;
        // What is declared wrongly waits for the manifests to change; what could not be read does not.
        retry |= unread;
        error.get_or_insert_with(|| format!("{}: {}", blocked.id, cause(blocked)));
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
    Sum { counts, verdict, error, retry }
}

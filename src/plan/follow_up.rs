//! Steps that a run leaves to people, such as a sync that a platform does not make by itself.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use super::Plan;
use crate::model::{Outcome, ResourceId};

/// A step that is left to people.
#[derive(Debug)]
pub struct FollowUp<'p> {
    /// The action to take.
    pub text: &'p str,
    /// The objects whose changes call for it.
    pub objects: Vec<&'p ResourceId>,
}

/// Returns the steps that a plan leaves to people, each once; with outcomes those of the changes that are made.
pub fn follow_ups<'p>(plan: &'p Plan, outcomes: Option<&[(ResourceId, Outcome)]>) -> Vec<FollowUp<'p>> {
    let outcomes: Option<HashMap<&ResourceId, &Outcome>> =
        outcomes.map(|outcomes| outcomes.iter().map(|(id, outcome)| (id, outcome)).collect());
    let is_made = |id| {
        outcomes.as_ref().is_none_or(|all| {
            all.get(id).is_some_and(|outcome| outcome.converged() || matches!(outcome, Outcome::Manual(_)))
        })
    };
    let mut found: Vec<FollowUp<'p>> = Vec::new();
    let mut by_text: BTreeMap<&str, usize> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| is_made(&change.id)) {
        for text in &change.notes {
            let at = *by_text.entry(text).or_insert(found.len());
            if at == found.len() {
                found.push(FollowUp { text, objects: Vec::new() });
            }
            found[at].objects.push(&change.id);
        }
    }
    found
}

/// Returns the steps as JSON.
pub fn follow_ups_json(steps: &[FollowUp<'_>]) -> Value {
    let build = |step: &FollowUp<'_>| json!({"text": step.text, "addresses": step.objects.iter().map(ToString::to_string).collect::<Vec<_>>()});
    steps.iter().map(build).collect()
}

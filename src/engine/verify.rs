//! The verification of a write: the object is read back and compared once more.

use std::collections::HashMap;

use super::{connection::Reader, observe::observe_target};
use crate::{
    diff::values::same,
    model::{Change, Desired, FieldChange, FieldPath, Live, ObservedState, Outcome, ResourceId, has_placeholder},
    provider::{Facts, Freshness, Kind},
};

/// Looks objects up by their keys, as if they had never been seen.
pub(super) async fn look_up(reader: &Reader, objects: Vec<&Desired>) -> HashMap<ResourceId, ObservedState> {
    let ids: Vec<_> = objects.iter().map(|desired| desired.id.clone()).collect();
    let state = observe_target(reader, objects, Freshness::Primary).await;
    ids.into_iter().filter_map(|id| state.facts.observed(&id).cloned().map(|observed| (id, observed))).collect()
}

/// Returns true if all values that were sent are stored.
fn is_stored(kind: &dyn Kind, change: &Change, live: &Live) -> bool {
    let is_same = |field: &FieldChange| field.to.is_some() && kind.live_value(live, &field.path) == field.to;
    !change.fields.is_empty() && change.fields.iter().all(is_same)
}

/// Compares what was sent with what was stored.
pub(super) fn judge(kind: &dyn Kind, desired: &Desired, change: &Change, live: &Live, facts: &Facts) -> Outcome {
    let mut remaining = match kind.compare(desired, Some(live), facts) {
        Ok(remaining) => remaining,
        // Names that documents use may have changed in the same run: what is stored is what was sent.
        Err(_) if is_stored(kind, change, live) => return Outcome::Applied,
        Err(problems) => {
            let problem = problems.into_iter().next().map(|problem| problem.message).unwrap_or_default();
            return Outcome::NotApplied(format!("it was changed, but cannot be kept: {problem}"));
        }
    };
    // What differed before and was not sent is left so: it is only reported, or ignored.
    let is_sent = |field: &FieldChange| change.fields.iter().any(|field_change| field_change.path == field.path);
    if let Some(ObservedState::Found(before)) = facts.observed(&change.id)
        && !remaining.iter().all(is_sent)
    {
        let left = kind.compare(desired, Some(before), facts).unwrap_or_default();
        let is_left = |field: &FieldChange| {
            left.iter().any(|field_change| field_change.path == field.path && field_change.from == field.from)
        };
        remaining.retain(|field| is_sent(field) || !is_left(field));
    }
    if remaining.is_empty() {
        let normalised: Vec<FieldChange> = change
            .fields
            .iter()
            .filter_map(|field| {
                // A placeholder stands for an id that was not known yet.
                let sent = field.to.as_ref().filter(|sent| !has_placeholder(sent))?;
                let stored = kind.live_value(live, &field.path)?;
                let differs = !same(&sent.into(), &(&stored).into());
                differs.then(|| FieldChange {
                    from: Some(sent.clone()),
                    to: Some(stored),
                    display: None,
                    ..field.clone()
                })
            })
            .collect();
        return if normalised.is_empty() { Outcome::Applied } else { Outcome::Normalised(normalised) };
    }
    let before = |path: &FieldPath| change.fields.iter().find(|field| field.path == *path).map(|field| &field.from);
    if remaining.iter().all(|field| before(&field.path) == Some(&field.from)) {
        Outcome::Dropped(remaining)
    } else {
        Outcome::Overtaken(remaining)
    }
}

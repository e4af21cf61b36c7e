//! Differences that are only reported or ignored.
//!
//! Calls may replace more than what differs: a list with all its rows, all fields of an app. So a live object that is
//! not enforced as a whole is planned as if its document declared the enforced fields alone; the others keep their live
//! values. An object that is created has no live values: all its declared fields are sent.

use std::{collections::BTreeMap, sync::Arc};

use super::{Cause, TargetState};
use crate::{
    model::{
        Action, Change, CreateContext, Desired, Ensure, FieldChange, KeyConflict, Live, ObservedState,
        policy::{Policies, Policy},
    },
    provider::{Facts, Kind},
};

impl<'a> TargetState<'a> {
    /// Works out, when all is read, what of each live object is enforced.
    pub fn apply_policies(&mut self) {
        for desired in &self.desired {
            if desired.policies.enforce_all() || desired.ensure == Ensure::Absent {
                continue;
            }
            if let Some(ObservedState::Found(live)) = self.facts.observed(&desired.id) {
                let live = ObservedState::Found(reduced(desired, live, self.kind(&desired.id), &self.facts));
                self.facts.record(desired.id.clone(), live);
                self.enforced.insert(desired.id.clone(), of_policy(desired, Policy::Enforce));
            }
        }
    }

    /// Returns an object as its document declares it, whatever its policy.
    pub fn declared(&self) -> impl Iterator<Item = &Desired> + use<'_, 'a> {
        self.desired.iter().copied().chain(&self.surplus).chain(&self.parts)
    }
}

/// The live object without rivals for unique values that are not enforced.
fn reduced(desired: &Desired, live: &Live, kind: Option<&dyn Kind>, facts: &Facts) -> Live {
    let unique_keys = kind
        .map(|kind| kind.unique_keys(&of_policy(desired, Policy::Enforce), Some(live), CreateContext::none(), facts));
    let mut live = live.clone();
    live.relate(|own| {
        let is_left = |rival: &KeyConflict| {
            unique_keys.as_ref().is_none_or(|unique_keys| unique_keys.desired.contains(&rival.claim))
        };
        own.key_conflicts.retain(is_left);
    });
    live
}

/// The document as if it declared only the fields with a policy.
fn of_policy(desired: &Desired, policy: Policy) -> Desired {
    let mut part = desired.clone();
    part.fields.retain(|path, _| desired.policies.of(path) == policy);
    part
}

/// Returns true if the object as a whole is made or removed where it has to be.
pub(super) fn policy_allows(policies: &Policies, action: Action) -> bool {
    matches!(action, Action::Update | Action::Sync) || policies.object == Policy::Enforce
}

/// Returns what differs and is only reported; nothing where nothing is, or where the object could not be read. No
/// document spells out what is `implicit`.
pub(super) fn reported(
    state: &TargetState<'_>,
    kind: &dyn Kind,
    desired: &Desired,
    implicit: bool,
) -> Result<Option<Change>, Cause> {
    let policies = &desired.policies;
    if !policies.any(Policy::Report) {
        return Ok(None);
    }
    let whole = policies.object == Policy::Report;
    let change = |action: Action, live: Option<&Live>, fields: Vec<FieldChange>| Change {
        id: desired.id.clone(),
        target: state.target.clone(),
        label: live.map(|live| live.label.to_string()).unwrap_or_default(),
        handle: live.map(|live| live.handle.to_value()).unwrap_or_default(),
        action,
        implicit,
        before: match (action, live) {
            (Action::Delete, Some(live)) => kind.before(desired, live, &state.facts),
            _ => Vec::new(),
        },
        fields,
        notes: Vec::new(),
        field_notes: BTreeMap::new(),
        wave: None,
        impact: BTreeMap::new(),
        after: Vec::new(),
        precondition: Arc::default(),
        origin: desired.origin.clone(),
    };
    match state.facts.observed(&desired.id) {
        Some(ObservedState::Found(live)) if desired.ensure == Ensure::Absent => {
            Ok(whole.then(|| change(Action::Delete, Some(live), Vec::new())))
        }
        Some(ObservedState::Found(live)) => {
            let part = of_policy(desired, Policy::Report);
            let mut fields = kind.compare(&part, Some(live), &state.facts).map_err(Cause::Wrong)?;
            fields.retain(|field| policies.of(&field.path) == Policy::Report);
            Ok((!fields.is_empty()).then(|| change(Action::Update, Some(live), fields)))
        }
        Some(ObservedState::Absent { .. }) if whole && desired.ensure == Ensure::Present => {
            let fields = kind.compare(desired, None, &state.facts).map_err(Cause::Wrong)?;
            Ok(Some(change(Action::Create, None, fields)))
        }
        _ => Ok(None),
    }
}

//! How each object differs from its document. Objects are compared one by one, on all cores.

use std::collections::{BTreeSet, HashSet};

use super::{Cause, TargetState, parts, policy};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Action, Change, CreateContext, Desired, Ensure, FieldChange, KeyConflict, Live, ObservedState, ResourceId,
        Undeletable, Wave, policy::Policy,
    },
    parallel,
    provider::Kind,
};

/// An object that would change.
pub(super) struct Candidate<'s> {
    pub(super) desired: &'s Desired,
    pub(super) action: Action,
    pub(super) live: Option<&'s Live>,
    pub(super) key_conflicts: &'s [KeyConflict],
    pub(super) context: &'s CreateContext,
    pub(super) fields: Vec<FieldChange>,
    pub(super) wanted: Vec<String>,
    pub(super) after: BTreeSet<ResourceId>,
    pub(super) wave: Option<Wave>,
}

impl Candidate<'_> {
    /// Returns true if the object is as declared.
    pub(super) fn is_nothing(&self) -> bool {
        match self.action {
            Action::Create | Action::Sync => false,
            Action::Update => self.fields.is_empty(),
            Action::Delete => self.live.is_none(),
        }
    }
}

/// The findings about some objects.
#[derive(Default)]
pub(super) struct Looked<'s> {
    /// Objects that would change.
    pub(super) candidates: Vec<(&'s ResourceId, Candidate<'s>)>,
    /// Objects that nothing can be done about.
    pub(super) blocked: Vec<(&'s ResourceId, Cause)>,
    /// Differences that are only reported.
    pub(super) reported: Vec<(&'s ResourceId, Change)>,
    /// How many objects are as declared.
    pub(super) unchanged: usize,
}

/// Looks at all objects of a target, in their order; no document declares those of `surplus`.
pub(super) fn all<'s>(state: &'s TargetState<'_>, surplus: &HashSet<&ResourceId>) -> Vec<Looked<'s>> {
    let objects: Vec<(&Desired, &Desired)> = state.declared().zip(state.objects()).collect();
    let mut looked = Vec::new();
    parallel::in_chunks(&objects, |chunk| look(state, chunk, surplus), |part| looked.push(part));
    looked
}

fn look<'s>(
    state: &'s TargetState<'_>,
    objects: &[(&'s Desired, &'s Desired)],
    surplus: &HashSet<&ResourceId>,
) -> Looked<'s> {
    let mut looked = Looked::default();
    for (declared, desired) in objects {
        let kind = state.kind(&desired.id).filter(|kind| desired.selected && !parts::is_part(*kind, desired));
        let Some(kind) = kind else { continue };
        let found = candidate(state, kind, desired).and_then(|candidate| {
            Ok((candidate, policy::reported(state, kind, declared, surplus.contains(&declared.id))?))
        });
        match found {
            Err(cause) => looked.blocked.push((&desired.id, cause)),
            Ok((candidate, reported)) => {
                if candidate.is_nothing() {
                    looked.unchanged += usize::from(reported.is_none());
                } else if policy::policy_allows(&desired.policies, candidate.action) {
                    let wanted = if candidate.action == Action::Delete {
                        Vec::new()
                    } else {
                        kind.unique_keys(desired, candidate.live, candidate.context, &state.facts).desired
                    };
                    looked.candidates.push((&desired.id, Candidate { wanted, ..candidate }));
                }
                looked.reported.extend(reported.map(|change| (&declared.id, change)));
            }
        }
    }
    looked
}

/// Looks at one object: what differs, or why nothing can be done about it.
fn candidate<'s>(state: &'s TargetState<'_>, kind: &dyn Kind, desired: &'s Desired) -> Result<Candidate<'s>, Cause> {
    let unread = || Cause::Unread("it was not read".to_owned());
    let (live, key_conflicts, context) = match state.facts.observed(&desired.id).ok_or_else(unread)? {
        ObservedState::Found(live) => (Some(live), live.relations().key_conflicts.as_slice(), CreateContext::none()),
        ObservedState::Absent { nearest, .. } if desired.ensure == Ensure::Existing => {
            return Err(Cause::Wrong(vec![missing(desired, nearest)]));
        }
        ObservedState::Absent { key_conflicts, context, .. } => (None, key_conflicts.as_slice(), context),
        open => return Err(trouble(open).unwrap_or_else(unread)),
    };
    if desired.ensure == Ensure::Absent {
        if desired.protect && live.is_some() {
            let message = format!("{} is protected: it is not removed", desired.id);
            return Err(Cause::Wrong(vec![Diagnostic::error("P140", message, &desired.origin)]));
        }
        if let Some(Undeletable { reason, hint }) = live.and_then(|live| live.relations().undeletable.as_deref()) {
            let message = format!("{} cannot be removed: {reason}", desired.id);
            return Err(Cause::Wrong(vec![Diagnostic::error("P143", message, &desired.origin).hint(*hint)]));
        }
        let after = BTreeSet::new();
        let (action, key_conflicts) = (Action::Delete, [].as_slice());
        return Ok(Candidate {
            desired,
            action,
            live,
            key_conflicts,
            context,
            fields: Vec::new(),
            wanted: Vec::new(),
            after,
            wave: None,
        });
    }
    let is_looked_at = live.is_none() || desired.policies.any(Policy::Enforce);
    let fields = is_looked_at.then(|| kind.compare(desired, live, &state.facts).map_err(Cause::Wrong));
    let mut fields = fields.transpose()?.unwrap_or_default();
    fields.retain(|field| live.is_none() || desired.policies.of(&field.path) == Policy::Enforce);
    fields.retain(|field| !state.facts.suppressed.contains(&field.fingerprint(&desired.id)));
    let action = if live.is_some() { Action::Update } else { Action::Create };
    // Objects that this run makes have to be there first.
    let made = |id: &ResourceId| matches!(state.facts.observed(id), Some(ObservedState::Absent { .. }));
    let after = desired.references.iter().filter(|to| live.is_none() && made(&to.to)).map(|to| to.to.clone());
    let awaited = live.map(|live| kind.awaits(desired, live)).unwrap_or_default();
    let after = after.chain(context.made().cloned()).chain(awaited).collect();
    Ok(Candidate { desired, action, live, key_conflicts, context, fields, wanted: Vec::new(), after, wave: None })
}

/// Returns why nothing can be done about an object that was seen so; `None` if it is there, or is known not to be.
pub(super) fn trouble(observed: &ObservedState) -> Option<Cause> {
    match observed {
        ObservedState::Found(_) | ObservedState::Absent { .. } => None,
        ObservedState::Needs(id) => Some(Cause::Needs(id.clone())),
        ObservedState::Ambiguous(diagnostic) | ObservedState::Impossible(diagnostic) => {
            Some(Cause::Wrong(vec![(**diagnostic).clone()]))
        }
        ObservedState::Unknown(why) => Some(Cause::Unread(why.clone())),
    }
}

fn missing(desired: &Desired, nearest: &[String]) -> Diagnostic {
    // The last thing that says which object is meant: the name rather than the business it lies in.
    let names = desired.locator.values().filter(|value| value.value.is_string() || value.value.is_i64());
    let place = names.max_by_key(|value| value.origin.order());
    let origin = place.map_or(&desired.origin, |value| &value.origin);
    let wanted = place.and_then(|value| value.value.as_str()).unwrap_or_default();
    let diagnostic = Diagnostic::error("P100", format!("{} does not exist", desired.id), origin);
    match crate::yaml::suggestion(wanted, nearest.iter().map(String::as_str)) {
        Some(question) => diagnostic.hint(question),
        None => diagnostic.hint("`ensure: existing` is the default: the object has to be there"),
    }
}

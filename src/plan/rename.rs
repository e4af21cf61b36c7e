//! Finds objects that a run would make anew although a live one may only have got another name.

use std::collections::HashSet;

use crate::{
    diagnostic::Diagnostic,
    model::{Action, Change, CreateContext, Desired, Json, KnownField, Live, ObservedState},
    plan::TargetState,
};

/// A live object whose document is gone, as an earlier run knew it.
#[derive(Debug, Clone)]
pub struct Vanished {
    /// The object as it was declared.
    pub desired: Desired,
    /// The live object.
    pub live: Live,
}

/// A live object that a new one may be.
struct Candidate<'c> {
    kind: &'static str,
    live: &'c Live,
    before: Vec<KnownField>,
    /// Why it may be.
    why: String,
}

/// Returns a warning about each object to be created that is like exactly one live object that the same run removes
/// because no document declares it. Its hint is what makes a rename of the two; nothing is decided here.
pub(super) fn proposals(state: &TargetState<'_>, changes: &[Change]) -> Vec<Diagnostic> {
    let removed = changes
        .iter()
        .filter(|change| change.target == state.target && change.action == Action::Delete && change.implicit);
    let candidates = removed.filter_map(|gone| {
        let Some(ObservedState::Found(live)) = state.facts.observed(&gone.id) else { return None };
        let why = format!("{}, which goes because no document declares it", gone.label);
        Some(Candidate { kind: gone.id.kind, live, before: gone.before.clone(), why })
    });
    among(state, changes, &candidates.collect::<Vec<_>>())
}

/// Returns a warning about each object to be created that is like exactly one live object that an earlier run declared,
/// and that nothing declares any more.
pub fn of_vanished(state: &TargetState<'_>, changes: &[Change], vanished: &[Vanished]) -> Vec<Diagnostic> {
    let known =
        state.objects().chain(&state.surplus).filter_map(|desired| match state.facts.observed(&desired.id)? {
            ObservedState::Found(live) => Some((desired.id.kind, &live.handle)),
            _ => None,
        });
    let known: HashSet<(&str, &Json)> = known.collect();
    let own = vanished.iter().filter(|vanished| {
        vanished.desired.target == state.target && !known.contains(&(vanished.desired.id.kind, &vanished.live.handle))
    });
    let candidates = own.filter_map(|Vanished { desired, live }| {
        let kind = state.kind(&desired.id)?;
        let why = format!("{}, which {} declared in an earlier run", live.label, desired.id);
        Some(Candidate { kind: desired.id.kind, live, before: kind.before(desired, live, &state.facts), why })
    });
    among(state, changes, &candidates.collect::<Vec<_>>())
}

fn among(state: &TargetState<'_>, changes: &[Change], candidates: &[Candidate<'_>]) -> Vec<Diagnostic> {
    if candidates.is_empty() {
        return Vec::new();
    }
    let made = changes.iter().filter(|change| change.target == state.target && change.action == Action::Create);
    made.filter_map(|made| proposal(state, made, candidates)).collect()
}

fn proposal(state: &TargetState<'_>, made: &Change, candidates: &[Candidate<'_>]) -> Option<Diagnostic> {
    let kind = state.kind(&made.id)?;
    let desired = state.objects().find(|desired| desired.id == made.id)?;
    let context = match state.facts.observed(&made.id) {
        Some(ObservedState::Absent { context, .. }) => context,
        _ => CreateContext::none(),
    };
    let mut alike: Vec<(usize, &Candidate<'_>, String)> = Vec::new();
    for candidate in candidates.iter().filter(|candidate| candidate.kind == made.id.kind) {
        if let Some(equal) = likeness(made, &candidate.before)
            && let Some(line) = kind.rename_hint(desired, candidate.live, context)
        {
            alike.push((equal, candidate, line));
        }
    }
    let most = alike.iter().map(|(equal, ..)| *equal).max()?;
    let mut best = alike.into_iter().filter(|(equal, ..)| *equal == most);
    let (Some((_, candidate, line)), None) = (best.next(), best.next()) else { return None };
    let message = format!("a new object like {}", candidate.why);
    let hint = format!("if it is the same object under another name, write {line}");
    Some(Diagnostic::warning("P163", message, &desired.origin).hint(hint))
}

/// Returns how many fields of a new object have the values of a live one; `None` if more than half of those that both
/// have differ, or none is the same.
fn likeness(made: &Change, before: &[KnownField]) -> Option<usize> {
    let before = |field: &crate::model::FieldChange| before.iter().find(|known| known.path == field.path);
    let both: Vec<bool> =
        made.fields.iter().filter_map(|field| Some(field.to.as_ref() == Some(&before(field)?.value))).collect();
    let equal = both.iter().filter(|is_equal| **is_equal).count();
    (equal > 0 && equal * 2 >= both.len()).then_some(equal)
}

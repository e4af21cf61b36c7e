//! Finds objects that a run would make anew although a live one may only have got another name.

use crate::{
    diagnostic::Diagnostic,
    model::{Action, Change, ObservedState},
    plan::TargetState,
};

/// Returns a warning about each object to be created that is like exactly one live object that the same run removes
/// because no document declares it. Its hint is what makes a rename of the two; nothing is decided here.
pub(super) fn proposals(state: &TargetState<'_>, changes: &[Change]) -> Vec<Diagnostic> {
    let of_target = || changes.iter().filter(|change| change.target == state.target);
    let removed: Vec<&Change> =
        of_target().filter(|change| change.action == Action::Delete && change.implicit).collect();
    if removed.is_empty() {
        return Vec::new();
    }
    of_target()
        .filter(|change| change.action == Action::Create)
        .filter_map(|made| proposal(state, made, &removed))
        .collect()
}

fn proposal(state: &TargetState<'_>, made: &Change, removed: &[&Change]) -> Option<Diagnostic> {
    let kind = state.kind(&made.id)?;
    let desired = state.objects().find(|desired| desired.id == made.id)?;
    let mut alike: Vec<(usize, &Change, String)> = Vec::new();
    for gone in removed.iter().filter(|gone| gone.id.kind == made.id.kind) {
        let Some(ObservedState::Found(live)) = state.facts.observed(&gone.id) else { continue };
        if let Some(equal) = likeness(made, gone)
            && let Some(line) = kind.rename_hint(desired, live)
        {
            alike.push((equal, gone, line));
        }
    }
    let most = alike.iter().map(|(equal, ..)| *equal).max()?;
    let mut best = alike.into_iter().filter(|(equal, ..)| *equal == most);
    let (Some((_, gone, line)), None) = (best.next(), best.next()) else { return None };
    let message = format!("a new object like {}, which goes because no document declares it", gone.label);
    let hint = format!("if it is the same object under another name, write {line}");
    Some(Diagnostic::warning("P163", message, &desired.origin).hint(hint))
}

/// Returns how many fields of a new object have the values of a removed one; `None` if more than half of those that both
/// have differ, or none is the same.
fn likeness(made: &Change, gone: &Change) -> Option<usize> {
    let before = |field: &crate::model::FieldChange| gone.before.iter().find(|known| known.path == field.path);
    let both: Vec<bool> =
        made.fields.iter().filter_map(|field| Some(field.to.as_ref() == Some(&before(field)?.value))).collect();
    let equal = both.iter().filter(|is_equal| **is_equal).count();
    (equal > 0 && equal * 2 >= both.len()).then_some(equal)
}

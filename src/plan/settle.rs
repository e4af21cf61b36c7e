//! Settles changes among one another: who waits for whom, and who is blocked for whose sake.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Candidate, Cause};
use crate::{
    diagnostic::Diagnostic,
    model::{Action, ResourceId},
};

/// Which objects hold what others may want.
#[derive(Default)]
pub(super) struct Held<'s> {
    /// Objects by the unique values that they hold.
    pub(super) unique_keys: HashMap<String, &'s ResourceId>,
    /// Objects by the labels of their live ones: of one that is removed no values need to be known.
    pub(super) labels: HashMap<&'s str, &'s ResourceId>,
}

/// Unique values: who wants one that another object holds waits until that object has given it up, and is blocked
/// where it never does.
pub(super) fn order_by_unique_keys<'s>(
    candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    held: &Held<'s>,
    blocked: &mut BTreeMap<&'s ResourceId, Cause>,
) {
    let mut wanted: HashMap<&str, Vec<&ResourceId>> = HashMap::new();
    for (id, candidate) in &*candidates {
        candidate.wanted.iter().for_each(|claim| wanted.entry(claim).or_default().push(id));
    }
    let mut after: Vec<(&ResourceId, ResourceId)> = Vec::new();
    let mut wrong: Vec<(&ResourceId, Cause)> = Vec::new();
    for (id, candidate) in &*candidates {
        let origin = candidate.fields.first().map_or(&candidate.desired.origin, |field| &field.because);
        for rival in candidate.key_conflicts {
            let (claim, holder) = (&rival.claim, &rival.holder);
            let other = held.unique_keys.get(claim).or_else(|| held.labels.get(holder.as_str()));
            match other.filter(|holder| *holder != id) {
                Some(other) if candidates.get(other).is_some_and(|other| !other.wanted.contains(claim)) => {
                    after.push((id, (*other).clone()));
                }
                Some(other) if blocked.contains_key(other) => wrong.push((id, Cause::Needs((*other).clone()))),
                other => {
                    let whose = other.map(|other| format!(", which {other} keeps")).unwrap_or_default();
                    let message = format!("{id} cannot be as declared: {holder} has {claim}{whose}");
                    wrong.push((id, Cause::Wrong(vec![Diagnostic::error("P130", message, origin)])));
                }
            }
        }
        let claimed =
            candidate.wanted.iter().flat_map(|claim| wanted[claim.as_str()].iter().map(move |other| (claim, other)));
        for (claim, other) in claimed.filter(|(_, other)| *other != id) {
            let message = format!("{id} and {other} are both to have {claim}");
            let diagnostic = Diagnostic::error("P131", message, origin);
            let diagnostic = diagnostic.also(&candidates[other].desired.origin, format!("{other} is declared here"));
            wrong.push((id, Cause::Wrong(vec![diagnostic])));
        }
    }
    resolve_order(after, wrong, candidates, blocked);
}

/// Plans removals: dependents go before the object they depend on, and an object with a dependent that stays is kept.
pub(super) fn order_deletes<'s>(
    candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    blocked: &mut BTreeMap<&'s ResourceId, Cause>,
) {
    let deletes = || candidates.values().filter(|candidate| candidate.action == Action::Delete);
    let going: HashMap<&str, &ResourceId> =
        deletes().filter_map(|candidate| Some((candidate.live?.label.as_str(), &candidate.desired.id))).collect();
    let mut after: Vec<(&ResourceId, ResourceId)> = Vec::new();
    let mut wrong: Vec<(&ResourceId, Cause)> = Vec::new();
    for candidate in deletes() {
        let Some(live) = candidate.live else { continue };
        let on = live.depends_on.iter().filter_map(|label| going.get(label.as_str()));
        after.extend(on.map(|other| (*other, candidate.desired.id.clone())));
        let stay: Vec<_> =
            live.relations().holds.iter().filter(|label| !going.contains_key(label.as_str())).cloned().collect();
        if !stay.is_empty() {
            let message = format!("{} cannot be removed: {} depends on it", candidate.desired.id, stay.join(", "));
            let diagnostic = Diagnostic::error("P141", message, &candidate.desired.origin);
            wrong.push((&candidate.desired.id, Cause::Wrong(vec![diagnostic.hint("declare it `ensure: absent` too")])));
        }
    }
    // What is to be made on an object that is to go: the documents contradict one another.
    for option in candidates.values().filter(|candidate| candidate.action == Action::Create) {
        let on = option.context.depends_on.iter().map(String::as_str);
        for other in on.filter_map(|label| going.get(label)) {
            let message =
                format!("{} is to be created, and {other}, on which it depends, is to be removed", option.desired.id);
            let diagnostic = Diagnostic::error("P142", message, &option.desired.origin);
            let diagnostic = diagnostic.also(&candidates[*other].desired.origin, format!("{other} is declared absent"));
            wrong.push((&option.desired.id, Cause::Wrong(vec![diagnostic])));
            wrong.push((other, Cause::Needs(option.desired.id.clone())));
        }
    }
    resolve_order(after, wrong, candidates, blocked);
}

/// Notes who waits for whom, and takes out who is blocked.
fn resolve_order<'s>(
    after: Vec<(&'s ResourceId, ResourceId)>,
    wrong: Vec<(&'s ResourceId, Cause)>,
    candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    blocked: &mut BTreeMap<&'s ResourceId, Cause>,
) {
    for (id, other) in after {
        if let Some(one) = candidates.get_mut(id) {
            one.after.insert(other);
        }
    }
    for (id, cause) in wrong {
        candidates.remove(id);
        blocked.entry(id).or_insert(cause);
    }
}

/// The candidates that wait for each object.
type Waiters<'s> = HashMap<ResourceId, Vec<&'s ResourceId>>;

fn waiters<'s>(candidates: &BTreeMap<&'s ResourceId, Candidate<'s>>) -> Waiters<'s> {
    let mut waiters = Waiters::new();
    for (id, candidate) in candidates {
        candidate.after.iter().for_each(|other| waiters.entry(other.clone()).or_default().push(id));
    }
    waiters
}

/// Blocks what needs something that is blocked itself.
pub(super) fn block_dependents<'s>(
    candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    blocked: &mut BTreeMap<&'s ResourceId, Cause>,
) {
    let waiters = waiters(candidates);
    block_waiters(candidates.keys().copied().collect(), &waiters, candidates, blocked);
}

/// Blocks those of some candidates that need what is no candidate, then those that wait for them, and so on.
fn block_waiters<'s>(
    mut some: BTreeSet<&'s ResourceId>,
    waiters: &Waiters<'s>,
    candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    blocked: &mut BTreeMap<&'s ResourceId, Cause>,
) {
    while !some.is_empty() {
        let needs = |id: &'s ResourceId| {
            let other = candidates.get(id)?.after.iter().find(|other| !candidates.contains_key(other))?;
            Some((id, other.clone()))
        };
        let lost: Vec<_> = some.into_iter().filter_map(needs).collect();
        some = lost.iter().filter_map(|(id, _)| waiters.get(*id)).flatten().copied().collect();
        for (id, other) in lost {
            candidates.remove(id);
            blocked.insert(id, Cause::Needs(other));
        }
    }
}

/// Blocks what is in a cycle, and what needs that.
pub(super) fn block_cycles<'s>(
    cycles: &[Vec<ResourceId>],
    candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    blocked: &mut BTreeMap<&'s ResourceId, Cause>,
) {
    let waiters = waiters(candidates);
    for cycle in cycles {
        let names: Vec<_> = cycle.iter().chain(cycle.first()).map(ToString::to_string).collect();
        for id in cycle {
            let Some((id, one)) = candidates.remove_entry(id) else { continue };
            let origin = one.fields.first().map_or(&one.desired.origin, |field| &field.because);
            let message = format!("each waits for a unique value of the next: {}", names.join(" → "));
            let hint = "a swap takes two applies with a third value between them";
            blocked.insert(id, Cause::Wrong(vec![Diagnostic::error("P132", message, origin).hint(hint)]));
        }
        let waiting = cycle.iter().filter_map(|id| waiters.get(id)).flatten().copied().collect();
        block_waiters(waiting, &waiters, candidates, blocked);
    }
}

//! Settles refused calls: what is already as declared, and what waits for a unique value that another change gives up.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{Run, WINDOW, sending::Sending};
use crate::{
    model::{Action, Change, ObservedState, Outcome, Refusal, ResourceId},
    plan::precondition::is_true,
};

/// An object whose call was refused.
pub(super) struct Refused<'a> {
    pub(super) id: &'a ResourceId,
    pub(super) sending: Arc<Sending<'a>>,
    pub(super) refusal: Refusal,
    pub(super) took: Duration,
}

/// A call that was refused for a unique value, and the changes of the run that give up such a value.
pub(super) struct Waiting<'a> {
    refused: Refused<'a>,
    givers: BTreeSet<&'a ResourceId>,
}

impl<'a> Run<'a> {
    /// Books refused objects. Somebody else may have made, changed or removed one meanwhile, and the code does not
    /// always say so: what is already as declared needs no call. What waits for another change is kept for later.
    pub(super) async fn resolve_refused(&mut self, refused: Vec<Refused<'a>>) {
        let open: Vec<_> = refused.iter().map(|refused| self.before(refused.id)).collect();
        let observed_states = self.read_back(&open).await;
        for one in refused {
            if let Some(outcome) = self.already(one.id, observed_states.get(one.id)) {
                if let Some(ObservedState::Found(live)) = observed_states.get(one.id) {
                    self.handles.insert(one.id.to_string(), live.handle.to_value());
                }
                // After a lost answer, or one that came from somewhere on the way, it may have been our own doing.
                let is_own = self.losses.contains_key(one.id) || is_doubtful(&one.refusal);
                self.finish(one.id, if is_own { Outcome::Applied } else { outcome }, one.took);
                continue;
            }
            if let Some(ObservedState::Unknown(why)) = observed_states.get(one.id).filter(|_| is_doubtful(&one.refusal))
            {
                let message = format!("{}, and looking it up failed: {why}", one.refusal);
                self.finish(one.id, Outcome::Unknown(message), one.took);
                continue;
            }
            let is_conflict = self.kind(one.id).is_some_and(|kind| kind.is_conflict(&one.refusal));
            let givers =
                if is_conflict && one.sending.serves.len() == 1 { self.givers(one.id) } else { BTreeSet::new() };
            if givers.is_empty() {
                self.finish(one.id, Outcome::Refused(one.refusal), one.took);
            } else {
                self.waiting.push(Waiting { refused: one, givers });
            }
        }
    }

    /// Returns the outcome of an object that is already as its change would make it; `None` if it is not.
    pub(super) fn already(&self, id: &ResourceId, now: Option<&ObservedState>) -> Option<Outcome> {
        let (kind, desired, change) = (self.kind(id)?, self.desired.get(id)?, self.changes.get(id)?);
        is_true(kind, desired, change, now?, self.state).then_some(Outcome::AlreadyTrue)
    }

    /// Returns the other changes of the run whose live objects have, in a field that they change or with which they go,
    /// a value that this change sets.
    fn givers(&self, id: &ResourceId) -> BTreeSet<&'a ResourceId> {
        let Some(change) = self.changes.get(id) else { return BTreeSet::new() };
        let gives = |other: &&&'a Change| {
            other.id != *id && other.id.kind == id.kind && change.fields.iter().any(|field| self.gives(other, field))
        };
        self.changes.values().filter(gives).map(|other| &other.id).collect()
    }

    fn gives(&self, other: &Change, field: &crate::model::FieldChange) -> bool {
        let Some(wanted) = field.to.as_ref().filter(|value| !value.is_null()) else { return false };
        match other.action {
            Action::Create | Action::Sync => false,
            Action::Update => other
                .fields
                .iter()
                .any(|field_change| field_change.path == field.path && field_change.from.as_ref() == Some(wanted)),
            // An object that is removed may have had any value in a field that was not read.
            Action::Delete => self
                .live(&other.id)
                .is_some_and(|live| live.fields.get(&field.path).is_none_or(|value| value == wanted)),
        }
    }

    /// Sends calls again whose unique values other changes have freed since, until none is left that could pass.
    pub(super) async fn retry_conflicts(&mut self) {
        loop {
            let (ready, waiting): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.waiting).into_iter().partition(|waiting| {
                    waiting.givers.iter().any(|id| self.outcomes.get(*id).is_some_and(Outcome::converged))
                });
            self.waiting = waiting;
            if ready.is_empty() {
                break;
            }
            let (mut calls, mut held) = (Vec::new(), BTreeMap::new());
            for waiting in ready {
                // Who has given up the value is not waited for a second time.
                let open = |id: &&ResourceId| !self.outcomes.contains_key(*id);
                let givers: BTreeSet<_> = waiting.givers.iter().copied().filter(open).collect();
                held.insert(waiting.refused.id, givers);
                calls.push((*waiting.refused.sending).clone());
                // Where the run is interrupted now, the refusal is what is known.
                self.refused.insert(waiting.refused.id, waiting.refused.refusal);
            }
            let mut again = self.still_as_planned(calls).await;
            while !again.is_empty() {
                let unsent = self.send(again, Instant::now() + WINDOW).await;
                again = self.still_lost(unsent.lost).await;
                again.extend(self.still_as_planned(unsent.late).await);
                again.extend(unsent.parts);
            }
            // A second refusal waits only for those that had not given up the value yet.
            let (again, over): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
                .into_iter()
                .map(|mut waiting| {
                    if let Some(givers) = held.get(waiting.refused.id) {
                        waiting.givers.clone_from(givers);
                    }
                    waiting
                })
                .partition(|waiting| !waiting.givers.is_empty());
            self.waiting = again;
            for waiting in over {
                self.finish(waiting.refused.id, Outcome::Refused(waiting.refused.refusal), waiting.refused.took);
            }
        }
    }

    /// Books what is still refused at the end of the run. Of changes that wait for one another the first is refused
    /// with the reason, and the others wait for it in vain.
    pub(super) fn give_up_conflicts(&mut self) {
        let waiting: HashMap<&ResourceId, Waiting<'_>> =
            std::mem::take(&mut self.waiting).into_iter().map(|waiting| (waiting.refused.id, waiting)).collect();
        let mut open: BTreeSet<&ResourceId> = waiting.keys().copied().collect();
        while let Some(first) = open.pop_first() {
            let cycle = cycle(first, &waiting);
            for (at, id) in cycle.iter().enumerate() {
                if !open.remove(*id) && at > 0 {
                    continue;
                }
                let refused = &waiting[id].refused;
                let outcome = if at > 0 {
                    Outcome::Skipped(first.clone())
                } else if cycle.len() > 1 {
                    let names: Vec<_> = cycle.iter().chain(cycle.first()).map(ToString::to_string).collect();
                    let message = format!(
                        "{}: each waits for a unique value of the next: {}; a swap takes two applies with a third value \
                         between them",
                        refused.refusal.message,
                        names.join(" → ")
                    );
                    Outcome::Refused(Refusal { message, ..refused.refusal.clone() })
                } else {
                    Outcome::Refused(refused.refusal.clone())
                };
                self.finish(id, outcome, refused.took);
            }
        }
    }
}

/// Returns the objects that wait for one another beside the first, each for the next; the first alone where there is no
/// cycle through it.
fn cycle<'a>(first: &'a ResourceId, waiting: &HashMap<&'a ResourceId, Waiting<'a>>) -> Vec<&'a ResourceId> {
    let mut paths = vec![vec![first]];
    let mut visited = BTreeSet::from([first]);
    while let Some(path) = paths.pop() {
        let Some(last) = path.last().and_then(|id| waiting.get(*id)) else { continue };
        for next in &last.givers {
            if *next == first {
                return path;
            }
            if waiting.contains_key(*next) && visited.insert(next) {
                paths.push(path.iter().copied().chain([*next]).collect());
            }
        }
    }
    vec![first]
}

/// Returns true for a refusal that something on the way may have made up, after it let the request through.
fn is_doubtful(refusal: &Refusal) -> bool {
    refusal.request_id.is_some() && !refusal.has_own_code()
}

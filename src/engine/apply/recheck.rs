//! Reads objects again right before their calls, where some time has passed since the plan was made.

use std::time::Duration;

use super::{Run, sending::Sending};
use crate::{
    engine::planted::{self, Mistake},
    model::{Action, ObservedState, Outcome, Refusal, ResourceId},
    plan::precondition::precondition_holds,
};

impl<'a> Run<'a> {
    /// Reads the objects of calls again, and returns those calls whose objects are still what was planned on.
    pub(super) async fn still_as_planned(&mut self, calls: Vec<Sending<'a>>) -> Vec<Sending<'a>> {
        if planted::has(Mistake::NoRecheck) {
            return calls;
        }
        self.recheck(calls, Self::moved).await
    }

    /// The same for calls whose answers got lost, and which did not show: some may have come about since.
    pub(super) async fn still_lost(&mut self, calls: Vec<Sending<'a>>) -> Vec<Sending<'a>> {
        self.recheck(calls, Self::moved_since_lost).await
    }

    /// Returns the outcome of a change whose answer got lost and that is not to be sent again.
    pub(super) fn moved_since_lost(&self, id: &ResourceId, now: Option<&ObservedState>) -> Option<Outcome> {
        let outcome = self.moved(id, now)?;
        let deletes = self.changes.get(id).is_some_and(|change| change.action == Action::Delete);
        Some(match (outcome, now) {
            (_, Some(ObservedState::Absent { .. })) if deletes => Outcome::Applied,
            (_, Some(ObservedState::Found(live))) if !deletes && self.judged(id, live).converged() => {
                self.judged(id, live)
            }
            // What it wrote and what others did cannot be told apart.
            (Outcome::Stale, _) => {
                Outcome::Unknown("its answer was lost, and it has changed since: it was not sent again".to_owned())
            }
            (Outcome::Unsent(why), _) => lost_and_down(&why),
            (other, _) => other,
        })
    }

    /// Reads the objects of calls again; `moved` says what becomes of one that is not to be sent.
    async fn recheck(
        &mut self,
        calls: Vec<Sending<'a>>,
        moved: impl Fn(&Self, &ResourceId, Option<&ObservedState>) -> Option<Outcome>,
    ) -> Vec<Sending<'a>> {
        let served = calls.iter().flat_map(|sending| sending.serves.iter().copied());
        let open: Vec<_> = served.map(|id| self.before(id)).collect();
        let observed_states = self.read_back(&open).await;
        let mut ready = Vec::new();
        for sending in calls {
            let (mut moves, mut stay) = (Vec::new(), Vec::with_capacity(sending.serves.len()));
            for id in sending.serves.iter().copied() {
                match moved(self, id, observed_states.get(id)) {
                    Some(outcome) => moves.push((id, outcome)),
                    None => stay.push(id),
                }
            }
            let Some(first) = moves.first().map(|(id, _)| (*id).clone()) else {
                ready.push(sending);
                continue;
            };
            for (id, outcome) in moves {
                self.finish(id, outcome, Duration::ZERO);
            }
            if stay.is_empty() {
                continue;
            }
            match self.narrowed(&sending, &stay) {
                Some(rest) => ready.push(rest),
                // It can only be sent whole.
                None => {
                    stay.into_iter().for_each(|id| self.finish(id, Outcome::Skipped(first.clone()), Duration::ZERO));
                }
            }
        }
        ready
    }

    /// Returns the outcome of a change that is not to be sent, because its object is not as it was when planned.
    fn moved(&self, id: &ResourceId, now: Option<&ObservedState>) -> Option<Outcome> {
        let (kind, desired) = (self.kind(id)?, self.desired.get(id)?);
        if planted::has(Mistake::StaleIsSent) {
            return None;
        }
        match (self.state.facts.observed(id), now) {
            (Some(before), Some(now)) if precondition_holds(kind, desired, before, now) => None,
            (_, Some(ObservedState::Unknown(_))) if let Some(refusal) = self.writer.down() => {
                Some(self.unsent(id, &refusal))
            }
            (_, Some(ObservedState::Unknown(why))) => {
                Some(Outcome::Unknown(format!("not sent, for it could not be read again: {why}")))
            }
            (_, None) => Some(Outcome::Unknown("not sent, for it could not be read again".to_owned())),
            _ => Some(self.already(id, now).unwrap_or(Outcome::Stale)),
        }
    }

    /// Returns the outcome of a change whose call is not sent, or not once more, because nothing answers.
    pub(super) fn unsent(&self, id: &ResourceId, refusal: &Refusal) -> Outcome {
        if self.losses.contains_key(id) {
            lost_and_down(&refusal.message)
        } else {
            Outcome::Unsent(refusal.message.clone())
        }
    }
}

/// Returns the outcome of a change whose answer was lost, and which cannot be looked up, because nothing answers.
fn lost_and_down(why: &str) -> Outcome {
    Outcome::Unknown(format!("its answer was lost, and it could not be looked up: {why}"))
}

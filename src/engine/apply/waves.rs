//! Waves of roll-outs: parts are synced only where they differ at that moment, and a wave is over when the platform's
//! tasks are.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::{ReadBack, Run, TRIES, Unsent, WINDOW, sending::Sending};
use crate::{
    engine::notice::Notice,
    model::{Action, Call, Change, Live, ObservedState, Outcome, Refusal, ResourceId},
    plan::{Plan, TargetState},
    provider::{Rollout, RolloutPace, SyncProgress},
};

/// The first wait before tasks are looked at again, and by how much it grows.
const POLL: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_POLL: Duration = Duration::from_secs(5);

/// Names parts that the platform is at work on.
fn working_on(first: &ResourceId, count: usize) -> String {
    if count == 1 { first.to_string() } else { format!("{first} and {} more", count - 1) }
}

/// Returns the outcomes of those changes of a plan that are left to people. Nothing has to be sent to know them.
pub fn left_to_people(plan: &Plan, states: &[TargetState<'_>]) -> Vec<(ResourceId, Outcome)> {
    let syncs = plan.changes.iter().filter(|change| change.action == Action::Sync);
    let outcome = |change: &Change| {
        let state = states.iter().find(|state| state.target == change.target)?;
        Some((change.id.clone(), manual(state, &change.id)?))
    };
    syncs.filter_map(outcome).collect()
}

/// Returns the outcome of a part of a roll-out that no call can sync.
fn manual(state: &TargetState<'_>, id: &ResourceId) -> Option<Outcome> {
    let ObservedState::Found(live) = state.facts.observed(id)? else { return None };
    state.kind(id)?.rollout()?.unavailable(live).map(Outcome::Manual)
}

impl<'a> Run<'a> {
    /// Books the parts of roll-outs that no call serves.
    pub(super) fn leave_to_people(&mut self, level: &[ResourceId]) {
        let open: Vec<_> = level.iter().filter(|id| self.is_sync(id) && !self.outcomes.contains_key(*id)).collect();
        for id in open {
            if let Some(outcome) = manual(self.state, id) {
                self.finish(id, outcome, Duration::ZERO);
            }
        }
    }

    /// Returns true if a call syncs the parts of a wave.
    pub(super) fn is_wave(&self, call: &Call) -> bool {
        call.serves.first().is_some_and(|id| self.is_sync(id))
    }

    pub(super) fn is_sync(&self, id: &ResourceId) -> bool {
        self.changes.get(id).is_some_and(|change| change.action == Action::Sync)
    }

    pub(super) fn rollout(&self, id: &ResourceId) -> Option<&'static dyn Rollout> {
        self.kind(id).filter(|_| self.is_sync(id))?.rollout()
    }

    /// Returns the objects that a call still serves: parts that need no sync any more are left out.
    pub(super) fn served(&self, call: &'a Call) -> Vec<&'a ResourceId> {
        call.serves.iter().filter(|id| !self.is_sync(id) || !self.outcomes.contains_key(*id)).collect()
    }

    /// Carries out the waves of one level, one of each roll-out.
    pub(super) async fn waves(&mut self, calls: &[&'a Call]) {
        let mut waves: Vec<Sending<'a>> = Vec::new();
        for call in calls {
            if let Some(needed) = self.unmet_of_wave(call) {
                let open = self.served(call);
                open.into_iter().for_each(|id| self.finish(id, Outcome::Skipped(needed.clone()), Duration::ZERO));
            }
            waves.extend(self.prepared(call));
        }
        self.pause(&waves).await;
        let mut ready = self.still_out_of_sync(waves).await;
        while !ready.is_empty() {
            let Unsent { lost, late, parts } = self.send(ready, Instant::now() + WINDOW).await;
            ready = self.still_out_of_sync(lost.into_iter().chain(late).chain(parts).collect()).await;
        }
        self.options.log.sync();
    }

    /// Returns what a wave needs and did not get: its first part names the whole wave before it.
    fn unmet_of_wave(&self, call: &Call) -> Option<ResourceId> {
        let mut needs = call.serves.iter().filter_map(|id| self.changes.get(id)).flat_map(|change| &change.after);
        needs.find(|needed| !self.outcomes.get(*needed).is_some_and(Outcome::converged)).cloned()
    }

    /// Waits between two waves, unless the one before changed nothing.
    async fn pause(&self, waves: &[Sending<'a>]) {
        let pauses = waves.iter().filter_map(|sending| {
            let mut changes = sending.call.serves.iter().filter_map(|id| self.changes.get(id));
            let first = changes.clone().next()?;
            let wave = first.wave.filter(|wave| wave.number > 1)?;
            let is_applied = |id: &ResourceId| self.outcomes.get(id) == Some(&Outcome::Applied);
            changes.any(|change| change.after.iter().any(is_applied)).then_some(())?;
            let reason = format!("pause before wave {} of {} of {}", wave.number, wave.of, first.id.document());
            Some((self.pace(&first.id)?.pause, reason))
        });
        let Some((pause, reason)) = pauses.max().filter(|(pause, _)| !pause.is_zero()) else { return };
        Notice::default().wait(&self.state.target, Instant::now() + pause, &reason);
        tokio::select! {
            biased;
            () = self.options.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn pace(&self, id: &ResourceId) -> Option<RolloutPace> {
        Some(self.rollout(id)?.pace(self.desired.get(id)?))
    }

    /// Reads the parts of waves right before their calls, and waits for tasks that others started. Returns the calls for
    /// those parts that still differ.
    async fn still_out_of_sync(&mut self, waves: Vec<Sending<'a>>) -> Vec<Sending<'a>> {
        let served: Vec<&'a ResourceId> = waves.iter().flat_map(|sending| sending.serves.iter().copied()).collect();
        if self.options.stop.is_cancelled() {
            for id in served {
                let outcome = if self.losses.contains_key(id) {
                    Outcome::Unknown("its answer was lost, and the run was interrupted".to_owned())
                } else {
                    Outcome::Interrupted
                };
                self.finish(id, outcome, Duration::ZERO);
            }
            return Vec::new();
        }
        let parts: Vec<ReadBack<'a>> = served.into_iter().map(|id| self.before(id)).collect();
        let mut observed = self.read_back(&parts).await;
        self.wait_for_tasks(&parts, &mut observed).await;
        let mut ready = Vec::new();
        for sending in waves {
            let mut differing = Vec::new();
            for id in sending.serves.iter().copied() {
                match self.before_sync(id, observed.get(id)) {
                    None => differing.push(id),
                    Some(outcome) => self.finish(id, outcome, Duration::ZERO),
                }
            }
            if !differing.is_empty() {
                ready.extend(self.narrowed(&sending, &differing));
            }
        }
        ready
    }

    /// Returns the outcome of a part that is not synced; `None` if it is.
    fn before_sync(&self, id: &ResourceId, observed: Option<&ObservedState>) -> Option<Outcome> {
        let was_sent = self.losses.contains_key(id);
        let unread = |why: &str| Outcome::Unknown(format!("not sent, for it could not be read again: {why}"));
        match observed {
            Some(ObservedState::Found(live)) => {
                if self.is_in_sync(id, live) {
                    return Some(if was_sent { Outcome::Applied } else { Outcome::AlreadyTrue });
                }
                let rollout = self.rollout(id)?;
                if let Some(why) = rollout.unavailable(live) {
                    return Some(unread(&why));
                }
                match rollout.progress(live) {
                    SyncProgress::Working(status) if was_sent => Some(Outcome::Unknown(self.unfinished(&status))),
                    SyncProgress::Working(_) if self.options.stop.is_cancelled() => Some(Outcome::Interrupted),
                    SyncProgress::Working(status) => {
                        let message = format!("not sent: {}", self.unfinished(&status));
                        Some(Outcome::Refused(Refusal::new(None, message)))
                    }
                    SyncProgress::Idle | SyncProgress::Failed(_) => None,
                }
            }
            Some(ObservedState::Unknown(_)) if let Some(refusal) = self.writer.down() => {
                Some(self.unsent(id, &refusal))
            }
            Some(ObservedState::Unknown(why)) => Some(unread(why)),
            None => Some(unread("it was not read")),
            Some(_) => Some(Outcome::Stale),
        }
    }

    /// Says that a task is not over, and why it is not waited for.
    pub(super) fn unfinished(&self, status: &str) -> String {
        let why = if self.options.stop.is_cancelled() { "the run was interrupted" } else { "its timeout has passed" };
        format!("a task for it is still `{status}`, and {why}")
    }

    pub(super) fn is_in_sync(&self, id: &ResourceId, live: &Live) -> bool {
        let (Some(kind), Some(desired)) = (self.kind(id), self.desired.get(id)) else { return false };
        kind.compare(desired, Some(live), &self.state.facts).is_ok_and(|fields| fields.is_empty())
    }

    /// Returns how the platform's work on a part stands.
    pub(super) fn progress(&self, id: &ResourceId, observed: Option<&ObservedState>) -> SyncProgress {
        match (observed, self.rollout(id)) {
            (Some(ObservedState::Found(live)), Some(rollout)) => rollout.progress(live),
            _ => SyncProgress::Idle,
        }
    }

    /// Waits until the platform is done with parts, at most for the timeout of their roll-outs. While it is at work on
    /// one, the others are not compared.
    pub(super) async fn wait_for_tasks(
        &self,
        parts: &[ReadBack<'a>],
        observed: &mut HashMap<ResourceId, ObservedState>,
    ) {
        let timeout = parts.iter().filter_map(|part| self.pace(part.id)).map(|pace| pace.timeout).max();
        let (end, mut poll, notice) = (Instant::now() + timeout.unwrap_or_default(), POLL, Notice::default());
        loop {
            let is_working = |part: &&ReadBack<'a>| {
                matches!(self.progress(part.id, observed.get(part.id)), SyncProgress::Working(_))
            };
            let (working, idle): (Vec<&ReadBack<'a>>, Vec<_>) = parts.iter().partition(is_working);
            let Some(first) = working.first() else { return };
            let now = Instant::now();
            if now >= end || self.options.stop.is_cancelled() {
                let idle: Vec<ReadBack<'a>> = idle.into_iter().cloned().collect();
                observed.extend(self.read_back(&idle).await);
                return;
            }
            let reason = format!("the platform still syncs {}", working_on(first.id, working.len()));
            notice.wait_at_most(&self.state.target, end, &reason);
            tokio::select! {
                biased;
                () = self.options.stop.cancelled() => {}
                () = tokio::time::sleep(poll.min(end - now)) => {}
            }
            poll = (poll + POLL).min(LONGEST_POLL);
            observed.extend(self.read_back(parts).await);
        }
    }

    /// Returns true if a wave was refused because somebody's task for one of its parts is not over, and is to wait for
    /// that.
    pub(super) fn waits_for_task(&mut self, sending: &Sending<'a>, refusal: &Refusal) -> bool {
        let Some(first) = sending.serves.first().copied() else { return false };
        if !self.rollout(first).is_some_and(|rollout| rollout.is_busy(refusal)) {
            return false;
        }
        let times = self.busy.entry(first).or_default();
        *times += 1;
        *times < TRIES
    }
}

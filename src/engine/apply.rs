//! Carries out a plan: level by level, many calls at once, each object read back before it counts as done.

mod back;
mod decide;
mod recheck;
mod refused;
mod sending;
mod waves;

pub use waves::left_to_people;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    connection::{SendResult, Writer},
    planted::{self, Mistake},
    run_log::{IntendedCall, RunLog},
    verify::judge,
};
use crate::{
    model::{Action, Call, Change, Desired, Json, Live, ObservedState, Outcome, Refusal, ResourceId},
    plan::{Plan, TargetState, order},
    provider::{Kind, Planned},
};
use decide::{Decision, decide_deletion, decide_sync, decide_write};
use refused::{Refused, Waiting};
use sending::Sending;

/// How long what was read may be trusted: calls that leave later read their objects again right before.
pub const TRUST: Duration = Duration::from_mins(1);
/// Calls that are made before their objects are read back together; as many as one read can hold.
const BATCH: usize = 500;
/// The same where the objects are read again right before: what is sent last was read the longest ago.
const CHECKED_BATCH: usize = 100;
/// How long after its objects were read again a call may leave; longer where nothing left in that time.
const WINDOW: Duration = Duration::from_secs(5);
/// The longest that it grows to.
const LONGEST_WINDOW: Duration = Duration::from_hours(1);
/// The wait before a lost call is sent again; longer with each attempt.
const PAUSE: Duration = Duration::from_millis(400);
/// Most times that a call is sent whose answers get lost.
const TRIES: usize = 3;

/// An event of an apply.
#[derive(Debug)]
pub enum Event<'a> {
    /// A change is about to be sent.
    Started(&'a Change),
    /// A change is done with, after this time.
    Finished(&'a Change, &'a Outcome, Duration),
}

/// A callback for events; called from several tasks.
pub type Listener<'a> = dyn Fn(&Event<'_>) + Sync + 'a;

/// How a plan is carried out.
pub struct Options<'a> {
    /// Read each object back after its write.
    pub verify: bool,
    /// Until when what was planned on may be trusted. Calls that leave later read their objects again right before.
    pub fresh_until: Instant,
    /// Outcomes of changes that are not to be sent, known before.
    pub settled: Vec<(ResourceId, Outcome)>,
    /// The callback for events.
    pub listener: &'a Listener<'a>,
    /// Once cancelled, no further call is sent; those on their way are waited for.
    pub stop: CancellationToken,
    /// The record of calls before they leave, and of outcomes.
    pub log: &'a dyn RunLog,
}

/// Carries out a plan and returns the outcome of each of its changes, in the plan's order.
pub async fn apply(
    plan: &Plan,
    states: &[TargetState<'_>],
    writers: &[Writer],
    options: &Options<'_>,
) -> Vec<(ResourceId, Outcome)> {
    let runs = states.iter().filter_map(|state| {
        let writer = writers.iter().find(|writer| writer.reader().target().name == state.target)?;
        Some(Run::new(plan, state, writer, options).run(&options.settled))
    });
    let mut outcomes: HashMap<ResourceId, Outcome> = join_all(runs).await.into_iter().flatten().collect();
    let mut outcome = |id: &ResourceId| outcomes.remove(id).unwrap_or(Outcome::Interrupted);
    plan.changes.iter().map(|change| (change.id.clone(), outcome(&change.id))).collect()
}

/// The run on one target.
struct Run<'a> {
    plan: &'a Plan,
    state: &'a TargetState<'a>,
    writer: &'a Writer,
    options: &'a Options<'a>,
    changes: BTreeMap<&'a ResourceId, &'a Change>,
    /// In an order, since requests follow it.
    desired: BTreeMap<&'a ResourceId, &'a Desired>,
    calls: Vec<&'a Call>,
    handles: HashMap<String, Value>,
    outcomes: HashMap<ResourceId, Outcome>,
    started: HashSet<&'a ResourceId>,
    /// How often each call was sent, by its number in the plan.
    attempts: HashMap<usize, usize>,
    /// How often the answer about an object got lost.
    losses: HashMap<&'a ResourceId, usize>,
    /// The last refusals of what is to be sent again.
    refused: HashMap<&'a ResourceId, Refusal>,
    /// How often a wave was refused because of somebody's task, by its first part.
    busy: HashMap<&'a ResourceId, usize>,
    /// Calls refused for a unique value that another change of the run gives up.
    waiting: Vec<Waiting<'a>>,
}

/// A call that left, or was held back.
struct Transmission<'a> {
    sending: Sending<'a>,
    result: SendResult,
    took: Duration,
}

/// Calls by what their answers ask for next.
#[derive(Default)]
struct Classified<'a> {
    /// Accepted or lost: their objects are read back.
    attempts: Vec<Attempt<'a>>,
    /// Refused by the platform.
    refused: Vec<Refused<'a>>,
    /// Refused as a whole, perhaps for the sake of one object: their parts are sent.
    parts: Vec<Sending<'a>>,
    /// Not sent: they had to wait too long, and what was read for them may have changed.
    late: Vec<Sending<'a>>,
}

/// An object that is read back after its call.
#[derive(Clone)]
struct Attempt<'a> {
    object: ReadBack<'a>,
    /// The refusal that stands for a lost answer.
    lost: Option<Refusal>,
    took: Duration,
    /// The call, if it may be sent again.
    again: Option<Arc<Sending<'a>>>,
}

/// An object to read: by its handle, or by its key if it has none yet.
#[derive(Clone)]
struct ReadBack<'a> {
    id: &'a ResourceId,
    handle: Option<Value>,
}

/// Calls that are to be sent again.
struct Unsent<'a> {
    /// Their answers got lost, and they were not carried out.
    lost: Vec<Sending<'a>>,
    /// They had to wait too long: what was read for them may have changed.
    late: Vec<Sending<'a>>,
    /// They are parts of calls that were refused as a whole.
    parts: Vec<Sending<'a>>,
}

/// The answer to a call about one object.
enum Answer {
    /// Accepted, with the handle and, where the answer held it, the object.
    Accepted(Option<Value>, Option<Live>),
    /// No answer came, or one that leaves open whether it was done.
    Lost(Refusal),
    /// The platform refused it.
    Refused(Refusal),
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, state: &'a TargetState<'a>, writer: &'a Writer, options: &'a Options<'a>) -> Self {
        Self {
            plan,
            state,
            writer,
            options,
            attempts: HashMap::new(),
            changes: plan
                .changes
                .iter()
                .filter(|change| change.target == state.target)
                .map(|change| (&change.id, change))
                .collect(),
            desired: state.objects().map(|desired| (&desired.id, desired)).collect(),
            calls: plan.calls.iter().filter(|call| call.target == state.target).collect(),
            handles: HashMap::new(),
            outcomes: HashMap::new(),
            started: HashSet::new(),
            losses: HashMap::new(),
            refused: HashMap::new(),
            busy: HashMap::new(),
            waiting: Vec::new(),
        }
    }

    async fn run(mut self, settled: &[(ResourceId, Outcome)]) -> HashMap<ResourceId, Outcome> {
        for (id, outcome) in settled {
            if !self.changes.contains_key(id) {
                continue;
            }
            if let Some(live) = self.live(id) {
                self.handles.insert(id.to_string(), live.handle.to_value());
            }
            self.finish(id, outcome.clone(), Duration::ZERO);
        }
        let edges: BTreeMap<ResourceId, BTreeSet<ResourceId>> =
            self.changes.values().map(|change| (change.id.clone(), change.after.iter().cloned().collect())).collect();
        let mut serving: HashMap<&ResourceId, Vec<usize>> = HashMap::new();
        for (at, call) in self.calls.iter().enumerate() {
            call.serves.iter().for_each(|id| serving.entry(id).or_default().push(at));
        }
        self.options.log.sync();
        let mut levels = order::levels(&edges).unwrap_or_default();
        if planted::has(Mistake::NoOrder) {
            levels.reverse();
        }
        for level in levels {
            let open = level.iter().filter(|id| !self.outcomes.contains_key(*id));
            // In the order of the plan, each once.
            let open: BTreeSet<usize> = open.filter_map(|id| serving.get(id)).flatten().copied().collect();
            let calls = open.into_iter().map(|at| self.calls[at]);
            let (waves, calls): (Vec<&Call>, Vec<&Call>) = calls.partition(|call| self.is_wave(call));
            let mut rest = calls.as_slice();
            while !rest.is_empty() {
                let stale = Instant::now() >= self.options.fresh_until;
                let (batch, others) = rest.split_at(rest.len().min(if stale { CHECKED_BATCH } else { BATCH }));
                rest = others;
                self.batch(batch, stale).await;
            }
            self.retry_conflicts().await;
            self.batch(&waves, false).await;
            self.leave_to_people(&level);
        }
        self.give_up_conflicts();
        self.options.log.sync();
        self.outcomes
    }

    async fn batch(&mut self, calls: &[&'a Call], stale: bool) {
        if let Some(refusal) = self.writer.down() {
            let open: Vec<_> = calls.iter().flat_map(|call| self.served(call)).collect();
            for id in open {
                self.finish(id, Outcome::Unsent(refusal.message.clone()), Duration::ZERO);
            }
            return;
        }
        if calls.first().is_some_and(|call| self.is_wave(call)) {
            return self.waves(calls).await;
        }
        let mut ready: Vec<Sending<'a>> = Vec::new();
        for call in calls {
            ready.extend(self.prepared(call));
        }
        let (mut until, mut window, mut pause) = (self.options.fresh_until, WINDOW, PAUSE);
        if stale {
            ready = self.still_as_planned(ready).await;
            until = Instant::now() + window;
        }
        while !ready.is_empty() {
            let count = ready.len();
            let Unsent { lost, late, parts } = self.send(ready, until).await;
            if !lost.is_empty() {
                // A server that just stumbled gets a moment, in which somebody else may write.
                tokio::select! {
                    biased;
                    () = self.options.stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                pause += PAUSE;
            }
            if late.len() == count {
                // Where turns are that far between, more cannot be had.
                window = (window * 2).min(LONGEST_WINDOW);
            }
            ready = self.still_lost(lost).await;
            ready.extend(self.still_as_planned(late).await);
            ready.extend(parts);
            until = Instant::now() + window;
        }
        self.options.log.sync();
    }

    /// Sends calls and returns each with its result.
    async fn transmit(&mut self, calls: Vec<Sending<'a>>, until: Instant) -> Vec<Transmission<'a>> {
        if !self.intend(&calls) {
            let unsent = |sending| Transmission { sending, result: SendResult::Stopped, took: Duration::ZERO };
            return calls.into_iter().map(unsent).collect();
        }
        let (writer, stop, listener) = (self.writer, &self.options.stop, self.options.listener);
        let (changes, started) = (&self.changes, &mut self.started);
        let calls = calls.into_iter().map(|sending| {
            let new: Vec<_> = sending.serves.iter().copied().filter(|id| started.insert(*id)).collect();
            (sending, new)
        });
        let calls: Vec<_> = calls.collect();
        stream::iter(calls)
            .map(|(sending, new)| async move {
                new.into_iter().filter_map(|id| changes.get(id)).for_each(|change| listener(&Event::Started(change)));
                let start = Instant::now();
                let mut result = writer.write(&sending.request, stop, until).await;
                if planted::has(Mistake::SentTwice) {
                    result = writer.write(&sending.request, stop, until).await;
                }
                Transmission { sending, result, took: start.elapsed() }
            })
            .buffer_unordered(BATCH)
            .collect()
            .await
    }

    /// Records calls that are about to leave. Returns false if they must not: then the run ends here.
    fn intend(&mut self, calls: &[Sending<'a>]) -> bool {
        if self.options.stop.is_cancelled() {
            return false;
        }
        let mut intended = Vec::with_capacity(calls.len());
        for Sending { call, request, serves } in calls {
            // The calls of a plan lie one behind the other.
            let number = self.plan.calls.partition_point(|other| std::ptr::from_ref(other) < std::ptr::from_ref(*call));
            let attempt = self.attempts.entry(number).or_default();
            *attempt += 1;
            intended.push(IntendedCall {
                number,
                attempt: *attempt,
                target: &self.state.target,
                request,
                changes: serves.iter().filter_map(|id| self.changes.get(id).copied()).collect(),
            });
        }
        if planted::has(Mistake::EarlyOutcome) {
            let changes = intended.iter().flat_map(|call| &call.changes);
            changes.for_each(|change| self.options.log.finish(change, &Outcome::Applied, None, Duration::ZERO));
        }
        if planted::has(Mistake::NoIntent) {
            return true;
        }
        self.options.log.intend(&intended).inspect_err(|why| tracing::debug!("no call is sent: {why}")).is_ok()
    }

    /// Sends calls and reads their objects back. Returns those calls that are to be sent again.
    async fn send(&mut self, calls: Vec<Sending<'a>>, until: Instant) -> Unsent<'a> {
        let sent = self.transmit(calls, until).await;
        let Classified { attempts, refused, parts, late } = self.classify(sent);
        self.resolve_refused(refused).await;
        let observed = self.read_back_patiently(&attempts).await;
        let again = attempts.into_iter().filter_map(|attempt| self.decide(attempt, &observed)).collect();
        Unsent { lost: self.gathered(again), late, parts }
    }

    /// Sorts calls by their answers. Objects of which nothing is left to read are done with.
    fn classify(&mut self, sent: Vec<Transmission<'a>>) -> Classified<'a> {
        let mut classified = Classified::default();
        for Transmission { sending, result, took } in sent {
            let answer = match result {
                SendResult::Answered(answer) => Some(answer),
                SendResult::Down(refusal) => {
                    for id in sending.serves {
                        let outcome = self.unsent(id, &refusal);
                        let is_mistaken = planted::has(Mistake::UnsentIsApplied);
                        let outcome = if is_mistaken { Outcome::Applied } else { outcome };
                        self.finish(id, outcome, took);
                    }
                    continue;
                }
                // A refusal says more than that it was not sent once more.
                SendResult::Stopped => sending.serves.iter().find_map(|id| self.refused.remove(*id)).map(Err),
                SendResult::Late(_) if planted::has(Mistake::LateIsApplied) => {
                    sending.serves.iter().for_each(|id| self.finish(id, Outcome::Applied, took));
                    continue;
                }
                SendResult::Late(refusal) => {
                    self.refused.extend(sending.serves.iter().filter_map(|id| Some((*id, refusal.clone()?))));
                    classified.late.push(sending);
                    continue;
                }
            };
            if let Some(Err(refusal)) = &answer
                && self.waits_for_task(&sending, refusal)
            {
                classified.late.push(sending);
                continue;
            }
            if let Some(Err(refusal)) = &answer
                && let Some(parts) = self.parts(&sending, refusal)
            {
                classified.parts.extend(parts);
                continue;
            }
            let sending = Arc::new(sending);
            for id in &sending.serves {
                let Some(answer) = &answer else {
                    self.finish(id, Outcome::Interrupted, took);
                    continue;
                };
                match self.answer(id, answer) {
                    Answer::Refused(_) if planted::has(Mistake::RefusedIsApplied) => {
                        self.finish(id, Outcome::Applied, took);
                    }
                    Answer::Refused(refusal) => {
                        classified.refused.push(Refused { id, sending: sending.clone(), refusal, took });
                    }
                    Answer::Accepted(handle, live) => {
                        classified.attempts.extend(self.accepted(id, handle, live, took));
                    }
                    Answer::Lost(refusal) => {
                        classified.attempts.push(self.lost(id, &sending, refusal, took));
                    }
                }
            }
        }
        classified
    }

    /// Returns what an answer says about an object.
    fn answer(&self, id: &ResourceId, answer: &Result<Json, Refusal>) -> Answer {
        match answer {
            Err(refusal) if refusal.lost && !planted::has(Mistake::LostIsRefused) => Answer::Lost(refusal.clone()),
            Err(refusal) => Answer::Refused(refusal.clone()),
            Ok(value) => {
                let known = self.kind(id).zip(self.planned(id));
                let handle = known.and_then(|(kind, planned)| kind.handle(&planned, value));
                Answer::Accepted(handle, known.and_then(|(kind, planned)| kind.answered(planned.desired, value)))
            }
        }
    }

    /// Notes that a call was accepted; returns its object if it has to be read back.
    fn accepted(
        &mut self,
        id: &'a ResourceId,
        handle: Option<Value>,
        live: Option<Live>,
        took: Duration,
    ) -> Option<Attempt<'a>> {
        if let Some(handle) = &handle {
            let other = self.handles.values().next().filter(|_| planted::has(Mistake::MixedIds)).cloned();
            self.handles.insert(id.to_string(), other.unwrap_or_else(|| handle.clone()));
        }
        // An object that came with the answer costs nothing to look at.
        if let Some(live) = live {
            let outcome = self.judged(id, &live);
            self.finish(id, outcome, took);
        } else if !self.options.verify && !self.is_sync(id) || planted::has(Mistake::AcceptedIsApplied) {
            self.finish(id, Outcome::Applied, took);
        } else {
            return Some(Attempt { object: ReadBack { id, handle }, lost: None, took, again: None });
        }
        None
    }

    /// Notes that the answer to a call got lost; returns its object to be read back.
    fn lost(
        &mut self,
        id: &'a ResourceId,
        sending: &Arc<Sending<'a>>,
        refusal: Refusal,
        took: Duration,
    ) -> Attempt<'a> {
        let losses = self.losses.entry(id).or_default();
        *losses += 1;
        let again = (sending.request.repeatable && *losses < TRIES).then(|| sending.clone());
        Attempt { object: self.before(id), lost: Some(refusal), took, again }
    }

    /// Books an object that was read back; returns its call if that is to be sent again.
    fn decide(
        &mut self,
        attempt: Attempt<'a>,
        observed: &HashMap<ResourceId, ObservedState>,
    ) -> Option<(Arc<Sending<'a>>, &'a ResourceId)> {
        let Attempt { object: ReadBack { id, .. }, lost, took, again } = attempt;
        let observed = observed.get(id);
        let is_unread = matches!(observed, None | Some(ObservedState::Unknown(_)));
        let is_mistaken = lost.is_some() && planted::has(Mistake::LostIsApplied)
            || is_unread && planted::has(Mistake::UnreadIsApplied);
        if is_mistaken {
            self.finish(id, Outcome::Applied, took);
            return None;
        }
        let decision = if self.changes.get(id).is_some_and(|change| change.action == Action::Delete) {
            decide_deletion(observed, lost.as_ref(), again.is_some())
        } else if self.is_sync(id) {
            let is_in_sync = matches!(observed, Some(ObservedState::Found(live)) if self.is_in_sync(id, live));
            let unfinished = |status: &str| self.unfinished(status);
            let progress = self.progress(id, observed);
            decide_sync(observed, is_in_sync, &progress, lost.as_ref(), again.is_some(), unfinished)
        } else {
            if let (Some(ObservedState::Found(live)), Some(_)) = (observed, &lost) {
                self.handles.insert(id.to_string(), live.handle.to_value());
            }
            decide_write(observed, lost.as_ref(), again.is_some(), |live| self.judged(id, live))
        };
        let outcome = match decision {
            Decision::Finish(outcome) => outcome,
            Decision::SendAgain => match self.moved_since_lost(id, observed) {
                Some(outcome) => outcome,
                None => return again.map(|sending| (sending, id)),
            },
        };
        self.finish(id, outcome, took);
        None
    }

    /// Returns an object to read by the handle that it had before the run.
    fn before(&self, id: &'a ResourceId) -> ReadBack<'a> {
        ReadBack { id, handle: self.live(id).map(|live| live.handle.to_value()) }
    }

    fn kind(&self, id: &ResourceId) -> Option<&'static dyn Kind> {
        self.state.kind(id)
    }

    fn live(&self, id: &ResourceId) -> Option<&'a Live> {
        match self.state.facts.observed(id) {
            Some(ObservedState::Found(live)) => Some(live),
            _ => None,
        }
    }

    fn planned(&self, id: &ResourceId) -> Option<Planned<'a>> {
        Some(self.state.planned(self.desired.get(id)?, self.changes.get(id)?))
    }

    fn judged(&self, id: &ResourceId, live: &Live) -> Outcome {
        match (self.kind(id), self.planned(id)) {
            (Some(kind), Some(planned)) => {
                match judge(kind, planned.desired, planned.change, live, &self.state.facts) {
                    Outcome::Dropped(_) if planted::has(Mistake::DroppedIsApplied) => Outcome::Applied,
                    outcome => outcome,
                }
            }
            _ => Outcome::Unknown("it is not part of the plan".to_owned()),
        }
    }

    fn finish(&mut self, id: &ResourceId, outcome: Outcome, took: Duration) {
        let outcome = match outcome {
            // An attempt without an answer may have been under way all the time, and come about behind the refusal.
            Outcome::Refused(refusal) if self.losses.contains_key(id) => {
                Outcome::Unknown(format!("{refusal}; an earlier attempt got no answer, and may still be carried out"))
            }
            outcome => outcome,
        };
        if let (Outcome::Dropped(fields), Some(kind)) = (&outcome, self.kind(id)) {
            for (field, why) in fields.iter().filter_map(|field| Some((field, kind.suppressed(field)?))) {
                tracing::warn!("{id}: {why}: it is not sent again before something else changes");
                self.writer.suppress(field.fingerprint(id));
            }
        }
        if let Some(change) = self.changes.get(id) {
            let handle = self.handles.get(&id.to_string()).filter(|_| change.action == Action::Create);
            self.options.log.finish(change, &outcome, handle, took);
            (self.options.listener)(&Event::Finished(change, &outcome, took));
        }
        self.outcomes.insert(id.clone(), outcome);
    }
}

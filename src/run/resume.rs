//! Takes up a run that was broken off: settles by reading what may have been done, then finishes the rest.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{
    Finished, RunError, Say, Surroundings, clean, close, guarded, lock,
    log::Recorded,
    mark,
    progress::{ChangeProgress, Progress},
    unfinished::UnfinishedRun,
};
use crate::{
    engine::{
        apply,
        connection::{Reader, Writer},
        observe::recall_for,
        planted::{self, Mistake},
    },
    journal::{
        self, Record, RunOrigin, RunRecord, Store,
        record::{self, ActionCounts, Ended, OutcomeRecord, Resumed, Settled, SettledVerdict},
    },
    model::{Action, Change, ObservedState, Outcome, Refusal, ResourceId},
    plan::{
        Plan, TargetState,
        file::Saved,
        precondition::{SavedChangeState, is_true},
    },
};

/// How a run is taken up.
pub struct Options<'a> {
    /// Settle what may have been done, and send nothing.
    pub abandon: bool,
    /// Read each object back after its write.
    pub verify: bool,
    /// How long a request may be under way.
    pub timeout: Duration,
    /// The callback for events of changes.
    pub listener: &'a apply::Listener<'a>,
    /// Once cancelled, no further call is sent.
    pub stop: CancellationToken,
}

/// A change that was settled by reading.
#[derive(Debug, Clone)]
pub struct SettledChange {
    /// The object; an address as the journal has it.
    pub address: String,
    /// What reading showed.
    pub verdict: SettledVerdict,
    /// More about it.
    pub detail: Option<String>,
}

/// The end of a run that was taken up.
#[derive(Debug)]
pub struct ResumedRun {
    /// Its outcomes; those of an abandoned run tell what was done before.
    pub finished: Finished,
    /// What was settled by reading.
    pub settled: Vec<SettledChange>,
}

/// Takes up an unfinished run with its plan; `None` if another process has settled it meanwhile. A plan that cannot be
/// read is `Err` with the reason: such a run can only be abandoned.
pub async fn resume(
    surroundings: &Surroundings,
    run: &UnfinishedRun,
    saved: Result<&Saved, &str>,
    (readers, writers): (&[Reader], &[Writer]),
    options: &Options<'_>,
    say: &Say<'_>,
) -> Result<Option<ResumedRun>, RunError> {
    let Some(store) = surroundings.store() else { return Err(RunError::NoStore) };
    let not_resumable = |reason: String| RunError::NotResumable { run: run.id.clone(), reason };
    let claim = lock(surroundings, run.targets.clone().unwrap_or_default(), say).await?;
    if let Some(problem) = claim.problem {
        return Err(problem);
    }
    let place = store.place(&run.id);
    let journal = store.journal(&run.id).map_err(RunError::store(&place))?;
    if !journal.is_unfinished() {
        return Ok(None);
    }
    let saved = match saved {
        Err(reason) if !options.abandon => return Err(not_resumable(reason.to_owned())),
        saved => saved,
    };
    let progress = Progress::of(&journal);
    wait(surroundings, &progress, run, options, say).await;
    if options.stop.is_cancelled() {
        return Err(not_resumable("interrupted before anything was read".to_owned()));
    }
    let (states, decided) = match saved {
        Ok(saved) => {
            let recalled = recall_for(&saved.plan, &saved.objects, readers).await;
            // Who abandons a run needs no calls.
            if let Some(problem) = recalled.mismatch.filter(|_| !options.abandon) {
                return Err(not_resumable(problem));
            }
            let decided = decide(&saved.plan, (&recalled.states, recalled.change_states), &progress, options.abandon);
            (recalled.states, decided)
        }
        Err(reason) => (Vec::new(), unread(&progress, reason)),
    };
    let redaction = surroundings.redaction(store, writers).await?;
    let writer = journal::Writer::reopen(store, &run.id, &journal, surroundings.clock.clone());
    let writer = writer.map_err(RunError::store(&place))?;
    let stop = options.stop.child_token();
    let known = decided.known.clone();
    let log = Recorded::new(writer, redaction, place.clone(), stop.clone(), &claim.guard)
        .continuing(known, progress.attempts.clone());
    let first = journal.run().is_none().then(|| lost_run_record(run));
    let records = first.into_iter().chain(records(surroundings, &run.id, &decided, options.abandon, &log)).collect();
    let failed = |reason: String| RunError::Store { place: place.clone(), reason };
    log.note(records).map_err(failed)?;
    let settled = decided.settled;
    if let (Ok(saved), false) = (saved, options.abandon) {
        let engine = apply::Options {
            verify: options.verify,
            // Each object is read again right before its call.
            fresh_until: tokio::time::Instant::now(),
            settled: decided.outcomes,
            listener: options.listener,
            stop,
            log: &log,
        };
        let outcomes = guarded(&run.id, apply::apply(&saved.plan, &states, writers, &engine)).await?;
        let problem = close(store, &run.id, log, outcomes.iter().map(|(_, outcome)| outcome));
        clean(surroundings, store);
        return Ok(Some(ResumedRun { finished: Finished { run: Some(run.id.clone()), outcomes, problem }, settled }));
    }
    let mut counts = std::collections::BTreeMap::new();
    decided.outcomes.iter().for_each(|(_, outcome)| *counts.entry(outcome.name().to_owned()).or_default() += 1);
    let (problem, has_ended) = log.end(Record::Ended(Ended { verdict: journal::Verdict::Abandoned, outcomes: counts }));
    if has_ended {
        mark(store, &run.id);
    }
    let finished = Finished { run: Some(run.id.clone()), outcomes: decided.outcomes, problem };
    Ok(Some(ResumedRun { finished, settled }))
}

/// Waits until no call of the run can be under way any more.
async fn wait(
    surroundings: &Surroundings,
    progress: &Progress,
    run: &UnfinishedRun,
    options: &Options<'_>,
    say: &Say<'_>,
) {
    let now = (surroundings.clock)();
    let wait = progress.wait(now, options.timeout);
    if wait.is_zero() {
        return;
    }
    let seconds = wait.as_secs_f64();
    let end = jiff::SignedDuration::try_from(wait).map_or(now, |wait| now.saturating_add(wait).unwrap_or(now));
    say(&format!(
        "a call of run {} may still be under way: waiting {seconds:.0} s, until {end:.0}, before reading what became of it",
        run.id
    ));
    tokio::select! {
        () = options.stop.cancelled() => {}
        () = tokio::time::sleep(wait) => {}
    }
}

/// What is known of the changes of a run before anything is sent.
#[derive(Default)]
struct Decided {
    /// Changes that are not sent, with their outcomes.
    outcomes: Vec<(ResourceId, Outcome)>,
    /// Those of them whose outcome is in the journal.
    known: HashSet<ResourceId>,
    /// Changes that were settled by reading.
    settled: Vec<SettledChange>,
    /// The ids of created objects that were found.
    handles: HashMap<String, serde_json::Value>,
}

/// Decides what to do about each change of a plan.
fn decide(
    plan: &Plan,
    (states, change_states): (&[TargetState<'_>], Vec<(ResourceId, SavedChangeState)>),
    progress: &Progress,
    abandon: bool,
) -> Decided {
    let mut decided = Decided::default();
    for (change, (id, state)) in plan.changes.iter().zip(&change_states) {
        let address = id.to_string();
        match progress.of_change(&address) {
            ChangeProgress::Done(outcome) => {
                decided.outcomes.push((id.clone(), outcome_of(outcome, plan)));
                decided.known.insert(id.clone());
            }
            ChangeProgress::Open if planted::has(Mistake::IntentIsApplied) => {
                decided.outcomes.push((id.clone(), Outcome::Applied));
            }
            ChangeProgress::Untouched if planted::has(Mistake::UntouchedIsApplied) => {
                decided.outcomes.push((id.clone(), Outcome::Applied));
            }
            ChangeProgress::Open => {
                // What put it out of sync came before it: what is in sync now was synced.
                let is_synced = change.action == Action::Sync && is_in_sync(change, states);
                let state = if is_synced { &SavedChangeState::AlreadyTrue } else { state };
                let (verdict, detail, outcome) = settle(state);
                if verdict == SettledVerdict::Made
                    && let Some(handle) = created(change, states)
                {
                    decided.handles.insert(address.clone(), handle);
                }
                decided.settled.push(SettledChange { address, verdict, detail });
                if let Some(outcome) = outcome.or_else(|| abandon.then_some(Outcome::Interrupted)) {
                    decided.outcomes.push((id.clone(), outcome));
                    decided.known.insert(id.clone());
                }
            }
            ChangeProgress::Untouched if abandon => decided.outcomes.push((id.clone(), Outcome::Interrupted)),
            ChangeProgress::Untouched => decided.outcomes.extend(state.outcome().map(|outcome| (id.clone(), outcome))),
        }
    }
    decided
}

/// Returns what is settled of a run whose plan cannot be read: nothing is known of what is open.
fn unread(progress: &Progress, reason: &str) -> Decided {
    let open = progress.changes.iter().filter(|(_, change)| **change == ChangeProgress::Open);
    let settled = open.map(|(address, _)| SettledChange {
        address: address.clone(),
        verdict: SettledVerdict::Unknown,
        detail: Some(reason.to_owned()),
    });
    Decided { settled: settled.collect(), ..Decided::default() }
}

/// Returns what reading an object tells about its change, and the outcome unless it was not made.
fn settle(state: &SavedChangeState) -> (SettledVerdict, Option<String>, Option<Outcome>) {
    match state {
        SavedChangeState::Fresh => (SettledVerdict::NotMade, None, None),
        SavedChangeState::AlreadyTrue => (SettledVerdict::Made, None, Some(Outcome::Applied)),
        SavedChangeState::Stale => (SettledVerdict::Overtaken, None, Some(Outcome::Stale)),
        SavedChangeState::Unknown(why) => {
            (SettledVerdict::Unknown, Some(why.clone()), Some(Outcome::Unknown(why.clone())))
        }
    }
}

/// Returns true if a part of a roll-out is in sync.
fn is_in_sync(change: &Change, states: &[TargetState<'_>]) -> bool {
    let state = states.iter().find(|state| state.target == change.target);
    let known = state.and_then(|state| {
        let desired = state.objects().find(|desired| desired.id == change.id)?;
        Some(is_true(state.kind(&change.id)?, desired, change, state.facts.observed(&change.id)?, state))
    });
    known.unwrap_or(false)
}

/// Returns the ids of an object that a change created.
fn created(change: &Change, states: &[TargetState<'_>]) -> Option<serde_json::Value> {
    let state = states.iter().find(|state| state.target == change.target)?;
    match state.facts.observed(&change.id).filter(|_| change.action == Action::Create)? {
        ObservedState::Found(live) => Some(live.handle.to_value()),
        _ => None,
    }
}

/// Returns a recorded outcome. The values of its fields are in the journal.
fn outcome_of(record: &OutcomeRecord, plan: &Plan) -> Outcome {
    let detail = || record.detail.clone().unwrap_or_default();
    match record.outcome.as_str() {
        "applied" => Outcome::Applied,
        "already_true" => Outcome::AlreadyTrue,
        "stale" => Outcome::Stale,
        "normalised" => Outcome::Normalised(Vec::new()),
        "dropped" => Outcome::Dropped(Vec::new()),
        "overtaken" => Outcome::Overtaken(Vec::new()),
        "not_applied" => Outcome::NotApplied(detail()),
        "skipped" => {
            let needed = plan.changes.iter().map(|change| &change.id).find(|id| id.to_string() == detail());
            needed.cloned().map_or_else(|| Outcome::NotApplied(detail()), Outcome::Skipped)
        }
        "manual" => Outcome::Manual(detail()),
        "refused" => Outcome::Refused(Refusal::new(None, detail())),
        _ => Outcome::Unknown(detail()),
    }
}

/// Returns the records of taking up a run.
fn records(
    surroundings: &Surroundings,
    run: &str,
    decided: &Decided,
    abandon: bool,
    log: &Recorded<'_>,
) -> Vec<Record> {
    let origin = surroundings.origin.clone();
    let resumed = Record::Resumed(Resumed { origin, pid: std::process::id(), abandon });
    let settled = decided.settled.iter().map(|settled| {
        Record::Settled(Settled {
            address: settled.address.clone(),
            verdict: settled.verdict,
            detail: settled.detail.as_ref().map(|detail| log.redaction().text(detail)),
            handle: decided.handles.get(&settled.address).cloned(),
            by: run.to_owned(),
        })
    });
    std::iter::once(resumed).chain(settled).collect()
}

/// Returns a first record for a journal whose own cannot be trusted.
fn lost_run_record(run: &UnfinishedRun) -> Record {
    let unknown = || "unknown".to_owned();
    Record::Run(Box::new(RunRecord {
        format_version: record::FORMAT_VERSION.to_owned(),
        run: run.id.clone(),
        origin: RunOrigin { command: unknown(), version: unknown(), user: None, host: None, commit: None },
        pid: 0,
        targets: run.targets.clone().unwrap_or_default(),
        manifests: None,
        plan: None,
        acknowledgement: None,
        acknowledged: false,
        limits: Vec::new(),
        held: Vec::new(),
        override_reason: None,
        file: None,
        counts: ActionCounts::default(),
    }))
}

/// Reads the plan of an unfinished run.
pub fn plan_text(store: &dyn Store, run: &str) -> Result<String, String> {
    let bytes = store.plan(run).map_err(|error| format!("its plan cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "its plan is not UTF-8".to_owned())
}

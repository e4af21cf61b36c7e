//! One run of a plan, from the locks on its targets to the last record of its journal.
//!
//! The order is what makes a run safe: locks, the search for unfinished runs, the plan and the first record on the disk,
//! then each call behind its intent, outcomes, the end. `apply`, `watch`, `resume` and rehearsals go through here; time,
//! disk and network are given, so that all of it can be simulated.

mod log;
pub mod progress;
pub mod resume;
pub mod unfinished;

use std::{collections::BTreeSet, io, panic::AssertUnwindSafe, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{FutureExt, future};

use crate::{
    engine::{apply, connection::Writer},
    journal::{
        self, Clock, Record, Retention, RunOrigin, RunRecord, Store, TargetRecord, Verdict,
        lease::{Guard, Holder, Leases, LockError},
        record::{self, ActionCounts, Ended},
        secret::Redaction,
    },
    model::{Action, Outcome, ResourceId},
    plan::{
        Plan, TargetState,
        file::Document,
        guard::{self, Excess},
        hold::HeldChanges,
    },
};

use log::Recorded;
use unfinished::{UnfinishedRun, unfinished_on};

/// A callback for sentences about what a run waits for or takes over.
pub type Say<'a> = dyn Fn(&str) + Sync + 'a;

/// Where runs are recorded.
#[derive(Debug, Clone)]
pub enum Recording {
    /// In these runs.
    In(Arc<dyn Store>),
    /// Nowhere, on purpose: what they write to ends with the process.
    Off,
    /// Nowhere, because there is no place for it: then nothing may be written.
    Impossible,
}

/// The surroundings of runs: where they are recorded and locked, and by which clock.
#[derive(Clone)]
pub struct Surroundings {
    /// Where runs are recorded.
    pub recording: Recording,
    /// The directory whose locks keep other runs from the same targets; `None` if no other process can reach them.
    pub locks: Option<PathBuf>,
    /// How long to wait for the locks of other runs.
    pub lock_timeout: Duration,
    /// The clock of records.
    pub clock: Arc<Clock>,
    /// How many finished runs are kept.
    pub retention: Retention,
    /// Who runs what.
    pub origin: RunOrigin,
    /// Secrets that must not reach a record.
    pub secrets: Vec<String>,
}

impl Surroundings {
    /// Returns the surroundings of runs that nobody records, such as those of a sandbox that ends with its process.
    pub fn unrecorded(origin: RunOrigin) -> Self {
        Self {
            recording: Recording::Off,
            locks: None,
            lock_timeout: Duration::ZERO,
            clock: Arc::new(crate::clock::now),
            retention: Retention::default(),
            origin,
            secrets: Vec::new(),
        }
    }

    /// Returns the runs of the state directory; `None` if nothing is recorded.
    pub fn store(&self) -> Option<&dyn Store> {
        match &self.recording {
            Recording::In(store) => Some(&**store),
            Recording::Off | Recording::Impossible => None,
        }
    }

    /// Returns the runs of the state directory, to be kept by others; `None` if nothing is recorded.
    pub fn recorded(&self) -> Option<Arc<dyn Store>> {
        match &self.recording {
            Recording::In(store) => Some(store.clone()),
            Recording::Off | Recording::Impossible => None,
        }
    }

    /// Returns the redaction of a run's records. By now the objects were read, so that the secrets that programs and
    /// logins gave are known, too.
    async fn redaction(&self, store: &dyn Store, writers: &[Writer]) -> Result<Redaction, RunError> {
        let key = store.key().map_err(RunError::store("the key of the state directory"))?;
        let in_use = future::join_all(writers.iter().map(Writer::secrets)).await;
        let secrets: BTreeSet<String> = self.secrets.iter().cloned().chain(in_use.into_iter().flatten()).collect();
        Ok(Redaction::new(key, secrets.into_iter().collect()))
    }
}

/// Why a run did not begin, or has no orderly end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another run holds a target, or its lock cannot be used.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// Runs on the same targets were broken off.
    #[error("{}", unfinished::message(.0))]
    Unfinished(Vec<UnfinishedRun>),
    /// The run cannot be recorded.
    #[error(
        "nothing was sent: this run cannot be recorded: {place}: {reason}; make room there, or name another directory by `--state-dir`"
    )]
    Store {
        /// The place of the journal.
        place: String,
        /// The reason.
        reason: String,
    },
    /// There is no place to record a run in.
    #[error(
        "nothing was sent: this run cannot be recorded: no home directory says where; name a directory by `--state-dir`"
    )]
    NoStore,
    /// The program made a mistake in the middle of a run.
    #[error(
        "the program failed in the middle of run {run}: {message}; calls may have been carried out: `reconcile resume` \
         settles and finishes the run"
    )]
    Panicked {
        /// The id of the run.
        run: String,
        /// The message of the panic.
        message: String,
    },
    /// An unfinished run cannot be taken up.
    #[error("run {run} cannot be resumed: {reason}; `reconcile resume --abandon {run}` closes it without sending")]
    NotResumable {
        /// The id of the run.
        run: String,
        /// The reason.
        reason: String,
    },
}

impl RunError {
    fn store(place: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Store { place: place.into(), reason: error.to_string() }
    }
}

/// The locks of a run that is about to begin.
pub struct Claim {
    run: String,
    guard: Guard,
    targets: Vec<TargetRecord>,
    /// Why the locks could not be taken; told once something is to be sent.
    problem: Option<RunError>,
    /// The id of the newest run when the locks were taken.
    newest: Option<String>,
}

impl Claim {
    /// Returns the id of the run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns the id of the newest other run at that time.
    pub fn newest(&self) -> Option<&str> {
        self.newest.as_deref()
    }
}

/// Locks the targets of a run and looks for unfinished runs on them. A state directory that cannot be used is told once
/// something is to be written: a run without changes needs none.
pub async fn claim(surroundings: &Surroundings, targets: Vec<TargetRecord>, say: &Say<'_>) -> Result<Claim, RunError> {
    let mut claim = lock(surroundings, targets, say).await?;
    if let Recording::Impossible = surroundings.recording {
        claim.problem = Some(RunError::NoStore);
    }
    if claim.problem.is_none()
        && let Some(store) = surroundings.store()
    {
        match unfinished_on(store, &claim.targets) {
            Ok(runs) if runs.is_empty() => {}
            Ok(runs) => return Err(RunError::Unfinished(runs)),
            Err(error) => claim.problem = Some(RunError::store("the runs of the state directory")(error)),
        }
        claim.newest = store.runs().ok().and_then(|runs| runs.last().cloned());
    }
    Ok(claim)
}

/// Locks the targets of a run.
async fn lock(surroundings: &Surroundings, targets: Vec<TargetRecord>, say: &Say<'_>) -> Result<Claim, RunError> {
    let run = journal::run_id((surroundings.clock)());
    let mut claim = Claim { run, guard: Guard::none(), targets, problem: None, newest: None };
    let Some(directory) = &surroundings.locks else { return Ok(claim) };
    let origin = &surroundings.origin;
    let part = |name: &Option<String>| name.clone().unwrap_or_else(|| "unknown".to_owned());
    let holder = Holder {
        run: claim.run.clone(),
        name: format!("{}@{}", part(&origin.user), part(&origin.host)),
        command: origin.command.clone(),
    };
    match Leases::acquire(directory, &claim.targets, &holder, surroundings.lock_timeout, say).await {
        Ok(guard) => claim.guard = guard,
        Err(error @ LockError::Held { .. }) => return Err(error.into()),
        Err(error @ LockError::File { .. }) => claim.problem = Some(error.into()),
    }
    Ok(claim)
}

/// A plan that is to be carried out, or was refused.
pub struct Work<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its document, as `plan --out` writes it.
    pub document: &'a Document<'a>,
    /// The manifests that it was made from, with their digests.
    pub manifests: &'a [(String, String)],
    /// The limits that it exceeds.
    pub excesses: &'a [Excess],
    /// True if the text that acknowledges it was given.
    pub acknowledged: bool,
    /// The changes that windows and suspensions hold back.
    pub held: &'a [HeldChanges],
    /// Why they are made all the same; `None` if nobody said so.
    pub override_reason: Option<&'a str>,
    /// The saved plan that was given, where one was.
    pub file: Option<String>,
}

/// The end of a run.
#[derive(Debug)]
pub struct Finished {
    /// The id of the run; `None` if it was not recorded.
    pub run: Option<String>,
    /// The outcome of each change, in the plan's order.
    pub outcomes: Vec<(ResourceId, Outcome)>,
    /// Why it ended early, if it did for a reason of its own: the lock was lost, or a record could not be written.
    pub problem: Option<String>,
}

/// Carries out a plan under a claim. `options` are those of the engine; its record is the one of the run.
pub async fn carry_out(
    surroundings: &Surroundings,
    claim: Claim,
    work: &Work<'_>,
    (states, writers): (&[TargetState<'_>], &[Writer]),
    options: apply::Options<'_>,
) -> Result<Finished, RunError> {
    if let Some(problem) = claim.problem {
        return Err(problem);
    }
    let Some(store) = surroundings.store() else {
        let outcomes = apply::apply(work.plan, states, writers, &options).await;
        return Ok(Finished { run: None, outcomes, problem: None });
    };
    let writer = begin(surroundings, store, &claim, work, Vec::new())?;
    let redaction = surroundings.redaction(store, writers).await?;
    let place = store.place(&claim.run);
    let stop = options.stop.child_token();
    let log = Recorded::new(writer, redaction, place, stop.clone(), &claim.guard);
    let options = apply::Options { stop, log: &log, ..options };
    let outcomes = guarded(&claim.run, apply::apply(work.plan, states, writers, &options)).await?;
    let problem = close(store, &claim.run, log, outcomes.iter().map(|(_, outcome)| outcome));
    clean(surroundings, store);
    Ok(Finished { run: Some(claim.run), outcomes, problem })
}

/// Records that nothing of a plan was sent, because it was refused or had become stale. Returns why that failed, if it
/// did.
pub fn record_refusal(
    surroundings: &Surroundings,
    targets: Vec<TargetRecord>,
    work: &Work<'_>,
    verdict: Verdict,
) -> Result<(), String> {
    let Some(store) = surroundings.store() else { return Ok(()) };
    let run = journal::run_id((surroundings.clock)());
    let claim = Claim { run, guard: Guard::none(), targets, problem: None, newest: None };
    let ended = Record::Ended(Ended { verdict, outcomes: [].into() });
    begin(surroundings, store, &claim, work, vec![ended]).map_err(|error| match error {
        RunError::Store { place, reason } => format!("this run is not recorded: {place}: {reason}"),
        other => other.to_string(),
    })?;
    mark(store, &claim.run);
    clean(surroundings, store);
    Ok(())
}

/// Writes the plan and the first records of a run.
fn begin(
    surroundings: &Surroundings,
    store: &dyn Store,
    claim: &Claim,
    work: &Work<'_>,
    more: Vec<Record>,
) -> Result<journal::Writer, RunError> {
    let count = |action| work.plan.count(action);
    let first = RunRecord {
        format_version: record::FORMAT_VERSION.to_owned(),
        run: claim.run.clone(),
        origin: surroundings.origin.clone(),
        pid: std::process::id(),
        targets: targets_of(work.plan, &claim.targets),
        manifests: journal::manifests_digest(work.manifests),
        plan: work.document.digest(),
        acknowledgement: Some(guard::acknowledgement(work.plan, work.excesses)),
        acknowledged: work.acknowledged,
        limits: work.excesses.iter().map(ToString::to_string).collect(),
        held: work.held.iter().map(ToString::to_string).collect(),
        override_reason: work.override_reason.filter(|_| !work.held.is_empty()).map(str::to_owned),
        file: work.file.clone(),
        counts: ActionCounts {
            create: count(Action::Create),
            update: count(Action::Update),
            delete: count(Action::Delete),
            sync: count(Action::Sync),
        },
    };
    let records = std::iter::once(Record::Run(Box::new(first))).chain(more).collect();
    let clock = surroundings.clock.clone();
    let created = journal::Writer::create(store, &claim.run, &|out| work.document.write(out), records, clock);
    created.map_err(RunError::store(store.place(&claim.run)))
}

/// Runs the engine; a panic in it becomes an error, and the journal stays without an end.
async fn guarded<T>(run: &str, work: impl Future<Output = T>) -> Result<T, RunError> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = text.or_else(|| panic.downcast_ref::<String>().cloned());
        RunError::Panicked { run: run.to_owned(), message: message.unwrap_or_else(|| "no message".to_owned()) }
    })
}

/// Writes the end of a run, unless a record of it is missing: then it has to be resumed. Returns what went wrong.
fn close<'o>(
    store: &dyn Store,
    run: &str,
    log: Recorded<'_>,
    outcomes: impl Iterator<Item = &'o Outcome> + Clone,
) -> Option<String> {
    let mut counts = std::collections::BTreeMap::new();
    outcomes.clone().for_each(|outcome| *counts.entry(outcome.name().to_owned()).or_default() += 1);
    let ended = Ended { verdict: Verdict::of(outcomes), outcomes: counts };
    let (problem, has_ended) = log.end(Record::Ended(ended));
    if has_ended {
        mark(store, run);
    }
    problem
}

/// Notes that a run has ended.
fn mark(store: &dyn Store, run: &str) {
    if let Err(error) = store.mark_ended(run) {
        tracing::debug!("the end of run {run} is not marked: {error}");
    }
}

fn clean(surroundings: &Surroundings, store: &dyn Store) {
    if let Err(error) = store.clean(&surroundings.retention, (surroundings.clock)()) {
        tracing::warn!("old runs cannot be removed: {error}");
    }
}

/// Returns the targets on which a plan changes something.
fn targets_of(plan: &Plan, targets: &[TargetRecord]) -> Vec<TargetRecord> {
    let used: BTreeSet<&str> = plan.changes.iter().map(|change| &*change.target).collect();
    targets.iter().filter(|target| used.contains(target.name.as_str())).cloned().collect()
}

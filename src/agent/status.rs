//! The agent's status, shared with whoever shows it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use super::{report::Sum, settings::Problems};
use crate::model::{ResourceId, policy::Policy};

/// Why a pass is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Trigger {
    /// The agent has just started.
    Start,
    /// The manifests changed.
    Change,
    /// Everything is looked at from time to time.
    Resync,
    /// The pass before it failed.
    Retry,
    /// A signal asked for it.
    Signal,
    /// Somebody asked for it on the status page.
    Request,
    /// A platform told of changes.
    Event,
    /// A window opened or closed, or a suspension ended.
    Window,
}

impl Trigger {
    /// Returns its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Change => "change",
            Self::Resync => "resync",
            Self::Retry => "retry",
            Self::Signal => "signal",
            Self::Request => "request",
            Self::Event => "event",
            Self::Window => "window",
        }
    }
}

/// The result of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Everything is as declared.
    Converged,
    /// Nothing failed, but something differs and was left so, because the agent or its policy only reports.
    Drifted,
    /// More was to change than the limits let pass: nothing was sent.
    Refused,
    /// Something is not as declared: refused, unknown, blocked or unreadable.
    Failed,
    /// The program has a mistake; the pass did not end.
    Panicked,
    /// The agent was stopped.
    Interrupted,
}

impl Verdict {
    /// Returns its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Drifted => "drifted",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Interrupted => "interrupted",
        }
    }

    /// Returns how bad it is, compared with the others.
    pub(super) fn weight(self) -> u8 {
        match self {
            Self::Converged => 0,
            Self::Drifted => 1,
            Self::Interrupted => 2,
            Self::Refused => 3,
            Self::Failed => 4,
            Self::Panicked => 5,
        }
    }

    /// Returns true if all objects were looked at.
    pub fn complete(self) -> bool {
        matches!(self, Self::Converged | Self::Drifted | Self::Refused | Self::Failed)
    }
}

/// How many objects a pass left in which state; together they are all that is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// As declared, without a change.
    pub in_sync: usize,
    /// As declared, after a change.
    pub changed: usize,
    /// Not as declared, and nothing was sent: the agent or its policy only reports, the agent was stopped, or something
    /// needed failed.
    pub drifted: usize,
    /// Sent, and not as declared all the same.
    pub failed: usize,
    /// Left alone because it cannot become as declared.
    pub blocked: usize,
    /// Could not be read, or its write was never answered.
    pub unknown: usize,
}

impl Counts {
    /// Adds up.
    pub(super) fn add(&mut self, more: Self) {
        self.in_sync += more.in_sync;
        self.changed += more.changed;
        self.drifted += more.drifted;
        self.failed += more.failed;
        self.blocked += more.blocked;
        self.unknown += more.unknown;
    }

    /// Takes off what was counted before.
    pub(super) fn subtract(&mut self, less: Self) {
        self.in_sync -= less.in_sync;
        self.changed -= less.changed;
        self.drifted -= less.drifted;
        self.failed -= less.failed;
        self.blocked -= less.blocked;
        self.unknown -= less.unknown;
    }

    /// Returns the counts with the names of the states in metrics.
    pub fn by_state(&self) -> [(&'static str, usize); 6] {
        [
            ("in_sync", self.in_sync),
            ("changed", self.changed),
            ("drifted", self.drifted),
            ("failed", self.failed),
            ("blocked", self.blocked),
            ("unknown", self.unknown),
        ]
    }
}

/// The objects of a kind on a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindCounts {
    /// The states in which they were left.
    pub counts: Counts,
    /// How many of them were found to differ.
    pub drift: usize,
    /// How many of those a window or a suspension holds back.
    pub held: usize,
}

impl KindCounts {
    /// Adds up.
    pub(super) fn add(&mut self, more: Self) {
        self.counts.add(more.counts);
        self.drift += more.drift;
        self.held += more.held;
    }

    /// Takes off what was counted before.
    pub(super) fn subtract(&mut self, less: Self) {
        self.counts.subtract(less.counts);
        self.drift -= less.drift;
        self.held -= less.held;
    }
}

/// The objects of a pass by target and kind.
pub type ByKind = BTreeMap<(Arc<str>, &'static str), KindCounts>;

/// A pass that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Why it was made.
    pub trigger: Trigger,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// Its result.
    pub verdict: Verdict,
    /// How many objects are in which state.
    pub counts: Counts,
    /// The same by target and kind.
    #[serde(skip)]
    pub by_kind: ByKind,
    /// Objects that differed from what is declared when they were read.
    pub drift: usize,
    /// The first thing that went wrong.
    pub error: Option<String>,
    /// True if it, or a look at what failed, is to be made again soon: what went wrong may go away by itself.
    pub retry: bool,
    /// True if it has to be made again as a whole, because it could not be made at all.
    #[serde(skip)]
    pub all_failed: bool,
    /// Objects that failed for a reason that may go away by itself.
    #[serde(skip)]
    pub failing: HashSet<ResourceId>,
    /// The objects that it looked at; `None` if all.
    #[serde(skip)]
    pub part: Option<HashSet<ResourceId>>,
    /// True if it looked at all objects, and not only at those that a save changed, or that failed before.
    pub whole: bool,
}

impl Report {
    /// Returns the report of a pass that did not end by itself, with what it said.
    pub(super) fn panicked(trigger: Trigger, start: Timestamp, message: &str) -> Self {
        Self {
            trigger,
            start,
            end: Timestamp::now(),
            verdict: Verdict::Panicked,
            counts: Counts::default(),
            by_kind: ByKind::new(),
            drift: 0,
            error: Some(format!("the pass did not end: {message}")),
            retry: true,
            all_failed: true,
            failing: HashSet::new(),
            part: None,
            whole: true,
        }
    }

    /// Returns the report of a pass that ends now.
    pub(super) fn of(
        trigger: Trigger,
        start: Timestamp,
        sum: Sum,
        drift: usize,
        part: Option<HashSet<ResourceId>>,
    ) -> Self {
        let Sum { counts, by_kind, verdict, error, retry, failing } = sum;
        Self {
            trigger,
            start,
            end: Timestamp::now(),
            verdict,
            counts,
            by_kind,
            drift,
            error,
            retry: retry || !failing.is_empty(),
            all_failed: retry,
            failing,
            whole: part.is_none(),
            part,
        }
    }
}

/// The manifests as they were last read.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestStatus {
    /// SHA-256 of paths and texts.
    pub digest: String,
    /// Objects in force.
    pub objects: usize,
    /// Objects among them whose document is broken now: its last good version is in force.
    pub held: Vec<String>,
    /// Diagnostics of the broken documents, as reports hold them.
    pub diagnostics: Vec<Value>,
    /// Errors among the diagnostics.
    pub errors: usize,
    /// Files and directories that could not be read.
    pub unreadable: Vec<String>,
}

/// The configuration and the files of values as they were last read.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// How many mistakes they have. With one, the last good ones are in force.
    pub errors: usize,
    /// Diagnostics, as reports hold them.
    pub diagnostics: Vec<Value>,
}

impl From<Problems> for ConfigurationStatus {
    fn from(problems: Problems) -> Self {
        Self { errors: problems.errors, diagnostics: problems.diagnostics }
    }
}

/// The state of the agent at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The mode: how drift is dealt with.
    pub mode: Policy,
    /// The manifests; `None` before they were read for the first time.
    pub manifests: Option<ManifestStatus>,
    /// What is wrong with the configuration and the files of values.
    pub configuration: ConfigurationStatus,
    /// Since when the oldest running pass runs, where there is one.
    pub running: Option<Timestamp>,
    /// The last pass that ended, with the counts and the worst result of the last passes over all targets.
    pub last: Option<Report>,
    /// Passes that ended.
    pub passes: u64,
    /// True if passes have looked at all objects since the start.
    pub complete: bool,
    /// The last thing that went wrong, even where it has gone right since.
    pub last_error: Option<String>,
}

impl Snapshot {
    /// Returns true if nothing is looked at.
    pub fn ignores_all(&self) -> bool {
        self.mode == Policy::Ignore
    }
}

/// The state of the agent, shared; clones show the same one.
#[derive(Debug, Clone)]
pub struct Status {
    snapshot: Arc<watch::Sender<Snapshot>>,
    heartbeat: Arc<Mutex<Instant>>,
    passes: Arc<Mutex<BTreeMap<Arc<str>, Instant>>>,
    overdue: Arc<Mutex<BTreeMap<Arc<str>, String>>>,
}

impl Default for Status {
    fn default() -> Self {
        let snapshot = Arc::new(watch::Sender::new(Snapshot::default()));
        Self {
            snapshot,
            heartbeat: Arc::new(Mutex::new(Instant::now())),
            passes: Arc::default(),
            overdue: Arc::default(),
        }
    }
}

impl Status {
    /// Returns the state as it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.borrow().clone()
    }

    /// Returns a receiver that is woken by each change of the state.
    pub fn subscribe(&self) -> watch::Receiver<Snapshot> {
        self.snapshot.subscribe()
    }

    /// Returns how long ago the loop last showed that it is alive.
    pub fn heartbeat_age(&self) -> Duration {
        self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Shows that the loop is alive.
    pub(crate) fn beat(&self) {
        *self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns how long the oldest running pass has taken so far; `None` between passes.
    pub fn pass_age(&self) -> Option<Duration> {
        let passes = self.passes.lock().unwrap_or_else(PoisonError::into_inner);
        passes.values().map(Instant::elapsed).max()
    }

    /// Returns what did not end in its time, and what it waits for; `None` once a pass has ended in time again.
    pub fn overdue(&self) -> Option<String> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner).values().next().cloned()
    }

    /// Notes what of a target did not end in its time, or that a pass over it has.
    pub(crate) fn set_overdue(&self, target: &Arc<str>, problem: Option<String>) {
        let mut overdue = self.overdue.lock().unwrap_or_else(PoisonError::into_inner);
        match problem {
            Some(problem) => drop(overdue.insert(target.clone(), problem)),
            None => drop(overdue.remove(target)),
        }
    }

    /// Notes that a pass over a target begins.
    pub(crate) fn pass_begins(&self, target: &Arc<str>) {
        self.passes.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone(), Instant::now());
    }

    /// Notes that the pass over a target has ended.
    pub(crate) fn pass_ends(&self, target: &Arc<str>) {
        self.passes.lock().unwrap_or_else(PoisonError::into_inner).remove(target);
    }

    /// Changes the state and wakes those who wait for it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot.send_modify(change);
    }
}

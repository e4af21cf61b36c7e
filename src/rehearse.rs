//! Rehearses a saved plan: the real engine runs it against simulated servers that fail by a schedule drawn from a seed,
//! on a paused clock and without a network. One seed is one history, byte for byte.

mod judge;
mod run;
pub mod schedule;
mod target;
mod world;

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use reconcile_sandbox::simulator::Cells;

pub use self::target::{Configured, SimulatedTarget};
use self::{
    schedule::{Extent, FaultKind, Schedule},
    world::{Difference, Origin},
};
use crate::{
    model::{Outcome, ResourceId},
    plan::file::Saved,
};

/// A plan that is rehearsed.
pub struct Rehearsal {
    saved: Saved,
    targets: Vec<SimulatedTarget>,
    start: Timestamp,
    origin: Arc<Origin>,
    baseline: Baseline,
}

/// The uninterrupted run.
#[derive(Debug, Default)]
struct Baseline {
    extent: Extent,
    before: Cells,
    after: Cells,
    /// The cells that each call changes, by the number of the call; none where that could not be told.
    effects: BTreeMap<usize, Difference>,
}

/// The state that a kill left behind, as a person would find it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HalfDone {
    /// Changes that were made.
    pub done: Vec<ResourceId>,
    /// How many were not.
    pub open: usize,
    /// What mended it.
    pub mended_by: Option<Mended>,
}

/// What brought all objects to their planned state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mended {
    /// The run was resumed.
    Resume,
    /// The run was resumed again once the faults were over.
    SecondResume,
    /// A new plan.
    NewPlan,
}

impl Mended {
    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resume => "resume",
            Self::SecondResume => "second_resume",
            Self::NewPlan => "new_plan",
        }
    }
}

/// How a schedule ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    /// The seed.
    pub seed: u64,
    /// Requests that wrote, in all attempts.
    pub writes: u64,
    /// All requests.
    pub requests: u64,
    /// How long it took by the clock of the simulation, until the faults were over.
    pub took: Duration,
    /// How often each sort of faults struck.
    pub strikes: BTreeMap<FaultKind, u64>,
    /// How often the run was killed.
    pub kills: u64,
    /// The state behind the first kill.
    pub half_done: Option<HalfDone>,
    /// The outcomes of the changes before the faults were over, by name.
    pub outcomes: BTreeMap<&'static str, usize>,
    /// What must not happen and did, in words.
    pub violations: Vec<String>,
    /// The bytes of the journals, one behind the other.
    pub journals: Vec<u8>,
    /// A line for each event, where that was asked for.
    pub history: Vec<String>,
}

impl Ending {
    /// Returns true if nothing happened that must not.
    pub fn is_good(&self) -> bool {
        self.violations.is_empty()
    }
}

impl Rehearsal {
    /// Prepares a rehearsal: runs the plan once without faults. An error says why the simulated servers are not what
    /// the plan was made for.
    pub fn new(saved: Saved, targets: Vec<SimulatedTarget>, start: Timestamp) -> Result<Self, String> {
        let origin = Arc::new(Origin::of(targets.iter().map(|target| &target.sandbox)));
        let mut rehearsal = Self { saved, targets, start, origin, baseline: Baseline::default() };
        rehearsal.baseline = rehearsal.simulate(0, run::baseline)?;
        Ok(rehearsal)
    }

    /// Returns what the uninterrupted run does.
    pub fn extent(&self) -> &Extent {
        &self.baseline.extent
    }

    /// Runs the schedule of a seed. `records` keeps the history.
    pub fn run(&self, seed: u64, records: bool) -> Ending {
        self.run_schedule(seed, Schedule::of(seed, &self.baseline.extent), records)
    }

    /// Runs without faults but for kills at the kill points of these numbers, see [`Extent`].
    pub fn run_kills(&self, kills: Vec<usize>, records: bool) -> Ending {
        self.run_schedule(0, Schedule::of_kills(kills), records)
    }

    /// Runs with one sort of faults alone, which strikes often.
    pub fn run_kind(&self, kind: FaultKind, seed: u64) -> Ending {
        self.run_schedule(seed, Schedule::of_kind(kind, seed), false)
    }

    fn run_schedule(&self, seed: u64, schedule: Schedule, records: bool) -> Ending {
        let ending = self.simulate(seed, async |rehearsal| run::history(rehearsal, schedule, records).await);
        Ending { seed, ..ending }
    }

    /// Runs the schedules of all seeds from 1 to `count`, on all processors. Returns the endings in the order of the seeds.
    pub fn run_all(&self, count: u64) -> Vec<Ending> {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let (next, endings) = (AtomicU64::new(1), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed > count {
                            break;
                        }
                        let ending = self.run(seed, false);
                        endings.lock().unwrap_or_else(PoisonError::into_inner).push(ending);
                    }
                });
            }
        });
        let mut endings = endings.into_inner().unwrap_or_else(PoisonError::into_inner);
        endings.sort_by_key(|ending| ending.seed);
        endings
    }

    /// Runs something on a paused clock of its own, with random numbers from a seed and without logs.
    fn simulate<T>(&self, seed: u64, work: impl AsyncFnOnce(&Self) -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        // Without I/O there is nothing that can be lacking.
        let runtime = runtime.expect("a runtime without I/O can be made");
        fastrand::seed(seed);
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
            runtime.block_on(async {
                let _own = crate::clock::SimulatedTime::from(self.start);
                let _theirs = reconcile_sandbox::clock::SimulatedTime::from(self.start);
                work(self).await
            })
        })
    }
}

/// Returns the outcomes of changes by name.
fn counts(outcomes: &[(ResourceId, Outcome)]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for (_, outcome) in outcomes {
        *counts.entry(outcome.name()).or_default() += 1;
    }
    counts
}

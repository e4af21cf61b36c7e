//! The long-running agent: keeps what is live as declared, or says where it is not.
//!
//! It is level-based: a pass looks at everything and does not ask why it was called. What changes the files, the time
//! and failures only decide when the next pass comes. Passes never overlap.

mod debounce;
#[cfg(test)]
mod fake;
mod layout;
mod manifests;
mod metrics;
mod pass;
mod report;
mod schedule;
mod status;
mod watch;

use std::{
    any::Any,
    convert::Infallible,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Mode,
    engine::connection::Connection,
    kind::Platform,
    manifest::{Targets, Variables},
    model::{Change, Desired, Outcome},
    plan::Plan,
    source::Sources,
};

pub use debounce::Debounce;
pub use manifests::Manifests;
pub use metrics::Metrics;
pub use status::{Counts, ManifestStatus, Report, Snapshot, Status, Trigger, Verdict};

use manifests::Location;
use schedule::Schedule;
use watch::Watch;

/// Time between two looks at everything where the configuration does not say.
pub const RESYNC: Duration = Duration::from_secs(300);

/// Time between two looks at the files, in case a change was not told.
pub const RESCAN: Duration = Duration::from_secs(30);

/// Time between two signs of life.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Picks the objects that are the agent's business.
pub type Filter = dyn Fn(&Desired) -> bool + Send + Sync;

/// Is told what happens; called from several tasks.
pub type Listener = dyn Fn(&Event<'_>) + Send + Sync;

/// What happens while the agent runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// The manifests were read for the first time, or are not what they were.
    Manifests(&'a Manifests),
    /// A pass begins.
    PassStarted(Trigger),
    /// A pass knows what differs.
    Planned {
        /// What is to be done; in [`Mode::Report`] nothing of it will be.
        plan: &'a Plan,
        /// The texts that it points into.
        sources: &'a Sources,
    },
    /// A change is done with.
    Finished {
        /// The change.
        change: &'a Change,
        /// What it came to.
        outcome: &'a Outcome,
        /// How long it took.
        took: Duration,
        /// The texts that it points into.
        sources: &'a Sources,
    },
    /// A pass ended.
    PassFinished(&'a Report),
}

/// What the agent works on, and how.
pub struct Agent {
    /// Where the manifests lie.
    pub paths: Vec<PathBuf>,
    /// Files that are no manifests.
    pub skip: Vec<PathBuf>,
    /// The platforms that manifests may name.
    pub platforms: &'static [&'static dyn Platform],
    /// The targets that manifests may name.
    pub targets: Targets,
    /// Variables of the manifests.
    pub variables: Variables,
    /// The way to each target; one to a target that no manifest names is never used.
    pub connections: Vec<Arc<Connection>>,
    /// What to do about drift.
    pub mode: Mode,
    /// Read each object back after its write.
    pub verify: bool,
    /// Picks the objects to look at; all without it.
    pub filter: Option<Arc<Filter>>,
    /// Time between two looks at everything.
    pub resync: Duration,
    /// Time between two looks at the files, in case a change was not told.
    pub rescan: Duration,
    /// How long to wait for a burst of changes to end.
    pub debounce: Debounce,
    /// Look at the files from time to time instead of being told by the system.
    pub poll: bool,
    /// Where the agent tells how it is.
    pub status: Status,
    /// Where it counts.
    pub metrics: Metrics,
}

impl Agent {
    /// Returns an agent for manifests below some paths, with nothing else set.
    pub fn new(paths: Vec<PathBuf>, platforms: &'static [&'static dyn Platform]) -> Self {
        Self {
            paths,
            skip: Vec::new(),
            platforms,
            targets: Targets::default(),
            variables: Variables::default(),
            connections: Vec::new(),
            mode: Mode::default(),
            verify: true,
            filter: None,
            resync: RESYNC,
            rescan: RESCAN,
            debounce: Debounce::default(),
            poll: false,
            status: Status::default(),
            metrics: Metrics::default(),
        }
    }
}

/// Why the agent cannot run. What goes wrong while it runs does not end it.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It was given nothing to watch.
    #[error("no path to watch was given")]
    NoPath,
    /// The standard input ends; it cannot be watched.
    #[error("the standard input cannot be watched")]
    StandardInput,
}

/// Runs until `stop` is cancelled: then no further call is sent, and those on their way are waited for.
pub async fn run(agent: Agent, stop: CancellationToken, listener: Arc<Listener>) -> Result<(), AgentError> {
    if agent.paths.is_empty() {
        return Err(AgentError::NoPath);
    }
    if agent.paths.iter().any(|path| path.as_os_str() == "-") {
        return Err(AgentError::StandardInput);
    }
    let status = agent.status.clone();
    tokio::select! {
        () = Loop::new(agent, stop, listener).go() => Ok(()),
        never = beat(&status) => match never {},
    }
}

/// Shows that the loop's task is not stuck.
async fn beat(status: &Status) -> Infallible {
    let mut ticks = tokio::time::interval(HEARTBEAT);
    loop {
        ticks.tick().await;
        status.beat();
    }
}

struct Loop {
    location: Arc<Location>,
    watch: Arc<Mutex<Watch>>,
    dirty: mpsc::Receiver<()>,
    debounce: Debounce,
    schedule: Schedule,
    manifests: Option<Arc<Manifests>>,
    shared: Arc<pass::Shared>,
    status: Status,
    stop: CancellationToken,
}

impl Loop {
    fn new(agent: Agent, stop: CancellationToken, listener: Arc<Listener>) -> Self {
        let (sender, dirty) = mpsc::channel(1);
        let watch = Watch::new(agent.paths.clone(), agent.poll.then_some(watch::POLL), sender);
        Self {
            watch: Arc::new(Mutex::new(watch)),
            dirty,
            debounce: agent.debounce,
            schedule: Schedule::new(agent.resync, agent.rescan, Instant::now()),
            manifests: None,
            shared: Arc::new(pass::Shared {
                connections: agent.connections,
                mode: agent.mode,
                verify: agent.verify,
                filter: agent.filter,
                metrics: agent.metrics,
                listener,
            }),
            location: Arc::new(Location {
                paths: agent.paths,
                skip: agent.skip,
                platforms: agent.platforms,
                targets: agent.targets,
                variables: agent.variables,
            }),
            status: agent.status,
            stop,
        }
    }

    async fn go(mut self) {
        let mut due = Some(Trigger::Start);
        while !self.stop.is_cancelled() {
            if self.scan().await {
                due = due.or(Some(Trigger::Change));
            }
            if let Some(trigger) = due {
                self.pass(trigger).await;
            }
            due = self.wait().await;
        }
    }

    /// Waits until the files are to be read again, and says why a pass is due whatever they say.
    async fn wait(&mut self) -> Option<Trigger> {
        let (next_pass, trigger) = self.schedule.next_pass();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = sleep_until(next_pass) => Some(trigger),
            Some(()) = self.dirty.recv() => {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = self.debounce.settle(&mut self.dirty) => {}
                }
                None
            }
            () = sleep_until(self.schedule.next_scan()) => None,
        }
    }

    /// Reads the files and says whether they are not what they were.
    async fn scan(&mut self) -> bool {
        let (watch, location, previous) = (self.watch.clone(), self.location.clone(), self.manifests.clone());
        let read = spawn_blocking(move || {
            let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
            watch.rearm();
            let told = !watch.polls();
            drop(watch);
            (manifests::read(&location, previous.as_deref()), told)
        });
        let (trusted, changed) = match read.await {
            Ok((manifests, told)) => {
                let changed = manifests.is_some();
                manifests.into_iter().for_each(|manifests| self.took(Arc::new(manifests)));
                (told && self.readable(), changed)
            }
            Err(error) => {
                let message = format!("the manifests could not be read: {}", panic_message(error));
                tracing::error!("{message}");
                self.status.update(|snapshot| snapshot.last_error = Some(message));
                (false, false)
            }
        };
        self.schedule.scanned(trusted, Instant::now());
        changed
    }

    fn readable(&self) -> bool {
        self.manifests.as_ref().is_some_and(|manifests| manifests.unreadable.is_empty())
    }

    /// Puts manifests in force.
    fn took(&mut self, manifests: Arc<Manifests>) {
        let (digest, objects, held) = (&*manifests.digest, manifests.desired.len(), manifests.held.len());
        tracing::info!(digest, objects, held, errors = manifests.errors(), "manifests read");
        let problems = manifests.problems();
        if !problems.is_empty() {
            tracing::error!("the last good version of what is broken stays in force\n{problems}");
        }
        self.shared.metrics.manifests(&manifests);
        self.status.update(|snapshot| snapshot.manifests = Some(manifests.status()));
        (self.shared.listener)(&Event::Manifests(&manifests));
        self.schedule.changed();
        self.manifests = Some(manifests);
    }

    async fn pass(&mut self, trigger: Trigger) {
        let Some(manifests) = self.manifests.clone() else {
            self.schedule.passed(true, Instant::now());
            return;
        };
        let start = Timestamp::now();
        self.status.update(|snapshot| snapshot.running = Some(start));
        (self.shared.listener)(&Event::PassStarted(trigger));
        // On a thread of its own: a mistake of ours costs this pass only, and a large plan does not hold up the loop.
        // Where the loop is dropped, the pass sends nothing more.
        let stop = self.stop.child_token();
        let _guard = stop.clone().drop_guard();
        let (runtime, shared) = (Handle::current(), self.shared.clone());
        let task = spawn_blocking(move || runtime.block_on(pass::pass(&shared, &manifests, trigger, &stop)));
        let report = task.await.unwrap_or_else(|error| Report {
            trigger,
            start,
            end: Timestamp::now(),
            verdict: Verdict::Panicked,
            counts: Counts::default(),
            drift: 0,
            error: Some(format!("the pass did not end: {}", panic_message(error))),
            retry: true,
        });
        log(&report);
        self.shared.metrics.pass(&report);
        self.schedule.passed(report.retry, Instant::now());
        self.status.update(|snapshot| {
            snapshot.running = None;
            snapshot.passes += 1;
            snapshot.complete |= report.verdict.complete();
            if let Some(error) = &report.error {
                snapshot.last_error = Some(error.clone());
            }
            snapshot.last = Some(report.clone());
        });
        (self.shared.listener)(&Event::PassFinished(&report));
    }
}

fn log(report: &Report) {
    let Counts { in_sync, changed, drifted, failed, blocked, unknown } = report.counts;
    let (trigger, result, drift) = (report.trigger.name(), report.verdict.name(), report.drift);
    let ms = report.end.duration_since(report.start).as_millis();
    let error = report.error.as_deref().unwrap_or_default();
    if report.verdict == Verdict::Failed || report.verdict == Verdict::Panicked {
        tracing::error!(trigger, result, in_sync, changed, drifted, failed, blocked, unknown, drift, ms, "{error}");
    } else {
        tracing::info!(trigger, result, in_sync, changed, drifted, failed, blocked, unknown, drift, ms, "pass ended");
    }
}

/// Returns what a task that did not end said.
fn panic_message(error: JoinError) -> String {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(|| "no message".to_owned(), |text| (*text).to_owned()),
    };
    match error.try_into_panic() {
        Ok(panic) => format!("it panicked: {}", text(panic)),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests;

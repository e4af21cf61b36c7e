//! The loop: reads the files, makes a pass where one is due, waits.

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinError, spawn_blocking},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Agent, Debounce,
    manifests::{self, Location, Manifests},
    pass,
    record::Record,
    schedule::Schedule,
    status::{ByKind, Counts, Report, Status, Trigger, Verdict},
    watch::{self, Watch},
};

/// The loop's own state.
pub(super) struct Cycle {
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

impl Cycle {
    pub(super) fn new(agent: Agent, stop: CancellationToken) -> Self {
        let (sender, dirty) = mpsc::channel(1);
        let places = agent.paths.iter().chain(&agent.overlays).cloned().collect();
        let watch = Watch::new(places, agent.follow_links, agent.poll.then_some(watch::POLL), sender);
        Self {
            watch: Arc::new(Mutex::new(watch)),
            dirty,
            debounce: agent.debounce,
            schedule: Schedule::new(agent.resync, agent.rescan, Instant::now()),
            manifests: None,
            shared: Arc::new(pass::Shared {
                connections: agent.connections,
                mode: agent.mode,
                safety: agent.safety,
                verify: agent.verify,
                filter: agent.filter,
                metrics: agent.metrics,
                refusal: Mutex::default(),
                said: Mutex::default(),
                looked: Mutex::default(),
                platforms: agent.platforms,
                record: Record::new(
                    agent.surroundings,
                    (agent.setups, agent.config),
                    &agent.paths,
                    agent.platforms,
                    agent.timeout,
                ),
            }),
            location: Arc::new(Location {
                paths: agent.paths,
                skip: agent.skip,
                overlays: agent.overlays,
                follow_links: agent.follow_links,
                allow_empty: agent.allow_empty,
                platforms: agent.platforms,
                targets: agent.targets,
                variables: agent.variables,
            }),
            status: agent.status,
            stop,
        }
    }

    /// Runs until it is cancelled.
    pub(super) async fn run(mut self) {
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
                    () = self.debounce.wait_until_quiet(&mut self.dirty) => {}
                }
                None
            }
            () = sleep_until(self.schedule.next_scan()) => None,
        }
    }

    /// Reads the files and returns true if they are not what they were.
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
                manifests.into_iter().for_each(|manifests| self.adopt(Arc::new(manifests)));
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
    fn adopt(&mut self, manifests: Arc<Manifests>) {
        let (digest, objects, held) = (&*manifests.digest, manifests.desired.len(), manifests.held.len());
        tracing::info!(digest, objects, held, errors = manifests.errors(), "manifests read");
        let problems = manifests.problems();
        if manifests.errors() > 0 {
            tracing::error!("the last good version of what is broken stays in force\n{problems}");
        } else if !problems.is_empty() {
            tracing::warn!("the manifests have warnings\n{problems}");
        }
        self.shared.metrics.manifests(&manifests);
        self.status.update(|snapshot| snapshot.manifests = Some(manifests.status()));
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
        self.status.pass_begins();
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
            by_kind: ByKind::new(),
            drift: 0,
            error: Some(format!("the pass did not end: {}", panic_message(error))),
            retry: true,
            whole: true,
        });
        self.status.pass_ends();
        log(&report);
        self.shared.metrics.pass(&report);
        if report.whole || report.retry {
            self.schedule.passed(report.retry, Instant::now());
        }
        self.status.update(|snapshot| {
            snapshot.running = None;
            snapshot.passes += 1;
            snapshot.complete |= report.verdict.complete();
            if let Some(error) = &report.error {
                snapshot.last_error = Some(error.clone());
            }
            snapshot.last = Some(report);
        });
    }
}

fn log(report: &Report) {
    let Counts { in_sync, changed, drifted, failed, blocked, unknown } = report.counts;
    let (trigger, result, drift) = (report.trigger.name(), report.verdict.name(), report.drift);
    let whole = report.whole;
    let ms = i64::try_from(report.end.duration_since(report.start).as_millis()).unwrap_or(i64::MAX);
    let error = report.error.as_deref().unwrap_or_default();
    if report.verdict == Verdict::Failed || report.verdict == Verdict::Panicked {
        tracing::error!(
            trigger, result, in_sync, changed, drifted, failed, blocked, unknown, drift, whole, ms, "{error}"
        );
    } else {
        tracing::info!(
            trigger,
            result,
            in_sync,
            changed,
            drifted,
            failed,
            blocked,
            unknown,
            drift,
            whole,
            ms,
            "pass ended"
        );
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

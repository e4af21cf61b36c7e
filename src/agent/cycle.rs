//! The loop: reads the files, makes a pass where one is due, waits.

use std::{
    any::Any,
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    task::{JoinError, JoinHandle, spawn_blocking},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{config, model::ResourceId};

use super::{
    Agent, Control, Debounce, Inventory,
    events::{Followers, KeyIndex, Touched},
    hang, held,
    manifests::{self, Location, Manifests},
    pass,
    record::Record,
    retries::Retries,
    schedule::Schedule,
    settings::{Loader, Problems, Reloaded},
    status::{ByKind, Counts, Report, Status, Trigger, Verdict},
    watch::{self, Watch},
};

/// A pass that is due.
struct Due {
    trigger: Trigger,
    /// The objects to look at; `None` if all.
    part: Option<HashSet<ResourceId>>,
}

impl Due {
    fn all(trigger: Trigger) -> Self {
        Self { trigger, part: None }
    }

    /// Returns a pass that looks at what was due, and at what is declared otherwise now; without `changed` that may be all.
    fn with_changed(due: Option<Self>, changed: Option<HashSet<ResourceId>>) -> Self {
        match due {
            None => Self { trigger: Trigger::Change, part: changed },
            Some(due) if due.part.is_none() => due,
            Some(due) => {
                let both = due.part.zip(changed).map(|(part, changed)| part.into_iter().chain(changed).collect());
                Self { trigger: Trigger::Change, part: both }
            }
        }
    }
}

/// Why the loop goes on.
enum Wake {
    /// A pass is due, whatever the files say.
    Pass(Due),
    /// The files are to be read again, or the end has come.
    Files,
    /// What happened concerns nothing.
    Nothing,
}

/// The loop's own state.
pub(super) struct Cycle {
    paths: Vec<PathBuf>,
    timeout: Duration,
    reader: Arc<Mutex<FileReader>>,
    location: Arc<Location>,
    dirty: mpsc::Receiver<()>,
    wake: Arc<Notify>,
    debounce: Debounce,
    schedule: Schedule,
    /// When the next window opens or closes, or the next suspension ends.
    turn: Option<Timestamp>,
    retries: Retries,
    followers: Followers,
    keys: KeyIndex,
    manifests: Option<Arc<Manifests>>,
    shared: Arc<pass::Shared>,
    status: Status,
    inventory: Inventory,
    control: Control,
    stop: CancellationToken,
}

/// What reads the files, and notices when they change.
struct FileReader {
    watch: Watch,
    loader: Option<Box<dyn Loader>>,
}

/// What was read from the files.
struct FilesRead {
    settings: Reloaded,
    location: Arc<Location>,
    manifests: Option<Manifests>,
    /// Their changes will be reported.
    is_told: bool,
}

impl FileReader {
    /// Reads the files, after everything is watched: so what changes later is noticed, and what changed before is read.
    fn read(&mut self, location: &Arc<Location>, previous: Option<&Manifests>, anew: bool) -> FilesRead {
        let mut location = location.clone();
        self.watch.rearm();
        let settings = self.loader.as_mut().map_or(Reloaded::Unchanged, |loader| loader.load(anew));
        let is_changed = if let Reloaded::Changed(settings, _) = &settings {
            location = Arc::new(location.with(settings));
            self.watch.set_paths(watched(&location, self.loader.as_deref()));
            self.watch.rearm();
            true
        } else {
            false
        };
        let manifests = manifests::read(&location, previous, is_changed);
        FilesRead { settings, location, manifests, is_told: !self.watch.polls() }
    }
}

/// Returns the paths that decide what is declared and how it is carried out.
fn watched(location: &Location, loader: Option<&dyn Loader>) -> Vec<PathBuf> {
    let files = loader.map(Loader::files).unwrap_or_default();
    location.paths.iter().chain(&location.overlays).cloned().chain(files).collect()
}

impl Cycle {
    pub(super) fn new(agent: Agent, stop: CancellationToken) -> Self {
        let (sender, dirty) = mpsc::channel(1);
        let Agent { paths, platforms, settings, loader, .. } = agent;
        let location = Location {
            paths: paths.clone(),
            skip: settings.skip.clone(),
            overlays: agent.overlays,
            follow_links: agent.follow_links,
            allow_empty: agent.allow_empty,
            platforms,
            targets: settings.targets.clone(),
            variables: settings.variables.clone(),
        };
        let places = watched(&location, loader.as_deref());
        let watch = Watch::new(places, agent.follow_links, agent.poll.then_some(watch::POLL), sender);
        Self {
            reader: Arc::new(Mutex::new(FileReader { watch, loader })),
            location: Arc::new(location),
            dirty,
            wake: agent.wake,
            debounce: agent.debounce,
            schedule: Schedule::new(settings.resync, agent.rescan, agent.retry, Instant::now()),
            turn: None,
            retries: Retries::new(agent.retry),
            followers: Followers::new(),
            keys: KeyIndex::default(),
            manifests: None,
            shared: Arc::new(pass::Shared {
                verify: agent.verify,
                filter: agent.filter,
                platforms,
                record: Record::new(&settings, &paths, platforms, agent.timeout),
                memory: Arc::new(pass::Memory::new(agent.metrics, &agent.inventory)),
                control: agent.control.clone(),
                settings,
            }),
            paths,
            timeout: agent.timeout,
            status: agent.status,
            inventory: agent.inventory,
            control: agent.control,
            stop,
        }
    }

    /// Runs until it is cancelled.
    pub(super) async fn run(mut self) {
        let mut due = Some(Due::all(Trigger::Start));
        while !self.stop.is_cancelled() {
            let is_signal = due.as_ref().is_some_and(|due| due.trigger == Trigger::Signal);
            // Passes that happen often have no need of the files.
            let is_part = due.as_ref().is_some_and(|due| due.part.is_some());
            let is_scan_due = !is_part || self.schedule.next_scan() <= Instant::now();
            if is_scan_due && self.scan(is_signal).await {
                let changed = self.manifests.as_ref().and_then(|manifests| manifests.changed.clone());
                due = Some(Due::with_changed(due, changed));
                self.follow().await;
            }
            if let Some(due) = due {
                self.pass(due).await;
            }
            due = loop {
                match self.wait().await {
                    Wake::Pass(due) => break Some(due),
                    Wake::Files => break None,
                    Wake::Nothing => {}
                }
            };
        }
    }

    /// Returns the pass over what a window or a suspension held back, and waits for the next such time.
    fn due_by_turn(&mut self) -> Wake {
        self.find_turn();
        match self.shared.turned() {
            Some(part) if part.is_empty() => Wake::Nothing,
            part => Wake::Pass(Due { trigger: Trigger::Window, part }),
        }
    }

    /// Finds when the next window opens or closes, or the next suspension ends.
    fn find_turn(&mut self) {
        let desired = self.manifests.iter().flat_map(|manifests| &manifests.desired);
        self.turn = self.shared.settings.holds.next_turn(desired, Timestamp::now());
    }

    /// Returns the pass that events ask for.
    fn due_by_events(&self, touched: &Touched) -> Wake {
        let Some(manifests) = self.manifests.as_ref().filter(|_| !touched.all) else {
            return Wake::Pass(Due::all(Trigger::Event));
        };
        let part = self.shared.touched(&touched.events, manifests, &self.keys);
        if part.is_empty() {
            return Wake::Nothing;
        }
        Wake::Pass(Due { trigger: Trigger::Event, part: Some(part) })
    }

    /// Follows the events about what is declared now.
    async fn follow(&mut self) {
        let Some(manifests) = self.manifests.clone() else { return };
        let connections = &self.shared.settings.connections;
        self.keys = KeyIndex::of(&manifests.desired, connections);
        self.followers.follow(&manifests.desired, connections).await;
    }

    /// Waits until something happens.
    async fn wait(&mut self) -> Wake {
        let (next_pass, trigger) = self.schedule.next_pass();
        let next_retry = self.retries.next();
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Files,
            () = self.wake.notified() => Wake::Pass(Due::all(Trigger::Signal)),
            () = self.control.requested() => Wake::Pass(Due::all(Trigger::Request)),
            () = sleep_until(next_pass) => Wake::Pass(Due::all(trigger)),
            () = held::until(self.turn) => self.due_by_turn(),
            touched = self.followers.next() => self.due_by_events(&touched),
            () = sleep_until(next_retry.unwrap_or(next_pass)), if next_retry.is_some() => {
                Wake::Pass(Due { trigger: Trigger::Retry, part: Some(self.retries.due(Instant::now())) })
            }
            Some(()) = self.dirty.recv() => {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = self.debounce.wait_until_quiet(&mut self.dirty) => {}
                }
                Wake::Files
            }
            () = sleep_until(self.schedule.next_scan()) => Wake::Files,
        }
    }

    /// Reads the files and returns true if they are not what they were.
    async fn scan(&mut self, anew: bool) -> bool {
        if anew {
            tracing::info!("the configuration, the manifests and the secrets are read anew, because of a signal");
            self.shared.settings.connections.iter().for_each(|connection| connection.renew_session());
        }
        let (reader, location, previous) = (self.reader.clone(), self.location.clone(), self.manifests.clone());
        let read = spawn_blocking(move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.read(&location, previous.as_deref(), anew)
        });
        let (read, problem) = self.within_deadline(read, "reading the files", || ()).await;
        if problem.is_some() {
            self.status.set_overdue(None);
        }
        let (trusted, changed) = match read {
            Ok(FilesRead { settings, location, manifests, is_told }) => {
                self.location = location;
                let changed = manifests.is_some();
                let is_new = changed || matches!(settings, Reloaded::Changed(..));
                self.configure(settings);
                manifests.into_iter().for_each(|manifests| self.adopt(Arc::new(manifests)));
                if is_new {
                    self.find_turn();
                }
                (is_told && self.readable(), changed)
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

    /// Puts settings in force that were read anew; those in force stay where they are broken.
    fn configure(&mut self, reloaded: Reloaded) {
        let problems = match reloaded {
            Reloaded::Unchanged => return,
            Reloaded::Broken(problems) => {
                let (diagnostics, problems_text) = (problems.field(), &*problems.text);
                tracing::error!(
                    diagnostics,
                    problems_text,
                    "the configuration is broken: the last good one stays in force"
                );
                problems
            }
            Reloaded::Changed(settings, problems) => {
                let (diagnostics, problems_text) = (problems.field(), &*problems.text);
                if problems.text.is_empty() {
                    tracing::info!("the configuration was read anew and is in force");
                } else {
                    tracing::warn!(diagnostics, problems_text, "the configuration was read anew and is in force");
                }
                self.schedule.set_resync(settings.resync, Instant::now());
                let old = &self.shared;
                self.shared = Arc::new(pass::Shared {
                    verify: old.verify,
                    filter: old.filter.clone(),
                    platforms: old.platforms,
                    record: Record::new(&settings, &self.paths, old.platforms, self.timeout),
                    memory: old.memory.clone(),
                    control: old.control.clone(),
                    settings: *settings,
                });
                Problems { errors: 0, ..problems }
            }
        };
        self.shared.memory.metrics.configuration_errors(problems.errors);
        self.status.update(|snapshot| snapshot.configuration = problems.into());
    }

    /// Puts manifests in force.
    fn adopt(&mut self, manifests: Arc<Manifests>) {
        let (digest, objects, held) = (&*manifests.digest, manifests.desired.len(), manifests.held.len());
        tracing::info!(digest, objects, held, errors = manifests.errors(), "manifests read");
        let problems = manifests.problems();
        let (diagnostics, problems_text) = (problems.field(), &*problems.text);
        if problems.errors > 0 {
            tracing::error!(diagnostics, problems_text, "the last good version of what is broken stays in force");
        } else if !problems.text.is_empty() {
            tracing::warn!(diagnostics, problems_text, "the manifests have warnings");
        }
        self.shared.memory.metrics.manifests(&manifests);
        self.status.update(|snapshot| snapshot.manifests = Some(manifests.status()));
        self.schedule.changed();
        self.inventory.adopt(&manifests);
        self.retries.forget(manifests.changed.as_ref());
        self.manifests = Some(manifests);
    }

    /// Waits for a task. Where it does not end in the time of a pass, says what it waits for, calls `end`, and waits on:
    /// nothing else may begin before. Returns that sentence, too.
    async fn within_deadline<T>(
        &self,
        mut task: JoinHandle<T>,
        what: &str,
        end: impl FnOnce(),
    ) -> (Result<T, JoinError>, Option<String>) {
        let deadline = self.shared.settings.deadline;
        tokio::select! {
            ended = &mut task => return (ended, None),
            () = sleep(deadline) => {}
        }
        let problem = format!(
            "{what} has not ended within {} s and is broken off: {}",
            deadline.as_secs_f64(),
            hang::waiting_for(&self.shared.settings.connections)
        );
        tracing::error!("{problem}");
        self.status.set_overdue(Some(problem.clone()));
        self.status.update(|snapshot| snapshot.last_error = Some(problem.clone()));
        end();
        (task.await, Some(problem))
    }

    /// Has a pass send nothing more once the agent is paused, until the guard is dropped.
    fn stop_on_pause(&self, stop: &CancellationToken) -> DropGuard {
        let (control, stop, ended) = (self.control.clone(), stop.clone(), CancellationToken::new());
        let guard = ended.clone().drop_guard();
        if control.paused().is_none() {
            tokio::spawn(async move {
                if ended.run_until_cancelled(control.until_paused()).await.is_some() {
                    stop.cancel();
                }
            });
        }
        guard
    }

    async fn pass(&mut self, due: Due) {
        let Due { trigger, part } = due;
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
        let _pause_guard = self.stop_on_pause(&stop);
        let (pass_shared, pass_stop) = (shared.clone(), stop.clone());
        let task = spawn_blocking(move || {
            runtime.block_on(pass::pass(&pass_shared, &manifests, (trigger, part.as_ref()), &pass_stop))
        });
        let (ended, problem) = self
            .within_deadline(task, "a pass", || {
                stop.cancel();
                config::end_programs();
            })
            .await;
        let mut report = ended.unwrap_or_else(|error| Report {
            trigger,
            start,
            end: Timestamp::now(),
            verdict: Verdict::Panicked,
            counts: Counts::default(),
            by_kind: ByKind::new(),
            drift: 0,
            error: Some(format!("the pass did not end: {}", panic_message(error))),
            retry: true,
            all_failed: true,
            failing: HashSet::new(),
            part: None,
            whole: true,
        });
        if problem.is_none() {
            self.status.set_overdue(None);
        } else if !self.stop.is_cancelled() {
            report = Report { verdict: Verdict::Failed, error: problem, retry: true, all_failed: true, ..report };
        }
        self.status.pass_ends();
        log(&report);
        self.shared.memory.metrics.pass(&report);
        self.shared.memory.metrics.paused(self.control.paused().is_some());
        let now = Instant::now();
        if report.whole || report.all_failed {
            self.schedule.passed(report.all_failed, now);
        }
        if report.verdict.complete() {
            self.retries.note(report.part.as_ref(), &report.failing, self.shared.settings.resync, now);
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

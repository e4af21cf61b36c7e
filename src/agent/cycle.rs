//! The loop: reads the files, makes a pass over each target where one is due, waits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    runtime::Handle,
    sync::{Notify, mpsc},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config,
    model::{Desired, policy::Policy},
};

use super::{
    Agent, Control, Debounce, Inventory,
    base::Base,
    changed::Changes,
    events::{Followers, KeyIndex, Touched},
    files::{FileReader, FilesRead, Reading, watched},
    held,
    lane::{Due, Lane, Running, Stage, together},
    log,
    manifests::{Location, Manifests},
    pass,
    record::OwnRuns,
    schedule::next_scan,
    settings::{Problems, Reloaded},
    status::{Report, Status, Trigger, Verdict},
    supervise::{Supervised, panic_message},
    watch::{self, Watch},
};

/// The lane of an agent to which nothing is declared. No target has this name.
const NOTHING: &str = "";

/// The key of the status under which reading the files is overdue. No target has this name.
const FILES: &str = "files/";

/// Time between two looks whether somebody else's run is on a target, as long as it is looked around there.
const IN_USE: Duration = Duration::from_secs(1);

/// Why the loop goes on.
enum Wake {
    /// Passes may have come due.
    Due,
    /// The files are to be read again, or the end has come.
    Files,
    /// A signal asks for everything.
    Signal,
    /// Somebody on the status page does.
    Request,
    /// A pass over a target has ended.
    Ended(Arc<str>, Box<Report>, Option<String>),
    /// What happened concerns nothing.
    Nothing,
}

/// The loop's own state.
pub(super) struct Cycle {
    base: Base,
    location: Arc<Location>,
    reader: Arc<Mutex<FileReader>>,
    dirty: mpsc::Receiver<()>,
    wake: Arc<Notify>,
    debounce: Debounce,
    rescan: Duration,
    next_scan: Instant,
    first_retry: Duration,
    /// When the next window opens or closes, or the next suspension ends.
    turn: Option<Timestamp>,
    followers: Followers,
    keys: KeyIndex,
    manifests: Option<Arc<Manifests>>,
    /// By their targets.
    lanes: BTreeMap<Arc<str>, Lane>,
    passes: JoinSet<(Arc<str>, Box<Report>, Option<String>)>,
    status: Status,
    inventory: Inventory,
    control: Control,
    #[cfg(test)]
    passes_are_tasks: bool,
    stop: CancellationToken,
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
            base: Base {
                settings,
                paths,
                timeout: agent.timeout,
                verify: agent.verify,
                filter: agent.filter,
                platforms,
                metrics: agent.metrics,
                inventory: agent.inventory.clone(),
                control: agent.control.clone(),
                own_runs: OwnRuns::default(),
            },
            reader: Arc::new(Mutex::new(FileReader::new(watch, loader))),
            location: Arc::new(location),
            dirty,
            wake: agent.wake,
            debounce: agent.debounce,
            rescan: agent.rescan,
            next_scan: Instant::now(),
            first_retry: agent.retry,
            turn: None,
            followers: Followers::new(),
            keys: KeyIndex::default(),
            manifests: None,
            lanes: BTreeMap::new(),
            passes: JoinSet::new(),
            status: agent.status,
            inventory: agent.inventory,
            control: agent.control,
            #[cfg(test)]
            passes_are_tasks: agent.passes_are_tasks,
            stop,
        }
    }

    /// Runs until it is cancelled.
    pub(super) async fn run(mut self) {
        self.set_mode();
        self.look(Reading::All).await;
        while !self.stop.is_cancelled() {
            self.start_passes();
            match self.wait().await {
                Wake::Files => self.look(Reading::Changed).await,
                Wake::Signal => {
                    self.ask_all(Trigger::Signal);
                    self.look(Reading::Anew).await;
                }
                Wake::Request => {
                    self.ask_all(Trigger::Request);
                    self.look(Reading::All).await;
                }
                // Passes that happen often have no need of the files.
                Wake::Due if self.lanes.values().any(Lane::is_ready_for_all) => self.look(Reading::All).await,
                Wake::Ended(target, report, problem) => self.ended(&target, *report, problem),
                Wake::Due | Wake::Nothing => {}
            }
        }
        // Calls on their way are waited for.
        while let Some(Ok((target, report, problem))) = self.passes.join_next().await {
            self.ended(&target, *report, problem);
        }
    }

    fn ask_all(&mut self, trigger: Trigger) {
        self.lanes.values_mut().for_each(|lane| lane.ask(Due::all(trigger)));
    }

    /// Asks for passes over what a window or a suspension held back, and waits for the next such time.
    fn turned(&mut self) -> Wake {
        self.find_turn();
        for lane in self.lanes.values_mut() {
            match lane.shared.turned() {
                Some(part) if part.is_empty() => {}
                part => lane.ask(Due { trigger: Trigger::Window, part }),
            }
        }
        Wake::Due
    }

    /// Forgets what was found, where nothing is looked at.
    fn rest(&mut self) {
        self.lanes.values_mut().for_each(Lane::rest);
        self.inventory.forget();
        self.base.metrics.forget();
        self.status.update(|snapshot| (snapshot.last, snapshot.complete) = (None, false));
    }

    /// Takes over the mode of the settings.
    fn set_mode(&mut self) {
        let mode = self.base.settings.mode;
        self.base.metrics.mode(mode);
        self.status.update(|snapshot| snapshot.mode = mode);
        if mode == Policy::Ignore {
            tracing::info!(
                "the mode is `ignore`: manifests are checked, nothing else is looked at, nothing is written"
            );
            self.rest();
        }
    }

    /// Finds when the next window opens or closes, or the next suspension ends.
    fn find_turn(&mut self) {
        let desired = self.manifests.iter().flat_map(|manifests| &manifests.desired).map(|object| &**object);
        self.turn = self.base.settings.holds.next_turn(desired, Timestamp::now());
    }

    /// Asks for the passes that events are about.
    fn touched(&mut self, touched: &Touched) -> Wake {
        let Some(manifests) = self.manifests.clone().filter(|_| !self.base.settings.ignores_all()) else {
            return Wake::Nothing;
        };
        for (target, lane) in &mut self.lanes {
            let events: Vec<_> = touched.events.iter().filter(|(name, _)| name == target).cloned().collect();
            let part = if touched.all.contains(target) {
                None
            } else {
                Some(lane.shared.touched(&events, &manifests, &self.keys))
            };
            if part.as_ref().is_none_or(|part| !part.is_empty()) {
                self.base.metrics.event_waits(target);
                lane.ask(Due { trigger: Trigger::Event, part });
            }
        }
        Wake::Due
    }

    /// Follows the events about what is declared now.
    async fn follow(&mut self) {
        let Some(manifests) = self.manifests.clone() else { return };
        let connections = &self.base.settings.connections;
        let changes = manifests.changes.as_ref();
        match changes {
            Some(changes) => self.keys.update(changes, connections),
            None => self.keys = KeyIndex::of(&manifests.desired, connections),
        }
        if !changes.is_some_and(Changes::are_of_fields) {
            let desired = if self.base.settings.ignores_all() { &[] } else { &*manifests.desired };
            self.followers.follow(desired, connections).await;
        }
    }

    /// Waits until something happens.
    async fn wait(&mut self) -> Wake {
        let next = self.lanes.values().filter_map(Lane::next).min();
        let is_running = !self.passes.is_empty();
        let looks_around = self.lanes.values().any(Lane::looks_around);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Wake::Nothing,
            Some(ended) = self.passes.join_next(), if is_running => match ended {
                Ok((target, report, problem)) => Wake::Ended(target, report, problem),
                Err(_) => Wake::Nothing,
            },
            () = self.wake.notified() => Wake::Signal,
            () = self.control.requested() => Wake::Request,
            () = held::until(self.turn) => self.turned(),
            touched = self.followers.next() => self.touched(&touched),
            () = sleep_until(next.unwrap_or(self.next_scan)), if next.is_some() => self.come_due(),
            () = sleep(IN_USE), if looks_around => Wake::Due,
            Some(()) = self.dirty.recv() => {
                tokio::select! {
                    () = self.stop.cancelled() => {}
                    () = self.debounce.wait_until_quiet(&mut self.dirty) => {}
                }
                Wake::Files
            }
            () = sleep_until(self.next_scan) => Wake::Files,
        }
    }

    fn come_due(&mut self) -> Wake {
        let manifests = self.manifests.clone();
        let desired = manifests.as_ref().map(|manifests| &*manifests.desired).unwrap_or_default();
        let now = Instant::now();
        self.lanes.values_mut().for_each(|lane| lane.come_due(desired, now));
        Wake::Due
    }

    /// Reads the files. Where they are not what they were, passes over what changed are asked for.
    async fn look(&mut self, reading: Reading) {
        if self.scan(reading).await {
            self.follow().await;
        }
    }

    /// Reads the files and returns true if they are not what they were.
    async fn scan(&mut self, reading: Reading) -> bool {
        if reading == Reading::Anew {
            tracing::info!("the configuration, the manifests and the secrets are read anew, because of a signal");
            self.base.settings.connections.iter().for_each(|connection| connection.renew_session());
        }
        let (reader, location, previous) = (self.reader.clone(), self.location.clone(), self.manifests.clone());
        let read = spawn_blocking(move || {
            let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.read(&location, previous.as_deref(), reading)
        });
        let key: Arc<str> = FILES.into();
        let supervised = Supervised {
            what: "reading the files".to_owned(),
            key: key.clone(),
            deadline: self.base.settings.deadline,
            connections: &self.base.settings.connections,
            status: &self.status,
        };
        let (read, problem) = supervised.wait(read, || ()).await;
        if problem.is_some() {
            self.status.set_overdue(&key, None);
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
        self.next_scan = next_scan(self.rescan, trusted, Instant::now());
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
                let is_other_mode = settings.mode != self.base.settings.mode;
                self.base.settings = *settings;
                let now = Instant::now();
                for (target, lane) in &mut self.lanes {
                    let shared = self.base.shared(target, Some(lane.shared.memory.clone()));
                    lane.configure(shared, now);
                }
                if is_other_mode {
                    self.set_mode();
                }
                Problems { errors: 0, ..problems }
            }
        };
        self.base.metrics.configuration_errors(problems.errors);
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
        self.base.metrics.manifests(&manifests);
        self.status.update(|snapshot| snapshot.manifests = Some(manifests.status()));
        self.inventory.adopt(&manifests);
        for lane in self.lanes.values_mut() {
            lane.adopt(&manifests);
            lane.ask_for(manifests.changes.as_ref());
        }
        self.add_lanes(&manifests);
        if let Some(before) = self.manifests.replace(manifests) {
            // There may be many objects.
            spawn_blocking(move || drop(before));
        }
    }

    /// Makes a lane for each target that has objects for the first time.
    fn add_lanes(&mut self, manifests: &Manifests) {
        let is_new = |target: &&Arc<str>| !self.lanes.contains_key(*target);
        let is_wanted = |object: &&Arc<Desired>| self.base.filter.as_ref().is_none_or(|filter| filter(object));
        let new: BTreeSet<&Arc<str>> = manifests.by_target.keys().filter(is_new).collect();
        let mut targets: BTreeSet<Arc<str>> = BTreeSet::new();
        if !new.is_empty() {
            let wanted = manifests.desired.iter().filter(|object| new.contains(&object.target)).filter(is_wanted);
            targets.extend(wanted.map(|object| object.target.clone()));
        }
        if !targets.is_empty() {
            self.lanes.remove(NOTHING);
        } else if self.lanes.is_empty() {
            self.add_lane(NOTHING.into());
        }
        targets.into_iter().for_each(|target| self.add_lane(target));
    }

    fn add_lane(&mut self, target: Arc<str>) {
        let trigger = if self.manifests.is_none() { Trigger::Start } else { Trigger::Change };
        let shared = self.base.shared(&target, None);
        self.lanes.insert(target, Lane::new(shared, self.first_retry, Due::all(trigger), Instant::now()));
    }

    /// Lets looks around wait for runs of other people on their targets.
    fn make_way(&mut self) {
        for lane in self.lanes.values_mut() {
            let is_in_use = lane.looks_around() && lane.shared.record.is_in_use();
            lane.make_way(is_in_use, Instant::now());
        }
    }

    /// Starts all passes that can begin.
    fn start_passes(&mut self) {
        self.make_way();
        let Some(manifests) = self.manifests.clone() else { return };
        let ready: Vec<Arc<str>> =
            self.lanes.iter().filter(|(_, lane)| lane.is_ready()).map(|(target, _)| target.clone()).collect();
        for target in ready {
            let Some(due) = self.lanes.get_mut(&target).and_then(Lane::take) else { continue };
            self.start_pass(&target, due, manifests.clone());
        }
    }

    /// Starts a pass, on a thread of its own: a mistake of ours costs this pass only, and a large plan does not hold up the
    /// loop. Where the loop is dropped, the pass sends nothing more.
    fn start_pass(&mut self, target: &Arc<str>, due: Due, manifests: Arc<Manifests>) {
        let start = Timestamp::now();
        let stop = self.stop.child_token();
        let guards = [stop.clone().drop_guard(), self.stop_on_pause(&stop)];
        let stage = Arc::new(Stage::default());
        let Some(lane) = self.lanes.get_mut(target) else { return };
        let shared = lane.shared.clone();
        lane.running =
            Some(Running { due: due.clone(), start, stop: stop.clone(), stage: stage.clone(), _guards: guards });
        self.status.pass_begins(target);
        self.status.update(|snapshot| snapshot.running = snapshot.running.or(Some(start)));
        let (status, target) = (self.status.clone(), target.clone());
        let (pass_shared, pass_stop, trigger) = (shared.clone(), stop.clone(), due.trigger);
        let pass = move || async move {
            let (part, stage) = (due.part.as_ref(), &*stage);
            pass::pass(&pass_shared, &manifests, (trigger, part), stage, &pass_stop).await
        };
        let runtime = Handle::current();
        #[cfg(test)]
        let task = if self.passes_are_tasks {
            tokio::task::spawn_local(pass())
        } else {
            spawn_blocking(move || runtime.block_on(pass()))
        };
        #[cfg(not(test))]
        let task = spawn_blocking(move || runtime.block_on(pass()));
        self.passes.spawn(async move {
            let supervised = Supervised {
                what: "a pass".to_owned(),
                key: target.clone(),
                deadline: shared.settings.deadline,
                connections: &shared.settings.connections,
                status: &status,
            };
            let end = || {
                stop.cancel();
                config::end_programs(|program| program.target.as_ref() == Some(&target));
            };
            let (ended, problem) = supervised.wait(task, end).await;
            let report = ended.unwrap_or_else(|error| Report::panicked(trigger, start, &panic_message(error)));
            (target, Box::new(report), problem)
        });
    }

    /// Takes in the report of a pass over a target, and why it was broken off, where it was.
    fn ended(&mut self, target: &Arc<str>, mut report: Report, problem: Option<String>) {
        if problem.is_none() {
            self.status.set_overdue(target, None);
        } else if !self.stop.is_cancelled() {
            report = Report { verdict: Verdict::Failed, error: problem, retry: true, all_failed: true, ..report };
        }
        self.status.pass_ends(target);
        let is_told = self.lanes.get_mut(target).is_some_and(|lane| lane.ended(&report, Instant::now()));
        let running = self.lanes.values().filter_map(|lane| Some(lane.running.as_ref()?.start)).min();
        if !is_told {
            self.status.update(|snapshot| snapshot.running = running);
            return;
        }
        log::pass_ended(target, &report);
        let all = together(&report, &self.lanes.values());
        let is_complete = self.lanes.values().all(|lane| lane.complete);
        let successes = self.lanes.values().map(|lane| lane.last_success).collect::<Option<Vec<_>>>();
        let last_success = successes.and_then(|times| times.into_iter().min());
        if report.verdict.complete() && self.lanes.get(target).is_some_and(|lane| !lane.is_due()) {
            self.base.metrics.event_taken_in(target);
        }
        self.base.metrics.pass(&report, &all.by_kind, last_success);
        self.base.metrics.paused(self.control.paused().is_some());
        self.status.update(|snapshot| {
            snapshot.running = running;
            snapshot.passes += 1;
            snapshot.complete |= is_complete;
            if let Some(error) = &report.error {
                snapshot.last_error = Some(error.clone());
            }
            snapshot.last = Some(all);
        });
        if self.base.settings.ignores_all() {
            self.rest();
        }
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
}

//! The servers of one run, in this process: they answer as the schedule lets them, and take note of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::future::{BoxFuture, pending};
use reconcile_sandbox::{
    Delivery, Sandbox,
    simulator::{Cells, Record, Request},
};
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};

use super::schedule::{FaultKind, Schedule, Strike};
use crate::{
    journal::memory::{KillPoint, Killer, Memory},
    provider::{Method, Prepared},
    transport::{Answer, Loss, Service},
};

/// More requests than any run makes.
const MOST: u64 = 100_000;

/// How long after somebody else's write one has to have read the object again before writing to it. It is far longer
/// than the time that the engine takes for a batch.
const LONG_AGO: Duration = Duration::from_secs(90);

/// The end of the host of each simulated server; its number stands before it.
const HOST: &str = ".rehearsal.invalid";

/// Returns the root of the URLs of a simulated server.
pub(super) fn url(number: usize) -> String {
    format!("http://{number}{HOST}")
}

/// Cells that differ, with the values before and after.
pub(super) type Difference = BTreeMap<String, (Option<Value>, Option<Value>)>;

/// A value that somebody else wrote.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ForeignEdit {
    /// The cell, with the number of its server before it.
    pub(super) cell: String,
    /// The value before.
    pub(super) from: Option<Value>,
    /// The value that was written.
    pub(super) to: Option<Value>,
    /// When it was written, since the run began.
    time: Duration,
    /// The text of the value, where it is one that is nowhere else.
    token: Option<String>,
    /// How many requests there were when an answer showed it to the run.
    seen: Option<u64>,
    /// It was written over, by whomever.
    is_over: bool,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// A line for each request and each kill.
    pub(super) lines: Vec<String>,
    pub(super) requests: u64,
    pub(super) writes: u64,
    pub(super) strikes: BTreeMap<FaultKind, u64>,
    pub(super) edits: Vec<ForeignEdit>,
    /// What the run must not do and did.
    pub(super) violations: Vec<String>,
    /// Writes whose success was answered in this attempt: they are not made again.
    succeeded: BTreeSet<u64>,
    /// Writes whose answers got lost, and how many reads of their server there were by then.
    lost: BTreeMap<u64, u64>,
    /// Reads that were answered, by server.
    reads: BTreeMap<usize, u64>,
    /// Calls that are recorded, by operation, as far as that was looked up.
    recorded: BTreeMap<String, usize>,
    /// Calls that were made, by operation.
    calls: BTreeMap<String, BTreeSet<u64>>,
    /// The moments at which the run could be killed.
    pub(super) kill_points: Vec<KillPoint>,
    /// The cells that each write changed, where writes are traced.
    pub(super) traced: Vec<(usize, Difference)>,
}

/// What the servers were before a run.
#[derive(Debug)]
pub(super) struct Origin {
    /// Their states, by which new rows are known.
    states: Vec<Value>,
    /// Their cells, each with the number of its server before its name.
    cells: Cells,
}

impl Origin {
    /// Returns what servers are now.
    pub(super) fn of<'s>(servers: impl Iterator<Item = &'s Sandbox>) -> Self {
        let mut origin = Self { states: Vec::new(), cells: Cells::new() };
        for (number, server) in servers.enumerate() {
            let state = server.state();
            origin.cells.extend(numbered(number, server.cells(&state)));
            origin.states.push(state);
        }
        origin
    }
}

fn numbered(number: usize, cells: Cells) -> impl Iterator<Item = (String, Value)> {
    cells.into_iter().map(move |(name, value)| (format!("{number}/{name}"), value))
}

/// The servers of one run.
#[derive(Debug)]
pub(super) struct World {
    sandboxes: Vec<Sandbox>,
    /// The servers before the run.
    origin: Arc<Origin>,
    /// Fields by which objects are found: nobody changes them.
    keep: BTreeSet<String>,
    schedule: Mutex<Schedule>,
    /// The disk with the journals, as the running process sees it.
    process: Mutex<Memory>,
    events: Mutex<Events>,
    start: Instant,
    killed: Notify,
    overrun: Notify,
    records: bool,
    traces: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Returns servers with the states of others. `records` keeps a line for each event, `traces` the cells that each
    /// write changes.
    pub(super) fn new(
        prototypes: &[&Sandbox],
        origin: Arc<Origin>,
        keep: BTreeSet<String>,
        schedule: Schedule,
        records: bool,
        traces: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            sandboxes: prototypes.iter().map(|prototype| prototype.fork()).collect(),
            origin,
            keep,
            schedule: Mutex::new(schedule),
            process: Mutex::default(),
            events: Mutex::default(),
            start: Instant::now(),
            killed: Notify::new(),
            overrun: Notify::new(),
            records,
            traces,
        })
    }

    /// Waits until there were far more requests than any run makes.
    pub(super) async fn overrun(&self) {
        self.overrun.notified().await;
    }

    /// Waits for the next kill.
    pub(super) async fn killed(&self) {
        loop {
            self.killed.notified().await;
            // One that was seen to otherwise leaves its notice behind.
            if self.process().is_dead() {
                return;
            }
        }
    }

    /// Returns the time since the run began.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Returns the schedule.
    pub(super) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        lock(&self.schedule)
    }

    /// Returns what happened so far.
    pub(super) fn events(&self) -> MutexGuard<'_, Events> {
        lock(&self.events)
    }

    /// Adds a line to the history.
    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        if self.records {
            let line = format!("{:>9.3} s  {}", self.elapsed().as_secs_f64(), text());
            self.events().lines.push(line);
        }
    }

    /// Returns the cells of all servers, each with the number of its server before its name.
    pub(super) fn cells(&self) -> Cells {
        (0..self.sandboxes.len()).flat_map(|number| self.cells_of(number)).collect()
    }

    fn cells_of(&self, number: usize) -> impl Iterator<Item = (String, Value)> {
        numbered(number, self.sandboxes[number].cells(&self.origin.states[number]))
    }

    /// Has somebody else change something on a server.
    pub(super) fn disturb(&self, number: usize) {
        let before: Cells = self.cells_of(number).collect();
        if !self.sandboxes[number].disturb(self.schedule().random(), &self.keep) {
            return;
        }
        for (cell, (from, to)) in difference(&before, &self.cells_of(number).collect()) {
            let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
            self.note(|| format!("somebody else   {cell}: {} → {}", shown(&from), shown(&to)));
            let time = self.elapsed();
            let token = to.as_ref().and_then(Value::as_str).map(str::to_owned);
            let mut events = self.events();
            events.edits.iter_mut().filter(|edit| edit.cell == cell).for_each(|edit| edit.is_over = true);
            events.edits.push(ForeignEdit { cell, from, to, time, token, seen: None, is_over: false });
        }
    }

    /// Takes note of an answer that arrives: it may show what somebody else wrote. One that is not `told`, because it
    /// cannot be understood, is no success.
    fn arrived(&self, record: &Record, call: u64, told: bool, answer: &Answer) {
        let mut events = self.events();
        if record.write {
            if told && answer.status < 300 && record.code.is_null() {
                events.succeeded.insert(call);
            }
            return;
        }
        let requests = events.requests;
        for edit in events.edits.iter_mut().filter(|edit| edit.seen.is_none() && !edit.is_over) {
            let token = edit.token.as_deref().unwrap_or_default().as_bytes();
            let is_shown = !token.is_empty() && answer.body.windows(token.len()).any(|part| part == token);
            edit.seen = is_shown.then_some(requests);
        }
    }

    /// Checks a write that leaves: its call is recorded, and no call is repeated without a look whose answer got lost.
    fn check_write(&self, number: usize, id: u64, call: u64, record: &Record) {
        let operation = &record.operation;
        let needle = format!("\"operation\":\"{operation}\"");
        let mut events = self.events();
        let made = events.calls.get(operation).map_or(0, BTreeSet::len) + 1;
        let mut recorded = events.recorded.get(operation).copied().unwrap_or_default();
        if recorded < made {
            // Calls are recorded together, so that this is seldom looked up.
            recorded = self.process().count(needle.as_bytes());
            events.recorded.insert(operation.clone(), recorded);
        }
        let reads = events.reads.get(&number).copied().unwrap_or_default();
        let is_blind = events.lost.get(&call).is_some_and(|then| *then == reads);
        let calls = events.calls.entry(operation.clone()).or_default();
        calls.insert(call);
        let is_recorded = recorded >= calls.len();
        if is_blind {
            let what = "was made again after its answer got lost, without a look at the object";
            events.violations.push(format!("request #{id}: {operation} {what}"));
        }
        if !is_recorded {
            events.violations.push(format!("request #{id}: {operation} left before it was recorded"));
        }
    }

    /// Takes note of the answer to a request, or that none came.
    fn answered(&self, number: usize, call: u64, record: &Record, is_told: bool) {
        let mut events = self.events();
        if !record.write {
            *events.reads.entry(number).or_default() += 1;
        } else if !is_told {
            let reads = events.reads.get(&number).copied().unwrap_or_default();
            events.lost.insert(call, reads);
        }
    }

    /// Takes note of a write: what somebody else wrote is gone where it was written over, which must not happen once
    /// the run saw it.
    fn wrote(&self, number: usize, id: u64, arrived: Duration) {
        if self.events().edits.iter().all(|edit| edit.is_over) {
            return;
        }
        let prefix = format!("{number}/");
        let now = |cell: &str| self.sandboxes[number].cell(cell.strip_prefix(&prefix)?, &self.origin.states[number]);
        let mut events = self.events();
        let mut lost = Vec::new();
        for edit in events.edits.iter_mut().filter(|edit| !edit.is_over && edit.cell.starts_with(&prefix)) {
            let value = now(&edit.cell);
            if value != edit.to {
                edit.is_over = true;
                // A deleted object takes its edited cells with it, and a request that left before the edit was read is only late.
                let is_there = value.is_some();
                // What has its first value again looks as if nobody had touched it, however often it is read.
                let is_back = self.origin.cells.get(&edit.cell) == edit.to.as_ref();
                if edit.seen.is_some_and(|seen| id > seen) && is_there {
                    lost.push(format!("request #{id} wrote over {}, although the run had read it", edit.cell));
                } else if edit.time + LONG_AGO < arrived && is_there && !is_back {
                    let age = arrived.saturating_sub(edit.time).as_secs();
                    lost.push(format!("request #{id} wrote over {}, which was not read again for {age} s", edit.cell));
                }
            }
        }
        events.violations.extend(lost);
    }

    /// Starts a process: it knows nothing of the calls of the one before, and finds on the disk what that one synced.
    pub(super) fn start_process(self: &Arc<Self>) -> Memory {
        {
            let mut events = self.events();
            events.succeeded.clear();
            events.lost.clear();
        }
        let mut process = lock(&self.process);
        *process = process.restarted(Some(Arc::new(Executioner(Arc::downgrade(self)))));
        process.clone()
    }

    /// Returns the disk as the running process sees it.
    pub(super) fn process(&self) -> Memory {
        lock(&self.process).clone()
    }

    /// Carries a request out, whether or not the client still waits.
    async fn serve(&self, number: usize, id: u64, request: &Request, record: &Record, strike: Struck) -> Delivery {
        if strike.kind == Some(FaultKind::SecondWriter) {
            self.disturb(number);
        }
        let arrived = self.elapsed();
        let before: Option<Cells> = (self.traces && record.write).then(|| self.cells_of(number).collect());
        let delivery = self.sandboxes[number].deliver_with(request, &strike.faults).await;
        if record.write {
            self.wrote(number, id, arrived);
        }
        if let Some(before) = before {
            let changed = difference(&before, &self.cells_of(number).collect());
            self.events().traced.push((number, changed));
        }
        self.note(|| {
            let how = match &delivery {
                Delivery::Answered(answer) => format!("HTTP {} ({})", answer.status, digest(&answer.body)),
                Delivery::Lost => "the answer got lost".to_owned(),
                Delivery::Refused => "no connection".to_owned(),
            };
            let fault = strike.kind.map(|kind| format!("  [{}]", kind.name())).unwrap_or_default();
            format!("answer  #{id:<5} {how}{fault}")
        });
        delivery
    }
}

/// Kills the process at the moments of the schedule.
struct Executioner(Weak<World>);

impl Killer for Executioner {
    fn dies_at(&self, point: KillPoint) -> bool {
        let Some(world) = self.0.upgrade() else { return false };
        world.events().kill_points.push(point);
        let dies = world.schedule().dies();
        if dies {
            world.note(|| format!("killed  {}", point.name()));
            world.killed.notify_one();
        }
        dies
    }
}

/// What a schedule does to a request that arrives.
struct Struck {
    kind: Option<FaultKind>,
    faults: Vec<reconcile_sandbox::fault::Fault>,
}

/// Returns the cells that differ between two states, with both values.
pub(super) fn difference(before: &Cells, after: &Cells) -> Difference {
    let mut changed = BTreeMap::new();
    for (cell, value) in before {
        if after.get(cell) != Some(value) {
            changed.insert(cell.clone(), (Some(value.clone()), after.get(cell).cloned()));
        }
    }
    for (cell, value) in after.iter().filter(|(cell, _)| !before.contains_key(*cell)) {
        changed.insert(cell.clone(), (None, Some(value.clone())));
    }
    changed
}

/// Returns some digits that differ where bytes do.
fn digest(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("{:08x}", hasher.finish() >> 32)
}

/// Returns true unless the answer got lost on its way.
fn delivery_is_answer(delivery: &Delivery) -> bool {
    matches!(delivery, Delivery::Answered(_) | Delivery::Refused)
}

/// Returns a number that is the same for the same call.
fn call_digest(server: usize, request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    (server, &request.method, &request.path, &request.query, &request.body).hash(&mut hasher);
    hasher.finish()
}

/// Reads a prepared request as a server gets it; returns the number of the server, too.
fn arrival(prepared: Prepared) -> Option<(usize, Request)> {
    let rest = prepared.url.strip_prefix("http://")?;
    let (host, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let number = host.strip_suffix(HOST)?.parse().ok()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = prepared.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let method = match prepared.method {
        Method::Get => "GET",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
    };
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.chain([("host".to_owned(), host.to_owned())]).collect(),
        body: prepared.body,
    };
    Some((number, request))
}

/// The way to the servers of a run.
#[derive(Debug, Clone)]
pub(super) struct Way(pub(super) Arc<World>);

impl Service for Way {
    fn answer(&self, prepared: Prepared) -> BoxFuture<'_, Result<Answer, Loss>> {
        let world = self.0.clone();
        Box::pin(async move {
            let (number, request) =
                arrival(prepared).filter(|(number, _)| *number < world.sandboxes.len()).ok_or(Loss::Unconnected)?;
            let record = world.sandboxes[number].peek(&request);
            let process = world.process();
            let mut strike = world.schedule().strike(world.elapsed());
            // Nobody looks behind an answer that shows what was stored.
            let is_shown = world.sandboxes[number].shows_writes(&request);
            match strike.kind {
                Some(FaultKind::Dropped) if !record.write || is_shown => strike = Strike::default(),
                Some(FaultKind::Refusal | FaultKind::Normalised) if !record.write => strike = Strike::default(),
                Some(FaultKind::Lag | FaultKind::PageShift) if record.write => strike = Strike::default(),
                _ => {}
            }
            let id = {
                let mut events = world.events();
                events.requests += 1;
                events.writes += u64::from(record.write);
                if let Some(kind) = strike.kind {
                    *events.strikes.entry(kind).or_default() += 1;
                }
                events.requests
            };
            world.note(|| {
                let sort = if record.write { "write" } else { "read" };
                format!("{sort:<7} #{id:<5} {} ({})", record.operation, digest(&request.body))
            });
            if process.dies_at(KillPoint::BeforeRequest) {
                return pending().await;
            }
            if id > MOST {
                world.overrun.notify_one();
                return pending().await;
            }
            let call = call_digest(number, &request);
            if record.write && world.events().succeeded.contains(&call) {
                let again =
                    format!("request #{id} made a call again that was answered with success: {}", record.operation);
                world.events().violations.push(again);
            }
            if record.write {
                world.check_write(number, id, call, &record);
            }
            let is_told = !matches!(strike.kind, Some(FaultKind::AppliedTimeout | FaultKind::Garbage));
            let struck = Struck { kind: strike.kind, faults: strike.faults };
            // The server goes on where the client does not wait any more.
            let (server, sent) = (world.clone(), record.clone());
            let served = tokio::spawn(async move { server.serve(number, id, &request, &sent, struck).await });
            let delivery = served.await.unwrap_or(Delivery::Lost);
            if process.dies_at(KillPoint::BeforeAnswer) {
                return pending().await;
            }
            world.answered(number, call, &record, is_told && delivery_is_answer(&delivery));
            // What is done with an answer before anything else is waited for is done all the same.
            process.dies_at(KillPoint::Answered);
            match delivery {
                Delivery::Answered(answer) => {
                    let headers = answer.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
                    let record = Record { code: answer.record.code, ..record };
                    let answer = Answer { status: answer.status, headers: headers.collect(), body: answer.body };
                    world.arrived(&record, call, is_told, &answer);
                    Ok(answer)
                }
                Delivery::Lost => Err(Loss::BrokenOff),
                Delivery::Refused => Err(Loss::Unconnected),
            }
        })
    }
}

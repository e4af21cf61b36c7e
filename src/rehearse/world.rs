//! The servers of one run, in this process: they answer as the schedule lets them, and take note of it.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, pending};
use reconcile_sandbox::{
    Delivery, Sandbox,
    simulator::{Cells, Record, Request},
};
use serde_json::Value;
use tokio::{sync::Notify, time::Instant};

use super::schedule::{FaultKind, Schedule};
use crate::{
    provider::{Method, Prepared},
    transport::{Answer, Loss, Service},
};

/// The end of the host of each simulated server; its number stands before it.
const HOST: &str = ".rehearsal.invalid";

/// Returns the root of the URLs of a simulated server.
pub(super) fn url(number: usize) -> String {
    format!("http://{number}{HOST}")
}

/// A value that somebody else wrote.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ForeignEdit {
    /// The cell, with the number of its server before it.
    pub(super) cell: String,
    /// The value before.
    pub(super) from: Option<Value>,
    /// The value that was written.
    pub(super) to: Option<Value>,
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
    /// The cells that each write changed, where writes are traced.
    pub(super) traced: Vec<(usize, BTreeMap<String, (Option<Value>, Option<Value>)>)>,
}

/// The servers of one run.
#[derive(Debug)]
pub(super) struct World {
    sandboxes: Vec<Sandbox>,
    /// The states in which they were, by which new rows are known.
    since: Arc<Vec<Value>>,
    schedule: Mutex<Schedule>,
    events: Mutex<Events>,
    start: Instant,
    killed: Notify,
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
        since: Arc<Vec<Value>>,
        schedule: Schedule,
        records: bool,
        traces: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            sandboxes: prototypes.iter().map(|prototype| prototype.fork()).collect(),
            since,
            schedule: Mutex::new(schedule),
            events: Mutex::default(),
            start: Instant::now(),
            killed: Notify::new(),
            records,
            traces,
        })
    }

    /// Waits for the next kill.
    pub(super) async fn killed(&self) {
        self.killed.notified().await;
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
        let cells = self.sandboxes[number].cells(&self.since[number]).into_iter();
        cells.map(move |(name, value)| (format!("{number}/{name}"), value))
    }

    /// Has somebody else change something on a server.
    pub(super) fn disturb(&self, number: usize) {
        let before: Cells = self.cells_of(number).collect();
        if !self.sandboxes[number].disturb(self.schedule().random()) {
            return;
        }
        for (cell, (from, to)) in difference(&before, &self.cells_of(number).collect()) {
            let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), Value::to_string);
            self.note(|| format!("somebody else   {cell}: {} → {}", shown(&from), shown(&to)));
            self.events().edits.push(ForeignEdit { cell, from, to });
        }
    }

    /// Carries a request out, whether or not the client still waits.
    async fn serve(&self, number: usize, id: u64, request: &Request, record: &Record, strike: Struck) -> Delivery {
        if strike.kind == Some(FaultKind::SecondWriter) {
            self.disturb(number);
        }
        let before: Option<Cells> = (self.traces && record.write).then(|| self.cells_of(number).collect());
        let delivery = self.sandboxes[number].deliver_with(request, &strike.faults).await;
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

/// What a schedule does to a request that arrives.
struct Struck {
    kind: Option<FaultKind>,
    faults: Vec<reconcile_sandbox::fault::Fault>,
}

/// Returns the cells that differ between two states, with both values.
pub(super) fn difference(before: &Cells, after: &Cells) -> BTreeMap<String, (Option<Value>, Option<Value>)> {
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
            let strike = world.schedule().strike(&record, world.elapsed());
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
            if strike.kill_before {
                world.note(|| format!("killed  #{id:<5} before it arrives"));
                world.killed.notify_one();
                return pending().await;
            }
            let struck = Struck { kind: strike.kind, faults: strike.faults };
            // The server goes on where the client does not wait any more.
            let server = world.clone();
            let served = tokio::spawn(async move { server.serve(number, id, &request, &record, struck).await });
            let delivery = served.await.unwrap_or(Delivery::Lost);
            if strike.kill_after {
                world.note(|| format!("killed  #{id:<5} before its answer arrives"));
                world.killed.notify_one();
                return pending().await;
            }
            match delivery {
                Delivery::Answered(answer) => {
                    let headers = answer.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
                    Ok(Answer { status: answer.status, headers: headers.collect(), body: answer.body })
                }
                Delivery::Lost => Err(Loss::BrokenOff),
                Delivery::Refused => Err(Loss::Unconnected),
            }
        })
    }
}

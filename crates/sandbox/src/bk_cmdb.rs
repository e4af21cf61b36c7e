//! The CMDB's simulator: a stateful server in memory, written from the vendor's documents and from recordings of
//! bk-cmdb 3.14.8-beta1.
//!
//! It shares nothing with the client's kinds, so that both sides cannot agree on the same mistake. Section numbers in
//! this module are those of the project's contract for the CMDB.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use crate::{
    clock::Clock,
    simulator::{
        Answer, Cells, GuestAccess, Listing, Misbehaviour, Record, Request, Simulator as Platform, StateError,
    },
};

mod access;
mod args;
mod association;
mod association_read;
mod attribute;
mod attribute_write;
mod audit;
mod binding;
mod built_in;
mod call;
mod category;
mod cells;
mod definition;
mod difference;
mod filter;
mod guest;
mod host;
mod host_read;
mod host_write;
mod instance;
mod instance_write;
mod lenient;
mod listed;
mod load;
mod misbehaviour;
mod module;
mod moment;
mod operation;
mod page;
mod pattern;
mod process;
mod process_instance;
mod property;
mod quoted;
mod raw;
mod refusal;
mod replica;
mod row;
mod rule;
mod save;
mod service;
mod service_instance;
mod service_sync;
mod service_write;
mod set;
mod set_sync;
mod set_template;
mod table;
mod task;
mod template_attribute;
mod topology;
mod watch;
mod world;

use access::{Admitted, Envelope, Keys, Turned};
use operation::{Offer, Operation, Run};
use refusal::{Outcome, Refusal};
use replica::Replica;
use task::TaskFault;
use world::World;

/// The longest wait of a watch.
const WATCH: Duration = Duration::from_secs(20);

/// The simulator of the CMDB.
#[derive(Debug)]
pub struct Simulator {
    world: RwLock<World>,
    clock: Clock,
    requests: AtomicU64,
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new()
    }
}

impl Simulator {
    /// Returns a simulator without any object.
    pub fn new() -> Self {
        Self { world: RwLock::new(World::new()), clock: Clock::default(), requests: AtomicU64::new(0) }
    }

    /// Returns another simulator that starts with the same state, far cheaper than by loading it. Its clock is the
    /// system's.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { world: RwLock::new(self.read().clone()), ..Self::new() }
    }

    /// A write that panicked has not committed, so that the state is whole.
    fn read(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, World> {
        self.world.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request id for requests that bring none.
    fn rid(&self) -> String {
        format!("cc0000{:026x}", self.requests.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn admit(&self, request: &Request, rid: &str) -> Result<Admitted, Turned> {
        let world = self.read();
        let keys = Keys { credentials: &world.credentials, offer: world.offer(), rid: rid.to_owned() };
        access::admit(request, &keys)
    }

    /// Carries out the tasks that are due.
    fn advance(&self) {
        let now = self.clock.now();
        if task::is_due(&self.read().tables, now) {
            task::advance(&mut self.write(), now);
        }
    }

    fn run(&self, admitted: &Admitted, misbehaviour: Option<&Misbehaviour>) -> Outcome {
        self.advance();
        let call = &admitted.call;
        if admitted.foreign {
            return self.run_write(&mut World::new(), admitted, misbehaviour);
        }
        match admitted.operation.run {
            Run::Read(read) if admitted.operation.secondary => self.read_secondary(read, call, misbehaviour),
            Run::Read(read) => {
                let world = self.read();
                let outcome = read(&world, &world.tables, call);
                if misbehaviour == Some(&Misbehaviour::LostRow) { misbehaviour::lose_row(outcome) } else { outcome }
            }
            Run::Records(read) => read(&self.read(), call),
            Run::Watch => watch::poll(&self.read(), call, self.clock.now()),
            Run::Write(_) => self.run_write(&mut self.write(), admitted, misbehaviour),
        }
    }

    /// Runs a read of a secondary, which may be behind.
    fn read_secondary(&self, read: operation::Read, call: &call::Call, misbehaviour: Option<&Misbehaviour>) -> Outcome {
        let now = self.clock.now();
        if let Some(Misbehaviour::Lag { ms }) = misbehaviour {
            let world = self.read();
            let lag = SignedDuration::from_millis(i64::try_from(*ms).unwrap_or(i64::MAX));
            return read(&world, &misbehaviour::past(&world, now, lag), call);
        }
        let behind = self.read().replica.as_ref().is_some_and(|replica| replica.is_behind(now));
        if behind && let Some(replica) = &mut self.write().replica {
            replica.catch_up(now);
        }
        let world = self.read();
        let tables = world.replica.as_ref().map_or(&world.tables, |replica| &replica.tables);
        read(&world, tables, call)
    }

    fn run_write(&self, world: &mut World, admitted: &Admitted, misbehaviour: Option<&Misbehaviour>) -> Outcome {
        let call = &admitted.call;
        match admitted.operation.run {
            Run::Read(read) => read(world, &world.tables, call),
            Run::Records(read) => read(world, call),
            Run::Watch => watch::poll(world, call, self.clock.now()),
            Run::Write(write) => {
                world.begin(self.clock.now());
                let outcome = write(world, call);
                match misbehaviour.filter(|_| outcome.is_ok()) {
                    Some(Misbehaviour::Normalise) => misbehaviour::normalise(world),
                    Some(Misbehaviour::TaskFails { after }) => task::inject(world, TaskFault::Fails { after: *after }),
                    Some(Misbehaviour::TaskHangs { ms }) => {
                        task::inject(world, TaskFault::Hangs { ms: i64::try_from(*ms).unwrap_or(i64::MAX) });
                    }
                    _ => {}
                }
                if outcome.is_ok() && misbehaviour != Some(&Misbehaviour::Drop) {
                    world.commit();
                } else {
                    world.roll_back();
                }
                outcome
            }
        }
    }

    fn answer_call(&self, request: &Request, misbehaviour: Option<&Misbehaviour>) -> Answer {
        let rid = self.rid();
        match self.admit(request, &rid) {
            Err(turned) => {
                let record = record(request, turned.operation, turned.code.clone(), Value::Null);
                Answer { record, ..access::turned(turned, &rid) }
            }
            Ok(mut admitted) => {
                if let Some(Misbehaviour::PageShift { skip }) = misbehaviour {
                    misbehaviour::shift_page(&mut admitted.call, *skip);
                }
                let outcome = self.run(&admitted, misbehaviour);
                let record = record(request, Some(admitted.operation), access::code(&outcome), admitted.note);
                Answer { record, ..access::answer(outcome, admitted.envelope, &admitted.call.rid) }
            }
        }
    }
}

/// Returns the entry of a request in the list of calls. Only writes show their body.
fn record(request: &Request, operation: Option<&Operation>, code: Value, body: Value) -> Record {
    let write = operation.is_some_and(Operation::writes);
    Record {
        access: access::name(access::envelope(&request.path)),
        operation: operation.map_or("", |operation| operation.name).to_owned(),
        write,
        code,
        body: if write { body } else { Value::Null },
    }
}

impl Platform for Simulator {
    fn platform(&self) -> &'static str {
        "bk-cmdb"
    }

    fn admit(&self, state: &mut Value, guest: &str) {
        guest::admit(state, guest);
    }

    fn guest_access(&self, _state: &Value, _given: &dyn Fn(&str) -> Option<String>, guest: &str) -> GuestAccess {
        guest::access(guest)
    }

    fn serves(&self, path: &str) -> bool {
        path.starts_with("/api/")
    }

    fn answer(&self, request: &Request) -> Answer {
        self.answer_call(request, None)
    }

    fn answer_twisted(&self, request: &Request, misbehaviour: &Misbehaviour) -> Answer {
        self.answer_call(request, Some(misbehaviour))
    }

    fn prepare<'a>(&'a self, state: &Value) -> Result<Box<dyn FnOnce() + 'a>, Vec<StateError>> {
        let version = self.read().version;
        let mut fresh = load::load(state, self.clock.now(), version)?;
        Ok(Box::new(move || {
            let mut world = self.write();
            // Cursors of before are too old from now on, and options stay.
            fresh.change_count = world.change_count + 1;
            fresh.first_change = fresh.change_count;
            fresh.task_delay = world.task_delay;
            fresh.hidden_operations = world.hidden_operations;
            fresh.replica = world.replica.as_ref().map(|replica| Replica::new(&fresh.tables, replica.lag));
            *world = fresh;
        }))
    }

    fn fork(&self) -> Box<dyn Platform> {
        Box::new(Self::fork(self))
    }

    fn cells(&self, since: &Value) -> Cells {
        cells::cells(&self.read(), since)
    }

    fn cell(&self, name: &str, since: &Value) -> Option<Value> {
        match cells::InstanceCell::named(name) {
            Some(cell) => cell.value(&self.read()),
            None => self.cells(since).remove(name),
        }
    }

    fn disturb(&self, pick: &mut fastrand::Rng, keep: &BTreeSet<String>) -> bool {
        let edit = cells::disturbance(&self.read(), pick, keep);
        edit.and_then(|body| self.edit("somebody_else", "update_inst", &body)).is_some()
    }

    fn listed(&self, listings: &[Listing], settings: &BTreeMap<String, String>) -> Value {
        listed::state(listings, settings)
    }

    fn state(&self) -> Value {
        self.advance();
        save::save(&self.read())
    }

    fn peek(&self, request: &Request) -> Record {
        match self.admit(request, "") {
            Err(turned) => record(request, turned.operation, turned.code, Value::Null),
            Ok(admitted) => record(request, Some(admitted.operation), Value::Null, admitted.note),
        }
    }

    fn refuse(&self, request: &Request, code: &Value, message: &str) -> Answer {
        let refusal = Refusal::new(code.as_i64().unwrap_or(1_199_998), message);
        access::answer(Err(refusal), access::envelope(&request.path), &self.rid())
    }

    fn refuse_rate(&self, request: &Request, inside: bool) -> Answer {
        let rid = self.rid();
        match access::envelope(&request.path) {
            Envelope::Gateway if !inside => {
                let body = json!({"code": 1_642_902, "code_name": "RATE_LIMIT_RESTRICTION", "result": false,
                    "message": "Request rate limit exceeded [limit by strategy=\"stage\"]", "data": null});
                let mut answer = access::plain(429, body.to_string(), "application/json", &rid);
                answer.record.code = 1_642_902.into();
                answer
            }
            envelope @ (Envelope::Esb | Envelope::Gateway | Envelope::Direct) => {
                let (code, text) = match envelope {
                    Envelope::Esb if !inside => (1_306_429, "API rate limit exceeded"),
                    Envelope::Esb | Envelope::Gateway | Envelope::Direct => (1_199_997, "too many requests"),
                };
                let mut answer = access::answer(Err(Refusal::new(code, text)), envelope, &rid);
                answer.record.code = code.into();
                answer
            }
        }
    }

    fn edit(&self, user: &str, operation: &str, body: &Value) -> Option<Answer> {
        let rid = self.rid();
        let admitted = {
            let world = self.read();
            let offer = Offer { hidden: true, everything: true, ..world.offer() };
            operation::component(operation, offer)?;
            let keys = Keys { credentials: &world.credentials, offer, rid: rid.clone() };
            access::component(operation, body.as_object().cloned().unwrap_or_default(), user, &keys)
        };
        Some(match admitted {
            Err(turned) => access::turned(turned, &rid),
            Ok(admitted) => access::answer(self.run(&admitted, None), admitted.envelope, &rid),
        })
    }

    fn credentials(&self) -> Value {
        save::credentials(&self.read().credentials)
    }

    fn set_credentials(&self, credentials: &Value) -> Result<(), Vec<StateError>> {
        let credentials = load::credentials_alone(credentials)?;
        self.write().credentials = credentials;
        Ok(())
    }

    fn waits(&self, request: &Request, waited: Duration) -> bool {
        if waited >= WATCH || !(request.path.contains("/event/watch/") || request.path.contains("/resource_watch")) {
            return false;
        }
        self.advance();
        let watches = |admitted: &Admitted| matches!(admitted.operation.run, Run::Watch) && !admitted.foreign;
        let admitted = self.admit(request, "").ok().filter(watches);
        admitted.is_some_and(|admitted| watch::is_idle(&self.read(), &admitted.call, self.clock.now()))
    }

    fn options(&self) -> Map<String, Value> {
        let world = self.read();
        let lag = world.replica.as_ref().map_or(0, |replica| replica.lag.as_millis());
        let version = save::version_text(world.version);
        let own = [
            ("version".to_owned(), json!({"value": version, "values": ["3.9", "3.10", "3.14"]})),
            ("replica_lag".to_owned(), json!({"value": i64::try_from(lag).unwrap_or(0), "values": "milliseconds"})),
            ("task_delay".to_owned(), json!({"value": world.task_delay, "values": "milliseconds"})),
            ("hidden_operations".to_owned(), json!({"value": world.hidden_operations, "values": [true, false]})),
        ];
        own.into_iter().chain(self.clock.options()).collect()
    }

    fn set_option(&self, name: &str, value: &Value) -> Result<bool, String> {
        match name {
            "version" => {
                let version = value.as_str().and_then(load::version);
                self.write().version = version.ok_or("expected \"3.9\", \"3.10\" or \"3.14\"")?;
            }
            "task_delay" => {
                let millis = value.as_u64().and_then(|millis| i64::try_from(millis).ok());
                self.write().task_delay = millis.ok_or("expected milliseconds, a whole number")?;
            }
            "hidden_operations" => {
                self.write().hidden_operations = value.as_bool().ok_or("expected true or false")?;
            }
            "replica_lag" => {
                let millis = value.as_u64().and_then(|millis| i64::try_from(millis).ok());
                let lag = SignedDuration::from_millis(millis.ok_or("expected milliseconds, a whole number")?);
                let mut world = self.write();
                world.replica = if lag.is_zero() { None } else { Some(Replica::new(&world.tables, lag)) };
            }
            _ => {
                let is_clock = self.clock.set_option(name, value)?;
                if is_clock {
                    self.write().restart_clock();
                }
                return Ok(is_clock);
            }
        }
        Ok(true)
    }
}

//! A ROMA Connect with its IAM in memory, written from its contract. It shares no code with the kinds of the client.
//!
//! A request passes the layers of the real thing in their order: the gateway (is there such an API, who calls, is it
//! too much) and the service (instance, permission, fields, uniqueness). What the contract leaves open is a switch:
//! see [`SWITCHES`]. All state lies in one store behind one lock; time comes from one clock.
//!
//! The state, as a file has it below `roma-connect`; everything but ids and names may be left out:
//!
//! ```yaml
//! projects: [{id: p1, name: cn-north-4}]         # without any, every project is one
//! instances: [{id: i1, project_id: p1, status: RUNNING}]
//! apps:                                          # rows as the server shows them, and behind them what it hides
//!   - {instance_id: i1, id: a1, name: orders, remark: "", favorite: false, key: key-1,
//!      create_time: "2019-12-06T06:49:04Z", created_user: {user_id: u1, user_name: ops},
//!      secret: s3cr3t-s3cr3t, resources: 0, favorite_of: [u1], users: [{id: u2, name: ann, roles: [read]}]}
//! credentials:                                   # without any, everybody may call
//!   users: [{id: u1, name: ops, password: pass, domain: acme, administrator: true}]
//!   ak_sk: {AK: SK, TEMPORARY: {sk: SK, user: u1, security_token: T, expires_at: "2030-01-01T00:00:00Z"}}
//!   tokens: {TOKEN: {user: u1, project_id: p1, expires_at: "2030-01-01T00:00:00Z"}}
//! counters: {app: 1, secret: 0}                  # what generated ids and secrets are derived from
//! ```
//!
//! The first user stands for the account: unless said otherwise it sees every application, owns those that name no
//! creator, and holds the keys and tokens that name no user. Issued tokens are no part of the state.

mod access;
mod app;
mod cells;
mod clock;
mod derive;
mod dump;
mod guest;
mod identity;
mod instance;
mod list;
mod listed;
mod load;
mod member;
mod misbehaviour;
mod option;
mod query;
mod reply;
mod route;
mod row;
mod rule;
mod service;
mod signature;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Map, Value};

pub use self::option::{SWITCHES, Setting, Switch};
use self::{
    access::{Caller, Lockouts, Scope},
    misbehaviour::History,
    option::Options,
    query::Query,
    reply::{Failure, Success},
    route::{Operation, Route},
    service::Call,
    store::Store,
};
use crate::simulator::{self, Answer, Cells, GuestAccess, Listing, Misbehaviour, Record, Request, StateError};

/// The largest body of a signed request, in bytes (contract, section 6).
const LARGEST_BODY: usize = 12 * 1024 * 1024;

/// The longest path with its query, in bytes (contract, section 4).
const LONGEST_TARGET: usize = 32 * 1024;

/// ROMA Connect and IAM in memory.
#[derive(Debug, Default)]
pub struct Simulator(Mutex<World>);

#[derive(Debug, Default)]
struct World {
    options: Options,
    store: Store,
    lockouts: Lockouts,
    history: History,
    /// Requests since the start, from which request ids are derived.
    requests: u64,
    /// Calls that reached the throttle.
    calls: u64,
    /// Writes that were done.
    writes: u64,
}

impl Simulator {
    /// Returns one without any state, which accepts any credentials and knows no instance.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the current values of all switches, by name.
    pub fn options(&self) -> Value {
        self.world().options.to_value()
    }

    /// Sets the given switches and the clock, or reports every mistake and changes none.
    pub fn set_options(&self, changes: &Value) -> Result<(), Vec<StateError>> {
        let Some(changes) = changes.as_object() else {
            return Err(vec![StateError { pointer: String::new(), message: "expected an object".to_owned() }]);
        };
        self.world().options.change(changes)
    }

    /// Makes a call as somebody else: any user, no credentials, neither throttled nor lost.
    ///
    /// The body has `instance_id` and `app_id` (where there is only one instance, the former may be left out) beside the
    /// fields of the call; where the call has no body they are its query. A listed user has the rights of that user,
    /// any other one those of the account.
    pub fn edit(&self, user: &str, operation: &str, body: &Value) -> Answer {
        let mut world = self.world();
        let mut body = body.as_object().cloned().unwrap_or_default();
        let mut id = |name: &str| body.remove(name).and_then(|id| id.as_str().map(str::to_owned));
        let (instance, app) = (id("instance_id"), id("app_id").unwrap_or_default());
        let only = match world.store.instances.as_slice() {
            [only] => only.id.clone(),
            _ => String::new(),
        };
        let request_id = world.next_request_id();
        let found = Operation::named(operation).filter(|operation| !operation.is_identity());
        let Some(operation) = found else {
            let record = Record { access: "roma", operation: operation.to_owned(), ..Record::default() };
            return reply::answer(Err(Failure::no_such_api()), &world.options, &request_id, record);
        };
        let route = Route { operation, project: String::new(), instance: instance.unwrap_or(only), app };
        let record = record(&route, &Value::Object(body.clone()));
        let query = if operation.takes_body() { Query::default() } else { Query::from_fields(&body) };
        let caller = Caller::new(world.store.credentials.anybody(user), Scope::Account);
        let call = Call { route, query, body, caller, number: world.requests };
        let World { store, options, history, .. } = &mut *world;
        let outcome = misbehaviour::perform(store, history, options, call, None);
        reply::answer(outcome, &world.options, &request_id, record)
    }

    fn respond(&self, request: &Request, misbehaviour: Option<&Misbehaviour>) -> Answer {
        let mut world = self.world();
        let request_id = world.next_request_id();
        let route = route::route(&request.method, &request.path);
        let record = noted(request, route.as_ref());
        let outcome = match route {
            Some(route) => world.respond(request, route, misbehaviour),
            None => Err(Failure::no_such_api()),
        };
        reply::answer(outcome, &world.options, &request_id, record)
    }

    fn refusal(&self, failure: Failure) -> Answer {
        let mut world = self.world();
        let request_id = world.next_request_id();
        reply::answer(Err(failure), &world.options, &request_id, Record::default())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // A panic of another call says nothing about this one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl simulator::Simulator for Simulator {
    fn platform(&self) -> &'static str {
        "roma-connect"
    }

    fn admit(&self, state: &mut Value, guest: &str) {
        guest::admit(state, guest);
    }

    fn guest_access(&self, state: &Value, given: &dyn Fn(&str) -> Option<String>, guest: &str) -> GuestAccess {
        guest::access(state, given, guest)
    }

    fn serves(&self, path: &str) -> bool {
        route::serves(path)
    }

    fn answer(&self, request: &Request) -> Answer {
        self.respond(request, None)
    }

    fn answer_twisted(&self, request: &Request, misbehaviour: &Misbehaviour) -> Answer {
        self.respond(request, Some(misbehaviour))
    }

    fn prepare<'a>(&'a self, state: &Value) -> Result<Box<dyn FnOnce() + 'a>, Vec<StateError>> {
        let now = self.world().options.now();
        let store = load::store(state, now)?;
        Ok(Box::new(move || {
            let mut world = self.world();
            world.store = store;
            world.lockouts = Lockouts::default();
            world.history = History::default();
        }))
    }

    fn fork(&self) -> Box<dyn simulator::Simulator> {
        let other = Self::new();
        other.world().store = self.world().store.clone();
        Box::new(other)
    }

    fn shows_writes(&self) -> bool {
        true
    }

    fn cells(&self, since: &Value) -> Cells {
        cells::cells(&dump::state(&self.world().store), since)
    }

    fn disturb(&self, pick: &mut fastrand::Rng, _keep: &BTreeSet<String>) -> bool {
        let state = dump::state(&self.world().store);
        let apps = state["apps"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(app) = pick.choice(apps) else { return false };
        let body = serde_json::json!({"instance_id": app["instance_id"], "app_id": app["id"], "name": app["name"],
            "remark": format!("theirs {}", pick.u16(..))});
        Self::edit(self, "somebody_else", "UpdateRomaApp", &body);
        true
    }

    fn listed(&self, listings: &[Listing], settings: &BTreeMap<String, String>) -> Value {
        listed::state(listings, settings)
    }

    fn state(&self) -> Value {
        dump::state(&self.world().store)
    }

    fn peek(&self, request: &Request) -> Record {
        noted(request, route::route(&request.method, &request.path).as_ref())
    }

    fn refuse(&self, request: &Request, code: &Value, message: &str) -> Answer {
        self.refusal(Failure::injected(route::is_identity(&request.path), code, message))
    }

    /// The contract knows one limiter, that of the gateway.
    fn refuse_rate(&self, request: &Request, _inside: bool) -> Answer {
        let identity = route::is_identity(&request.path);
        self.refusal(if identity { Failure::identity(429, "too many requests") } else { Failure::throttled(None) })
    }

    fn credentials(&self) -> Value {
        dump::credentials(&self.world().store.credentials)
    }

    fn set_credentials(&self, credentials: &Value) -> Result<(), Vec<StateError>> {
        let credentials = load::credentials_alone(credentials)?;
        let mut world = self.world();
        world.store.credentials = credentials;
        world.lockouts = Lockouts::default();
        Ok(())
    }

    fn edit(&self, user: &str, operation: &str, body: &Value) -> Option<Answer> {
        Operation::named(operation)?;
        Some(Self::edit(self, user, operation, body))
    }

    fn options(&self) -> Map<String, Value> {
        self.world().options.described()
    }

    fn set_option(&self, name: &str, value: &Value) -> Result<bool, String> {
        if !SWITCHES.iter().map(|switch| switch.name).chain(clock_options()).any(|known| known == name) {
            return Ok(false);
        }
        let change = Value::Object([(name.to_owned(), value.clone())].into_iter().collect());
        let first =
            |mistakes: Vec<StateError>| mistakes.into_iter().next().map(|error| error.message).unwrap_or_default();
        self.set_options(&change).map(|()| true).map_err(first)
    }
}

fn clock_options() -> impl Iterator<Item = &'static str> {
    crate::clock::OPTIONS.into_iter()
}

impl World {
    fn next_request_id(&mut self) -> String {
        self.requests += 1;
        derive::id32(&format!("request {}", self.requests))
    }

    fn respond(
        &mut self,
        request: &Request,
        route: Route,
        misbehaviour: Option<&Misbehaviour>,
    ) -> Result<Success, Failure> {
        if request.body.len() > LARGEST_BODY {
            return Err(Failure::gateway(413, "0201", "Request entity too large"));
        }
        if request.path.len() + request.query.len() > LONGEST_TARGET {
            return Err(Failure::gateway(414, "0201", "Request URI too large"));
        }
        let query = Query::read(&request.query);
        if route.operation == Operation::CreateToken {
            let body = serde_json::from_slice(&request.body).ok();
            return identity::create_token(&self.store, &self.options, &query, body.as_ref());
        }
        let caller = access::caller(request, &self.store.credentials, &self.options, &mut self.lockouts)?;
        if route.operation == Operation::ListProjects {
            return Ok(identity::list_projects(&self.store, &query, &caller));
        }
        self.throttle()?;
        let projects = &self.store.projects;
        let listed = projects.is_empty() || projects.iter().any(|project| project.id == route.project);
        access::check_project(request, &caller, &route.project, listed)?;

        let body = if route.operation.takes_body() { read_body(request)? } else { Map::new() };
        let writes = route.operation.writes();
        let call = Call { route, query, body, caller, number: self.requests };
        let success = misbehaviour::perform(&mut self.store, &mut self.history, &self.options, call, misbehaviour)?;
        if writes {
            self.writes += 1;
            if is_turn(self.writes, self.options.count("lose-answer-every")) {
                return Err(Failure::gateway(504, "0203", "Backend timeout"));
            }
        }
        Ok(success)
    }

    fn throttle(&mut self) -> Result<(), Failure> {
        self.calls += 1;
        if !is_turn(self.calls, self.options.count("throttle-every")) {
            return Ok(());
        }
        let seconds = self.options.number("throttle-retry-after");
        Err(Failure::throttled((seconds > 0).then_some(seconds)))
    }
}

fn is_turn(count: u64, every: u64) -> bool {
    every > 0 && count.is_multiple_of(every)
}

/// Reads the body of a write. Media types are compared without regard to case and parameters (contract, section 2).
fn read_body(request: &Request) -> Result<Map<String, Value>, Failure> {
    let media_type = request.header("content-type").map(|value| value.split(';').next().unwrap_or_default().trim());
    if media_type.is_some_and(|media_type| !media_type.eq_ignore_ascii_case("application/json")) {
        return Err(Failure::parameter("Content-Type", "expected application/json"));
    }
    if request.body.is_empty() {
        return Err(Failure::service(400, 13001, "The request body is missing", "body"));
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            Err(Failure::parameter("body", "expected an object"))
        }
        Err(error) => Err(Failure::parameter("body", format!("not JSON: {error}"))),
    }
}

/// Returns what is noted of a request, apart from how it ends.
fn noted(request: &Request, route: Option<&Route>) -> Record {
    match route {
        Some(route) if route.operation.writes() => {
            record(route, &serde_json::from_slice(&request.body).unwrap_or_default())
        }
        Some(route) => record(route, &Value::Null),
        None => Record { access: if route::is_identity(&request.path) { "iam" } else { "roma" }, ..Record::default() },
    }
}

/// Returns what is noted of a call, apart from how it ends.
fn record(route: &Route, body: &Value) -> Record {
    let operation = route.operation;
    Record {
        access: if operation.is_identity() { "iam" } else { "roma" },
        operation: operation.name().to_owned(),
        write: operation.writes(),
        code: Value::Null,
        body: if operation.writes() { without_credentials(body) } else { Value::Null },
    }
}

fn without_credentials(body: &Value) -> Value {
    let Some(fields) = body.as_object() else { return body.clone() };
    let is_shown = |name: &String| !["secret", "key", "password"].contains(&name.as_str());
    let shown = fields.iter().filter(|(name, _)| is_shown(name));
    shown.map(|(name, value)| (name.clone(), without_credentials(value))).collect::<Map<_, _>>().into()
}

//! A platform that holds things with a value, and its server, for tests of the agent.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    engine::connection::{Connection, Shared, Target},
    manifest::Targets,
    model::{
        Call, Desired, Ensure, FieldChange, FieldPath, KeyPool, Live, ObservedState, Reference, Refusal, Request,
        ResourceId, Retry,
    },
    provider::{
        Endpoint, Envelope, Event, EventBatch, EventSchema, Facts, Kind, Method, Observation, Planned, Platform,
        Prepared, Read, Reply, RequestContext, Step, Stream,
    },
    source::Located,
    transport::{self, Service, Transport},
    yaml::{self, Form, Node, Section},
};

pub(super) struct Fake;
struct Thing;

pub(super) static PLATFORMS: [&dyn Platform; 1] = [&Fake];

/// Returns the only target.
pub(super) fn targets() -> Targets {
    [("here", "fake", true)].into_iter().collect()
}

/// Returns a manifest of a thing.
pub(super) fn thing(name: &str, value: &str) -> String {
    format!("apiVersion: fake/v1\nkind: Thing\nmetadata: {{name: {name}}}\nspec: {{value: {value}}}\n---\n")
}

impl Kind for Thing {
    fn name(&self) -> &'static str {
        "Thing"
    }

    fn spec_form(&self) -> &'static Form {
        const { &Form::new(&[]) }
    }

    fn decode(&self, envelope: &Envelope, spec: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) -> Vec<Desired> {
        let before = diagnostics.len();
        let Some(section) = Section::open(spec, "spec of Thing", diagnostics) else { return Vec::new() };
        let mut desired = envelope.desired("Thing", Ensure::Existing);
        if let Some(node) = section.require("value", diagnostics)
            && let Some(value) = yaml::integer(node, "value", diagnostics)
        {
            desired.fields.insert(FieldPath::field("value"), Located::new(value, node.origin.clone()));
        }
        if section.get("create").is_some() {
            desired.ensure = Ensure::Present;
        }
        if let Some(node) = section.get("serial") {
            desired.locator.insert("serial".into(), Located::new(node.to_json(), node.origin.clone()));
        }
        if let Some(node) = section.get("beside") {
            let key = yaml::text(node, "beside", diagnostics).unwrap_or_default();
            desired.references.push(Reference { to: ResourceId::new("Thing", key), origin: node.origin.clone() });
        }
        section.finish(diagnostics);
        if diagnostics.len() > before { Vec::new() } else { vec![desired] }
    }

    fn observe(&self, desired: &[&Desired], _: &[&Desired], facts: &Facts) -> Step<Observation> {
        let mut observation = Observation::default();
        for object in desired {
            let request = Request { operation: "get", arguments: json!({"key": &*object.id.key}), repeatable: true };
            match observation.read(request, facts) {
                Read::Pending => {}
                Read::Failed(refusal) => observation.know(&object.id, ObservedState::Unknown(refusal.to_string())),
                Read::Value(value) if value.is_null() => observation.know(&object.id, ObservedState::absent()),
                Read::Value(value) => {
                    let fields = [(FieldPath::field("value"), value.clone())].into_iter().collect();
                    let live = Live::new(Value::Null, object.id.to_string(), fields);
                    observation.know(&object.id, ObservedState::Found(live));
                }
            }
        }
        observation.step()
    }

    fn reread(&self, objects: &[(&Desired, &Value)], facts: &Facts) -> Step<Observation> {
        self.observe(&objects.iter().map(|object| object.0).collect::<Vec<_>>(), &[], facts)
    }

    fn compare(&self, desired: &Desired, live: Option<&Live>, _: &Facts) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
        let Some(wanted) = desired.fields.get("value") else { return Ok(Vec::new()) };
        let found = live.map(|live| live.field("value"));
        assert!(wanted.value != json!(666), "the number of the beast");
        let change = FieldChange {
            path: FieldPath::field("value"),
            from: found.map(crate::model::Json::to_value),
            to: Some(wanted.value.to_value()),
            display: None,
            because: wanted.origin.clone(),
        };
        Ok(if found == Some(&wanted.value) { Vec::new() } else { vec![change] })
    }

    fn precondition_fields<'d>(&self, _: &'d Desired) -> Option<Vec<&'d str>> {
        None
    }

    fn calls(&self, planned: &[Planned<'_>], _: &Facts) -> Vec<Call> {
        let call = |planned: &Planned<'_>| Call {
            request: Request {
                operation: "put",
                arguments: json!({"key": &*planned.desired.id.key, "value": planned.desired.field("value")}),
                repeatable: true,
            },
            target: planned.desired.target.clone(),
            serves: vec![planned.desired.id.clone()],
        };
        planned.iter().map(call).collect()
    }
}

impl Platform for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&Thing]
    }

    fn operation(&self, _: &str) -> Option<&'static str> {
        None
    }

    fn is_read(&self, operation: &str) -> bool {
        matches!(operation, "get" | "watch")
    }

    fn events(&self) -> Option<&'static dyn EventSchema> {
        Some(&Events)
    }

    fn prepare(&self, request: &Request, endpoint: &Endpoint, _: RequestContext<'_>) -> Result<Prepared, Refusal> {
        Ok(Prepared {
            method: Method::Post,
            url: format!("{}/{}", endpoint.url, request.operation),
            headers: vec![("content-type", "application/json".to_owned())],
            body: request.arguments.to_string().into_bytes(),
        })
    }

    fn interpret(&self, _: &Request, reply: &Reply<'_>, keys: &mut KeyPool) -> Result<crate::model::Json, Refusal> {
        if reply.status == 429 {
            return Err(Refusal { retry: Retry::Slower(None), ..Refusal::new(None, "too many requests") });
        }
        if reply.status != 200 {
            let code = (reply.status == 410).then(|| EXPIRED.into());
            return Err(Refusal::new(code, format!("status {}", reply.status)));
        }
        keys.parse(reply.body).map_err(|error| Refusal::new(None, error.to_string()))
    }
}

/// The code of a cursor that the server does not know any more.
const EXPIRED: &str = "expired";

/// The events of things.
struct Events;

impl EventSchema for Events {
    fn streams(&self, desired: &[&Desired]) -> BTreeSet<Stream> {
        desired.first().map(|_| Stream { resource: "things", part: "".into() }).into_iter().collect()
    }

    fn request(&self, _: &Stream, cursor: Option<&str>) -> Request {
        Request { operation: "watch", arguments: json!({"cursor": cursor}), repeatable: true }
    }

    fn batch(&self, _: &Stream, answer: &Value) -> Result<EventBatch, Refusal> {
        let event = |event: &Value| {
            let key = event["key"].as_str().unwrap_or_default().to_owned();
            Event { subject: key.clone(), keys: vec![key], updated: Some(event.clone()) }
        };
        let events = answer["events"].as_array().ok_or_else(|| Refusal::new(None, "no events"))?;
        Ok(EventBatch { events: events.iter().map(event).collect(), cursor: answer["cursor"].to_string() })
    }

    fn is_expired(&self, refusal: &Refusal) -> bool {
        refusal.code.as_deref() == Some(EXPIRED)
    }

    fn subject(&self, desired: &Desired, _: &Live) -> Option<String> {
        Some(desired.id.key.to_string())
    }

    fn keys(&self, desired: &Desired) -> Vec<String> {
        vec![desired.id.key.to_string()]
    }

    fn is_as_declared(&self, desired: &Desired, updated: &Value) -> bool {
        desired.field("value").map(crate::model::Json::to_value).as_ref() == updated.get("value")
    }
}

/// The server's objects.
#[derive(Default)]
pub(super) struct Store {
    things: Mutex<BTreeMap<String, Value>>,
    /// Reads that were answered.
    pub(super) reads: AtomicUsize,
    /// Writes that were answered.
    pub(super) writes: AtomicUsize,
    /// Writes that arrived, answered or not.
    pub(super) arrived: AtomicUsize,
    /// Everything is refused.
    pub(super) down: AtomicBool,
    /// The keys of things whose reads are refused.
    pub(super) refused: Mutex<HashSet<String>>,
    /// Reads are not answered for now.
    pub(super) hold_reads: AtomicBool,
    /// Writes are not answered for now.
    pub(super) hold_writes: AtomicBool,
}

impl Store {
    pub(super) fn things(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, key: &str, value: i64) {
        self.things().insert(key.to_owned(), value.into());
    }

    pub(super) fn get(&self, key: &str) -> Option<i64> {
        self.things().get(key).and_then(Value::as_i64)
    }
}

async fn wait_for(held: &AtomicBool) {
    while held.load(Ordering::SeqCst) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

type Answer = Result<Json<Value>, StatusCode>;

async fn get(State(store): State<Arc<Store>>, Json(arguments): Json<Value>) -> Answer {
    if store.down.load(Ordering::SeqCst) {
        return Err(StatusCode::FORBIDDEN);
    }
    wait_for(&store.hold_reads).await;
    store.reads.fetch_add(1, Ordering::SeqCst);
    let key = arguments["key"].as_str().unwrap_or_default();
    if store.refused.lock().unwrap_or_else(PoisonError::into_inner).contains(key) {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(Json(store.things().get(key).cloned().unwrap_or_default()))
}

async fn put(State(store): State<Arc<Store>>, Json(arguments): Json<Value>) -> Answer {
    if store.down.load(Ordering::SeqCst) {
        return Err(StatusCode::FORBIDDEN);
    }
    store.arrived.fetch_add(1, Ordering::SeqCst);
    wait_for(&store.hold_writes).await;
    store.writes.fetch_add(1, Ordering::SeqCst);
    let key = arguments["key"].as_str().unwrap_or_default();
    store.things().insert(key.to_owned(), arguments["value"].clone());
    Ok(Json(Value::Null))
}

/// Returns a connection to a server in this process.
pub(super) fn connect(service: Arc<dyn Service>) -> Arc<Connection> {
    let endpoint = Endpoint { url: String::new(), settings: HashMap::new(), secrets: HashMap::new() };
    connection(endpoint, Shared::new(Transport::in_process(service), 4, None))
}

/// Returns a connection to the only target.
fn connection(endpoint: Endpoint, shared: Shared) -> Arc<Connection> {
    let target = Target {
        name: "here".into(),
        platform: &Fake,
        resolve: Arc::new(move || Ok(endpoint.clone())),
        concurrency: Some(4),
        rate: None,
    };
    Connection::new(target, shared)
}

/// Starts a server and returns what it holds, the way to it, and what all connections share.
pub(super) async fn serve() -> (Arc<Store>, Arc<Connection>, Shared) {
    let store = Arc::new(Store::default());
    let router = Router::new().route("/get", post(get)).route("/put", post(put)).with_state(store.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let endpoint = Endpoint { url, settings: HashMap::new(), secrets: HashMap::new() };
    let shared = Shared::new(Transport::new(&transport::Options::default()).expect("a client"), 4, None);
    (store, connection(endpoint, shared.clone()), shared)
}

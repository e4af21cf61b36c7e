//! A platform of notes, as small as one can be: what a new folder below `src/platform` has to hold.

mod note;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::get,
};
use reconcile::{
    model::{self, KeyPool, Refusal, Request},
    provider::{
        Endpoint, Kind, Method, Platform, Prepared, Reply, RequestContext, SettingSpec,
        settings::{Format, Role, TIME_ZONE},
    },
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// The platform: one line in a table of platforms.
pub(crate) struct Toy;

static SETTINGS: &[SettingSpec] = &[
    SettingSpec::new(
        "endpoint",
        Format::Address { example: "https://toy.example.com", paths: &["/notes"] },
        "The root of the server",
    )
    .required()
    .roles(&[Role::Locates]),
    SettingSpec::new("mode", Format::OneOf(&["open", "locked"]), "Whether a key is needed").required(),
    SettingSpec::new("timeZone", TIME_ZONE, "The time zone in which times are shown").roles(&[Role::Shared]),
    SettingSpec::new("auth", Format::Section, "The credentials").required().when("mode", "locked"),
    SettingSpec::new("auth.key", Format::Secret, "The key").required(),
    SettingSpec::new(
        "auth.endpoint",
        Format::Address { example: "https://keys.example.com", paths: &[] },
        "The server of keys",
    )
    .named("keyEndpoint"),
];

impl Platform for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&note::Note]
    }

    fn settings(&self) -> &'static [SettingSpec] {
        SETTINGS
    }

    fn operation(&self, name: &str) -> Option<&'static str> {
        ["show", "write"].into_iter().find(|operation| *operation == name)
    }

    fn is_read(&self, operation: &str) -> bool {
        operation == "show"
    }

    fn prepare(&self, request: &Request, endpoint: &Endpoint, _: RequestContext<'_>) -> Result<Prepared, Refusal> {
        let name = request.arguments["name"].as_str().unwrap_or_default();
        let key = endpoint.secrets.get("key").map(|key| ("x-key", key.expose_secret().to_owned()));
        Ok(Prepared {
            method: if request.operation == "show" { Method::Get } else { Method::Put },
            url: format!("{}/notes/{name}", endpoint.url),
            headers: key.into_iter().chain([("content-type", "application/json".to_owned())]).collect(),
            body: request.arguments["text"].to_string().into_bytes(),
        })
    }

    fn interpret(&self, _: &Request, reply: &Reply<'_>, keys: &mut KeyPool) -> Result<model::Json, Refusal> {
        if reply.status != 200 {
            return Err(Refusal::new(Some(reply.status.to_string().into()), "the server says no"));
        }
        keys.parse(reply.body).map_err(|error| Refusal::new(None, error.to_string()))
    }
}

/// The notes of a server, by their names.
pub(crate) type Notes = Arc<Mutex<BTreeMap<String, Value>>>;

async fn show(
    State(notes): State<Notes>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    if headers.get("x-key").is_none_or(|key| key != "s3cret") {
        return Err(StatusCode::FORBIDDEN);
    }
    Ok(Json(notes.lock().expect("no panic").get(&name).cloned().unwrap_or_default()))
}

async fn write(State(notes): State<Notes>, Path(name): Path<String>, Json(text): Json<Value>) -> Json<Value> {
    notes.lock().expect("no panic").insert(name, text);
    Json(json!({}))
}

/// Starts a server of notes and returns its address with what it holds.
pub(crate) async fn serve() -> (String, Notes) {
    let notes = Notes::default();
    let router = Router::new().route("/notes/{name}", get(show).put(write)).with_state(notes.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, notes)
}

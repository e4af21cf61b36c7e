//! What the status page reads and asks for, as JSON.

use std::{convert::Infallible, future, time::Duration};

use axum::{
    Json,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream::{self, Stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, sleep_until},
};

use super::{Shown, guard::Denied, server::Deadline};
use crate::{
    agent::{Detail, Observer, Row, Table},
    journal::history::{ChangeHistory, RunHistory},
    version,
};

/// Most rows of one answer.
const ROWS: usize = 500;

/// Runs of a list where the client does not say.
const RUNS: usize = 50;

/// Most runs of a list: each is a file to read.
const MOST_RUNS: usize = 500;

/// Most characters of the reason of a pause.
const REASON: usize = 200;

/// The time between two looks at what moves without a pass, such as the health of targets.
const LOOK: Duration = Duration::from_secs(2);

/// The shortest time between two events.
const PACE: Duration = Duration::from_millis(200);

/// The time before the end of a connection at which its stream of events ends, so that it ends in order.
const LAST: Duration = Duration::from_secs(2);

/// The time after which a silent stream shows that it is alive.
const ALIVE: Duration = Duration::from_secs(15);

/// An answer, or why there is none.
type Answer = Result<Json<Value>, Failure>;

/// A request that is not answered as asked.
pub(super) enum Failure {
    Denied(Denied),
    Missing(&'static str),
    /// The agent does not do it now.
    Refused(&'static str),
    Broken(String),
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, sentence) = match self {
            Self::Denied(denied @ (Denied::NoToken | Denied::WrongToken)) => {
                (StatusCode::UNAUTHORIZED, denied.sentence().to_owned())
            }
            Self::Denied(denied) => (StatusCode::FORBIDDEN, denied.sentence().to_owned()),
            Self::Missing(what) => (StatusCode::NOT_FOUND, what.to_owned()),
            Self::Refused(why) => (StatusCode::CONFLICT, why.to_owned()),
            Self::Broken(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
        };
        (status, Json(json!({"error": sentence}))).into_response()
    }
}

/// Returns the state of the agent and its targets.
fn overview(shown: &Shown) -> Value {
    let observer = &shown.observer;
    let snapshot = observer.status.snapshot();
    let kinds = snapshot.last.iter().flat_map(|report| &report.by_kind);
    let kinds = kinds.map(
        |((target, kind), found)| json!({"target": &**target, "kind": kind, "objects": found.counts, "drift": found.drift, "held": found.held}),
    );
    json!({
        "version": version::NUMBER,
        "commit": version::commit(),
        "generation": observer.inventory.generation(),
        "paused": observer.control.paused(),
        "controls": shown.guard.has_controls(),
        "journal": observer.store.is_some(),
        "kinds": kinds.collect::<Vec<_>>(),
        "targets": observer.targets(),
        "state": snapshot,
    })
}

pub(super) async fn status(State(shown): State<Shown>, headers: HeaderMap) -> Answer {
    shown.guard.read(&headers)?;
    Ok(Json(overview(&shown)))
}

/// Streams the state: at once, and whenever it changes.
pub(super) async fn events(
    State(shown): State<Shown>,
    deadline: Option<axum::Extension<Deadline>>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    shown.guard.read(&headers)?;
    let Ok(permit) = shown.streams.clone().try_acquire_owned() else {
        return Err(Failure::Broken("too many pages are open: close some".to_owned()));
    };
    let end = deadline.map(|axum::Extension(Deadline(end))| end.checked_sub(LAST).unwrap_or(end));
    let stream = stream::unfold((shown, Value::Null, permit), move |(shown, last, permit)| async move {
        let next = next(&shown, &last);
        let value = tokio::select! {
            value = next => value,
            () = shown.stop.cancelled() => return None,
            () = until(end) => return None,
        };
        let event = Event::default().event("status").data(value.to_string());
        Some((Ok(event), (shown, value, permit)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(ALIVE)))
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => future::pending().await,
    }
}

/// Waits until the state is other than it was.
async fn next(shown: &Shown, last: &Value) -> Value {
    let mut changes = shown.observer.status.subscribe();
    if !last.is_null() {
        sleep(PACE).await;
    }
    loop {
        let value = overview(shown);
        if value != *last {
            return value;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { future::pending::<()>().await },
            () = sleep(LOOK) => {}
        }
    }
}

/// Which objects are asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Selection {
    /// States, separated by commas; all without it.
    #[serde(default)]
    state: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    kind: String,
    /// Words that all have to be part of a row.
    #[serde(default)]
    q: String,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

impl Selection {
    fn is_match(&self, row: &Row, words: &[String]) -> bool {
        (self.state.is_empty() || self.state.split(',').any(|state| state == row.state))
            && (self.target.is_empty() || self.target == *row.target)
            && (self.kind.is_empty() || self.kind == row.id.kind)
            && words.iter().all(|word| row.contains(word))
    }

    /// Returns a page of the rows that match, and how many do.
    fn page(&self, table: &Table) -> Value {
        let words: Vec<String> = self.q.split_whitespace().map(str::to_lowercase).collect();
        let limit = self.limit.unwrap_or(ROWS).min(ROWS);
        let (mut matched, mut rows) = (0, Vec::new());
        for row in table.rows.iter().filter(|row| self.is_match(row, &words)) {
            if matched >= self.offset && rows.len() < limit {
                rows.push(described(row, table.position(row).as_deref()));
            }
            matched += 1;
        }
        json!({
            "generation": table.generation,
            "total": table.rows.len(),
            "matched": matched,
            "offset": self.offset,
            "rows": rows,
        })
    }
}

fn described(row: &Row, at: Option<&str>) -> Value {
    json!({
        "address": row.id.to_string(),
        "kind": row.id.kind,
        "name": row.id.to_string().split_once('/').map_or("", |(_, name)| name),
        "target": &*row.target,
        "state": row.state,
        "at": at,
    })
}

pub(super) async fn objects(
    State(shown): State<Shown>,
    Query(selection): Query<Selection>,
    headers: HeaderMap,
) -> Answer {
    shown.guard.read(&headers)?;
    let inventory = shown.observer.inventory;
    blocking(move || Ok(selection.page(&inventory.table()))).await
}

/// The address of an object, or the id of a run.
#[derive(Debug, Deserialize)]
pub(super) struct Name {
    #[serde(default)]
    address: String,
    #[serde(default)]
    id: String,
}

pub(super) async fn object(State(shown): State<Shown>, Query(name): Query<Name>, headers: HeaderMap) -> Answer {
    shown.guard.read(&headers)?;
    let inventory = shown.observer.inventory;
    blocking(move || {
        let (row, at, detail) = inventory.find(&name.address).ok_or(Failure::Missing("there is no such object"))?;
        let mut document = described(&row, at.as_deref());
        document["detail"] = json!(detail.as_deref().map(|detail: &Detail| detail));
        Ok(document)
    })
    .await
}

/// How many runs are asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Count {
    limit: Option<usize>,
}

pub(super) async fn runs(State(shown): State<Shown>, Query(count): Query<Count>, headers: HeaderMap) -> Answer {
    shown.guard.read(&headers)?;
    let observer = shown.observer;
    blocking(move || list(&observer, count.limit.unwrap_or(RUNS).min(MOST_RUNS))).await
}

fn list(observer: &Observer, limit: usize) -> Result<Value, Failure> {
    let (runs, unread) = observer.runs(limit).map_err(|error| Failure::Broken(error.to_string()))?;
    Ok(json!({"unread": unread, "runs": runs.iter().map(summary).collect::<Vec<_>>()}))
}

pub(super) async fn run(State(shown): State<Shown>, Query(name): Query<Name>, headers: HeaderMap) -> Answer {
    shown.guard.read(&headers)?;
    let observer = shown.observer;
    blocking(move || {
        let run = observer.run(&name.id).map_err(|error| Failure::Broken(error.to_string()))?;
        let run = run.ok_or(Failure::Missing("there is no such run"))?;
        let mut document = summary(&run);
        document["changes"] = run.changes.iter().map(change).collect();
        Ok(document)
    })
    .await
}

fn summary(run: &RunHistory) -> Value {
    let origin = run.record.as_ref().map(|record| &record.origin);
    let targets = run.record.iter().flat_map(|record| &record.targets).map(|target| &target.name);
    json!({
        "id": run.id,
        "verdict": run.standing.name(),
        "started": run.started.map(|time| time.to_string()),
        "seconds": run.took().map(|took| took.as_secs_f64()),
        "command": origin.map(|origin| &origin.command),
        "user": origin.and_then(|origin| origin.user.as_ref()),
        "commit": origin.and_then(|origin| origin.commit.as_ref()),
        "targets": targets.map(|name| &**name).collect::<Vec<_>>(),
        "outcomes": run.outcomes(),
    })
}

fn change(change: &ChangeHistory) -> Value {
    let detail = change.outcome.as_ref().and_then(|(_, outcome)| outcome.detail.as_deref());
    json!({
        "address": change.address,
        "outcome": change.outcome_name(),
        "detail": detail,
        "operations": change.attempts.iter().map(|attempt| &attempt.operation).collect::<Vec<_>>(),
        "fields": change.fields,
    })
}

/// Runs what reads files or looks through many objects beside the tasks that serve connections.
async fn blocking(work: impl FnOnce() -> Result<Value, Failure> + Send + 'static) -> Answer {
    match spawn_blocking(work).await {
        Ok(value) => value.map(Json),
        Err(error) => Err(Failure::Broken(error.to_string())),
    }
}

/// The reason of a pause.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Reason {
    #[serde(default)]
    reason: String,
}

pub(super) async fn pause(State(shown): State<Shown>, Query(reason): Query<Reason>, headers: HeaderMap) -> Answer {
    shown.guard.write(&headers)?;
    let reason: String = crate::plain::line(&reason.reason).chars().take(REASON).collect();
    tracing::warn!(reason, "paused over HTTP: nothing is written until it is resumed");
    shown.observer.control.pause(reason);
    Ok(Json(overview(&shown)))
}

pub(super) async fn resume(State(shown): State<Shown>, headers: HeaderMap) -> Answer {
    shown.guard.write(&headers)?;
    tracing::warn!("resumed over HTTP");
    shown.observer.control.resume();
    Ok(Json(overview(&shown)))
}

pub(super) async fn reconcile(State(shown): State<Shown>, headers: HeaderMap) -> Answer {
    shown.guard.write(&headers)?;
    if shown.observer.status.snapshot().ignores_all() {
        return Err(Failure::Refused("nothing is looked at: the mode is `ignore`"));
    }
    tracing::info!("a look at everything was asked for over HTTP");
    shown.observer.control.reconcile();
    Ok(Json(overview(&shown)))
}

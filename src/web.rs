//! The agent's pages over HTTP: liveness, readiness, its numbers, and the status page.

mod api;
mod exposition;
mod guard;
mod page;
mod server;

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use prometheus_client::registry::Registry;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use self::{guard::Guard, server::Limits};
use crate::agent::{Observer, Snapshot, Status};

/// A loop that gave no sign of life for this long is dead; it gives one every few seconds.
const DEAD: Duration = Duration::from_mins(1);

/// A pass that takes longer makes the agent not ready: what is declared since is not looked at.
const SLOW_PASS: Duration = Duration::from_mins(10);

/// Most time that answers on their way get at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Most status pages that are kept up to date at once; the other connections are for those who scrape.
const STREAMS: usize = 24;

/// What the pages show.
#[derive(Clone)]
pub struct Pages {
    /// The agent.
    pub observer: Observer,
    /// Its numbers.
    pub registry: Arc<Registry>,
    /// The token of the controls; without one they are off.
    pub token: Option<SecretString>,
}

#[derive(Clone)]
struct Shown {
    observer: Observer,
    registry: Arc<Registry>,
    guard: Guard,
    streams: Arc<Semaphore>,
    stop: CancellationToken,
}

/// Answers until `stop` is cancelled.
pub async fn serve(listener: TcpListener, pages: Pages, stop: CancellationToken) -> io::Result<()> {
    serve_within(listener, pages, stop, Limits::default()).await
}

async fn serve_within(listener: TcpListener, pages: Pages, stop: CancellationToken, limits: Limits) -> io::Result<()> {
    let address = listener.local_addr()?;
    let check = move |request: Request, next: Next| async move {
        let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
        if server::is_host_allowed(host, address) {
            next.run(request).await
        } else {
            (StatusCode::MISDIRECTED_REQUEST, "this server has another name\n").into_response()
        }
    };
    let shown = Shown {
        observer: pages.observer,
        registry: pages.registry,
        guard: Guard::new(pages.token.as_ref(), address),
        streams: Arc::new(Semaphore::new(STREAMS)),
        stop: stop.clone(),
    };
    let router = router(shown).layer(middleware::from_fn(check));
    tokio::select! {
        () = server::serve(listener, router, limits, &stop) => {}
        // A client that does not read its answer must not keep the agent.
        () = async { stop.cancelled().await; tokio::time::sleep(LAST_ANSWERS).await } => {}
    }
    Ok(())
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/api/status", get(api::status))
        .route("/api/events", get(api::events))
        .route("/api/objects", get(api::objects))
        .route("/api/object", get(api::object))
        .route("/api/runs", get(api::runs))
        .route("/api/run", get(api::run))
        .route("/api/pause", post(api::pause))
        .route("/api/resume", post(api::resume))
        .route("/api/reconcile", post(api::reconcile))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .with_state(shown)
}

async fn healthz(State(shown): State<Shown>) -> (StatusCode, String) {
    let trouble = if shown.observer.status.heartbeat_age() >= DEAD {
        Some("the loop gives no sign of life".to_owned())
    } else {
        // Whoever watches this starts the agent anew.
        shown.observer.status.overdue()
    };
    match trouble {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
    }
}

/// Returns a sentence about the running pass, where it is a slow one.
fn too_long(status: &Status) -> Option<String> {
    let age = status.pass_age().filter(|age| *age >= SLOW_PASS)?;
    Some(format!("a pass has been running for {} minutes", age.as_secs() / 60))
}

async fn readyz(State(shown): State<Shown>) -> (StatusCode, Json<Value>) {
    let snapshot = shown.observer.status.snapshot();
    let reason = unready(&snapshot).map(str::to_owned).or_else(|| too_long(&shown.observer.status));
    let manifests = snapshot.manifests.as_ref();
    let body = json!({
        "ready": reason.is_none(),
        "reason": reason,
        "mode": snapshot.mode,
        "digest": manifests.map(|manifests| &manifests.digest),
        "unreadable": manifests.map(|manifests| &manifests.unreadable),
        "diagnostics": manifests.map(|manifests| &manifests.diagnostics),
        "configuration": snapshot.configuration,
        "held": manifests.map(|manifests| &manifests.held),
        "lastPass": snapshot.last,
    });
    (if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(body))
}

/// Returns why the agent is not ready. A broken document is no reason: its last good version is in force.
fn unready(snapshot: &Snapshot) -> Option<&'static str> {
    match &snapshot.manifests {
        None => Some("the manifests were not read yet"),
        Some(manifests) if !manifests.unreadable.is_empty() => Some("manifests cannot be read"),
        Some(_) if !snapshot.complete && !snapshot.ignores_all() => Some("no pass was completed yet"),
        Some(_) => None,
    }
}

async fn metrics(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &shown.registry) {
        Ok(()) => {
            let accepted: Vec<_> =
                headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
            let (form, text) = if exposition::wants_open_metrics(&accepted.join(",")) {
                (exposition::OPEN_METRICS, text)
            } else {
                (exposition::CLASSIC, exposition::classic(&text))
            };
            ([(header::CONTENT_TYPE, form), (header::VARY, "accept")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests;

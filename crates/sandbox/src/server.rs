//! Serves a sandbox over HTTP.

use std::{io, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{self, ConnectInfo, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use futures_util::StreamExt as _;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    Sandbox, control,
    exchange::{self, Ending},
    simulator::{Answer, Request, Simulator},
    wire::{ConnectionControl, FaultyListener},
};

/// The longest body: a state file of some hundred thousand rows fits.
const BODY: usize = 1 << 30;

/// A served sandbox.
#[derive(Debug)]
pub struct Running {
    /// The address that it listens on.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Running {
    /// Ends the server: requests under way are answered first.
    pub async fn shutdown(self) -> io::Result<()> {
        self.stop.cancel();
        self.task.await.map_err(io::Error::other)?
    }
}

#[derive(Clone)]
struct Context {
    sandbox: Sandbox,
    address: SocketAddr,
    stop: CancellationToken,
}

/// Starts a server.
pub(super) async fn start(sandbox: Sandbox, listen: SocketAddr) -> io::Result<Running> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let context = Context { sandbox: sandbox.clone(), address, stop: stop.clone() };
    let router = Router::new().fallback(handle).with_state(context);
    let service = router.into_make_service_with_connect_info::<ConnectionControl>();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        axum::serve(FaultyListener::new(listener, sandbox), service)
            .with_graceful_shutdown(async move { stopped.cancelled().await })
            .await
    });
    Ok(Running { address, stop, task })
}

async fn handle(
    State(context): State<Context>,
    ConnectInfo(connection): ConnectInfo<ConnectionControl>,
    request: extract::Request,
) -> Response {
    let (head, body) = request.into_parts();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let mut request = Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or("").to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    match to_bytes(body, BODY).await {
        Ok(bytes) => request.body = bytes.into(),
        Err(_) => return respond(plain(413, "the body is too long or broke off")),
    }
    if request.path.starts_with("/_sandbox/") && !is_local(&request, context.address) {
        return respond(plain(403, "403: the sandbox is steered from this machine alone, and by no web page"));
    }
    if request.path.starts_with("/_sandbox/") {
        return respond(control::answer(&context.sandbox, request).await);
    }
    let simulators = &context.sandbox.shared.simulators;
    match simulators.iter().find(|simulator| simulator.serves(&request.path)) {
        Some(simulator) => serve(&context, simulator.as_ref(), &request, &connection).await,
        None => respond(plain(404, "404: no platform serves this path")),
    }
}

/// Returns false for requests that a web page had a browser send.
///
/// Such a request names its page in `Origin`; and a page can give a loopback address a name of its own, which is then
/// the `Host`. Where the sandbox listens on other addresses, it may have any name.
fn is_local(request: &Request, listening: SocketAddr) -> bool {
    let header = |name: &str| {
        let found = request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    let (host, origin) = (header("host"), header("origin"));
    let is_own = |origin: &str| host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, of)| of == host));
    let is_loopback = |host: &str| {
        let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
        let name = name.trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    origin.is_none_or(is_own) && (!listening.ip().is_loopback() || host.is_none_or(is_loopback))
}

/// Answers a platform's request, faults included.
async fn serve(
    context: &Context,
    simulator: &dyn Simulator,
    request: &Request,
    connection: &ConnectionControl,
) -> Response {
    let (answer, ending) = exchange::answer(&context.sandbox, simulator, request, &[], &context.stop).await;
    match ending {
        Ending::Whole => respond(answer),
        Ending::Reset => {
            connection.reset();
            respond(answer)
        }
        Ending::Cut => cut(&answer),
    }
}

/// Makes an answer of a plain text.
pub(super) fn plain(status: u16, text: &str) -> Answer {
    Answer { status, body: text.as_bytes().to_vec(), ..Answer::default() }
}

fn headed(answer: &Answer) -> axum::http::response::Builder {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut builder = Response::builder().status(status);
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.as_str())) {
            builder = builder.header(name, value);
        }
    }
    builder
}

fn respond(answer: Answer) -> Response {
    let builder = headed(&answer);
    builder.body(Body::from(answer.body)).unwrap_or_default()
}

/// Announces the whole body and sends half of it.
fn cut(answer: &Answer) -> Response {
    let length = answer.body.len();
    let half = Bytes::from(answer.body[..length / 2].to_vec());
    let rest = futures_util::stream::once(async {
        // Written bytes are sent only once there is nothing more to write for the moment.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let first = futures_util::stream::once(std::future::ready(Ok(half)));
    let body = Body::from_stream(first.chain(rest));
    headed(answer).header("content-length", length).body(body).unwrap_or_default()
}

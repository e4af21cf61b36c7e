use std::sync::Arc;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::agent::{ByKind, Counts, ManifestStatus, Metrics, Report, Trigger, Verdict};

struct Server {
    address: std::net::SocketAddr,
    status: Status,
    stop: CancellationToken,
}

impl Server {
    async fn start() -> Self {
        Self::within(Limits::default()).await
    }

    async fn within(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (status, stop) = (Status::default(), CancellationToken::new());
        let pages = Pages {
            observer: Observer { status: status.clone(), ..Observer::default() },
            registry: Arc::new(Metrics::default().registry(Some(Arc::default()))),
            token: None,
        };
        tokio::spawn(serve_within(listener, pages, stop.clone(), limits));
        Self { address, status, stop }
    }

    /// Returns the status line's code, and the body.
    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = tokio::net::TcpStream::connect(self.address).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("answered");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        (head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a code"), body.to_owned())
    }
}

fn shown() -> Shown {
    Shown {
        observer: Observer::default(),
        registry: Arc::default(),
        guard: Guard::new(None, "127.0.0.1:1".parse().expect("an address")),
        streams: Arc::new(Semaphore::new(1)),
        stop: CancellationToken::new(),
    }
}

fn report() -> Report {
    let now = Timestamp::UNIX_EPOCH;
    Report {
        trigger: Trigger::Start,
        start: now,
        end: now,
        verdict: Verdict::Converged,
        counts: Counts::default(),
        by_kind: ByKind::new(),
        drift: 0,
        error: None,
        whole: true,
        retry: false,
        all_failed: false,
        failing: std::collections::HashSet::new(),
        part: None,
    }
}

#[tokio::test]
async fn health_readiness_and_numbers() {
    let server = Server::start().await;
    assert_eq!(server.get("/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(server.get("/nothing").await, (404, "not found\n".to_owned()));
    let (code, numbers) = server.get("/metrics").await;
    assert_eq!(code, 200);
    assert!(numbers.contains("reconcile_manifest_errors 0\n") && !numbers.contains("# EOF"), "{numbers}");
    server.stop.cancel();
}

#[tokio::test]
async fn ready_once_a_pass_has_seen_everything() {
    let server = Server::start().await;
    let check = async |expected: (u16, &str)| {
        let (code, body) = server.get("/readyz").await;
        assert_eq!(code, expected.0, "{body}");
        assert!(body.contains(expected.1), "{body}");
    };
    check((503, "the manifests were not read yet")).await;
    let manifests = ManifestStatus {
        digest: "d".to_owned(),
        objects: 1,
        held: Vec::new(),
        diagnostics: Vec::new(),
        errors: 0,
        unreadable: Vec::new(),
    };
    server.status.update(|snapshot| snapshot.manifests = Some(manifests.clone()));
    check((503, "no pass was completed yet")).await;
    server.status.update(|snapshot| {
        snapshot.complete = true;
        snapshot.last = Some(report());
    });
    check((200, "\"verdict\":\"converged\"")).await;
    let unreadable = ManifestStatus { unreadable: vec!["cannot read m".to_owned()], ..manifests };
    server.status.update(|snapshot| snapshot.manifests = Some(unreadable));
    check((503, "manifests cannot be read")).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_sign_of_life_it_is_not_healthy() {
    let shown = shown();
    let code = async || healthz(State(shown.clone())).await.0.as_u16();
    assert_eq!(code().await, 200);
    let second = Duration::from_secs(1);
    tokio::time::advance(DEAD.saturating_sub(second)).await;
    assert_eq!(code().await, 200);
    tokio::time::advance(second).await;
    assert_eq!(code().await, 503);
    shown.observer.status.beat();
    assert_eq!(code().await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_hangs_is_told() {
    let shown = shown();
    shown.observer.status.update(|snapshot| {
        snapshot.complete = true;
        snapshot.manifests = Some(ManifestStatus::default());
    });
    let codes = async || {
        shown.observer.status.beat();
        (healthz(State(shown.clone())).await.0.as_u16(), readyz(State(shown.clone())).await.0.as_u16())
    };
    shown.observer.status.pass_begins(&"here".into());
    assert_eq!(codes().await, (200, 200));
    tokio::time::advance(SLOW_PASS).await;
    // The loop itself is alive all the time.
    assert_eq!(codes().await, (200, 503));
    shown.observer.status.set_overdue(&"here".into(), Some("a pass has not ended".to_owned()));
    assert_eq!(codes().await, (503, 503));
    assert_eq!(healthz(State(shown.clone())).await.1, "a pass has not ended\n");
    shown.observer.status.pass_ends(&"here".into());
    assert_eq!(codes().await, (503, 200));
    shown.observer.status.set_overdue(&"here".into(), None);
    assert_eq!(codes().await, (200, 200));
}

#[tokio::test]
async fn slow_clients_give_way() {
    let limits = Limits { connections: 2, head: Duration::from_millis(200), connection: Duration::from_secs(5) };
    let server = Server::within(limits).await;
    let mut slow = Vec::new();
    for _ in 0..6 {
        let mut stream = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: local").await.expect("half a head");
        slow.push(stream);
    }
    // It waits for its turn behind all of them.
    assert_eq!(server.get("/healthz").await, (200, "ok\n".to_owned()));
    server.stop.cancel();
}

#[tokio::test]
async fn a_connection_does_not_last_for_ever() {
    let limits = Limits { connections: 1, head: Duration::from_secs(30), connection: Duration::from_millis(300) };
    let server = Server::within(limits).await;
    let mut held = tokio::net::TcpStream::connect(server.address).await.expect("it listens");
    held.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    assert_eq!(server.get("/healthz").await, (200, "ok\n".to_owned()));
    server.stop.cancel();
}

#[test]
fn a_loopback_server_answers_to_its_own_names_alone() {
    let check = |host: Option<&str>, listening: &str, expected: bool| {
        let listening = listening.parse().expect("an address");
        assert_eq!(server::is_host_allowed(host, listening), expected, "{host:?} on {listening}");
    };
    for local in ["localhost", "LocalHost:8321", "127.0.0.1:8321", "127.9.9.9", "[::1]:8321"] {
        check(Some(local), "127.0.0.1:8321", true);
    }
    for foreign in ["evil.example.com", "localhost.evil.example.com:8321", "10.0.0.1", "[::2]", ""] {
        check(Some(foreign), "127.0.0.1:8321", false);
        check(Some(foreign), "[::1]:8321", false);
    }
    // Without a name it is no browser.
    check(None, "127.0.0.1:8321", true);
    check(Some("reconcile.ops.svc:8321"), "0.0.0.0:8321", true);
}

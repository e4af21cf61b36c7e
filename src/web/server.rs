//! Serves connections with limits, so that slow or many clients cannot keep the agent from its work.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// Maximum number of connections at once. Others wait in the queue of the system, which takes no file descriptors.
const CONNECTIONS: usize = 64;
/// The time for the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// The time for a whole connection: who scrapes connects anew, who reads slowly gives way.
const CONNECTION: Duration = Duration::from_mins(1);
/// The pause after a connection could not be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// The limits of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Maximum number of connections at once.
    pub(super) connections: usize,
    /// The time for the head of a request.
    pub(super) head: Duration,
    /// The time for a whole connection.
    pub(super) connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS, head: HEAD, connection: CONNECTION }
    }
}

/// When a connection ends, whatever it is used for then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(pub(super) Instant);

/// Accepts connections until `stop` is cancelled, then lets those that are open finish.
pub(super) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: &CancellationToken) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    while let Some(permit) = stop.run_until_cancelled(permits.clone().acquire_owned()).await {
        let Some(accepted) = stop.run_until_cancelled(listener.accept()).await else { break };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let deadline = Deadline(Instant::now() + limits.connection);
        let router = router.clone().layer(Extension(deadline));
        let (service, stop) = (TowerToHyperService::new(router), stop.clone());
        connections.spawn(async move {
            let _permit = permit;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.head)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = async {
                tokio::select! {
                    ended = connection.as_mut() => return ended,
                    () = stop.cancelled() => {}
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            };
            if let Ok(Err(error)) = tokio::time::timeout(limits.connection, ended).await {
                tracing::debug!(%error, "a connection broke off");
            }
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Returns true if a request with this `Host` may be answered by a server that listens on an address.
///
/// A web page can give a name of its own to a loopback address and so have a browser ask there. Where the agent listens
/// on other addresses, whoever runs it decides who gets there, and by which name.
pub(super) fn is_host_allowed(host: Option<&str>, listening: SocketAddr) -> bool {
    let Some(host) = host.filter(|_| listening.ip().is_loopback()) else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

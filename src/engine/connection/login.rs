//! Fetches the endpoint of a connection and logs in.

use super::Connection;
use crate::{
    clock,
    engine::{
        mask,
        notice::{bounded, until},
        retry::{wait_for_login, waits},
        session::Source,
    },
    model::Refusal,
    provider::{Endpoint, LoginResult, Reply, RequestContext},
};

impl Source for Connection {
    async fn resolve(&self) -> Result<Endpoint, Refusal> {
        let resolve = self.target.resolve.clone();
        let _fetched = self.shared.counters.fetch(&self.target.name);
        let resolved =
            if clock::is_simulated() { Ok(resolve()) } else { tokio::task::spawn_blocking(move || resolve()).await };
        let resolved = resolved.unwrap_or_else(|error| Err(format!("its settings could not be read: {error}")));
        let endpoint = resolved.map_err(|why| {
            self.shared.counters.unreachable(&self.target.name);
            Refusal::new(None, format!("target `{}`: {why}", self.target.name))
        })?;
        let target = &*self.target.name;
        for secret in mask::unmasked(&endpoint) {
            tracing::warn!(target, "`{secret}` is too short to be hidden: messages of the server may show it");
        }
        Ok(endpoint)
    }

    async fn login(&self, endpoint: &Endpoint) -> Result<Option<LoginResult>, Refusal> {
        let platform = self.target.platform;
        let now = RequestContext { request_id: "", now: clock::now() };
        let Some(operation) = platform.login(endpoint, now)?.map(|login| login.operation) else { return Ok(None) };
        let prepare = |stamp: RequestContext<'_>| platform.login(endpoint, stamp).map(|login| Some(login?.prepared));
        let read = |reply: &Reply<'_>| platform.login_result(endpoint, reply);
        let mut waits = waits();
        loop {
            let refusal = match self.attempt(endpoint, operation, None, &prepare, &read).await {
                Ok(grant) => return Ok(grant.map(|(grant, _)| grant)),
                Err(failure) => bounded(failure.refusal),
            };
            let Some(pause) = wait_for_login(&refusal, &mut waits) else { return Err(refusal) };
            let target = &*self.target.name;
            self.shared.counters.retry(&self.target.name);
            tracing::warn!(target, operation, %refusal, "sent again in {}", until(pause));
            tokio::time::sleep(pause).await;
        }
    }
}

//! Requests that the server answers when something happens, or after a while.

use serde_json::Value;

use super::{Connection, harmless, masked, request_id};
use crate::{
    clock,
    engine::redirect,
    model::{KeyPool, Refusal, Request},
    provider::{CredentialStatus, Reply, RequestContext},
    transport::Answer,
};

impl Connection {
    /// Sends a read that the server may keep waiting, and returns its answer. It takes no turn from other requests, says
    /// nothing about how quick the server is, and is not repeated.
    pub async fn poll(&self, request: &Request) -> Result<Value, Refusal> {
        let platform = self.target.platform;
        if !platform.is_read(request.operation) {
            return Err(Refusal::new(None, format!("`{}` is no read: it was not sent", request.operation)));
        }
        if let Some(refusal) = self.breaker.down() {
            return Err(refusal);
        }
        let held = self.session.get(self).await?;
        let id = request_id();
        let prepared =
            platform.prepare(request, &held.endpoint, RequestContext { request_id: &id, now: clock::now() })?;
        let answer = self.shared.transport.send(prepared).await;
        let answer = answer.and_then(redirect::checked).map_err(|refusal| self.unreachable(refusal, &held.endpoint));
        let read = |reply: &Reply<'_>| platform.interpret(request, reply, &mut KeyPool::default());
        let outcome = answer.and_then(|Answer { status, headers, body }| {
            let reply = Reply { status, headers: &headers, body: &body, parsed: None, received: clock::now() };
            read(&reply).map_err(|refusal| masked(refusal, &reply, &held.endpoint, &read))
        });
        let refusal = match outcome {
            Ok(answer) => return Ok(answer.to_value()),
            Err(refusal) => harmless(&refusal, &id, &held.endpoint),
        };
        match platform.credential_status(&held.endpoint, &refusal) {
            CredentialStatus::Stale => _ = self.session.renew(&held, &refusal, self).await,
            CredentialStatus::Rejected => self.session.reject(&held).await,
            CredentialStatus::Sound => {}
        }
        Err(refusal)
    }
}

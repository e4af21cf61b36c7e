//! The two ways to use a connection.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Connection, SendResult, SendWindow, Target};
use crate::model::{Json, Refusal, Request};

/// Answers reads in place of the server, such as a snapshot.
pub trait ReadSource: fmt::Debug + Send + Sync {
    /// Returns the settings of the target that are not secret; `None` if those of the server are meant.
    fn settings(&self) -> Option<Result<HashMap<String, String>, Refusal>>;

    /// Answers a read.
    fn answer<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Json, Refusal>>;
}

/// Reads from a target. It has no method that writes.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) connection: Arc<Connection>,
    /// Answers reads in place of the server.
    pub(super) source: Option<Arc<dyn ReadSource>>,
}

impl Reader {
    /// Returns the target.
    pub fn target(&self) -> &Target {
        &self.connection.target
    }

    /// Returns a reader whose reads are answered by `source` in place of the server.
    #[must_use]
    pub fn through(self, source: Arc<dyn ReadSource>) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Returns the settings of the target that are not secret, such as `timeZone`. Where they cannot be had, no request
    /// would be answered either.
    pub async fn settings(&self) -> Result<HashMap<String, String>, Refusal> {
        if let Some(settings) = self.source.as_ref().and_then(|source| source.settings()) {
            return settings;
        }
        let held = self.connection.session.get(&*self.connection).await?;
        let mut settings = self.connection.settings.lock().unwrap_or_else(PoisonError::into_inner);
        if settings.is_empty() {
            *settings = Arc::new(held.endpoint.settings.clone());
        }
        Ok(settings.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    }

    /// Returns the changes that are not tried again (see [`Writer::suppress`]).
    pub fn suppressed(&self) -> HashSet<String> {
        self.connection.suppressed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends an operation that the platform lists as a read; anything else is refused and not sent.
    pub async fn read(&self, request: &Request) -> Result<Json, Refusal> {
        if !self.connection.target.platform.is_read(request.operation) {
            return Err(Refusal::new(None, format!("`{}` is no read: it was not sent", request.operation)));
        }
        if let Some(source) = &self.source {
            return source.answer(request).await;
        }
        match self.connection.send_until_settled(request, None).await {
            SendResult::Answered(answer) => answer,
            SendResult::Down(refusal) => Err(refusal),
            SendResult::Stopped | SendResult::Late(_) => Err(Refusal::new(None, "it was not sent")),
        }
    }
}

/// Reads from a target and writes to it.
#[derive(Debug, Clone)]
pub struct Writer(pub(super) Arc<Connection>);

impl Writer {
    /// Returns the part of it that cannot write.
    pub fn reader(&self) -> Reader {
        self.0.reader()
    }

    /// Returns the refusal of requests that are not sent, because nothing answers at the target.
    pub fn down(&self) -> Option<Refusal> {
        self.0.breaker.down()
    }

    /// Returns the secrets that requests are signed with at present, those of programs and logins among them. Empty as
    /// long as nothing was sent.
    pub async fn secrets(&self) -> Vec<String> {
        self.0.session.secrets().await
    }

    /// Sends an operation that writes. It is repeated only where the platform said that it was not carried out, and not
    /// sent at all once `stop` is cancelled, or after `until`, however long it had to wait for its turn.
    pub async fn write(&self, request: &Request, stop: &CancellationToken, until: Instant) -> SendResult {
        self.0.send_until_settled(request, Some(SendWindow { stop, until })).await
    }

    /// Notes a change that the platform accepts and does not store, by [`crate::model::FieldChange::fingerprint`]. As long as
    /// this process runs it is not tried again.
    pub fn suppress(&self, mark: String) {
        self.0.suppressed.lock().unwrap_or_else(PoisonError::into_inner).insert(mark);
    }
}

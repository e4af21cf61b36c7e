//! Sends notices of the agent to webhooks. Nothing waits for that: neither a pass nor the end of the program.

mod format;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::{
    sync::mpsc::{Receiver, channel},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Event, Notice},
    config::{Notify, WebhookFormat},
    provider::{Method, Prepared},
    transport::Transport,
};

/// The pauses before a message is sent again. A message that arrived and whose answer was lost may come twice.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// Most time for one message: who takes longer is asked once more.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the secrets of a receiver as they are now: its address, and the key of its signatures.
type Resolve = dyn Fn() -> Result<(SecretString, Option<SecretString>), String> + Send + Sync;

/// A webhook.
pub struct Webhook {
    name: String,
    format: WebhookFormat,
    events: Vec<Event>,
    resolve: Box<Resolve>,
}

impl Webhook {
    /// Returns the webhook that a configuration describes.
    pub fn new(notify: &Notify) -> Self {
        let (url, secret) = (notify.url.clone(), notify.secret.clone());
        let resolve = move || {
            let problem = |key: &str, error: crate::config::Problem| format!("cannot get `{key}`: {error}");
            let address = url.secret().map_err(|error| problem("url", error))?;
            let secret = secret.as_ref().map(crate::config::Source::secret).transpose();
            Ok((address, secret.map_err(|error| problem("secret", error))?))
        };
        let is_named = |name: &&str| notify.events.is_empty() || notify.events.iter().any(|event| event == name);
        let events = Event::ALL.iter().filter(|(name, _)| is_named(name)).map(|(_, event)| *event).collect();
        Self { name: notify.name.clone(), format: notify.format, events, resolve: Box::new(resolve) }
    }
}

/// Sends notices until `stop` is cancelled.
pub async fn run(webhooks: Vec<Webhook>, transport: Transport, mut notices: Receiver<Notice>, stop: CancellationToken) {
    let mut queues = Vec::new();
    for webhook in webhooks.into_iter().map(Arc::new) {
        // One that hangs holds up no other.
        let (sender, mut queue) = channel::<Arc<Notice>>(64);
        let (transport, stop, name) = (transport.clone(), stop.clone(), webhook.name.clone());
        queues.push((sender, name));
        tokio::spawn(async move {
            while let Some(Some(notice)) = stop.run_until_cancelled(queue.recv()).await {
                if webhook.events.contains(&notice.event) {
                    stop.run_until_cancelled(deliver(&webhook, &transport, &notice)).await;
                }
            }
        });
    }
    while let Some(Some(notice)) = stop.run_until_cancelled(notices.recv()).await {
        let notice = Arc::new(notice);
        for (queue, name) in &queues {
            if queue.try_send(notice.clone()).is_err() {
                tracing::warn!(webhook = name, "too many messages wait for a webhook: one is left out");
            }
        }
    }
}

/// Sends a notice, several times where it does not arrive.
async fn deliver(webhook: &Arc<Webhook>, transport: &Transport, notice: &Notice) {
    let name = &*webhook.name;
    for pause in PAUSES.iter().map(Some).chain([None]) {
        let problem = match attempt(webhook, transport, notice).await {
            Ok(()) => {
                tracing::debug!(webhook = name, event = notice.event.name(), "a message was sent");
                return;
            }
            Err(problem) => problem,
        };
        let Some(pause) = pause else {
            tracing::warn!(webhook = name, event = notice.event.name(), "a message was not sent: {problem}");
            return;
        };
        tracing::debug!(webhook = name, "a message was not sent: {problem}, once more in {pause:?}");
        tokio::time::sleep(*pause).await;
    }
}

async fn attempt(webhook: &Arc<Webhook>, transport: &Transport, notice: &Notice) -> Result<(), String> {
    let resolving = webhook.clone();
    // Files are read, and programs run.
    let resolved = spawn_blocking(move || (resolving.resolve)()).await;
    let (url, secret) = resolved.map_err(|error| error.to_string())??;
    let url = match &secret {
        Some(secret) => format::signed(url.expose_secret(), secret.expose_secret(), Timestamp::now()),
        None => url.expose_secret().to_owned(),
    };
    let body = format::body(webhook.format, notice).to_string().into_bytes();
    let headers = vec![("content-type", "application/json".to_owned())];
    let sent = transport.send(Prepared { method: Method::Post, url, headers, body }).await;
    // The text of a failure may hold the address, which is a secret.
    let answer = sent.map_err(|refusal| if refusal.lost { "its answer was lost" } else { "it cannot be reached" })?;
    if !(200..300).contains(&answer.status) {
        return Err(format!("it answered {}", answer.status));
    }
    // WeCom and DingTalk refuse with 200.
    let code = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| body["errcode"].as_i64());
    match code.filter(|code| *code != 0) {
        Some(code) => Err(format!("it answered with errcode {code}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_can_be_chosen() {
        let names: Vec<&str> = Event::ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, crate::config::EVENTS);
    }
}

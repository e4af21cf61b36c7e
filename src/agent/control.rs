//! What people ask of a running agent: to pause, to go on, to look at everything now.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{Notify, watch};

/// A pause: nothing is written, and differences are still looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the words of the one who paused it; empty where nothing was said.
    pub reason: String,
}

/// The controls of an agent; clones are the same ones.
#[derive(Debug, Clone)]
pub struct Control {
    pause: Arc<watch::Sender<Option<Pause>>>,
    request: Arc<Notify>,
}

impl Default for Control {
    fn default() -> Self {
        Self { pause: Arc::new(watch::Sender::new(None)), request: Arc::default() }
    }
}

impl Control {
    /// Stops all writing, also in the middle of a pass: calls on their way are waited for, and no other is sent.
    pub fn pause(&self, reason: String) {
        let pause = Pause { since: Timestamp::now(), reason };
        self.pause.send_replace(Some(pause));
        self.reconcile();
    }

    /// Goes on.
    pub fn resume(&self) {
        self.pause.send_replace(None);
        self.reconcile();
    }

    /// Has everything looked at now.
    pub fn reconcile(&self) {
        self.request.notify_one();
    }

    /// Returns the pause; `None` where the agent is not paused.
    pub fn paused(&self) -> Option<Pause> {
        self.pause.borrow().clone()
    }

    /// Waits until everything is to be looked at.
    pub(super) async fn requested(&self) {
        self.request.notified().await;
    }

    /// Waits until the agent is paused.
    pub(super) async fn until_paused(&self) {
        // The sender lives as long as this does.
        let _ = self.pause.subscribe().wait_for(Option::is_some).await;
    }
}

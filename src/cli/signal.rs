//! SIGINT, SIGTERM and SIGHUP.

use std::sync::{Arc, OnceLock};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

use super::exit::ExitStatus;

/// Returns what each SIGHUP wakes. Without it, that signal ends the program.
pub(super) fn hangups() -> Arc<Notify> {
    let hangups = Arc::new(Notify::new());
    let woken = hangups.clone();
    if let Ok(mut signals) = signal(SignalKind::hangup()) {
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                woken.notify_one();
            }
        });
    }
    hangups
}

/// Is cancelled by the first signal; the second one ends the program at once.
#[derive(Clone, Default)]
pub(super) struct Stop {
    token: CancellationToken,
    status: Arc<OnceLock<ExitStatus>>,
}

impl Stop {
    /// Starts to listen for signals.
    pub(super) fn listen() -> Self {
        let stop = Self::default();
        for (kind, status) in
            [(SignalKind::interrupt(), ExitStatus::Interrupted), (SignalKind::terminate(), ExitStatus::Terminated)]
        {
            let heard = stop.clone();
            // Without a handler the default of the system holds: the program ends.
            let Ok(mut signals) = signal(kind) else { continue };
            tokio::spawn(async move {
                signals.recv().await;
                // They run in groups of their own, and nobody needs what they would print.
                crate::config::end_programs(|_| true);
                let _ = heard.status.set(status);
                heard.token.cancel();
                signals.recv().await;
                crate::config::end_programs(|_| true);
                std::process::exit(i32::from(status.code()));
            });
        }
        stop
    }

    /// Returns what is cancelled by a signal.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Returns how the signal that came ends the command; `None` if none came.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        self.status.get().copied()
    }
}

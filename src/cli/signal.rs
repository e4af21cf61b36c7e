//! SIGINT and SIGTERM.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit;

/// Is cancelled by the first signal; the second one ends the program at once.
#[derive(Clone, Default)]
pub(super) struct Stop {
    token: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Stop {
    /// Starts to listen for signals.
    pub(super) fn listen() -> Self {
        let stop = Self::default();
        for (kind, code) in [(SignalKind::interrupt(), exit::INTERRUPTED), (SignalKind::terminate(), exit::TERMINATED)]
        {
            let heard = stop.clone();
            // Without a handler the default of the system holds: the program ends.
            let Ok(mut signals) = signal(kind) else { continue };
            tokio::spawn(async move {
                signals.recv().await;
                // They run in groups of their own, and nobody needs what they would print.
                crate::config::end_programs();
                let _ = heard.code.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
                heard.token.cancel();
                signals.recv().await;
                crate::config::end_programs();
                std::process::exit(i32::from(code));
            });
        }
        stop
    }

    /// Returns what is cancelled by a signal.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Returns the exit code of the signal that came; none where none came.
    pub(super) fn code(&self) -> Option<u8> {
        Some(self.code.load(Ordering::SeqCst)).filter(|code| *code != 0)
    }
}

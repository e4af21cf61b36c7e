//! How fast requests leave.

mod adaptive;
mod concurrency;

use std::time::Duration;

use super::notice::Notice;
pub(super) use adaptive::{AdaptiveLimiter, PATIENCE};
pub(super) use concurrency::ConcurrencyLimiter;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// Spaces requests evenly, so that a server's limiter never sees a burst.
#[derive(Debug)]
pub(super) struct IntervalLimiter {
    interval: Duration,
    next: Mutex<Option<Instant>>,
    notice: Notice,
}

impl IntervalLimiter {
    /// Returns a pace of so many requests a second; more than none.
    pub(super) fn per_second(rate: f64) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / rate.max(0.001)),
            next: Mutex::new(None),
            notice: Notice::default(),
        }
    }

    /// Waits for the next turn, of a request to `target`.
    pub(super) async fn permit(&self, target: &str) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let mine = next.map_or(now, |next| next.max(now));
        // Who gives up while it waits leaves its turn to the next.
        self.notice.wait(target, mine, &"the configured rate spaces requests");
        sleep_until(mine).await;
        *next = Some(mine + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced() {
        let pace = IntervalLimiter::per_second(10.0);
        let start = Instant::now();
        for _ in 0..11 {
            pace.permit("cmdb").await;
        }
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}

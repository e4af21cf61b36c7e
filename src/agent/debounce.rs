//! Waits until a burst of changes is over.

use std::time::Duration;

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, timeout_at},
};

/// How long to wait after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debounce {
    /// Without a further change for this long, the burst is over.
    pub quiet: Duration,
    /// Most time to wait, however long the burst.
    pub most: Duration,
}

impl Default for Debounce {
    fn default() -> Self {
        Self { quiet: Duration::from_millis(150), most: Duration::from_secs(1) }
    }
}

impl Debounce {
    /// Returns once the burst is over whose first change has just been received.
    pub(super) async fn wait_until_quiet(self, dirty: &mut Receiver<()>) {
        let end = Instant::now() + self.most;
        loop {
            let now = Instant::now();
            if now >= end {
                return;
            }
            match timeout_at(end.min(now + self.quiet), dirty.recv()).await {
                Ok(Some(())) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, time::sleep};

    use super::*;

    /// Sends a change at each of these milliseconds and returns when the burst counts as over.
    async fn settled(changes: &[u64]) -> u64 {
        let (sender, mut dirty) = mpsc::channel(1);
        let start = Instant::now();
        let send = async {
            for at in changes {
                tokio::time::sleep_until(start + Duration::from_millis(*at)).await;
                let _ = sender.try_send(());
            }
            // The channel stays open, as the real one does.
            sleep(Duration::from_hours(1)).await;
        };
        let settle = async {
            dirty.recv().await;
            Debounce::default().wait_until_quiet(&mut dirty).await;
            u64::try_from(start.elapsed().as_millis()).unwrap_or_default()
        };
        tokio::select! {
            biased;
            at = settle => at,
            () = send => 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_change() {
        assert_eq!(settled(&[0]).await, 150);
        assert_eq!(settled(&[0, 100, 200]).await, 350);
        assert_eq!(settled(&[0, 200]).await, 150);
        let endless: Vec<u64> = (0..100).map(|at| at * 50).collect();
        assert_eq!(settled(&endless).await, 1000);
    }
}

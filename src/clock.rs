//! The wall clock: that of the system, or in a simulation one that follows tokio's paused time.

use std::{cell::Cell, marker::PhantomData};

use jiff::Timestamp;
use tokio::time::Instant;

thread_local! {
    /// The time that the simulation of this thread began at, and the moment of that.
    static SIMULATED: Cell<Option<(Timestamp, Instant)>> = const { Cell::new(None) };
}

/// Makes the wall clock of this thread follow tokio's clock, which may be paused, until it is dropped.
#[derive(Debug)]
pub struct SimulatedTime(
    /// It belongs to its thread.
    PhantomData<*const ()>,
);

impl SimulatedTime {
    /// Begins at a time.
    #[must_use]
    pub fn from(start: Timestamp) -> Self {
        SIMULATED.set(Some((start, Instant::now())));
        Self(PhantomData)
    }
}

impl Drop for SimulatedTime {
    fn drop(&mut self) {
        SIMULATED.set(None);
    }
}

/// Returns the time.
pub fn now() -> Timestamp {
    let Some((start, since)) = SIMULATED.get() else { return Timestamp::now() };
    start.checked_add(since.elapsed()).unwrap_or(Timestamp::MAX)
}

/// Returns true on a thread with a simulation, which must not wait for other threads: when they end is not its own.
pub fn is_simulated() -> bool {
    SIMULATED.get().is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn simulated_time_follows_the_paused_clock() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let simulated = SimulatedTime::from(start);
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(now().to_string(), "2026-01-01T01:00:00Z");
        drop(simulated);
        assert!(!is_simulated());
        assert_ne!(now().to_string(), "2026-01-01T01:00:00Z");
    }
}

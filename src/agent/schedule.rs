//! When the next look at the files and the next pass are due.

use std::time::Duration;

use tokio::time::Instant;

use super::status::Trigger;

/// Up to this part of the time between two looks at everything is left out at random: agents that were started together,
/// as by a rollout, do not stay together.
pub(super) const RESYNC_PART: u32 = 10;

/// Time between two looks at the files where one of them could not be read, or changes may go unnoticed.
const SHORT_RESCAN: Duration = Duration::from_secs(5);

/// Returns when to look at the files again. They are trusted if all could be read and their changes will be reported.
pub(super) fn next_scan(rescan: Duration, trusted: bool, now: Instant) -> Instant {
    now + if trusted { rescan } else { SHORT_RESCAN.min(rescan) }
}

/// The times at which passes over everything are due.
#[derive(Debug)]
pub(super) struct Schedule {
    resync: Duration,
    /// The longest wait before a pass that failed as a whole is made again, doubled with each further one.
    first_retry: Duration,
    /// The wait before the pass that repeats a failed one.
    retry: Option<Duration>,
    next_pass: Instant,
}

impl Schedule {
    /// Returns a schedule by which everything is due now.
    pub(super) fn new(resync: Duration, first_retry: Duration, now: Instant) -> Self {
        Self { resync, first_retry, retry: None, next_pass: now }
    }

    /// Returns when the next pass is due whatever the files say, and why.
    pub(super) fn next_pass(&self) -> (Instant, Trigger) {
        (self.next_pass, if self.retry.is_some() { Trigger::Retry } else { Trigger::Resync })
    }

    /// Notes that something else is declared than before: what failed may do now.
    pub(super) fn changed(&mut self) {
        self.retry = None;
    }

    /// Sets the time between two looks at everything; a look that is due later than that is due then.
    pub(super) fn set_resync(&mut self, resync: Duration, now: Instant) {
        self.resync = resync;
        self.next_pass = self.next_pass.min(now + resync);
    }

    /// Notes that a look at everything ended; it failed where it could not be made at all.
    pub(super) fn passed(&mut self, failed: bool, now: Instant) {
        self.retry = failed.then(|| self.retry.map_or(self.first_retry, |last| last * 2).min(self.resync));
        let pause = match self.retry {
            Some(longest) => at_most(longest, 2),
            None => at_most(self.resync, RESYNC_PART),
        };
        self.next_pass = now + pause;
    }
}

/// Returns a time without a random part of its last `part`th, so that those who began together do not come together.
pub(super) fn at_most(longest: Duration, part: u32) -> Duration {
    longest.mul_f64(1.0 - fastrand::f64() / f64::from(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn failures_come_again_ever_later() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_mins(1), Duration::from_secs(5), now);
        let mut passed = |failed: bool, expected: u64| {
            schedule.passed(failed, now);
            let (pause, longest) = (schedule.next_pass().0 - now, Duration::from_secs(expected));
            let shortest = longest.mul_f64(if failed { 0.5 } else { 0.9 });
            assert!(shortest <= pause && pause <= longest, "{pause:?} of {longest:?}");
        };
        [5, 10, 20, 40, 60, 60].into_iter().for_each(|expected| passed(true, expected));
        passed(false, 60);
        passed(true, 5);
        passed(true, 10);
        schedule.changed();
        schedule.passed(true, now);
        let (next, trigger) = schedule.next_pass();
        assert!(next <= now + Duration::from_secs(5) && trigger == Trigger::Retry, "{trigger:?}");
        schedule.passed(false, now);
        assert_eq!(schedule.next_pass().1, Trigger::Resync);
        schedule.set_resync(Duration::from_secs(3), now);
        assert_eq!(schedule.next_pass(), (now + Duration::from_secs(3), Trigger::Resync));
    }

    #[tokio::test(start_paused = true)]
    async fn files_in_doubt_are_looked_at_sooner() {
        let now = Instant::now();
        let rescan = Duration::from_secs(30);
        assert_eq!(next_scan(rescan, true, now), now + rescan);
        assert_eq!(next_scan(rescan, false, now), now + Duration::from_secs(5));
    }
}

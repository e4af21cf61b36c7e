//! A circuit breaker per target: where nothing answers, requests stop going there.
//!
//! An outage begins with [`FAILURES`] failures in a row without any answer in between. From then on one request after
//! another goes out as a probe, and all others wait. Where a probe is answered, all go on. A target that has answered
//! before may be restarting, so it gets [`PATIENCE`]; then, or at once where nothing has ever answered, it counts as down:
//! its requests fail unsent, but for one probe after each cooldown.
//!
//! The crates found for this (`failsafe`, `recloser`, layers for tower) count in clock time, which tests cannot stop, let
//! any number of requests through as probes, and have no line to wait in.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    notice::{NOTICEABLE, Notice, until},
    retry::jittered,
};
use crate::{clock, model::Refusal};

/// Failures in a row that begin an outage.
const FAILURES: usize = 5;
/// How long a target that has answered before may be without an answer until it counts as down.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bounds of the pauses between probes while requests wait.
const PROBES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// Bounds of the pauses between probes of a target that is down.
const COOLDOWNS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_mins(5));

/// The circuit breaker of one target.
#[derive(Debug)]
pub(super) struct CircuitBreaker {
    target: Arc<str>,
    state: Mutex<State>,
    changed: Notify,
    notice: Notice,
}

#[derive(Debug, Default)]
struct State {
    /// Something has answered there.
    is_known: bool,
    /// Failures since the last answer.
    failures: usize,
    /// When the first of them came, by both clocks.
    since: Option<(Instant, jiff::Zoned)>,
    outage: Option<Outage>,
}

/// A time without answers.
#[derive(Debug)]
struct Outage {
    /// When the next probe may leave.
    until: Instant,
    /// Probes that failed, since requests wait or since they fail at once.
    probes: u32,
    /// A probe is on its way.
    is_probed: bool,
    /// Requests fail unsent.
    is_down: bool,
    /// The last failure.
    why: Refusal,
}

/// The right to send one request.
#[derive(Debug)]
pub(super) struct Passage<'b> {
    breaker: &'b CircuitBreaker,
    is_probe: bool,
}

impl CircuitBreaker {
    /// Returns the breaker of a target to which nothing was sent yet.
    pub(super) fn new(target: Arc<str>) -> Self {
        Self { target, state: Mutex::default(), changed: Notify::new(), notice: Notice::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true while there is an outage: requests wait for a probe, or fail unsent.
    pub(super) fn is_open(&self) -> bool {
        self.state().outage.is_some()
    }

    /// Returns the refusal of requests that are not sent, because the target is down and its next probe is not due.
    pub(super) fn down(&self) -> Option<Refusal> {
        self.state().down(Instant::now())
    }

    /// Waits until a read may leave, as far as other requests show. The error is the refusal of a target that is down.
    pub(super) async fn ready(&self) -> Result<(), Refusal> {
        loop {
            let changed = self.changed.notified();
            let wake = {
                let state = self.state();
                let now = Instant::now();
                if let Some(refusal) = state.down(now) {
                    return Err(refusal);
                }
                match &state.outage {
                    Some(outage) if outage.is_probed => None,
                    Some(outage) if now < outage.until => Some(outage.until),
                    _ => return Ok(()),
                }
            };
            match wake {
                None => changed.await,
                Some(wake) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(wake) => {}
                },
            }
        }
    }

    /// Returns the right to send a request now; `None` if it has to wait once more. No write is a probe: what became of it
    /// would be unknown.
    pub(super) fn pass(&self, is_write: bool) -> Option<Passage<'_>> {
        let mut state = self.state();
        let is_probe = match &mut state.outage {
            None => false,
            Some(outage) if is_write || outage.is_probed || Instant::now() < outage.until => return None,
            Some(outage) => {
                outage.is_probed = true;
                true
            }
        };
        Some(Passage { breaker: self, is_probe })
    }

    /// Says that the target is down, or still is, and when it is tried again.
    fn announce(&self, since: &jiff::Zoned, why: &Refusal, pause: Duration) {
        tracing::warn!(
            "target `{}` is down: nothing has answered since {} ({}): nothing is sent there for {}",
            self.target,
            since.strftime("%H:%M:%S"),
            why.message,
            until(pause)
        );
    }
}

impl State {
    fn down(&self, now: Instant) -> Option<Refusal> {
        let outage =
            self.outage.as_ref().filter(|outage| outage.is_down && (outage.is_probed || now < outage.until))?;
        let since = self.since.as_ref().map(|(_, since)| since.strftime("%H:%M:%S").to_string()).unwrap_or_default();
        let message = format!("nothing has answered since {since}: {}", outage.why.message);
        Some(Refusal::new(None, message))
    }
}

impl Outage {
    /// Notes that a probe failed, and returns the pause before the next.
    fn pause(&mut self, now: Instant) -> Duration {
        let (first, longest) = if self.is_down { COOLDOWNS } else { PROBES };
        let bound = first.saturating_mul(2_u32.saturating_pow(self.probes)).min(longest);
        self.probes += 1;
        let pause = if self.is_down { jittered(bound / 2) + bound / 2 } else { jittered(bound) };
        self.until = now + pause;
        pause
    }
}

impl Passage<'_> {
    /// Notes that the target answered.
    pub(super) fn answered(&self) {
        let mut state = self.breaker.state();
        let since = state.since.take();
        let outage = state.outage.take();
        *state = State { is_known: true, ..State::default() };
        drop(state);
        if let Some(outage) = outage {
            self.breaker.notice.clear();
            self.breaker.changed.notify_waiters();
            if let Some((since, _)) = since.filter(|_| outage.is_down) {
                let (target, seconds) = (&self.breaker.target, since.elapsed().as_secs());
                tracing::info!("target `{target}` answers again after {seconds} s");
            }
        }
    }

    /// Notes that nothing answered, or something in front of the target that could not reach it.
    pub(super) fn failed(&self, why: &Refusal) {
        let mut state = self.breaker.state();
        let now = Instant::now();
        state.failures += 1;
        let is_first = state.failures < FAILURES;
        let (since, clock) =
            state.since.get_or_insert_with(|| (now, clock::now().to_zoned(jiff::tz::TimeZone::system()))).clone();
        let is_over = !state.is_known || now - since >= PATIENCE;
        match &mut state.outage {
            // Another request that left before the outage says nothing new.
            Some(_) if !self.is_probe => return,
            Some(outage) => {
                outage.is_probed = false;
                outage.why = why.clone();
            }
            None if is_first => return,
            None => {
                let outage = Outage { until: now, probes: 0, is_probed: false, is_down: false, why: why.clone() };
                state.outage = Some(outage);
            }
        }
        let Some(outage) = &mut state.outage else { return };
        if is_over && !outage.is_down {
            (outage.is_down, outage.probes) = (true, 0);
        }
        let (pause, is_down) = (outage.pause(now), outage.is_down);
        drop(state);
        self.breaker.changed.notify_waiters();
        if is_down {
            self.breaker.announce(&clock, why, pause);
        } else if now - since >= NOTICEABLE {
            let reason = "nothing answers, one request at a time is tried";
            self.breaker.notice.wait_at_most(&self.breaker.target, since + PATIENCE, &reason);
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if !self.is_probe {
            return;
        }
        // A probe that was given up says nothing: another may go.
        if let Some(outage) = self.breaker.state().outage.as_mut() {
            outage.is_probed = false;
        }
        self.breaker.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests;

//! Finds the rate that a server takes, from nothing but its refusals.
//!
//! Requests leave as they come until one is refused for its rate. Then the target is closed: one request after another
//! goes out to probe, until one gets through. What got through since the last time, divided by how long that took, the
//! closed time included, is the rate of a limiter that counts in windows of whatever length, and that of a bucket. From
//! there on requests are spaced; the rate climbs to a little above what was refused, slowly where a refusal costs much,
//! and beyond it ever faster, in case the limit was raised.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{
    engine::notice::{LONGEST_WAIT, NOTICEABLE, Notice},
    model::Refusal,
};

/// How long a target may refuse everything before its requests fail.
pub(in crate::engine) const PATIENCE: Duration = Duration::from_mins(5);
/// After that, requests fail at once for so long.
const FAIL_FAST: Duration = Duration::from_secs(30);
/// Shortest and longest pause between probes; between them it is a share of the time that was closed.
const PROBES: (Duration, Duration) = (Duration::from_millis(25), Duration::from_secs(5));
/// That share.
const PROBE_SHARE: f64 = 0.05;
/// Cycles shorter than this say little.
const SHORT: Duration = Duration::from_millis(500);
/// Neither do those with fewer requests.
const FEW: f64 = 8.0;
/// From fewer, the probe included, no first rate is made.
const FEW_AT_FIRST: f64 = 4.0;
/// Most that a request may be late without being taken for a pause.
const LATE: Duration = Duration::from_millis(5);
/// Longest time between two requests: where less gets through, refusals say when to go on.
const SPACING: Duration = Duration::from_secs(5);
/// A rate climbs for so long without an answer, beside the time of two requests at that rate: silence says nothing about
/// what a server takes.
const SILENCE: Duration = Duration::from_secs(1);
/// Most answers that are remembered.
const KEPT: usize = 20_000;

/// The rate of one target.
#[derive(Debug)]
pub(in crate::engine) struct AdaptiveLimiter {
    target: Arc<str>,
    notice: Notice,
    state: Mutex<State>,
    changed: Notify,
    /// The request at the head of the queue waits for its time; the others wait for that request.
    queue: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    rate: Option<Rate>,
    /// When the next request may leave.
    next: Instant,
    closed: Option<Closed>,
    /// How often the target was closed. A request that left before says nothing about the time after.
    closings: u64,
    /// When the target was opened; time without any work does not count.
    opened: Instant,
    /// When requests got through.
    passed: VecDeque<Instant>,
    /// Requests that wait or are on their way.
    busy: usize,
    idle: Instant,
}

/// A rate that climbs.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Requests a second at first.
    base: f64,
    /// The rate that it climbs to.
    wall: f64,
    /// How long that takes, in seconds.
    climb: f64,
    since: Instant,
}

#[derive(Debug)]
struct Closed {
    since: Instant,
    /// The rate when it was closed.
    rate: Option<f64>,
    /// When the next probe may leave.
    until: Instant,
    /// The server said how long to wait.
    asked: bool,
    /// Until when requests fail at once, because the server asked for more time than a run waits.
    shut: Option<Instant>,
    probing: bool,
    refusal: Refusal,
}

/// The right to send one request.
#[derive(Debug)]
pub(in crate::engine) struct Permit<'a> {
    limit: &'a AdaptiveLimiter,
    closings: u64,
    probe: bool,
}

impl Rate {
    fn at(&self, now: Instant) -> f64 {
        let climbed = (now - self.since).as_secs_f64() / self.climb;
        if climbed < 1.0 {
            self.wall - (self.wall - self.base) * (1.0 - climbed).powi(3)
        } else {
            self.wall * (1.0 + 0.1 * (climbed - 1.0).powi(3))
        }
    }
}

impl AdaptiveLimiter {
    /// Returns a target that was not called yet: there is no limit that is known.
    pub(in crate::engine) fn new(target: Arc<str>) -> Self {
        let now = Instant::now();
        let state = State {
            rate: None,
            next: now,
            closed: None,
            closings: 0,
            opened: now,
            passed: VecDeque::new(),
            busy: 0,
            idle: now,
        };
        Self {
            target,
            notice: Notice::default(),
            state: Mutex::new(state),
            changed: Notify::new(),
            queue: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces how long requests are held back.
    fn announce(&self, state: &State, now: Instant) {
        match &state.closed {
            Some(closed) if closed.asked && closed.until > now + NOTICEABLE => {
                let reason = "it refused a request for its rate and asked for this time";
                self.notice.wait(&self.target, closed.until, &reason);
            }
            // This request is about to probe. Or the answer to another's probe ends its wait: where that takes long, the
            // probe's own request announces it.
            Some(closed) if closed.probing || closed.until <= now => {}
            Some(closed) if now - closed.since >= NOTICEABLE => {
                let reason = "it refuses all requests for their rate, one at a time is tried";
                self.notice.wait_at_most(&self.target, closed.since + PATIENCE, &reason);
            }
            Some(_) => {}
            None => self.notice.wait(&self.target, state.next, &"it takes few requests in a time"),
        }
    }

    /// Waits for the turn of a request. The error is the target's last refusal, once it refused everything for long.
    pub(in crate::engine) async fn permit(&self) -> Result<Permit<'_>, Refusal> {
        self.state().begin();
        // Given back when it is dropped, also while it waits.
        let mut permit = Permit { limit: self, closings: 0, probe: false };
        let _head = self.queue.lock().await;
        loop {
            let changed = self.changed.notified();
            let until = {
                let mut state = self.state();
                let now = Instant::now();
                permit.closings = state.closings;
                self.announce(&state, now);
                let next = state.next;
                match &mut state.closed {
                    Some(closed) if closed.shut.is_some_and(|shut| now < shut) => return Err(closed.refusal.clone()),
                    Some(closed) if now - closed.since > PATIENCE && now < closed.until + FAIL_FAST => {
                        return Err(closed.refusal.clone());
                    }
                    Some(closed) if closed.probing => None,
                    // Who waits is woken when the patience ends, too.
                    Some(closed) if now < closed.until => {
                        Some(closed.until.min(closed.since + PATIENCE + Duration::from_millis(1)).max(now))
                    }
                    Some(closed) => {
                        closed.probing = true;
                        permit.probe = true;
                        return Ok(permit);
                    }
                    None if next <= now => {
                        state.release(now);
                        return Ok(permit);
                    }
                    None => Some(next),
                }
            };
            match until {
                None => changed.await,
                Some(until) => tokio::select! {
                    biased;
                    () = changed => {}
                    () = sleep_until(until) => {}
                },
            }
        }
    }
}

impl State {
    fn begin(&mut self) {
        if self.busy == 0 {
            let pause = Instant::now() - self.idle;
            self.opened += pause;
        }
        self.busy += 1;
    }

    /// Returns the rate at a time. It stays as it is while nothing is answered: after an idle time, or one in which the
    /// server was away, requests leave at the rate that was found.
    fn rate_at(&self, now: Instant) -> Option<f64> {
        let rate = self.rate?;
        Some(rate.at(now.min(self.silent_from(&rate))))
    }

    /// Returns the time from which on a rate does not climb, unless an answer comes.
    fn silent_from(&self, rate: &Rate) -> Instant {
        self.passed.back().map_or(rate.since, |last| rate.since.max(*last)) + SILENCE + spacing(rate.base) * 2
    }

    /// Notes that an answer came, which ends a silence.
    fn note_passed(&mut self, now: Instant) {
        if let Some(rate) = self.rate {
            let silence = now.saturating_duration_since(self.silent_from(&rate));
            self.rate = Some(Rate { since: rate.since + silence, ..rate });
        }
        self.passed.push_back(now);
        if self.passed.len() > KEPT {
            self.passed.pop_front();
        }
    }

    /// Sets the time of the next request. One that leaves a little late does not hold up the next.
    fn release(&mut self, now: Instant) {
        let Some(rate) = self.rate_at(now) else { return };
        let late = now.checked_sub(LATE).unwrap_or(now);
        self.next = self.next.max(late) + spacing(rate);
    }

    /// Says how many requests a second got through lately, closed time included.
    fn measured(&self, now: Instant, closed: Duration) -> f64 {
        let cycle = now - self.opened;
        let rate = |span: Duration| {
            let since = now.checked_sub(span).unwrap_or(now);
            let count = self.passed.iter().rev().take_while(|passed| **passed >= since).count();
            #[expect(clippy::cast_precision_loss, reason = "there are few")]
            let count = count as f64;
            count / span.as_secs_f64().max(0.001)
        };
        // Work that was slow by itself, long ago, does not count.
        let recent = closed.mul_f64(1.5) + Duration::from_secs(1);
        if recent < cycle { rate(cycle).max(rate(recent)) } else { rate(cycle) }
    }

    /// Opens the target with the rate that the time since the last opening shows.
    fn open(&mut self, now: Instant, closed: &Closed) {
        let took = now - closed.since;
        let (open, cycle) = (closed.since - self.opened, now - self.opened);
        let measured = self.measured(now, took).max(0.01);
        // A rate would be made up of nothing: somebody else may have used up what there was.
        if closed.rate.is_none() && 1.0 + measured * cycle.as_secs_f64() < FEW_AT_FIRST {
            self.next = now;
            return;
        }
        let is_short = cycle < SHORT || measured * cycle.as_secs_f64() < FEW;
        // A wait that was asked for is longer than the limiter's own: without it this would have got through.
        let without = measured * cycle.as_secs_f64() / took.max(open).as_secs_f64();
        let before = |rate: f64| {
            let then = closed.since.checked_sub(took).unwrap_or(closed.since);
            self.rate.filter(|rate| then > rate.since).map_or(rate, |rate| rate.at(then))
        };
        let (base, wall) = match closed.rate {
            None if closed.asked => ((measured * without).sqrt(), without),
            Some(rate) if closed.asked && open > took * 2 => {
                (before(rate).min(rate * 0.95), (before(rate) * 1.02).min(rate * 0.985))
            }
            Some(rate) if closed.asked => (without.min(rate) * 0.95, without.min(rate) * 0.99),
            None => (measured, measured * 1.05),
            Some(rate) if is_short => ((rate * 0.9).min(measured * 1.5), (rate * 0.97).min(measured * 1.6)),
            Some(rate) => (measured, (rate * 0.98).clamp(measured, measured * 1.05)),
        };
        let climb = match closed.rate {
            None if closed.asked => 20.0,
            _ => (took.as_secs_f64() * 20.0).clamp(2.0, if closed.asked { 20.0 } else { 10.0 }),
        };
        self.rate = Some(Rate { base, wall: wall.max(base), climb, since: now });
        self.next = now + spacing(base);
        if !is_short || closed.rate.is_none() && cycle >= SHORT {
            self.opened = now;
        }
    }
}

/// Returns the time between two requests at a rate.
fn spacing(rate: f64) -> Duration {
    Duration::from_secs_f64(1.0 / rate.max(0.01)).min(SPACING)
}

impl Permit<'_> {
    /// Takes note that the request got through the limiter.
    pub(in crate::engine) fn passed(self) {
        let mut state = self.limit.state();
        let now = Instant::now();
        if self.probe
            && let Some(closed) = state.closed.take()
        {
            state.open(now, &closed);
            self.limit.notice.clear();
            self.limit.changed.notify_waiters();
        }
        state.note_passed(now);
    }

    /// Takes note that the request was refused for its rate, and how long the server said to wait.
    pub(in crate::engine) fn refused(self, asked: Option<Duration>, refusal: &Refusal) {
        let mut state = self.limit.state();
        let now = Instant::now();
        let shut = asked.filter(|asked| *asked > LONGEST_WAIT).map(|_| now + LONGEST_WAIT);
        let asked = asked.map(|asked| asked.min(LONGEST_WAIT));
        let wait = |closed: Duration| closed.mul_f64(PROBE_SHARE).clamp(PROBES.0, PROBES.1);
        let rate = state.rate_at(now);
        let is_late = self.closings != state.closings;
        match &mut state.closed {
            Some(closed) => {
                let pause = if self.probe { wait(now - closed.since) } else { Duration::ZERO };
                closed.until = closed.until.max(now + asked.unwrap_or(pause).max(pause));
                closed.asked |= asked.is_some();
                if shut.is_some() {
                    (closed.shut, closed.refusal) = (shut, refusal.clone());
                }
            }
            // It left before the target was closed the last time, which has told already.
            None if is_late => {}
            None => {
                state.closings += 1;
                let until = now + asked.unwrap_or_default().max(PROBES.0);
                let refusal = refusal.clone();
                state.closed =
                    Some(Closed { since: now, rate, until, asked: asked.is_some(), shut, probing: false, refusal });
            }
        }
        drop(state);
        self.limit.changed.notify_waiters();
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut state = self.limit.state();
        state.busy -= 1;
        state.idle = Instant::now();
        // A probe that was given up, or whose answer said nothing: another may go.
        if self.probe
            && let Some(closed) = &mut state.closed
        {
            closed.probing = false;
            drop(state);
            self.limit.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;

//! Announces long waits on the log, with their reason and end.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    clock,
    model::{Refusal, Retry},
};

/// The longest wait that a server may ask for; a longer one ends the request.
pub(super) const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Shorter waits are not announced.
pub(super) const NOTICEABLE: Duration = Duration::from_secs(3);

/// Announces the waits of many requests for one reason, each end once.
#[derive(Debug, Default)]
pub(super) struct Notice(Mutex<Option<Instant>>);

impl Notice {
    /// Announces a wait for `target` until `end`, unless it is short or one that lasts as long was announced.
    pub(super) fn wait(&self, target: &str, end: Instant, reason: &dyn Display) {
        self.announce(target, end, reason, "");
    }

    /// Announces a wait that an answer may end before `latest`.
    pub(super) fn wait_at_most(&self, target: &str, latest: Instant, reason: &dyn Display) {
        self.announce(target, latest, reason, "at most ");
    }

    fn announce(&self, target: &str, end: Instant, reason: &dyn Display, bound: &str) {
        let now = Instant::now();
        let pause = end.saturating_duration_since(now);
        if pause <= NOTICEABLE {
            return;
        }
        let mut announced = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if announced.is_some_and(|announced| now < announced) {
            return;
        }
        *announced = Some(end);
        drop(announced);
        tracing::warn!("target `{target}`: {reason}: waiting {bound}{}", until(pause));
    }

    /// Notes that the announced wait is over.
    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Says how long a wait is and when it ends by the clock of this machine.
pub(super) fn until(pause: Duration) -> String {
    let end = clock::now()
        .to_zoned(jiff::tz::TimeZone::system())
        .checked_add(pause)
        .map(|end| end.strftime("%H:%M:%S").to_string());
    let end = end.map(|end| format!(", until {end}")).unwrap_or_default();
    format!("{:.1} s{end}", pause.as_secs_f64())
}

/// Returns a refusal that names the server's wish where it asks for a longer wait than a run waits.
pub(super) fn bounded(refusal: Refusal) -> Refusal {
    let (Retry::After(asked) | Retry::Slower(Some(asked))) = refusal.retry else { return refusal };
    if asked <= LONGEST_WAIT {
        return refusal;
    }
    let message = format!(
        "{}; the server asks to wait {} s, and no request waits longer than {} s: run again later",
        refusal.message,
        asked.as_secs(),
        LONGEST_WAIT.as_secs()
    );
    Refusal { message, ..refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_beyond_the_bound_is_named() {
        let check = |retry: Retry, expected: &str| {
            let refusal = bounded(Refusal { retry, ..Refusal::new(None, "busy") });
            assert_eq!(refusal.message, expected, "{retry:?}");
        };
        let named = "busy; the server asks to wait 86400 s, and no request waits longer than 60 s: run again later";
        check(Retry::Slower(Some(Duration::from_hours(24))), named);
        check(Retry::After(Duration::from_hours(24)), named);
        check(Retry::After(LONGEST_WAIT), "busy");
        check(Retry::Slower(None), "busy");
        check(Retry::Soon, "busy");
    }
}

//! When a request is sent again.
//!
//! Reads may always be repeated. A write is repeated only where the platform said that it was not carried out; where
//! that is open, it is looked up first (see `apply`).

use std::time::Duration;

use tokio::time::Instant;

use super::{
    limit::PATIENCE,
    notice::LONGEST_WAIT,
    planted::{self, Mistake},
};
use crate::model::{Refusal, Retry};

/// Most attempts at one request.
const ATTEMPTS: usize = 6;

/// Bounds of the pauses between attempts: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Most refusals for its rate that a request gets after [`PATIENCE`].
const REFUSALS: usize = 20;

/// Returns a random time up to a bound ("full jitter"), so that clients that failed together do not come back together.
pub(super) fn jittered(bound: Duration) -> Duration {
    bound.mul_f64(fastrand::f64())
}

/// Returns the pauses between attempts at a request: random up to a bound that doubles from 1 s to 30 s.
pub(super) fn waits() -> Waits {
    Waits { taken: 0 }
}

/// The pauses that are left for one request.
pub(super) struct Waits {
    taken: usize,
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let doubled = u32::try_from(self.taken).ok().filter(|_| self.taken < ATTEMPTS - 1)?;
        self.taken += 1;
        let (first, longest) = PAUSES;
        Some(jittered(first.saturating_mul(2_u32.saturating_pow(doubled)).min(longest)))
    }
}

/// Returns how long to wait before a refused request is sent again; `None` if it is not to be.
pub(super) fn wait(refusal: &Refusal, waits: &mut Waits, read: bool) -> Option<Duration> {
    if refusal.lost && !read && !planted::has(Mistake::BlindRepeat) {
        return None;
    }
    let next = waits.next()?;
    match refusal.retry {
        // Its time is up, see [`Patience`].
        Retry::Never | Retry::Slower(_) => None,
        Retry::Soon => Some(next),
        Retry::Once => (waits.taken == 1).then_some(next),
        Retry::After(asked) if asked > LONGEST_WAIT => None,
        Retry::After(asked) => Some(asked.max(Duration::from_millis(1))),
    }
}

/// Returns the same for a login, which passes no limiter: a refusal for its rate is waited for like any other.
pub(super) fn wait_for_login(refusal: &Refusal, waits: &mut Waits) -> Option<Duration> {
    let retry = match refusal.retry {
        Retry::Slower(asked) => asked.map_or(Retry::Soon, Retry::After),
        other => other,
    };
    wait(&Refusal { retry, ..refusal.clone() }, waits, true)
}

/// How long a request is sent again that is refused for its rate. That is no fault of its own, so it costs none of its
/// attempts; but others may get through while it never does.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
    refusals: usize,
}

impl Patience {
    /// Returns true if a refusal is for the rate and the request is to wait for another turn.
    pub(super) fn lasts(&mut self, refusal: &Refusal) -> bool {
        if !matches!(refusal.retry, Retry::Slower(_)) {
            return false;
        }
        self.refusals += 1;
        let since = *self.since.get_or_insert_with(Instant::now);
        self.refusals <= REFUSALS || since.elapsed() < PATIENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again() {
        let check = |retry: Retry, lost: bool, read: bool, expected: bool| {
            let refusal = Refusal { code: None, message: "no".to_owned(), retry, lost, request_id: None };
            assert_eq!(wait(&refusal, &mut waits(), read).is_some(), expected, "{refusal:?} read: {read}");
        };
        check(Retry::Soon, true, true, true);
        check(Retry::Soon, true, false, false);
        check(Retry::Soon, false, false, true);
        check(Retry::After(Duration::from_secs(3)), false, false, true);
        check(Retry::After(LONGEST_WAIT), false, true, true);
        check(Retry::After(LONGEST_WAIT + Duration::from_secs(1)), false, true, false);
        check(Retry::Never, false, true, false);
        check(Retry::Once, false, true, true);
        check(Retry::Slower(None), false, true, false);
        assert_eq!(waits().count(), ATTEMPTS - 1);
    }

    #[test]
    fn pauses_are_random_below_a_bound_that_doubles() {
        let mut longest = [Duration::ZERO; ATTEMPTS - 1];
        for _ in 0..1_000 {
            for (longest, pause) in longest.iter_mut().zip(waits()) {
                *longest = pause.max(*longest);
            }
        }
        for (longest, bound) in longest.into_iter().zip([1, 2, 4, 8, 16]) {
            let bound = Duration::from_secs(bound);
            assert!(bound.mul_f64(0.9) < longest && longest < bound, "{longest:?} of {bound:?}");
        }
    }

    #[test]
    fn where_nothing_ever_answered_one_more_attempt_is_enough() {
        let refusal = Refusal { retry: Retry::Once, ..Refusal::new(None, "cannot connect") };
        let mut waits = waits();
        assert!(wait(&refusal, &mut waits, true).is_some());
        assert!(wait(&refusal, &mut waits, true).is_none());
    }

    #[test]
    fn a_login_that_is_refused_for_its_rate_is_made_again() {
        let check = |asked: Option<u64>, expected: Option<u64>| {
            let refusal = Refusal { retry: Retry::Slower(asked.map(Duration::from_secs)), ..Refusal::new(None, "no") };
            let pause = wait_for_login(&refusal, &mut waits());
            match expected {
                Some(seconds) => assert_eq!(pause, Some(Duration::from_secs(seconds))),
                None => assert_eq!(pause.is_some(), asked.is_none(), "{asked:?}"),
            }
        };
        check(Some(7), Some(7));
        check(Some(86_400), None);
        check(None, None);
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_for_the_rate_cost_no_attempt() {
        let refusal = |retry| Refusal { retry, ..Refusal::new(None, "no") };
        let mut patience = Patience::default();
        assert!(!patience.lasts(&refusal(Retry::Soon)));
        for _ in 0..100 {
            assert!(patience.lasts(&refusal(Retry::Slower(None))));
        }
        tokio::time::sleep(PATIENCE).await;
        assert!(!patience.lasts(&refusal(Retry::Slower(None))));
    }
}

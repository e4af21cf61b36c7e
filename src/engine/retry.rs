//! When a request is sent again.
//!
//! Reads may always be repeated. A write is repeated only where the platform said that it was not carried out; where
//! that is open, it is looked up first (see `apply`).

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::{limit::PATIENCE, notice::LONGEST_WAIT};
use crate::model::{Refusal, Retry};

/// Most attempts at one request.
const ATTEMPTS: usize = 6;

/// Most refusals for its rate that a request gets after [`PATIENCE`].
const REFUSALS: usize = 20;

/// The waits between attempts: doubling from 0.5 s to 30 s, with jitter, so that clients spread.
pub(super) fn waits() -> Waits {
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(30))
        .with_max_times(ATTEMPTS - 1)
        .with_jitter()
        .build();
    Waits { backoff, taken: 0 }
}

/// The waits that are left for one request.
pub(super) struct Waits {
    backoff: ExponentialBackoff,
    taken: usize,
}

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.taken += 1;
        self.backoff.next()
    }
}

/// Returns how long to wait before a refused request is sent again; `None` if it is not to be.
pub(super) fn wait(refusal: &Refusal, waits: &mut Waits, read: bool) -> Option<Duration> {
    if refusal.lost && !read {
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

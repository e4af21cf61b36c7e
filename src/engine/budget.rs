//! The budget for repeated requests, so that an outage does not multiply the load.
//!
//! Six attempts at every request would make six times the load of a server that is ill because of its load. As in the
//! clients of Finagle and of the AWS SDKs, repeats are paid from a budget that requests fill.

use std::sync::{Mutex, PoisonError};

/// Repeats that a run may make before its first request.
const AT_FIRST: f64 = 20.0;
/// Repeats that each request adds.
const SHARE: f64 = 0.2;

/// The repeats that a run has left for one target.
#[derive(Debug)]
pub(super) struct RetryBudget(Mutex<f64>);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(Mutex::new(AT_FIRST))
    }
}

impl RetryBudget {
    /// Adds what a new request earns.
    pub(super) fn deposit(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += SHARE;
    }

    /// Pays for a repeat; `false` if nothing is left.
    pub(super) fn withdraw(&self) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_enough = *left >= 1.0;
        if is_enough {
            *left -= 1.0;
        }
        is_enough
    }

    /// Begins anew, as a new run would.
    pub(super) fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = AT_FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends requests that each fail as often as they may, up to five times; returns the repeats.
    fn repeats(budget: &RetryBudget, requests: usize) -> usize {
        let repeats = |_| {
            budget.deposit();
            (0..5).take_while(|_| budget.withdraw()).count()
        };
        (0..requests).map(repeats).sum()
    }

    #[test]
    fn repeats_are_a_share_of_the_requests() {
        let budget = RetryBudget::default();
        for (requests, expected) in [(4, 20), (1_000, 200), (5, 1)] {
            assert_eq!(repeats(&budget, requests), expected, "{requests}");
        }
        budget.reset();
        assert_eq!(repeats(&budget, 1), 5);
    }
}

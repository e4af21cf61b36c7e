//! The record of a lease, and the rule that says if it still holds. Pure.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::process::{Process, ProcessState};

/// How long a lease holds and how it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timing {
    /// How long it holds after it was taken or renewed.
    pub(super) term: Duration,
    /// Time between two renewals.
    pub(super) renewal: Duration,
    /// How long a lease that ran out has to stay as it is before somebody else may take it: longer than a renewal,
    /// since the clocks of two hosts may differ.
    pub(super) watch: Duration,
    /// Time between two looks at a lease.
    pub(super) poll: Duration,
}

impl Timing {
    /// The timing of real leases.
    pub(super) const REAL: Self = Self {
        term: Duration::from_mins(1),
        renewal: Duration::from_secs(15),
        watch: Duration::from_secs(20),
        poll: Duration::from_millis(250),
    };
}

/// The record of a lease as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The run.
    pub(super) run: String,
    /// The user and the host, such as `deploy@ci-7`.
    pub(super) holder: String,
    /// The subcommand.
    pub(super) command: String,
    /// The process.
    pub(super) process: Process,
    /// Tells one taking of the lease from another, even of the same run.
    pub(super) token: String,
    /// When it was taken.
    pub(super) since: Timestamp,
    /// When it runs out.
    pub(super) until: Timestamp,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, holder, command, process, since, .. } = self;
        let pid = process.pid;
        write!(f, "run {run} (`reconcile {command}` by {holder}, process {pid}, since {since:.0})")
    }
}

/// The standing of a lease that somebody else took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It holds.
    Held,
    /// Its times make no sense now: it is looked at until it was renewed or has stayed as it is for long enough.
    Doubtful,
    /// It ran out and nobody renews it.
    Expired,
    /// Its process ended.
    Abandoned,
}

/// Returns the standing of a lease that runs out at `until`.
///
/// `unchanged` is for how long it was seen to stay as it is, by a clock that does not jump. Times of a record come from
/// the clock of another process: they only say whether to look more closely.
pub(super) fn verdict(
    until: Timestamp,
    now: Timestamp,
    process: ProcessState,
    unchanged: Duration,
    timing: &Timing,
) -> Verdict {
    let left = until.duration_since(now);
    let is_plausible = left.is_positive() && left.unsigned_abs() <= timing.term;
    match process {
        ProcessState::Gone => Verdict::Abandoned,
        ProcessState::Running | ProcessState::Unknown if is_plausible => Verdict::Held,
        ProcessState::Running | ProcessState::Unknown if unchanged >= timing.watch => Verdict::Expired,
        ProcessState::Running | ProcessState::Unknown => Verdict::Doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_stale_when_its_process_is_gone_or_nobody_renews_it() {
        use ProcessState::{Gone, Running, Unknown};
        // The lease runs out `left` seconds from now, and has stayed as it is for `unchanged` seconds.
        let check = |left: i64, process: ProcessState, unchanged: u64, expected: Verdict| {
            let now: Timestamp = "2026-11-28T10:00:00Z".parse().expect("a time");
            let until = now + jiff::SignedDuration::from_secs(left);
            let found = verdict(until, now, process, Duration::from_secs(unchanged), &Timing::REAL);
            assert_eq!(found, expected, "{left} s left, {process:?}, unchanged for {unchanged} s");
        };
        for process in [Running, Unknown] {
            check(60, process, 0, Verdict::Held);
            check(1, process, 3600, Verdict::Held);
            // It ran out: by one clock. The holder may have another, or be late.
            check(0, process, 0, Verdict::Doubtful);
            check(-1, process, 19, Verdict::Doubtful);
            check(-1, process, 20, Verdict::Expired);
            check(-86_400, process, 0, Verdict::Doubtful);
            check(-86_400, process, 20, Verdict::Expired);
            // It runs out later than any lease can: a clock was set back, or another host's is ahead.
            check(61, process, 0, Verdict::Doubtful);
            check(3600, process, 19, Verdict::Doubtful);
            check(3600, process, 20, Verdict::Expired);
        }
        for left in [-3600, -1, 0, 1, 60, 3600] {
            check(left, Gone, 0, Verdict::Abandoned);
        }
    }
}

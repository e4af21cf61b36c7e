//! Fault schedules: which request goes wrong and how, drawn from a seed.

use std::time::Duration;

use reconcile_sandbox::{fault::Fault, simulator::Misbehaviour};
use serde_json::{Value, json};

use crate::journal::memory::KillPoint;

/// What an uninterrupted run does, by which kills are placed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extent {
    /// Requests in all.
    pub requests: u64,
    /// Those of them that write.
    pub writes: u64,
    /// The moments at which it can be killed, in order.
    pub kill_points: Vec<KillPoint>,
}

/// A sort of faults that a schedule can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The request never arrives.
    LostBefore,
    /// The request is carried out, the answer gets lost.
    LostAfter,
    /// The answer comes late, perhaps after the client has given up.
    Slow,
    /// A gateway answers with 502 or 503 and nothing is done.
    Unavailable,
    /// A gateway answers with 504 although the request is carried out.
    AppliedTimeout,
    /// The request is carried out, the answer is no JSON.
    Garbage,
    /// No connection.
    Refused,
    /// The limiter of the access refuses a burst of requests.
    RateLimit,
    /// Somebody else changes an object right before a request.
    SecondWriter,
    /// No server answers for some time.
    Outage,
    /// A write is accepted and not carried out.
    Dropped,
    /// The platform refuses a write with a code of its own.
    Refusal,
    /// A write is stored in another form that means the same.
    Normalised,
    /// A read shows how things were a moment ago.
    Lag,
    /// A page of a list begins a row early or late, because rows moved meanwhile.
    PageShift,
}

impl FaultKind {
    /// All sorts.
    pub const ALL: [Self; 15] = [
        Self::LostBefore,
        Self::LostAfter,
        Self::Slow,
        Self::Unavailable,
        Self::AppliedTimeout,
        Self::Garbage,
        Self::Refused,
        Self::RateLimit,
        Self::SecondWriter,
        Self::Outage,
        Self::Dropped,
        Self::Refusal,
        Self::Normalised,
        Self::Lag,
        Self::PageShift,
    ];

    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::LostBefore => "lost request",
            Self::LostAfter => "lost answer",
            Self::Slow => "slow answer",
            Self::Unavailable => "unavailable",
            Self::AppliedTimeout => "gateway timeout",
            Self::Garbage => "garbage",
            Self::Refused => "no connection",
            Self::RateLimit => "rate limit",
            Self::SecondWriter => "second writer",
            Self::Outage => "outage",
            Self::Dropped => "dropped write",
            Self::Refusal => "refused write",
            Self::Normalised => "normalised write",
            Self::Lag => "old read",
            Self::PageShift => "moved page",
        }
    }
}

/// What is to happen to a request.
#[derive(Debug, Default)]
pub struct Strike {
    /// The sort of fault, if any.
    pub kind: Option<FaultKind>,
    /// The faults as the server knows them.
    pub faults: Vec<Fault>,
}

/// The faults of one run.
#[derive(Debug)]
pub struct Schedule {
    random: fastrand::Rng,
    rates: Vec<(FaultKind, f64)>,
    /// The numbers of the kill points at which the run is killed, from 0; those of all attempts count on.
    kills: Vec<usize>,
    passed: usize,
    /// Requests that are left to refuse of a burst.
    burst: u64,
    /// Until when no server answers, since the run began.
    outage: Duration,
    is_calm: bool,
}

/// How often a sort of faults strikes where a schedule has it.
const RATES: [f64; 4] = [0.005, 0.02, 0.08, 0.25];
/// The most milliseconds by which a read is behind.
const LONGEST_LAG: u64 = 1_000;
/// One kind in so many is in a schedule.
const KINDS: u8 = 4;

impl Schedule {
    /// Returns the schedule of a seed: some sorts of faults, each at a rate of its own, and up to two kills.
    pub fn of(seed: u64, extent: &Extent) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut rates = Vec::new();
        for kind in FaultKind::ALL {
            let rate = RATES[random.usize(..RATES.len())];
            // One outage lasts long, and one edit is enough to be noticed.
            let rate = if kind == FaultKind::Outage { rate / 20.0 } else { rate };
            if random.u8(..KINDS) == 0 {
                rates.push((kind, rate));
            }
        }
        let count = if random.bool() { 0 } else { random.u8(1..=2) };
        let mut kills = Vec::new();
        for _ in 0..count {
            // Each sort of moment is as likely, however many there are of it.
            let sort = KillPoint::ALL[random.usize(..KillPoint::ALL.len())];
            let points = extent.kill_points.iter().enumerate().filter(|(_, point)| **point == sort);
            let points: Vec<usize> = points.map(|(at, _)| at).collect();
            let first = kills.last().map_or(0, |first| first + 1);
            kills.extend(random.choice(&points).map(|at| first + at));
        }
        Self { rates, ..Self::with_kills(kills, random) }
    }

    /// Returns a schedule with one sort of faults, at the highest rate, and no kill.
    pub fn of_kind(kind: FaultKind, seed: u64) -> Self {
        let rates = vec![(kind, RATES[RATES.len() - 1])];
        Self { rates, ..Self::with_kills(Vec::new(), fastrand::Rng::with_seed(seed)) }
    }

    /// Returns a schedule without faults but for kills at the kill points of these numbers.
    pub fn of_kills(kills: Vec<usize>) -> Self {
        Self::with_kills(kills, fastrand::Rng::with_seed(0))
    }

    fn with_kills(kills: Vec<usize>, random: fastrand::Rng) -> Self {
        Self { random, rates: Vec::new(), kills, passed: 0, burst: 0, outage: Duration::ZERO, is_calm: false }
    }

    /// Ends all faults.
    pub fn end(&mut self) {
        self.is_calm = true;
    }

    /// Returns random numbers of this schedule.
    pub fn random(&mut self) -> &mut fastrand::Rng {
        &mut self.random
    }

    /// Returns true if somebody else writes while the run is down.
    pub fn has_second_writer(&self) -> bool {
        self.rates.iter().any(|(kind, _)| *kind == FaultKind::SecondWriter)
    }

    /// Counts a kill point; returns true if the run is killed there.
    pub fn dies(&mut self) -> bool {
        let number = self.passed;
        self.passed += 1;
        !self.is_calm && self.kills.contains(&number)
    }

    /// Returns what is to happen to a request that leaves at a time since the run began.
    pub fn strike(&mut self, now: Duration) -> Strike {
        if self.is_calm {
            return Strike::default();
        }
        let mut strike = Strike::default();
        if now < self.outage {
            strike.kind = Some(FaultKind::Outage);
            strike.faults.push(Fault::Refuse);
            return strike;
        }
        if self.burst > 0 {
            self.burst -= 1;
            strike.kind = Some(FaultKind::RateLimit);
            strike.faults.push(Fault::RateLimit { retry_after: None, inside: false });
            return strike;
        }
        // Each draws, so that one that strikes moves no other.
        let draws: Vec<_> = self.rates.iter().map(|(kind, rate)| (*kind, self.random.f64() < *rate)).collect();
        strike.kind = draws.into_iter().find_map(|(kind, strikes)| strikes.then_some(kind));
        if let Some(kind) = strike.kind {
            strike.faults = self.faults(kind, now);
        }
        strike
    }

    /// Returns the faults of a request that a sort of faults strikes.
    fn faults(&mut self, kind: FaultKind, now: Duration) -> Vec<Fault> {
        let random = &mut self.random;
        let status = |status| Fault::Status { status, body: Value::Null, headers: Vec::new() };
        match kind {
            FaultKind::LostBefore => vec![Fault::ResetBefore],
            FaultKind::LostAfter => vec![if random.bool() { Fault::ResetAfter } else { Fault::Cut }],
            FaultKind::Slow => {
                let most = [100, 3_000, 20_000, 60_000][random.usize(..4)];
                vec![Fault::Delay { ms: random.u64(1..=most) }]
            }
            FaultKind::Unavailable if random.bool() => vec![status(503)],
            FaultKind::Unavailable => {
                vec![Fault::Status { status: 502, body: json!("<html>Bad Gateway</html>"), headers: Vec::new() }]
            }
            FaultKind::AppliedTimeout => vec![Fault::Applied { status: 504 }],
            FaultKind::Garbage => vec![Fault::Garbage],
            FaultKind::Refused => vec![Fault::Refuse],
            FaultKind::RateLimit => {
                self.burst = random.u64(1..20);
                let retry_after = random.bool().then(|| random.u64(1..10));
                vec![Fault::RateLimit { retry_after, inside: random.bool() }]
            }
            FaultKind::SecondWriter => Vec::new(),
            FaultKind::Refusal => {
                // No code of a platform: what is unknown is a refusal for good.
                vec![Fault::Code { code: json!(14_999), message: "refused by the rehearsal".to_owned() }]
            }
            FaultKind::Dropped => vec![Fault::Misbehaviour(Misbehaviour::Drop)],
            FaultKind::Normalised => vec![Fault::Misbehaviour(Misbehaviour::Normalise)],
            FaultKind::Lag => vec![Fault::Misbehaviour(Misbehaviour::Lag { ms: random.u64(1..=LONGEST_LAG) })],
            FaultKind::PageShift => vec![Fault::Misbehaviour(Misbehaviour::PageShift { skip: random.bool() })],
            FaultKind::Outage => {
                self.outage = now + Duration::from_secs(random.u64(1..90));
                vec![Fault::Refuse]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strikes(seed: u64) -> Vec<String> {
        let extent = Extent { requests: 100, writes: 20, kill_points: KillPoint::ALL.to_vec() };
        let mut schedule = Schedule::of(seed, &extent);
        (0..100)
            .map(|number| format!("{} {:?}", schedule.dies(), schedule.strike(Duration::from_secs(number))))
            .collect()
    }

    #[test]
    fn a_seed_has_one_schedule() {
        assert_eq!(strikes(7), strikes(7));
        assert_ne!(strikes(7), strikes(8));
    }

    #[test]
    fn each_kill_strikes_once() {
        let mut schedule = Schedule::of_kills(vec![1, 3]);
        let deaths: Vec<bool> = (0..5).map(|_| schedule.dies()).collect();
        assert_eq!(deaths, [false, true, false, true, false]);
        let mut calm = Schedule::of_kills(vec![0]);
        calm.end();
        assert!(!calm.dies());
    }
}

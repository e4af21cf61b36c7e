//! The passes over the objects of one target: never two at once, the urgent ones first. What a target does not answer delays
//! no other target.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    changed::Changes,
    manifests::Manifests,
    pass,
    retries::Retries,
    schedule::{RESYNC_PART, Schedule, at_most},
    status::{Counts, Report, Trigger, Verdict},
};
use crate::model::{Desired, ResourceId};

/// How often in a row a pass gives way to a more urgent one: a target that changes all the time is looked at as a whole all
/// the same.
const COURTESY: usize = 3;

/// The longest time that a look around waits for a run of somebody else on its target: one may be left waiting for an answer.
const PATIENCE: Duration = Duration::from_mins(5);

/// A pass that is due.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) trigger: Trigger,
    /// The objects to look at; `None` if all.
    pub(super) part: Option<HashSet<ResourceId>>,
}

impl Due {
    pub(super) fn all(trigger: Trigger) -> Self {
        Self { trigger, part: None }
    }

    /// Returns true if nobody waits for it.
    fn is_look_around(&self) -> bool {
        matches!(self.trigger, Trigger::Resync | Trigger::Retry)
    }

    /// Returns a pass that looks at what both look at.
    fn with(self, other: Self) -> Self {
        let is_change = [self.trigger, other.trigger].contains(&Trigger::Change);
        match (self.part, other.part) {
            (None, _) => Self { trigger: self.trigger, part: None },
            (_, None) => Self { trigger: other.trigger, part: None },
            (Some(one), Some(more)) => Self {
                trigger: if is_change { Trigger::Change } else { self.trigger },
                part: Some(one.into_iter().chain(more).collect()),
            },
        }
    }
}

/// Whether a pass may still be broken off in favour of a more urgent one: until it sends something.
#[derive(Debug, Default)]
pub(super) struct Stage(Mutex<Standing>);

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Standing {
    #[default]
    Reading,
    Sending,
    GivenWay,
}

impl Stage {
    /// Notes that something is about to be sent; false if the pass has given way.
    pub(super) fn begin_sending(&self) -> bool {
        self.change(Standing::Sending)
    }

    /// Returns true if the pass gave way.
    pub(super) fn has_given_way(&self) -> bool {
        *self.lock() == Standing::GivenWay
    }

    /// Breaks the pass off; false if it sends already.
    fn give_way(&self) -> bool {
        self.change(Standing::GivenWay)
    }

    fn change(&self, to: Standing) -> bool {
        let mut standing = self.lock();
        if *standing == Standing::Reading {
            *standing = to;
        }
        *standing == to
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pass that runs.
pub(super) struct Running {
    pub(super) due: Due,
    pub(super) start: Timestamp,
    pub(super) stop: CancellationToken,
    pub(super) stage: Arc<Stage>,
    /// Dropped with the pass: what ends it with the agent, or when that is paused.
    pub(super) _guards: [DropGuard; 2],
}

/// The passes over one target.
pub(super) struct Lane {
    /// The surroundings of its passes.
    pub(super) shared: Arc<pass::Shared>,
    schedule: Schedule,
    retries: Retries,
    /// When objects with times of their own are looked at next, by these times.
    rules: BTreeMap<Duration, Instant>,
    due: Option<Due>,
    /// What gave way to something more urgent.
    later: Option<Due>,
    pub(super) running: Option<Running>,
    given_way: usize,
    /// Since when a run of somebody else is on the target.
    in_use: Option<Instant>,
    pub(super) last: Option<Report>,
    /// A pass has looked at all of its objects.
    pub(super) complete: bool,
    /// When a pass last found or left everything as declared, but for what is held back.
    pub(super) last_success: Option<Timestamp>,
}

impl Lane {
    /// Returns the lane of a target whose objects have to be looked at.
    pub(super) fn new(shared: Arc<pass::Shared>, first_retry: Duration, due: Due, now: Instant) -> Self {
        Self {
            schedule: Schedule::new(shared.settings.resync, first_retry, now),
            retries: Retries::new(first_retry),
            rules: BTreeMap::new(),
            due: Some(due).filter(|_| !shared.settings.ignores_all()),
            shared,
            later: None,
            running: None,
            given_way: 0,
            in_use: None,
            last: None,
            complete: false,
            last_success: None,
        }
    }

    /// Takes over changed settings.
    pub(super) fn configure(&mut self, shared: Arc<pass::Shared>, now: Instant) {
        self.schedule.set_resync(shared.settings.resync, now);
        self.shared = shared;
        self.rules.clear();
    }

    /// Forgets what was found and what is due, and ends the pass that runs, before objects are looked at no longer.
    pub(super) fn rest(&mut self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
        (self.due, self.later, self.last, self.last_success) = (None, None, None, None);
        self.complete = false;
        self.retries.forget(|_| true);
    }

    /// Notes that something else is declared than before: what failed may do now.
    pub(super) fn adopt(&mut self, manifests: &Manifests) {
        self.schedule.changed();
        let changes = manifests.changes.as_ref();
        self.retries.forget(|id| changes.is_none_or(|changes| changes.touched.contains_key(id)));
    }

    /// Asks for a pass. One that only looks around gives way to it. Where nothing is looked at, none is made.
    pub(super) fn ask(&mut self, due: Due) {
        if self.shared.settings.ignores_all() {
            return;
        }
        let is_urgent = matches!(due.trigger, Trigger::Change | Trigger::Event | Trigger::Window);
        if let Some(running) = &self.running
            && is_urgent
            && running.due.is_look_around()
            && self.given_way < COURTESY
            && running.stage.give_way()
        {
            running.stop.cancel();
        }
        self.due = Some(match self.due.take() {
            Some(before) => before.with(due),
            None => due,
        });
    }

    /// Asks for a pass over the objects of the lane that a save changed; over all without `changes`.
    pub(super) fn ask_for(&mut self, changes: Option<&Changes>) {
        let is_own = |(_, target): &(&ResourceId, &Arc<str>)| **target == self.shared.target;
        let part = changes.map(|changes| changes.touched.iter().filter(is_own).map(|(id, _)| id.clone()).collect());
        self.ask(Due { trigger: Trigger::Change, part });
    }

    /// Returns true if a look around is made, or is to be made.
    pub(super) fn looks_around(&self) -> bool {
        let running = self.running.as_ref().map(|running| &running.due);
        running.into_iter().chain(&self.due).chain(&self.later).any(Due::is_look_around)
    }

    /// Notes whether a run of somebody else is on the target: as long as one is, looks around wait.
    pub(super) fn make_way(&mut self, is_in_use: bool, now: Instant) {
        self.in_use = is_in_use.then(|| self.in_use.unwrap_or(now));
        if !self.is_held(now) {
            return;
        }
        if let Some(running) = &self.running
            && running.due.is_look_around()
            && running.stage.give_way()
        {
            running.stop.cancel();
        }
        if let Some(due) = self.due.take_if(|due| due.is_look_around()) {
            self.put_off(due);
        }
    }

    fn put_off(&mut self, due: Due) {
        if self.shared.settings.ignores_all() {
            return;
        }
        self.later = Some(match self.later.take() {
            Some(later) => later.with(due),
            None => due,
        });
    }

    /// Returns true if looks around wait now.
    fn is_held(&self, now: Instant) -> bool {
        self.in_use.is_some_and(|since| now - since < PATIENCE)
    }

    /// Returns true if a pass can begin.
    pub(super) fn is_ready(&self) -> bool {
        self.running.is_none() && (self.due.is_some() || (self.later.is_some() && !self.is_held(Instant::now())))
    }

    /// Returns true if somebody waits for a pass.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_some()
    }

    /// Returns true if a pass over everything can begin.
    pub(super) fn is_ready_for_all(&self) -> bool {
        self.is_ready() && self.due.as_ref().or(self.later.as_ref()).is_some_and(|due| due.part.is_none())
    }

    /// Returns the pass to begin.
    pub(super) fn take(&mut self) -> Option<Due> {
        if self.is_ready() { self.due.take().or_else(|| self.later.take()) } else { None }
    }

    /// Returns when the next pass comes due by itself; `None` while one runs or is due.
    pub(super) fn next(&self) -> Option<Instant> {
        if self.running.is_some() || self.due.is_some() || self.later.is_some() || self.shared.settings.ignores_all() {
            return None;
        }
        let rule = self.rules.values().min().copied();
        [Some(self.schedule.next_pass().0), self.retries.next(), rule].into_iter().flatten().min()
    }

    /// Asks for what has come due by itself.
    pub(super) fn come_due(&mut self, desired: &[Arc<Desired>], now: Instant) {
        if self.next().is_none_or(|next| next > now) {
            return;
        }
        let (next_pass, trigger) = self.schedule.next_pass();
        if next_pass <= now {
            let settings = &self.shared.settings;
            let is_whole = settings.resync_rules.is_empty() || trigger == Trigger::Retry;
            let part = (!is_whole).then(|| self.of_times(desired, &HashSet::from([settings.resync])));
            self.ask(Due { trigger, part });
        }
        let times: HashSet<Duration> =
            self.rules.iter().filter(|(_, next)| **next <= now).map(|(every, _)| *every).collect();
        if !times.is_empty() {
            self.rules.extend(times.iter().map(|every| (*every, now + at_most(*every, RESYNC_PART))));
            let part = self.of_times(desired, &times);
            self.ask(Due { trigger: Trigger::Resync, part: Some(part) });
        }
        if self.retries.next().is_some_and(|next| next <= now) {
            self.ask(Due { trigger: Trigger::Retry, part: Some(self.retries.due(now)) });
        }
    }

    /// Returns the objects of the lane that are looked at in one of some times.
    fn of_times(&self, desired: &[Arc<Desired>], times: &HashSet<Duration>) -> HashSet<ResourceId> {
        let settings = &self.shared.settings;
        let own = desired.iter().filter(|object| object.target == self.shared.target);
        own.filter(|object| times.contains(&settings.resync_of(object))).map(|object| object.id.clone()).collect()
    }

    /// Takes in the report of the pass that ran; false if it gave way, so that there is nothing to report.
    pub(super) fn ended(&mut self, report: &Report, now: Instant) -> bool {
        let running = self.running.take();
        if let Some(running) = running.filter(|running| running.stage.has_given_way()) {
            self.given_way += 1;
            self.put_off(running.due);
            return false;
        }
        if self.later.is_none() {
            self.given_way = 0;
        }
        let settings = &self.shared.settings;
        let is_default = report.whole || (report.trigger == Trigger::Resync && self.schedule.next_pass().0 <= now);
        if is_default || report.all_failed {
            self.schedule.passed(report.all_failed, now);
        }
        if report.whole {
            let times = settings.resync_rules.iter().map(|rule| rule.every).filter(|every| *every != settings.resync);
            self.rules = times.map(|every| (every, now + at_most(every, RESYNC_PART))).collect();
        }
        if report.verdict.complete() {
            self.retries.note(report.part.as_ref(), &report.failing, settings.resync, now);
            self.complete = true;
        }
        if is_well(report) {
            self.last_success = Some(report.end);
        }
        self.last = Some(report.clone());
        true
    }
}

/// Returns true if a pass left everything as declared, but for what a window or a suspension holds back.
fn is_well(report: &Report) -> bool {
    let held: usize = report.by_kind.values().map(|kind| kind.held).sum();
    report.verdict == Verdict::Converged || (report.verdict == Verdict::Drifted && report.counts.drifted == held)
}

/// Returns what the last passes of all lanes come to, for a report that has just come in.
pub(super) fn together<'l>(report: &Report, lanes: &(impl Iterator<Item = &'l Lane> + Clone)) -> Report {
    let all = || lanes.clone().filter_map(|lane| lane.last.as_ref());
    let mut counts = Counts::default();
    all().for_each(|last| counts.add(last.counts));
    let worst = all().max_by_key(|last| last.verdict.weight()).unwrap_or(report);
    Report {
        counts,
        by_kind: all().flat_map(|last| last.by_kind.clone()).collect(),
        verdict: worst.verdict,
        error: report.error.clone().or_else(|| worst.error.clone()),
        retry: all().any(|last| last.retry),
        ..report.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_together_is_one_pass() {
        let due = |trigger, keys: Option<&str>| Due {
            trigger,
            part: keys.map(|keys| keys.chars().map(|key| ResourceId::new("Thing", key.to_string())).collect()),
        };
        let check = |one: Due, other: Due, trigger: Trigger, keys: Option<&str>| {
            let both = one.with(other);
            assert_eq!((both.trigger, both.part), (trigger, due(trigger, keys).part));
        };
        let (change, event) = (|| due(Trigger::Change, Some("ab")), || due(Trigger::Event, Some("bc")));
        check(event(), change(), Trigger::Change, Some("abc"));
        check(event(), due(Trigger::Retry, Some("d")), Trigger::Event, Some("bcd"));
        check(change(), due(Trigger::Resync, None), Trigger::Resync, None);
        check(due(Trigger::Signal, None), due(Trigger::Change, None), Trigger::Signal, None);
    }

    #[test]
    fn what_sends_gives_way_to_nothing() {
        let stage = Stage::default();
        assert!(stage.begin_sending() && !stage.give_way() && !stage.has_given_way() && stage.begin_sending());
        let stage = Stage::default();
        assert!(stage.give_way() && stage.has_given_way() && !stage.begin_sending());
    }
}

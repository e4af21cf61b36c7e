//! Times at which changes are held back: windows of the configuration, suspensions of targets and objects.
//!
//! An object may be written where no suspension and no denying window holds it back and, if allowing windows concern it,
//! one of them is open. What is held back is observed and shown all the same.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use cronexpr::{Crontab, MakeTimestamp};
use jiff::{Timestamp, tz::TimeZone};

use super::{Plan, TargetState, changing};
use crate::model::{
    Desired, Suspension,
    selector::{Selector, is_meant},
};

/// Most openings that are followed to find an end. Windows that go on for longer have none in sight.
const FOLLOWED: usize = 200;

/// Most ends of what is in the way of an object that are looked at to find the last one.
const ENDS: usize = 50;

/// The times at which a window opens.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    crontab: Crontab,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Why a schedule cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The time zone is none of the database.
    #[error("there is no time zone `{0}`")]
    TimeZone(String),
    /// The five fields cannot be read.
    #[error("`{0}` is not a cron expression of five fields")]
    Expression(String),
    /// No day fits.
    #[error("`{0}` fits no day")]
    Never(String),
}

impl Schedule {
    /// Returns the schedule of a cron expression of five fields (minute, hour, day of the month, month, day of the week),
    /// whose times are those of a zone of the IANA database, such as `Asia/Shanghai`.
    pub fn new(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        if zone.contains(char::is_whitespace) || TimeZone::get(zone).is_err() {
            return Err(ScheduleError::TimeZone(zone.to_owned()));
        }
        let wrong = || ScheduleError::Expression(expression.to_owned());
        if expression.split_whitespace().count() != 5 {
            return Err(wrong());
        }
        let text = format!("{} {zone}", expression.trim());
        let crontab = cronexpr::parse_crontab(&text).map_err(|_| wrong())?;
        let schedule = Self { text, crontab };
        // The library looks for a day through several years.
        match schedule.next(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err(ScheduleError::Never(expression.to_owned())),
        }
    }

    /// Returns the first time after `time`.
    fn next(&self, time: Timestamp) -> Option<Timestamp> {
        self.crontab.find_next(MakeTimestamp(time)).ok().map(|next| next.timestamp())
    }
}

/// The objects that a window concerns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Targets, or objects as `KIND/NAME`, with `*` for any text; all if it is empty.
    pub addresses: Vec<String>,
    /// Their labels.
    pub selector: Option<Selector>,
}

impl Scope {
    /// Returns true if an object is one of them.
    pub fn has(&self, desired: &Desired) -> bool {
        let is_named = || self.addresses.iter().any(|address| is_meant(address, desired));
        (self.addresses.is_empty() || is_named())
            && self.selector.as_ref().is_none_or(|selector| selector.matches(&desired.labels))
    }
}

/// A window that opens again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Its name.
    pub name: Arc<str>,
    /// True if changes are made only while it or another such window is open; false if none are made while it is open.
    pub allows: bool,
    /// When it opens.
    pub schedule: Schedule,
    /// How long it stays open.
    pub duration: Duration,
    /// The objects that it concerns.
    pub scope: Scope,
}

impl Window {
    /// Returns the end of the opening at a time: `None` if the window is closed then, `Some(None)` if no end is in sight.
    #[expect(clippy::option_option, reason = "each level has its own meaning")]
    fn open_until(&self, time: Timestamp) -> Option<Option<Timestamp>> {
        let mut end = None;
        let mut start = self.schedule.next(time.checked_sub(self.duration).ok()?)?;
        for _ in 0..FOLLOWED {
            // An opening that begins before the last one has ended goes on.
            if start > end.unwrap_or(time) {
                return end.map(Some);
            }
            end = Some(start.checked_add(self.duration).ok()?);
            start = self.schedule.next(start)?;
        }
        Some(None)
    }
}

/// Why changes are held back, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The window, or the suspension with its reason.
    pub reason: String,
    /// The end; `None` if none is in sight.
    pub until: Option<Timestamp>,
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "held back until {until}: {}", self.reason),
            None => write!(f, "held back: {}", self.reason),
        }
    }
}

/// All that may hold changes back, but for the suspensions of single objects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Holds {
    /// The windows.
    pub windows: Vec<Window>,
    /// The suspensions of targets, by their names.
    pub targets: BTreeMap<Arc<str>, Suspension>,
}

/// Something that is in the way at one moment.
struct Block {
    reason: String,
    until: Option<Timestamp>,
}

impl Holds {
    /// Returns what holds changes back at one moment.
    pub fn at(&self, now: Timestamp) -> HoldsAt<'_> {
        HoldsAt { holds: self, now, known: HashMap::new() }
    }

    /// Returns the first time after `now` at which something opens, closes or ends.
    pub fn next_turn<'d>(&self, desired: impl Iterator<Item = &'d Desired>, now: Timestamp) -> Option<Timestamp> {
        let windows =
            self.windows.iter().flat_map(|window| [window.open_until(now).flatten(), window.schedule.next(now)]);
        let targets = self.targets.values().map(|suspension| Some(suspension.until));
        let objects = desired.map(|object| object.suspended.as_ref().map(|suspension| suspension.until));
        windows.chain(targets).chain(objects).flatten().filter(|time| *time > now).min()
    }

    /// Returns what is in the way of an object at a time. `windows` are those that concern it.
    fn blocks(
        &self,
        time: Timestamp,
        windows: &[usize],
        suspensions: [Option<&Suspension>; 2],
        target: &str,
    ) -> Vec<Block> {
        let [own, of_target] = suspensions.map(|suspension| suspension.filter(|suspension| suspension.until > time));
        let own = own.map(|own| Block { reason: format!("suspended: {}", own.reason), until: Some(own.until) });
        let of_target = of_target.map(|suspension| Block {
            reason: format!("the target `{target}` is suspended: {}", suspension.reason),
            until: Some(suspension.until),
        });
        let (allowing, denying): (Vec<&Window>, Vec<&Window>) =
            windows.iter().filter_map(|index| self.windows.get(*index)).partition(|window| window.allows);
        let denied = denying.into_iter().filter_map(|window| {
            let until = window.open_until(time)?;
            Some(Block { reason: format!("the window `{}` denies changes", window.name), until })
        });
        let is_closed = !allowing.is_empty() && allowing.iter().all(|window| window.open_until(time).is_none());
        let closed = is_closed.then(|| {
            let names: Vec<String> = allowing.iter().map(|window| format!("`{}`", window.name)).collect();
            let s = if names.len() == 1 { "" } else { "s" };
            let until = allowing.iter().filter_map(|window| window.schedule.next(time)).min();
            Block { reason: format!("outside of the window{s} {}", names.join(", ")), until }
        });
        own.into_iter().chain(of_target).chain(denied).chain(closed).collect()
    }
}

/// What an object's hold depends on: windows, the end of its own suspension, its target.
type Key = (Vec<usize>, Option<Suspension>, Arc<str>);

/// What holds changes back at one moment.
pub struct HoldsAt<'h> {
    holds: &'h Holds,
    now: Timestamp,
    /// Many objects share what holds them back.
    known: HashMap<Key, Option<Arc<Hold>>>,
}

impl HoldsAt<'_> {
    /// Returns why an object may not be written now; `None` if it may be.
    pub fn of(&mut self, desired: &Desired) -> Option<Arc<Hold>> {
        let is_free = self.holds.windows.is_empty() && self.holds.targets.is_empty() && desired.suspended.is_none();
        if is_free {
            return None;
        }
        let windows = self.holds.windows.iter().enumerate().filter(|(_, window)| window.scope.has(desired));
        let windows: Vec<usize> = windows.map(|(index, _)| index).collect();
        let key = (windows, desired.suspended.as_deref().cloned(), desired.target.clone());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let hold = self.find(&key.0, desired).map(Arc::new);
        self.known.insert(key, hold.clone());
        hold
    }

    fn find(&self, windows: &[usize], desired: &Desired) -> Option<Hold> {
        let suspensions = [desired.suspended.as_deref(), self.holds.targets.get(&desired.target)];
        let blocks = |time| self.holds.blocks(time, windows, suspensions, &desired.target);
        let mut found = blocks(self.now);
        let reason = found.first()?.reason.clone();
        // When one thing in the way has ended, another may still be there.
        for _ in 0..ENDS {
            let Some(until) = found.iter().map(|block| block.until).collect::<Option<Vec<_>>>() else { break };
            let until = until.into_iter().max()?;
            found = blocks(until);
            if found.is_empty() {
                return Some(Hold { reason, until: Some(until) });
            }
        }
        Some(Hold { reason, until: None })
    }
}

/// Changes of a plan that are held back for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldChanges {
    /// The target.
    pub target: Arc<str>,
    /// Their number.
    pub count: usize,
    /// Why, and until when.
    pub hold: Arc<Hold>,
}

impl fmt::Display for HeldChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, count, hold } = self;
        let (changes, are) = if *count == 1 { ("change", "is") } else { ("changes", "are") };
        write!(f, "{count} {changes} on {target} {are} {hold}")
    }
}

/// Returns the changes of a plan that are held back, by their targets and reasons.
pub fn held_changes(plan: &Plan, states: &[TargetState<'_>], holds: &mut HoldsAt<'_>) -> Vec<HeldChanges> {
    let mut by_reason: BTreeMap<(Arc<str>, String), HeldChanges> = BTreeMap::new();
    let declared = changing(&plan.changes, states.iter().flat_map(TargetState::declared));
    for change in &plan.changes {
        let Some(hold) = declared.get(&change.id).and_then(|desired| holds.of(desired)) else { continue };
        let held = || HeldChanges { target: change.target.clone(), count: 0, hold: hold.clone() };
        by_reason.entry((change.target.clone(), hold.to_string())).or_insert_with(held).count += 1;
    }
    by_reason.into_values().collect()
}

#[cfg(test)]
mod tests;

//! What is worth a message to people: each meaning once, those of one cause together.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Instant,
};

use super::{
    inventory::{Detail, FieldDifference, Found},
    report::cause,
};
use crate::{
    model::{Outcome, ResourceId},
    plan::Cause as BlockedBy,
};

/// The time for which a meaning is not told again after it was last seen: two who set a value back in turn are one
/// message.
const QUIET: Duration = Duration::from_hours(1);

/// Most objects that a notice names; the others are counted.
const NAMED: usize = 10;

/// Most notices that wait to be sent. Further ones are dropped, and the next one that gets through says how many were.
const WAITING: usize = 256;

/// The sort of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// Objects cannot be read, or it is not known what became of their writes.
    Unknown,
    /// Objects were written and are not as declared all the same.
    Failed,
    /// Objects cannot become as declared.
    Blocked,
    /// Objects differ and are left so.
    Drifted,
    /// Objects differed and were made as declared.
    Changed,
    /// Objects are as declared again, or at least can be.
    Resolved,
    /// A plan is over a limit, so nothing was sent.
    Refused,
    /// Documents are broken; their last good version is in force.
    Manifests,
}

impl Event {
    /// All of them, with their names in the configuration.
    pub const ALL: [(&'static str, Self); 8] = [
        ("unknown", Self::Unknown),
        ("failed", Self::Failed),
        ("blocked", Self::Blocked),
        ("drifted", Self::Drifted),
        ("changed", Self::Changed),
        ("resolved", Self::Resolved),
        ("refused", Self::Refused),
        ("manifests", Self::Manifests),
    ];

    /// Returns its name in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, event)| *event == self).map_or("", |(name, _)| name)
    }
}

/// An object of a notice.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeObject {
    /// Its address.
    pub address: String,
    /// Where it is declared, as `file:line:column`.
    pub at: String,
    /// The fields that differ or differed.
    pub fields: Vec<FieldDifference>,
    /// The reason, where there is one; otherwise empty.
    pub reason: String,
}

/// A message about one cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The sort of the event.
    pub event: Event,
    /// The target; `None` where it is about no target.
    pub target: Option<String>,
    /// When it was found.
    pub time: Timestamp,
    /// A sentence for people.
    pub title: String,
    /// How many objects it is about.
    pub count: usize,
    /// The first of them.
    pub objects: Vec<NoticeObject>,
}

/// Finds out what is news; clones share their memory.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    memory: Arc<Mutex<Memory>>,
}

#[derive(Debug, Default)]
struct Memory {
    receiver: Option<Sender<Notice>>,
    /// When each meaning was last seen, by its hash.
    seen: HashMap<u64, Instant>,
    /// The objects that are not as declared now, as they were told.
    open: HashMap<ResourceId, (Arc<str>, Event)>,
    hasher: RandomState,
    dropped: usize,
}

/// The objects of each cause, and which of them are named.
type Groups = BTreeMap<(Arc<str>, Event), (usize, Vec<NoticeObject>)>;

impl Notices {
    /// Returns where notices come out. Until this is called none is made.
    pub fn receive(&self) -> Receiver<Notice> {
        let (sender, receiver) = channel(WAITING);
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).receiver = Some(sender);
        receiver
    }

    /// Tells what is new about a pass.
    pub(super) fn pass(&self, found: &Found<'_>) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if memory.receiver.is_none() {
            return;
        }
        let (now, mut groups, mut open) = (Instant::now(), Groups::new(), HashMap::new());
        let outcomes: HashMap<&ResourceId, &Outcome> =
            found.outcomes.iter().map(|(id, outcome)| (id, outcome)).collect();
        for change in found.plan.reported.iter().chain(&found.plan.changes) {
            let outcome = outcomes.get(&change.id).copied();
            let Some(event) = event_of(outcome) else { continue };
            if event != Event::Changed {
                open.insert(change.id.clone(), (change.target.clone(), event));
            }
            let fields = change.fields.iter().map(|field| field.fingerprint(&change.id));
            let meaning = (&change.target, &change.id, event, change.action.name(), fields.collect::<Vec<_>>());
            if memory.is_news(meaning, now) {
                let at = found.sources.position(&change.origin).to_string();
                let named = || found.detail(change, outcome).named(&change.id, at.clone());
                add(&mut groups, &change.target, event, named);
            }
        }
        for blocked in &found.plan.blocked {
            let is_unread = matches!(blocked.cause, BlockedBy::Unread(_));
            let event = if is_unread { Event::Unknown } else { Event::Blocked };
            open.insert(blocked.id.clone(), (blocked.target.clone(), event));
            if memory.is_news((&blocked.target, &blocked.id, event), now) {
                let named = || NoticeObject {
                    address: blocked.id.to_string(),
                    at: found.sources.position(&blocked.origin).to_string(),
                    fields: Vec::new(),
                    reason: found.hide(&cause(blocked)),
                };
                add(&mut groups, &blocked.target, event, named);
            }
        }
        memory.resolve(found, open, &mut groups);
        memory.seen.retain(|_, seen| now.duration_since(*seen) < QUIET);
        for ((target, event), (count, objects)) in groups {
            let title = title(event, &target, count);
            let target = Some(target.to_string());
            memory.send(Notice { event, target, time: Timestamp::now(), title, count, objects });
        }
        if let Some(refusal) = &found.refusal {
            memory.tell_once(Event::Refused, refusal, format!("{refusal}: nothing was sent"), now);
        }
    }

    /// Tells of manifests that are broken.
    pub(super) fn manifests(&self, errors: usize, digest: &str) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if errors > 0 {
            let title =
                format!("{errors} mistakes in the manifests: the last good version of what is broken stays in force");
            memory.tell_once(Event::Manifests, digest, title, Instant::now());
        }
    }
}

impl Memory {
    /// Notes a meaning, and returns true if it was not seen for a while.
    fn is_news(&mut self, meaning: impl Hash, now: Instant) -> bool {
        let before = self.seen.insert(self.hasher.hash_one(meaning), now);
        before.is_none_or(|before| now.duration_since(before) >= QUIET)
    }

    /// Notes what is not as declared now, and tells what is as declared again.
    fn resolve(&mut self, found: &Found<'_>, open: HashMap<ResourceId, (Arc<str>, Event)>, groups: &mut Groups) {
        let looked: Option<HashSet<&ResourceId>> = found.part.map(|part| part.iter().collect());
        let is_over =
            |id: &ResourceId| !open.contains_key(id) && looked.as_ref().is_none_or(|looked| looked.contains(id));
        let own = self.open.iter().filter(|(_, (target, _))| target == found.target);
        let over: Vec<ResourceId> = own.map(|(id, _)| id).filter(|id| is_over(id)).cloned().collect();
        for id in over {
            let Some((target, _)) = self.open.remove(&id) else { continue };
            let address = id.to_string();
            let named = || NoticeObject { address, at: String::new(), fields: Vec::new(), reason: String::new() };
            add(groups, &target, Event::Resolved, named);
        }
        self.open.extend(open);
    }

    fn tell_once(&mut self, event: Event, meaning: &str, title: String, now: Instant) {
        if self.receiver.is_some() && self.is_news((event, meaning), now) {
            let (time, objects) = (Timestamp::now(), Vec::new());
            self.send(Notice { event, target: None, time, title, count: 0, objects });
        }
    }

    /// Hands a notice over. Never waits.
    fn send(&mut self, mut notice: Notice) {
        let Some(receiver) = &self.receiver else { return };
        if self.dropped > 0 {
            notice.title = format!("{} ({} earlier messages could not be sent)", notice.title, self.dropped);
        }
        match receiver.try_send(notice) {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += 1,
        }
    }
}

impl Detail {
    fn named(self, id: &ResourceId, at: String) -> NoticeObject {
        NoticeObject { address: id.to_string(), at, fields: self.fields, reason: self.reason }
    }
}

/// Returns the event of a change; nothing where there is nothing to tell.
fn event_of(outcome: Option<&Outcome>) -> Option<Event> {
    match outcome {
        Some(Outcome::Applied | Outcome::Normalised(_)) => Some(Event::Changed),
        Some(Outcome::AlreadyTrue | Outcome::Interrupted) => None,
        Some(Outcome::Dropped(_) | Outcome::Overtaken(_) | Outcome::NotApplied(_) | Outcome::Refused(_)) => {
            Some(Event::Failed)
        }
        Some(Outcome::Unknown(_)) => Some(Event::Unknown),
        None | Some(Outcome::Stale | Outcome::Skipped(_) | Outcome::Unsent(_) | Outcome::Manual(_)) => {
            Some(Event::Drifted)
        }
    }
}

fn add(groups: &mut Groups, target: &Arc<str>, event: Event, named: impl FnOnce() -> NoticeObject) {
    let (count, objects) = groups.entry((target.clone(), event)).or_default();
    *count += 1;
    if objects.len() < NAMED {
        objects.push(named());
    }
}

fn title(event: Event, target: &str, count: usize) -> String {
    let (objects, are, were) = if count == 1 { ("object", "is", "was") } else { ("objects", "are", "were") };
    match event {
        Event::Unknown => format!("{target}: {count} {objects} cannot be read, or it is not known if a write arrived"),
        Event::Failed => format!("{target}: {count} {objects} could not be made as declared"),
        Event::Blocked => format!("{target}: {count} {objects} cannot become as declared"),
        Event::Drifted => format!("{target}: {count} {objects} {are} not as declared"),
        Event::Changed => format!("{target}: {count} {objects} {were} changed to what is declared"),
        Event::Resolved => format!("{target}: {count} {objects} {are} all right again"),
        Event::Refused | Event::Manifests => target.to_owned(),
    }
}

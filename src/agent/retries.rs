//! When objects that failed are looked at again, each by a budget of its own: they hold up no others.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::schedule::at_most;
use crate::model::ResourceId;

/// Objects that come due within this time are looked at together.
const TOGETHER: Duration = Duration::from_millis(500);

/// A failing object.
#[derive(Debug, Clone, Copy)]
struct Retry {
    /// The longest wait, which doubles with each failure.
    pause: Duration,
    due: Instant,
}

/// The objects that failed the last time that they were looked at.
#[derive(Debug)]
pub(super) struct Retries {
    first: Duration,
    objects: HashMap<ResourceId, Retry>,
}

impl Retries {
    /// Returns no objects; the first wait of each is at most `first`.
    pub(super) fn new(first: Duration) -> Self {
        Self { first, objects: HashMap::new() }
    }

    /// Notes which of the objects that were looked at failed; without `part` all were. No wait is longer than `longest`.
    pub(super) fn note(
        &mut self,
        part: Option<&HashSet<ResourceId>>,
        failing: &HashSet<ResourceId>,
        longest: Duration,
        now: Instant,
    ) {
        self.objects.retain(|id, _| failing.contains(id) || part.is_some_and(|part| !part.contains(id)));
        // Those that failed as often come due together, at a random time.
        let mut times: HashMap<Duration, Instant> = HashMap::new();
        for id in failing {
            let pause = self.objects.get(id).map_or(self.first, |retry| retry.pause * 2).min(longest);
            let due = *times.entry(pause).or_insert_with(|| now + at_most(pause, 2));
            self.objects.insert(id.clone(), Retry { pause, due });
        }
    }

    /// Forgets the failures of objects that are declared otherwise now: what failed may do now.
    pub(super) fn forget(&mut self, is_changed: impl Fn(&ResourceId) -> bool) {
        self.objects.retain(|id, _| !is_changed(id));
    }

    /// Returns when the next objects are due; `None` if none failed.
    pub(super) fn next(&self) -> Option<Instant> {
        self.objects.values().map(|retry| retry.due).min()
    }

    /// Returns the objects that are due.
    pub(super) fn due(&self, now: Instant) -> HashSet<ResourceId> {
        let is_due = |retry: &Retry| retry.due <= now + TOGETHER;
        self.objects.iter().filter(|(_, retry)| is_due(retry)).map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(keys: &[&str]) -> HashSet<ResourceId> {
        keys.iter().map(|key| ResourceId::new("Thing", *key)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_object_backs_off_by_itself() {
        let (first, longest) = (Duration::from_secs(4), Duration::from_secs(10));
        let (mut retries, now) = (Retries::new(first), Instant::now());
        let check = |retries: &Retries, at: u64, expected: &[&str]| {
            let due = retries.due(now + Duration::from_secs(at));
            assert_eq!(due, ids(expected), "after {at} s");
        };
        assert_eq!(retries.next(), None);
        retries.note(None, &ids(&["a", "b"]), longest, now);
        check(&retries, 1, &[]);
        check(&retries, 4, &["a", "b"]);
        // One fails again, and the other, which was not looked at, stays due.
        let later = now + Duration::from_secs(1);
        retries.note(Some(&ids(&["a"])), &ids(&["a"]), longest, later);
        check(&retries, 4, &["b"]);
        check(&retries, 9, &["a", "b"]);
        retries.note(Some(&ids(&["a"])), &ids(&["a"]), longest, later);
        check(&retries, 11, &["a", "b"]);
        // One that was looked at and does well is forgotten, as is one that is declared anew.
        retries.note(Some(&ids(&["b"])), &ids(&[]), longest, now);
        check(&retries, 11, &["a"]);
        retries.forget(|id| *id.key == *"b");
        check(&retries, 11, &["a"]);
        retries.forget(|_| true);
        assert_eq!(retries.next(), None);
        // A look at all forgets those that are declared no longer.
        retries.note(None, &ids(&["a"]), longest, now);
        retries.note(None, &ids(&["b"]), longest, now);
        check(&retries, 10, &["b"]);
    }
}

//! How far a run came, by its journal.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::Timestamp;

use crate::journal::{
    Integrity, Journal, Record,
    record::{OutcomeRecord, SettledVerdict},
};

/// How far a change came.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeProgress {
    /// A call for it was about to leave, and nothing tells what became of it.
    Open,
    /// It has an outcome.
    Done(OutcomeRecord),
    /// No call for it left, or it was found not to have been made.
    Untouched,
}

/// How far a run came.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The changes that are named in the journal, by their addresses.
    pub changes: BTreeMap<String, ChangeProgress>,
    /// How often each call was sent, by its number in the plan.
    pub attempts: HashMap<usize, usize>,
    /// When the last call was about to leave of which nothing more is known.
    pub last_open: Option<Timestamp>,
    /// A part of the journal cannot be trusted: any change without an outcome may have been made.
    pub is_altered: bool,
}

impl Progress {
    /// Returns how far a run came.
    pub fn of(journal: &Journal) -> Self {
        let is_altered = matches!(journal.integrity, Integrity::Altered { .. });
        let mut progress = Self { is_altered, ..Self::default() };
        let mut left: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for entry in &journal.entries {
            match &entry.record {
                Record::Intent(intent) => {
                    let attempts = progress.attempts.entry(intent.call).or_default();
                    *attempts = intent.attempt.max(*attempts);
                    for object in &intent.objects {
                        progress.changes.insert(object.address.clone(), ChangeProgress::Open);
                        left.insert(&object.address, entry.time);
                    }
                }
                Record::Outcome(outcome) => {
                    let state = match outcome.outcome.as_str() {
                        "interrupted" | "unsent" => ChangeProgress::Untouched,
                        "unknown" => ChangeProgress::Open,
                        _ => ChangeProgress::Done(outcome.clone()),
                    };
                    progress.changes.insert(outcome.address.clone(), state);
                }
                Record::Settled(settled) => {
                    let state = match settled.verdict {
                        SettledVerdict::Made => ChangeProgress::Done(OutcomeRecord {
                            address: settled.address.clone(),
                            outcome: "applied".to_owned(),
                            detail: settled.detail.clone(),
                            fields: Vec::new(),
                            handle: settled.handle.clone(),
                            took_ms: 0,
                        }),
                        SettledVerdict::NotMade | SettledVerdict::Overtaken => ChangeProgress::Untouched,
                        SettledVerdict::Unknown => ChangeProgress::Open,
                    };
                    progress.changes.insert(settled.address.clone(), state);
                }
                Record::Run(_) | Record::Resumed(_) | Record::Ended(_) => {}
            }
        }
        let is_open = |address: &str| progress.changes.get(address) == Some(&ChangeProgress::Open);
        progress.last_open = left.into_iter().filter(|(address, _)| is_open(address)).map(|(_, time)| time).max();
        progress
    }

    /// Returns how far a change came. Where the journal was altered, one without an outcome may have been made.
    pub fn of_change(&self, address: &str) -> &ChangeProgress {
        match self.changes.get(address) {
            Some(done @ ChangeProgress::Done(_)) => done,
            _ if self.is_altered => &ChangeProgress::Open,
            Some(progress) => progress,
            None => &ChangeProgress::Untouched,
        }
    }

    /// Returns the number of changes with an outcome, and of those whose calls may have been carried out.
    pub fn counts(&self) -> (usize, usize) {
        let count = |is: fn(&ChangeProgress) -> bool| self.changes.values().filter(|change| is(change)).count();
        (
            count(|change| matches!(change, ChangeProgress::Done(_))),
            count(|change| matches!(change, ChangeProgress::Open)),
        )
    }

    /// Returns how long a call may still be under way after `now`, where a call takes at most `timeout`.
    pub fn wait(&self, now: Timestamp, timeout: Duration) -> Duration {
        let Some(left) = self.last_open else { return Duration::ZERO };
        // A clock that was set back tells nothing: the whole time is waited.
        let age = Duration::try_from(now.duration_since(left)).unwrap_or_default();
        timeout.saturating_sub(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{
        Entry,
        chain::Chain,
        record::{IntendedChange, Intent, Settled},
    };

    fn intent(call: usize, attempt: usize, addresses: &[&str]) -> Record {
        let object = |address: &&str| IntendedChange {
            address: (*address).to_owned(),
            precondition: String::new(),
            fields: Vec::new(),
        };
        let objects = addresses.iter().map(object).collect();
        let (target, operation) = ("cmdb".to_owned(), "update_inst".to_owned());
        Record::Intent(Intent { call, attempt, target, operation, body: String::new(), objects })
    }

    fn outcome(address: &str, outcome: &str) -> Record {
        let (address, outcome) = (address.to_owned(), outcome.to_owned());
        Record::Outcome(OutcomeRecord { address, outcome, detail: None, fields: Vec::new(), handle: None, took_ms: 0 })
    }

    fn settled(address: &str, verdict: SettledVerdict) -> Record {
        let (address, by) = (address.to_owned(), "r".to_owned());
        Record::Settled(Settled { address, verdict, detail: None, handle: None, by })
    }

    #[test]
    fn the_last_record_of_a_change_tells_how_far_it_came() {
        let check = |records: &[Record], altered: bool, expected: &str| {
            let time = |at: usize| Timestamp::from_second(i64::try_from(at).expect("small")).expect("a time");
            let entries =
                records.iter().enumerate().map(|(at, record)| Entry { time: time(at), record: record.clone() });
            let integrity = if altered { Integrity::Altered { line: 9 } } else { Integrity::Whole };
            let journal = Journal { entries: entries.collect(), integrity, length: 0, chain: Chain::default() };
            let progress = Progress::of(&journal);
            let words: Vec<_> = ["A/a", "A/b"]
                .iter()
                .map(|address| match progress.of_change(address) {
                    ChangeProgress::Open => "open".to_owned(),
                    ChangeProgress::Done(outcome) => outcome.outcome.clone(),
                    ChangeProgress::Untouched => "untouched".to_owned(),
                })
                .collect();
            assert_eq!(words.join(" "), expected, "{records:?}");
            progress
        };
        check(&[], false, "untouched untouched");
        check(&[], true, "open open");
        check(&[intent(0, 1, &["A/a"])], false, "open untouched");
        check(&[intent(0, 1, &["A/a", "A/b"]), outcome("A/a", "applied")], false, "applied open");
        check(&[intent(0, 1, &["A/a"]), outcome("A/a", "applied")], true, "applied open");
        check(&[intent(0, 1, &["A/a"]), outcome("A/a", "interrupted")], false, "untouched untouched");
        check(&[intent(0, 1, &["A/a"]), outcome("A/a", "unknown")], false, "open untouched");
        check(&[intent(0, 1, &["A/a"]), settled("A/a", SettledVerdict::Made)], false, "applied untouched");
        check(&[intent(0, 1, &["A/a"]), settled("A/a", SettledVerdict::Overtaken)], false, "untouched untouched");
        check(&[intent(0, 1, &["A/a"]), settled("A/a", SettledVerdict::Unknown)], false, "open untouched");
        let twice = [intent(0, 1, &["A/a"]), settled("A/a", SettledVerdict::NotMade), intent(0, 2, &["A/a"])];
        let progress = check(&twice, false, "open untouched");
        assert_eq!((progress.attempts[&0], progress.counts()), (2, (0, 1)));
        assert_eq!(progress.last_open, Some(Timestamp::from_second(2).expect("a time")));
        let wait = |now: i64| progress.wait(Timestamp::from_second(now).expect("a time"), Duration::from_secs(10));
        assert_eq!((wait(4), wait(30), wait(-50)), (Duration::from_secs(8), Duration::ZERO, Duration::from_secs(10)));
    }
}

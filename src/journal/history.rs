//! The history of runs, as their journals tell it.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Integrity, Journal, Record, RunRecord, Store,
    record::{Field, OutcomeRecord, Resumed, Settled, SettledVerdict},
};

/// The name of the last run that began.
pub const LATEST: &str = "latest";

/// Fewest characters by which a run can be named.
const SHORTEST: usize = 4;

/// A run as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunHistory {
    /// The id of the run.
    pub id: String,
    /// Its beginning; `None` where the journal does not tell.
    pub record: Option<RunRecord>,
    /// When it began; `None` where the journal does not tell.
    pub started: Option<Timestamp>,
    /// When the last record was written.
    pub last: Option<Timestamp>,
    /// How it ended.
    pub standing: Standing,
    /// The integrity of the journal.
    pub integrity: Integrity,
    /// The changes that the journal names, in its order.
    pub changes: Vec<ChangeHistory>,
    /// When it was taken up again, and by whom.
    pub resumed: Vec<(Timestamp, Resumed)>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It came to an orderly end.
    Ended(super::Verdict),
    /// It was broken off, or goes on.
    Unfinished,
    /// Its journal was edited or damaged, so that its end is unknown.
    Altered,
}

impl Standing {
    /// Returns its name in reports, such as `converged` or `unfinished`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ended(verdict) => verdict.name(),
            Self::Unfinished => "unfinished",
            Self::Altered => "altered",
        }
    }
}

/// A change of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChangeHistory {
    /// The address of the object.
    pub address: String,
    /// The fields as the first intent names them; empty where no call was sent.
    pub fields: Vec<Field>,
    /// The calls that were about to be sent for it.
    pub attempts: Vec<Attempt>,
    /// The outcome and when it was known; `None` while it is not.
    pub outcome: Option<(Timestamp, OutcomeRecord)>,
    /// What reading showed later.
    pub settled: Option<(Timestamp, Settled)>,
}

/// A call that was about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it was noted: right before it was sent.
    pub time: Timestamp,
    /// The number of the call in the plan of the run, from 0.
    pub call: usize,
    /// The number of the attempt, from 1.
    pub number: usize,
    /// The name of the operation.
    pub operation: String,
}

impl ChangeHistory {
    /// Returns the outcome in one word: that which was recorded or settled last, `open` where a call was sent and
    /// nothing is known of it, and `not_sent`.
    pub fn outcome_name(&self) -> &str {
        match (&self.outcome, &self.settled) {
            (Some((known, outcome)), settled) if settled.as_ref().is_none_or(|(later, _)| later <= known) => {
                &outcome.outcome
            }
            (_, Some((_, settled))) => settled.verdict.name(),
            _ if self.attempts.is_empty() => "not_sent",
            _ => "open",
        }
    }

    /// Returns true if the server holds what the run sent, or did so when that was looked at last.
    pub fn is_made(&self) -> bool {
        let settled = self.settled.as_ref().map(|(_, settled)| settled.verdict);
        let outcome = self.outcome.as_ref().map(|(_, outcome)| &*outcome.outcome);
        settled == Some(SettledVerdict::Made)
            || matches!(outcome, Some("applied" | "normalised" | "dropped" | "overtaken"))
    }

    /// Returns true if it is not known if the change was made.
    pub fn is_open(&self) -> bool {
        !self.is_made() && matches!(self.outcome_name(), "open" | "unknown")
    }

    /// Returns the ids of the object, where the run created it.
    pub fn handle(&self) -> Option<&Value> {
        let settled = || self.settled.as_ref()?.1.handle.as_ref();
        self.outcome.as_ref().and_then(|(_, outcome)| outcome.handle.as_ref()).or_else(settled)
    }
}

impl RunHistory {
    /// Returns the history of a run.
    pub fn of(id: &str, journal: &Journal) -> Self {
        let standing = match (journal.integrity, journal.ended()) {
            (Integrity::Altered { .. }, _) => Standing::Altered,
            (_, Some(ended)) => Standing::Ended(ended.verdict),
            (_, None) => Standing::Unfinished,
        };
        let mut changes = Changes::default();
        let mut resumed = Vec::new();
        for entry in &journal.entries {
            let time = entry.time;
            match &entry.record {
                Record::Intent(intent) => {
                    for object in &intent.objects {
                        let change = changes.of(&object.address);
                        if change.fields.is_empty() {
                            change.fields.clone_from(&object.fields);
                        }
                        let (call, number, operation) = (intent.call, intent.attempt, intent.operation.clone());
                        change.attempts.push(Attempt { time, call, number, operation });
                    }
                }
                Record::Outcome(outcome) => {
                    changes.of(&outcome.address).outcome = Some((time, outcome.clone()));
                }
                Record::Settled(settled) => {
                    changes.of(&settled.address).settled = Some((time, settled.clone()));
                }
                Record::Resumed(again) => resumed.push((time, again.clone())),
                Record::Run(_) | Record::Ended(_) => {}
            }
        }
        Self {
            id: id.to_owned(),
            record: journal.run().cloned(),
            started: journal.run().and(journal.entries.first()).map(|entry| entry.time),
            last: journal.entries.last().map(|entry| entry.time),
            standing,
            integrity: journal.integrity,
            changes: changes.all,
            resumed,
        }
    }

    /// Returns the time from the beginning to the last record.
    pub fn took(&self) -> Option<SignedDuration> {
        Some(self.last?.duration_since(self.started?))
    }

    /// Returns how many changes came to each outcome.
    pub fn outcomes(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        self.changes.iter().for_each(|change| *counts.entry(change.outcome_name()).or_default() += 1);
        counts
    }

    /// Returns the changes that fit, by the addresses of their objects.
    pub fn by_address(&self, fits: impl Fn(&ChangeHistory) -> bool) -> HashMap<&str, &ChangeHistory> {
        let changes = self.changes.iter().filter(|change| fits(change));
        changes.map(|change| (change.address.as_str(), change)).collect()
    }
}

#[derive(Default)]
struct Changes {
    all: Vec<ChangeHistory>,
    by_address: HashMap<String, usize>,
}

impl Changes {
    fn of(&mut self, address: &str) -> &mut ChangeHistory {
        let next = self.all.len();
        let at = *self.by_address.entry(address.to_owned()).or_insert(next);
        if at == next {
            self.all.push(ChangeHistory { address: address.to_owned(), ..ChangeHistory::default() });
        }
        &mut self.all[at]
    }
}

/// A text that names no run.
#[derive(Debug, thiserror::Error)]
pub enum NoRun {
    /// No id begins with it.
    #[error("there is no run {0}: `reconcile history` lists the runs")]
    Unknown(String),
    /// The ids of several runs begin with it.
    #[error("several runs begin with {0}: {1}")]
    Several(String, String),
    /// The beginning of an id is too short.
    #[error("{0} is too short for a run: give at least {SHORTEST} characters of its id")]
    Short(String),
    /// The directory of the state cannot be read.
    #[error("the runs cannot be read: {0}")]
    Unread(#[from] io::Error),
}

/// Returns the id of the run that a text names: a whole id, its beginning where no other run has the same, or
/// [`LATEST`].
pub fn find_run(store: &dyn Store, text: &str) -> Result<String, NoRun> {
    let runs = store.runs()?;
    if runs.iter().any(|run| run == text) {
        return Ok(text.to_owned());
    }
    if text == LATEST {
        return runs.last().cloned().ok_or_else(|| NoRun::Unknown(text.to_owned()));
    }
    if text.len() < SHORTEST {
        return Err(NoRun::Short(text.to_owned()));
    }
    let found: Vec<&String> = runs.iter().filter(|run| run.starts_with(text)).collect();
    match found.as_slice() {
        [] => Err(NoRun::Unknown(text.to_owned())),
        [only] => Ok((*only).clone()),
        several => {
            let some: Vec<&str> = several.iter().rev().take(5).map(|run| run.as_str()).collect();
            Err(NoRun::Several(text.to_owned(), some.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::{
            Directory, RunOrigin, Verdict, Writer,
            record::{self, Ended},
            tests::{intent, outcome, run_record},
        },
        *,
    };

    /// Returns the history of a run with these records, each a second behind the one before it.
    fn history(records: Vec<Record>) -> RunHistory {
        let root = tempfile::tempdir().expect("a directory");
        let store = Directory::new(root.path());
        let seconds = std::sync::atomic::AtomicI64::new(0);
        let clock = move || {
            let second = seconds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Timestamp::from_second(second).expect("a time")
        };
        let first = vec![run_record("r1")];
        let mut writer =
            Writer::create(&store, "r1", &|out| out.write_all(b"{}"), first, Arc::new(clock)).expect("a run");
        for record in records {
            writer.append(vec![record]).expect("written");
        }
        RunHistory::of("r1", &store.journal("r1").expect("read"))
    }

    fn settled(address: &str, verdict: SettledVerdict) -> Record {
        let handle = (verdict == SettledVerdict::Made).then(|| 7.into());
        Record::Settled(Settled { address: address.to_owned(), verdict, detail: None, handle, by: "r1".to_owned() })
    }

    fn outcome_of(address: &str, name: &str) -> Record {
        let Record::Outcome(outcome) = outcome(address) else { unreachable!("it is an outcome") };
        Record::Outcome(OutcomeRecord { outcome: name.to_owned(), ..outcome })
    }

    fn ended(verdict: Verdict) -> Record {
        Record::Ended(Ended { verdict, outcomes: BTreeMap::new() })
    }

    #[test]
    fn a_run_is_told_by_its_records() {
        let again = Resumed { origin: RunOrigin::here("resume", &[]), pid: 8, abandon: false };
        let history = history(vec![
            intent("A/a"),
            intent("A/b"),
            intent("A/b"),
            outcome("A/a"),
            Record::Resumed(again.clone()),
            settled("A/b", SettledVerdict::Made),
            outcome_of("A/c", "skipped"),
            ended(Verdict::Partial),
        ]);
        assert_eq!(
            (history.standing, history.took()),
            (Standing::Ended(Verdict::Partial), Some(SignedDuration::from_secs(8)))
        );
        assert_eq!(history.outcomes(), [("applied", 1), ("made", 1), ("skipped", 1)].into());
        assert_eq!(history.resumed, [(Timestamp::from_second(5).expect("a time"), again)]);
        let change = history.by_address(|_| true)["A/b"];
        assert_eq!((change.attempts.len(), change.handle()), (2, Some(&7.into())));
        let fields = [record::Field { path: "ports".to_owned(), from: 1.into(), to: 2.into() }];
        assert_eq!(change.fields, fields);
        assert!(!history.by_address(|_| true).contains_key("A/d"));
    }

    #[test]
    fn what_became_of_a_change_is_its_last_word() {
        let check = |records: Vec<Record>, expected: &str, made: bool, open: bool| {
            let history = history(records);
            let change = history.by_address(|_| true)["A/a"];
            assert_eq!((change.outcome_name(), change.is_made(), change.is_open()), (expected, made, open));
        };
        check(vec![intent("A/a")], "open", false, true);
        check(vec![intent("A/a"), outcome("A/a")], "applied", true, false);
        for name in ["normalised", "dropped", "overtaken"] {
            check(vec![intent("A/a"), outcome_of("A/a", name)], name, true, false);
        }
        for name in ["refused", "skipped", "stale", "interrupted", "already_true", "not_applied"] {
            check(vec![outcome_of("A/a", name)], name, false, false);
        }
        check(vec![intent("A/a"), outcome_of("A/a", "unknown")], "unknown", false, true);
        check(vec![intent("A/a"), settled("A/a", SettledVerdict::NotMade)], "not_made", false, false);
        check(vec![intent("A/a"), settled("A/a", SettledVerdict::Overtaken)], "overtaken", false, false);
        check(vec![intent("A/a"), settled("A/a", SettledVerdict::Unknown)], "unknown", false, true);
        // It was not made, and so it was sent again.
        let again = vec![intent("A/a"), settled("A/a", SettledVerdict::NotMade), intent("A/a"), outcome("A/a")];
        check(again, "applied", true, false);
        check(vec![outcome_of("A/a", "unknown"), settled("A/a", SettledVerdict::Made)], "made", true, false);
    }

    #[test]
    fn runs_without_a_trusted_end_say_so() {
        let unfinished = history(vec![intent("A/a")]);
        assert_eq!(unfinished.standing.name(), "unfinished");
        let mut journal = super::super::read(std::io::empty()).expect("read");
        journal.integrity = Integrity::Altered { line: 1 };
        let altered = RunHistory::of("r1", &journal);
        assert_eq!((altered.standing.name(), altered.took(), altered.record), ("altered", None, None));
    }

    #[test]
    fn a_run_is_named_by_the_beginning_of_its_id() {
        let root = tempfile::tempdir().expect("a directory");
        let store = Directory::new(root.path());
        let named = |text: &str| find_run(&store, text).map_err(|error| error.to_string());
        assert!(named(LATEST).is_err());
        for run in ["0001aaaa", "0002aaaa", "0002aabb"] {
            let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
            Writer::create(&store, run, &|out| out.write_all(b"{}"), vec![run_record(run)], clock).expect("a run");
        }
        let check = |text: &str, expected: Result<&str, &str>| match (named(text), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
            (found, expected) => panic!("{text}: {found:?} and not {expected:?}"),
        };
        check("0001", Ok("0001aaaa"));
        check("0002aaa", Ok("0002aaaa"));
        check("0002aabb", Ok("0002aabb"));
        check(LATEST, Ok("0002aabb"));
        check("0002", Err("several runs begin with 0002: 0002aabb, 0002aaaa"));
        check("000", Err("too short"));
        check("0003", Err("there is no run 0003: `reconcile history` lists the runs"));
        check("../key", Err("there is no run"));
    }
}

//! The journal: who ran what, what was let through and sent, and what became of it. One line of JSON for each event, only
//! ever added to.
//!
//! It holds the values that a plan shows. Answers of servers reach it without the secrets of their target.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde::Serialize;
use serde_json::Value;

use crate::{
    files::write,
    model::{Action, Change, FieldChange, KnownField, Outcome, ResourceId},
    plan::{
        Plan,
        guard::{self, Excess},
    },
};

use super::RunOrigin;

/// The name of the file below the directory of the state.
pub const FILE: &str = "journal.ndjson";

/// Version of the lines: the number before the dot changes when a key goes or changes its meaning.
const FORMAT_VERSION: &str = "2.0";

/// An event of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The first entry of each run.
    Run(RunOrigin),
    /// A plan exceeds limits: nothing was sent.
    Refused(Effects),
    /// Objects of a saved plan have moved since: nothing was sent.
    Stale(Effects),
    /// A plan is about to be carried out.
    Started(Effects),
    /// A change is done with.
    Change(Entry),
    /// A plan was carried out.
    Ended {
        /// How many changes came to each outcome.
        outcomes: BTreeMap<&'static str, usize>,
        /// All objects with their outcomes.
        objects: Vec<(String, &'static str)>,
    },
}

impl Event {
    /// Returns the end of a plan with these outcomes.
    pub fn ended(outcomes: &[(ResourceId, Outcome)]) -> Self {
        let mut counts = BTreeMap::new();
        outcomes.iter().for_each(|(_, outcome)| *counts.entry(outcome.name()).or_default() += 1);
        let objects = outcomes.iter().map(|(id, outcome)| (id.to_string(), outcome.name())).collect();
        Self::Ended { outcomes: counts, objects }
    }
}

/// The effects of a plan.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effects {
    /// The text that acknowledges this plan and no other: it holds the digest of the effects.
    pub acknowledgement: String,
    /// True if that text was given.
    pub acknowledged: bool,
    /// The limits that it exceeds, in words.
    pub limits: Vec<String>,
    /// The saved plan that was given, where one was.
    pub file: Option<String>,
    /// The git commit that was checked out around the manifests, where there is one.
    pub commit: Option<String>,
    /// The objects, with what is to happen to each: who finds a run broken off finds the old values here.
    pub objects: Vec<Entry>,
    /// How many objects are created.
    pub create: usize,
    /// How many are updated.
    pub update: usize,
    /// How many are removed.
    pub delete: usize,
}

impl Effects {
    /// Returns the effects of a plan that exceeds these limits.
    pub fn of(plan: &Plan, excesses: &[Excess], acknowledged: bool) -> Self {
        Self {
            acknowledgement: guard::acknowledgement(plan, excesses),
            acknowledged,
            limits: excesses.iter().map(ToString::to_string).collect(),
            file: None,
            commit: None,
            objects: plan.changes.iter().map(Entry::planned).collect(),
            create: plan.count(Action::Create),
            update: plan.count(Action::Update),
            delete: plan.count(Action::Delete),
        }
    }
}

/// A change of one object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The object's address, such as `Instance/core`.
    pub address: String,
    /// The target that holds it.
    pub target: String,
    /// The ids of the live object; null for a create.
    pub id: Value,
    /// How people tell the live object apart, such as `bk_switch #42`.
    pub label: String,
    /// `create`, `update` or `delete`.
    pub action: &'static str,
    /// The fields that change; of a removed object those that it had.
    pub fields: Vec<Field>,
    /// Its outcome; `None` while it is planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// More about that, such as the reason of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The two values of a field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Field {
    /// The path, such as `bk_inst_name`.
    pub path: String,
    /// The live value; null where there was none.
    pub before: Value,
    /// The value that is sent; null where the field goes.
    pub after: Value,
}

impl Entry {
    /// Returns the entry of a change that is to be made.
    pub fn planned(change: &Change) -> Self {
        let removed = |field: &KnownField| Field {
            path: field.path.to_string(),
            before: field.value.clone(),
            after: Value::Null,
        };
        let changed = |field: &FieldChange| Field {
            path: field.path.to_string(),
            before: field.from.clone().unwrap_or_default(),
            after: field.to.clone().unwrap_or_default(),
        };
        Self {
            address: change.id.to_string(),
            target: change.target.to_string(),
            id: change.handle.clone(),
            label: change.label.clone(),
            action: change.action.name(),
            fields: change.before.iter().map(removed).chain(change.fields.iter().map(changed)).collect(),
            outcome: None,
            detail: None,
        }
    }

    /// Returns the entry of a change that is done with.
    pub fn finished(change: &Change, outcome: &Outcome) -> Self {
        let detail = match outcome {
            Outcome::Refused(refusal) => Some(refusal.to_string()),
            Outcome::NotApplied(why) | Outcome::Unknown(why) | Outcome::Unsent(why) => Some(why.clone()),
            Outcome::Skipped(needed) => Some(format!("{needed} is not as declared")),
            Outcome::Normalised(fields) | Outcome::Dropped(fields) | Outcome::Overtaken(fields) => {
                Some(fields.iter().map(|field| field.path.as_str()).collect::<Vec<_>>().join(", "))
            }
            Outcome::Applied | Outcome::AlreadyTrue | Outcome::Stale | Outcome::Interrupted => None,
        };
        Self { outcome: Some(outcome.name()), detail, ..Self::planned(change) }
    }
}

/// A journal in a directory.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    run: String,
    /// The first entry, until it is written.
    origin: Mutex<Option<RunOrigin>>,
    /// The last entry could not be written.
    failing: AtomicBool,
}

#[derive(Serialize)]
struct Line<'a> {
    format_version: &'static str,
    time: String,
    run: &'a str,
    #[serde(flatten)]
    event: &'a Event,
}

impl Journal {
    /// Returns the journal of a directory for one run, which gets an id of its own. Nothing is written yet.
    pub fn new(directory: &Path, origin: RunOrigin) -> Self {
        let run = format!("{:013x}{:08x}", jiff::Timestamp::now().as_millisecond(), fastrand::u32(..));
        let (origin, failing) = (Mutex::new(Some(origin)), AtomicBool::default());
        Self { path: directory.join(FILE), run, origin, failing }
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the id of the run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Adds an event, behind the run's first entry where that is not there yet. When this returns it is on the disk, but
    /// for single changes: the end of their plan brings them there.
    pub fn write(&self, event: &Event) -> io::Result<()> {
        let mut origin = self.origin.lock().unwrap_or_else(PoisonError::into_inner);
        // One write: lines of several runs do not mix.
        let first = origin.clone().map(|origin| self.line(&Event::Run(origin))).transpose()?;
        let lines = [first, Some(self.line(event)?)].into_iter().flatten().collect::<Vec<_>>().join("\n");
        write::append(&self.path, &lines, !matches!(event, Event::Change(_)))?;
        *origin = None;
        Ok(())
    }

    /// Adds an event, and returns what to say where that fails and did not fail the last time.
    pub fn note(&self, event: &Event) -> Option<String> {
        let written = self.write(event);
        let failed_before = self.failing.swap(written.is_err(), Ordering::Relaxed);
        let error = written.err().filter(|_| !failed_before)?;
        Some(format!("this run is not recorded: cannot write {}: {error}", self.path.display()))
    }

    fn line(&self, event: &Event) -> io::Result<String> {
        let time = jiff::Timestamp::now().to_string();
        let line = Line { format_version: FORMAT_VERSION, time, run: &self.run, event };
        Ok(serde_json::to_string(&line)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_are_added_behind_who_ran_it() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let journal = Journal::new(&directory.path().join("a/b"), RunOrigin::here("apply", &[]));
        let entry = Entry {
            address: "Instance/x".to_owned(),
            target: "cmdb".to_owned(),
            id: json!({"bk_inst_id": 1}),
            label: "bk_switch #1".to_owned(),
            action: "update",
            fields: vec![Field { path: "ports".to_owned(), before: json!(1), after: json!(2) }],
            outcome: Some("applied"),
            detail: None,
        };
        journal.write(&Event::Change(entry)).expect("it can be written");
        let id = ResourceId::new("Instance", "x");
        journal.write(&Event::ended(&[(id, Outcome::Applied)])).expect("it can be written");
        let text = std::fs::read_to_string(journal.path()).expect("it is there");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        let types: Vec<_> = lines.iter().map(|line| &line["type"]).collect();
        assert_eq!(types, ["run", "change", "ended"]);
        assert_eq!(lines[0]["command"], "apply");
        assert_eq!(lines[1]["fields"], json!([{"path": "ports", "before": 1, "after": 2}]));
        assert_eq!(lines[2]["outcomes"]["applied"], 1);
        assert!(lines.iter().all(|line| line["run"] == journal.run()));
    }

    #[test]
    fn a_failure_is_said_once_until_it_is_over() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let place = directory.path().join("state");
        std::fs::write(&place, "in the way").expect("written");
        let journal = Journal::new(&place, RunOrigin::here("watch", &[]));
        let event = Event::ended(&[]);
        assert!(journal.note(&event).is_some());
        assert_eq!(journal.note(&event), None);
        std::fs::remove_file(&place).expect("removed");
        assert_eq!(journal.note(&event), None);
        std::fs::remove_dir_all(&place).expect("removed");
        std::fs::write(&place, "in the way again").expect("written");
        assert!(journal.note(&event).is_some());
    }
}

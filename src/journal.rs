//! The journal: what was run, let through and sent. One line of JSON for each event, only ever added to.
//!
//! It holds addresses, counts, names of outcomes and of who ran it, no values: nothing in it is secret.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::files::write;

/// The name of the file below the directory of the state.
pub const FILE: &str = "journal.ndjson";

/// Version of the lines: the number before the dot changes when a key goes or changes its meaning.
const FORMAT_VERSION: &str = "1.0";

/// What is written down.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// A plan exceeds limits: nothing was sent.
    Refused(Effects),
    /// Objects of a saved plan have moved since: nothing was sent.
    Stale(Effects),
    /// A plan is about to be carried out.
    Started(Effects),
    /// A plan was carried out.
    Ended {
        /// How many changes came to each outcome.
        outcomes: std::collections::BTreeMap<&'static str, usize>,
        /// All objects with their outcomes.
        objects: Vec<(String, &'static str)>,
    },
}

/// What a plan would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effects {
    /// The text that acknowledges this plan and no other: it holds the digest of the effects.
    pub acknowledgement: String,
    /// Whether that text was given.
    pub acknowledged: bool,
    /// The limits that it exceeds, in words.
    pub limits: Vec<String>,
    /// The saved plan that was given, where one was.
    pub file: Option<String>,
    /// Who runs the program, where the environment says so.
    pub user: Option<String>,
    /// The objects, with what is to happen to each.
    pub objects: Vec<(String, &'static str)>,
    /// How many objects are created.
    pub create: usize,
    /// How many are updated.
    pub update: usize,
    /// How many are removed.
    pub delete: usize,
}

/// A journal in a directory.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    run: String,
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
    pub fn new(directory: &Path) -> Self {
        let run = format!("{:013x}{:08x}", jiff::Timestamp::now().as_millisecond(), fastrand::u32(..));
        Self { path: directory.join(FILE), run }
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds an event; when this returns it is on the disk.
    pub fn write(&self, event: &Event) -> io::Result<()> {
        let time = jiff::Timestamp::now().to_string();
        let line = Line { format_version: FORMAT_VERSION, time, run: &self.run, event };
        // One write: lines of several runs do not mix.
        write::append(&self.path, &serde_json::to_string(&line)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let journal = Journal::new(&directory.path().join("a/b"));
        let effects = Effects {
            acknowledgement: "changes:1,deletes:0@00".to_owned(),
            acknowledged: true,
            limits: vec!["changes on cmdb".to_owned()],
            file: None,
            user: None,
            objects: vec![("Instance/x".to_owned(), "update")],
            create: 0,
            update: 1,
            delete: 0,
        };
        journal.write(&Event::Started(effects)).expect("it can be written");
        let outcomes = [("applied", 1)].into();
        journal.write(&Event::Ended { outcomes, objects: Vec::new() }).expect("it can be written");
        let text = std::fs::read_to_string(journal.path()).expect("it is there");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["type"], &lines[0]["acknowledged"]), (&"started".into(), &true.into()));
        assert_eq!((&lines[1]["type"], &lines[1]["outcomes"]["applied"]), (&"ended".into(), &1.into()));
        assert_eq!(lines[0]["run"], lines[1]["run"]);
    }
}

//! Runs that were broken off.

use std::io;

use serde::Deserialize;

use super::progress::Progress;
use crate::{
    journal::{self, Journal, Store, TargetRecord, target_record},
    plan::file::Setup,
};

/// A run that was broken off and not settled since.
#[derive(Debug)]
pub struct UnfinishedRun {
    /// Its id.
    pub id: String,
    /// Its journal, as far as it can be trusted.
    pub journal: Journal,
    /// Its targets; `None` if neither its journal nor its plan tells.
    pub targets: Option<Vec<TargetRecord>>,
}

impl UnfinishedRun {
    /// Returns true if it may have written to one of these targets.
    pub fn concerns(&self, targets: &[TargetRecord]) -> bool {
        let Some(own) = &self.targets else { return true };
        own.iter().any(|target| targets.iter().any(|other| other.key == target.key))
    }

    /// Returns the subcommand that it was started with; `None` if its journal does not tell.
    pub fn command(&self) -> Option<&str> {
        self.journal.run().map(|run| run.origin.command.as_str())
    }

    /// Returns the run in words: who, when, where, and how far it came.
    pub fn describe(&self) -> String {
        let progress = Progress::of(&self.journal);
        let (done, open) = progress.counts();
        let names = self.targets.iter().flatten().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ");
        let places = if names.is_empty() { "unknown targets".to_owned() } else { names };
        let Some(run) = self.journal.run() else {
            return format!(
                "run {} on {places}, whose journal was altered: any of its changes may have been made",
                self.id
            );
        };
        let total = run.counts.create + run.counts.update + run.counts.delete + run.counts.sync;
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "unknown".to_owned());
        let (user, host) = (name(&run.origin.user), name(&run.origin.host));
        let start = self.journal.entries.first().map(|entry| format!("{:.0}", entry.time)).unwrap_or_default();
        let how_far = if progress.is_altered {
            format!("its journal was altered; of {total} changes {done} are known to be done, any other may be")
        } else {
            format!("changes: {done} of {total} made, {open} in doubt, {} not made", total.saturating_sub(done + open))
        };
        format!("run {} by {user}@{host} ({}, started {start}) on {places}: {how_far}", self.id, run.origin.command)
    }
}

/// Returns the message about unfinished runs, with the way out.
pub(super) fn message(runs: &[UnfinishedRun]) -> String {
    let all: Vec<_> = runs.iter().map(UnfinishedRun::describe).collect();
    let first = runs.first().map(|run| run.id.as_str()).unwrap_or_default();
    format!(
        "nothing was sent: an earlier run on the same target was broken off: {}; `reconcile resume` settles and finishes \
         it, `reconcile resume --abandon {first}` only settles it",
        all.join("; ")
    )
}

/// Returns the unfinished runs on these targets, the oldest first.
pub fn unfinished_on(store: &dyn Store, targets: &[TargetRecord]) -> io::Result<Vec<UnfinishedRun>> {
    Ok(all_unfinished(store)?.into_iter().filter(|run| run.concerns(targets)).collect())
}

/// Returns all unfinished runs, the oldest first.
pub fn all_unfinished(store: &dyn Store) -> io::Result<Vec<UnfinishedRun>> {
    let runs = journal::unfinished(store)?.into_iter().map(|(id, journal)| {
        let targets = journal.run().map(|run| run.targets.clone()).or_else(|| planned_targets(store, &id));
        UnfinishedRun { id, journal, targets }
    });
    Ok(runs.collect())
}

/// Returns the targets that the plan of a run names.
fn planned_targets(store: &dyn Store, run: &str) -> Option<Vec<TargetRecord>> {
    #[derive(Deserialize)]
    struct Document {
        targets: Vec<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        platform: String,
        settings: std::collections::BTreeMap<String, String>,
    }
    let document: Document = serde_json::from_slice(&store.plan(run).ok()?).ok()?;
    let record = |target: Target| {
        let Target { name, platform, settings } = target;
        target_record(&Setup { target: name.into(), platform: platform.into(), settings })
    };
    Some(document.targets.into_iter().map(record).collect())
}

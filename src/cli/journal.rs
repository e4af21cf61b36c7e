//! The journal of `apply`, and where that of `watch` lies too.

use std::path::{Path, PathBuf};

use super::{args::ApplyArgs, error::CommandError, exit::ExitStatus, inputs, planning::PlannedRun, view::Ui};
use crate::{
    journal::{
        RunOrigin,
        old::{self as journal, Effects, Entry, Event},
    },
    model::{Change, Outcome, ResourceId},
};

/// Returns the journal of a run in the directory that was named, else in the user's own; `None` if there is no such
/// directory, and with the sandbox, whose writes are not worth one.
pub(super) fn open(named: Option<&Path>, is_sandbox: bool, origin: RunOrigin) -> Option<journal::Journal> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let named = named.map(Path::to_owned);
    let directory = named.or_else(|| if is_sandbox { None } else { directory(&variable) })?;
    Some(journal::Journal::new(&directory, origin))
}

/// The journal of an `apply`; without a directory it is kept nowhere.
pub(super) struct Journal {
    writer: Option<journal::Journal>,
    file: Option<String>,
    commit: Option<String>,
}

impl Journal {
    /// Returns the journal of a run.
    pub(super) fn of(args: &ApplyArgs, file: Option<&Path>) -> Self {
        let origin = RunOrigin::here("apply", &inputs::paths(&args.inputs));
        let commit = origin.commit.clone();
        let writer = open(args.state_dir.as_deref(), args.network.sandbox, origin);
        Self { writer, file: file.map(|file| file.display().to_string()), commit }
    }

    /// Notes that a plan is about to be carried out. One that exceeds limits is not sent where that cannot be noted:
    /// whoever lets it pass is to be found.
    pub(super) fn start(&self, planned_run: &PlannedRun<'_>, args: &ApplyArgs, ui: &Ui) -> Result<(), CommandError> {
        let must = !planned_run.excesses.is_empty() && !args.network.sandbox;
        let problem = match &self.writer {
            Some(journal) => journal.note(&Event::Started(self.effects(planned_run))),
            None if must => {
                Some("there is no place for the journal: neither --state-dir nor a home directory".to_owned())
            }
            None => None,
        };
        match problem {
            Some(problem) if must => {
                Err(CommandError::failed(format!("{problem}; an acknowledged plan is not sent unrecorded")))
            }
            Some(problem) => {
                ui.say(&format!("warning: {problem}"));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Notes that nothing of a plan was sent, where the exit code says that it was refused or had become stale.
    pub(super) fn close(&self, status: ExitStatus, planned_run: &PlannedRun<'_>) {
        let event = match status {
            ExitStatus::Refused => Event::Refused(self.effects(planned_run)),
            ExitStatus::Stale => Event::Stale(self.effects(planned_run)),
            _ => return,
        };
        self.note(&event);
    }

    /// Notes what became of a change.
    pub(super) fn change(&self, change: &Change, outcome: &Outcome) {
        self.note(&Event::Change(Entry::finished(change, outcome)));
    }

    /// Notes what became of a plan.
    pub(super) fn end(&self, outcomes: &[(ResourceId, Outcome)]) {
        self.note(&Event::ended(outcomes));
    }

    fn note(&self, event: &Event) {
        if let Some(problem) = self.writer.as_ref().and_then(|journal| journal.note(event)) {
            tracing::warn!("{problem}");
        }
    }

    fn effects(&self, planned_run: &PlannedRun<'_>) -> Effects {
        let (file, commit) = (self.file.clone(), self.commit.clone());
        Effects { file, commit, ..Effects::of(&planned_run.plan, &planned_run.excesses, planned_run.acknowledged) }
    }
}

/// The directory of the state where none is named.
fn directory(variable: &dyn Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let own = |base: PathBuf| base.join("reconcile");
    let local = || variable("HOME").map(|home| own(home.join(".local/state")));
    variable("XDG_STATE_HOME").filter(|base| base.is_absolute()).map(own).or_else(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_has_a_place() {
        let check = |variables: &[(&str, &str)], expected: Option<&str>| {
            let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, path)| path.into());
            assert_eq!(directory(&variable), expected.map(PathBuf::from));
        };
        check(&[("HOME", "/h")], Some("/h/.local/state/reconcile"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")], Some("/s/reconcile"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")], Some("/h/.local/state/reconcile"));
        check(&[], None);
    }
}

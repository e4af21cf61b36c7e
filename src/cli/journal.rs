//! What `apply` writes into the journal.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{args::ApplyArgs, exit, plan::Seen, view::Screen};
use crate::{
    journal::{self, Effects, Event},
    model::{Action, Outcome, ResourceId},
    plan::guard,
};

/// The journal of a run; without a directory it is kept nowhere.
pub(super) struct Journal {
    journal: Option<journal::Journal>,
    file: Option<String>,
}

impl Journal {
    /// Returns the journal of a run. What the sandbox is told is not worth one.
    pub(super) fn of(args: &ApplyArgs, file: Option<&Path>) -> Self {
        let home = || directory(&|name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from));
        let named = args.state_dir.clone();
        let directory = named.or_else(|| if args.network.sandbox { None } else { home() });
        let journal = directory.map(|directory| journal::Journal::new(&directory));
        Self { journal, file: file.map(|file| file.display().to_string()) }
    }

    /// Notes that a plan is about to be carried out. One that exceeds limits is not sent where that cannot be noted:
    /// whoever lets it pass is to be found.
    pub(super) fn start(&self, seen: &Seen<'_>, args: &ApplyArgs, screen: &Screen) -> Result<(), u8> {
        let must = !seen.excesses.is_empty() && !args.network.sandbox;
        let noted = match &self.journal {
            Some(journal) => {
                let noted = journal.write(&Event::Started(self.effects(seen)));
                noted.map_err(|error| format!("cannot write {}: {error}", journal.path().display()))
            }
            None => Err("there is no place for the journal: neither --state-dir nor a home directory".to_owned()),
        };
        match noted {
            Err(problem) if must => {
                screen.error(&format!("{problem}; an acknowledged plan is not sent unrecorded"));
                Err(exit::ERROR)
            }
            Err(problem) if self.journal.is_some() => {
                screen.say(&format!("warning: this run is not recorded: {problem}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Notes that nothing of a plan was sent, where the exit code says that it was refused or had become stale.
    pub(super) fn leave(&self, code: u8, seen: &Seen<'_>) {
        let event = match code {
            exit::REFUSED => Event::Refused(self.effects(seen)),
            exit::STALE => Event::Stale(self.effects(seen)),
            _ => return,
        };
        if let Some(journal) = &self.journal
            && let Err(error) = journal.write(&event)
        {
            tracing::warn!("cannot write {}: {error}", journal.path().display());
        }
    }

    /// Notes what became of a plan.
    pub(super) fn end(&self, outcomes: &[(ResourceId, Outcome)], screen: &Screen) {
        let Some(journal) = &self.journal else { return };
        let mut counts = BTreeMap::new();
        outcomes.iter().for_each(|(_, outcome)| *counts.entry(outcome.name()).or_default() += 1);
        let objects = outcomes.iter().map(|(id, outcome)| (id.to_string(), outcome.name())).collect();
        if let Err(error) = journal.write(&Event::Ended { outcomes: counts, objects }) {
            screen.say(&format!("warning: cannot write {}: {error}", journal.path().display()));
        }
    }

    fn effects(&self, seen: &Seen<'_>) -> Effects {
        let acknowledgement = guard::acknowledgement(&seen.plan, &seen.excesses);
        Effects {
            acknowledged: seen.acknowledged,
            acknowledgement,
            limits: seen.excesses.iter().map(ToString::to_string).collect(),
            file: self.file.clone(),
            user: ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok()),
            objects: seen.plan.changes.iter().map(|one| (one.id.to_string(), one.action.name())).collect(),
            create: seen.plan.count(Action::Create),
            update: seen.plan.count(Action::Update),
            delete: seen.plan.count(Action::Delete),
        }
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

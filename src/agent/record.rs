//! The agent's part of the journal.

use std::path::PathBuf;

use crate::{
    journal::{
        self,
        old::{Effects, Entry, Event, Journal},
    },
    model::{Change, Outcome, ResourceId},
    plan::{Plan, guard::Excess},
};

/// Records plans and their changes. Where that fails the agent goes on, and says so once: it sends nothing that exceeds a
/// limit, so nobody is to be found who let such a plan pass.
pub(super) struct Record {
    journal: Option<Journal>,
    paths: Vec<PathBuf>,
}

impl Record {
    /// Returns the record of a run on manifests below these paths.
    pub(super) fn new(journal: Option<Journal>, paths: &[PathBuf]) -> Self {
        Self { journal, paths: paths.to_vec() }
    }

    /// Returns the id of the run in the journal; `None` if none is kept.
    pub(super) fn run(&self) -> Option<&str> {
        self.journal.as_ref().map(Journal::run)
    }

    /// Notes that a plan exceeds limits.
    pub(super) fn refused(&self, plan: &Plan, excesses: &[Excess]) {
        self.note(|| Event::Refused(self.effects(plan, excesses)));
    }

    /// Notes that a plan is about to be carried out.
    pub(super) fn started(&self, plan: &Plan) {
        self.note(|| Event::Started(self.effects(plan, &[])));
    }

    /// Notes what became of a change.
    pub(super) fn finished(&self, change: &Change, outcome: &Outcome) {
        self.note(|| Event::Change(Entry::finished(change, outcome)));
    }

    /// Notes what became of a plan.
    pub(super) fn ended(&self, outcomes: &[(ResourceId, Outcome)]) {
        self.note(|| Event::ended(outcomes));
    }

    /// Returns the effects of a plan, with the commit of this moment: the agent outlives many.
    fn effects(&self, plan: &Plan, excesses: &[Excess]) -> Effects {
        Effects { commit: journal::commit(&self.paths), ..Effects::of(plan, excesses, false) }
    }

    fn note(&self, event: impl Fn() -> Event) {
        if let Some(problem) = self.journal.as_ref().and_then(|journal| journal.note(&event())) {
            tracing::warn!("{problem}");
        }
    }
}

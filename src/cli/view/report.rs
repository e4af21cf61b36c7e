//! The result of a run, as all forms of reports read it.

use std::time::Duration;

use super::origin::{self, Origins};
pub(in crate::cli) use crate::plan::file::write::{ManifestFiles, Record};
use crate::{
    diagnostic::Diagnostic,
    engine::{author::Trace, connection::RequestCounters},
    model::{Change, FieldChange, Outcome, ResourceId},
    plan::{Plan, file::Saved, guard::Excess, hold::HeldChanges},
    source::Sources,
};

/// The result of a run. The forms of reports read nothing else.
pub(in crate::cli) struct Report<'a> {
    /// The subcommand, such as `plan`.
    pub(in crate::cli) command: &'static str,
    /// The plan; `None` if the run ended before it was known.
    pub(in crate::cli) plan: Option<&'a Plan>,
    /// The limits that the plan exceeds.
    pub(in crate::cli) excesses: &'a [Excess],
    /// The run may go over these limits all the same: `--ack` names this very plan.
    pub(in crate::cli) acknowledged: bool,
    /// The changes that windows and suspensions hold back for now.
    pub(in crate::cli) held: &'a [HeldChanges],
    /// The outcomes, in the plan's order; `None` if nothing was to be sent.
    pub(in crate::cli) outcomes: Option<&'a [(ResourceId, Outcome)]>,
    /// Diagnostics of documents, beside those of the plan.
    pub(in crate::cli) diagnostics: &'a [Diagnostic],
    /// Errors beside the documents, each in one line.
    pub(in crate::cli) errors: &'a [String],
    /// The texts in which all places lie.
    pub(in crate::cli) sources: &'a Sources,
    /// The counters of requests; `None` if there was no connection.
    pub(in crate::cli) counters: Option<&'a RequestCounters>,
    /// How long it took to plan.
    pub(in crate::cli) took: Duration,
    /// The record from which the plan was made; `None` if it is known from a file.
    pub(in crate::cli) record: Option<&'a Record>,
    /// How values came about; `None` if that is known from a file.
    pub(in crate::cli) origins: Option<Origins<'a>>,
    /// The file that the plan was read from; `None` if it was just made.
    pub(in crate::cli) saved: Option<&'a Saved>,
    /// Show the calls too, in the forms that do not always have them.
    pub(in crate::cli) calls: bool,
    /// The last changes of live values; `None` if nobody asked.
    pub(in crate::cli) trace: Option<&'a Trace>,
}

impl<'a> Report<'a> {
    /// Returns a report of a command that has no plan so far.
    pub(in crate::cli) fn new(command: &'static str, sources: &'a Sources) -> Self {
        Self {
            command,
            plan: None,
            excesses: &[],
            acknowledged: false,
            held: &[],
            outcomes: None,
            diagnostics: &[],
            errors: &[],
            sources,
            counters: None,
            took: Duration::ZERO,
            record: None,
            origins: None,
            saved: None,
            calls: false,
            trace: None,
        }
    }
}

impl Report<'_> {
    /// Returns all that differs, what is only reported behind what is enforced, and whether it is only reported.
    pub(super) fn differences(&self) -> impl Iterator<Item = (&Change, bool)> {
        let all = self.plan.into_iter();
        all.flat_map(|plan| {
            let enforced = plan.changes.iter().map(|change| (change, false));
            enforced.chain(plan.reported.iter().map(|change| (change, true)))
        })
    }

    /// Returns how the value of a field of a change came about, in a few words; empty for one that is written where it
    /// stands.
    pub(super) fn note(&self, change: &Change, field: &FieldChange) -> String {
        if let Some(origins) = self.origins {
            return origin::note(&field.because, origins.provenance, self.sources);
        }
        let steps = self.saved.and_then(|saved| saved.steps.get(&(change.id.clone(), field.path.clone())));
        steps.map(origin::kept).unwrap_or_default()
    }
}

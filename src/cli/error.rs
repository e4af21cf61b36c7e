//! Errors of commands: each is returned with `?`, and printed and written into reports in one place.

use std::time::Duration;

use super::{
    args::Forms,
    exit::ExitStatus,
    inputs::LoadedInputs,
    signal::Stop,
    view::{Ui, report::Report},
};
use crate::{diagnostic::Diagnostic, source::Sources};

/// The parts of inputs that a report needs.
#[derive(Debug)]
struct Inputs {
    sources: Sources,
    diagnostics: Vec<Diagnostic>,
    notes: Vec<String>,
}

impl From<LoadedInputs> for Box<Inputs> {
    fn from(LoadedInputs { sources, diagnostics, notes, .. }: LoadedInputs) -> Self {
        Self::new(Inputs { sources, diagnostics, notes })
    }
}

/// A command that ended without the result it was asked for.
#[derive(Debug)]
pub(super) struct CommandError {
    status: ExitStatus,
    /// The problems, each in one line.
    problems: Vec<String>,
    /// The ways out, each in one line: for people alone.
    hints: Vec<String>,
    /// True if reports tell the problems in a part of their own.
    told_apart: bool,
    /// The inputs that were read before, for reports.
    inputs: Option<Box<Inputs>>,
    /// True if the diagnostics of the inputs were shown already.
    shown: bool,
}

impl CommandError {
    fn new(status: ExitStatus, problem: impl Into<String>) -> Self {
        Self::of(status, vec![problem.into()])
    }

    fn of(status: ExitStatus, problems: Vec<String>) -> Self {
        Self { status, problems, hints: Vec::new(), told_apart: false, inputs: None, shown: true }
    }

    /// Returns the error of a wrong command line.
    pub(super) fn usage(problem: impl Into<String>) -> Self {
        Self::new(ExitStatus::Usage, problem)
    }

    /// Returns the error of a command that could not be done.
    pub(super) fn failed(problem: impl Into<String>) -> Self {
        Self::new(ExitStatus::Failed, problem)
    }

    /// Returns the error of several problems.
    pub(super) fn all(problems: Vec<String>) -> Self {
        Self::of(ExitStatus::Failed, problems)
    }

    /// Returns the error of a plan that exceeds limits. Reports name the limits beside the plan.
    pub(super) fn refused(problems: Vec<String>) -> Self {
        Self { told_apart: true, ..Self::of(ExitStatus::Refused, problems) }
    }

    /// Returns the error of a plan whose objects have moved since.
    pub(super) fn stale(problem: impl Into<String>) -> Self {
        Self::new(ExitStatus::Stale, problem)
    }

    /// Returns the error of a command that did not learn all that it had to know.
    pub(super) fn partial(problem: impl Into<String>) -> Self {
        Self::new(ExitStatus::Partial, problem)
    }

    /// Returns the error of inputs that cannot be used: their own problems say why.
    pub(super) fn broken(inputs: LoadedInputs) -> Self {
        let problems = inputs.unread.clone();
        Self { inputs: Some(inputs.into()), shown: false, ..Self::all(problems) }
    }

    /// Returns the error of a command that a signal ended.
    pub(super) fn interrupted(stop: &Stop, problem: impl Into<String>) -> Self {
        Self::new(stop.status().unwrap_or(ExitStatus::Failed), problem)
    }

    /// Adds a way out.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Returns how the command ended.
    pub(super) fn status(&self) -> ExitStatus {
        self.status
    }

    /// Prints the problems and the ways out.
    pub(super) fn print(&self, ui: &Ui) {
        self.problems.iter().for_each(|problem| ui.error(problem));
        self.hints.iter().for_each(|hint| ui.say(hint));
    }

    /// Returns the problems that reports do not tell otherwise.
    pub(super) fn for_reports(&self) -> &[String] {
        if self.told_apart { &[] } else { &self.problems }
    }

    /// Adds inputs whose diagnostics were shown already, for reports.
    pub(super) fn with(self, inputs: LoadedInputs) -> Self {
        Self { inputs: Some(inputs.into()), ..self }
    }

    /// Adds a configuration whose diagnostics were shown already, for reports.
    pub(super) fn with_configuration(self, sources: Sources, diagnostics: Vec<Diagnostic>) -> Self {
        Self { inputs: Some(Box::new(Inputs { sources, diagnostics, notes: Vec::new() })), ..self }
    }

    /// Prints the error, writes the reports that were asked for, and returns how the command ended.
    pub(super) fn end(self, command: &'static str, forms: Option<&Forms>, ui: &Ui) -> ExitStatus {
        let nothing = Sources::default();
        let (sources, diagnostics) = match &self.inputs {
            Some(inputs) => (&inputs.sources, inputs.diagnostics.as_slice()),
            None => (&nothing, &[][..]),
        };
        if let Some(inputs) = self.inputs.as_ref().filter(|_| !self.shown) {
            inputs.notes.iter().for_each(|note| ui.say(note));
        }
        self.print(ui);
        if !self.shown {
            ui.diagnostics(diagnostics, sources);
        }
        let Some(forms) = forms else { return self.status };
        let report =
            Report { diagnostics, errors: self.for_reports(), took: Duration::ZERO, ..Report::new(command, sources) };
        report.publish(forms, self.status, ui)
    }
}

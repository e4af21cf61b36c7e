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
    /// The inputs that were read before, for reports.
    inputs: Option<Box<Inputs>>,
    /// True if the diagnostics of the inputs were shown already.
    shown: bool,
}

impl CommandError {
    fn new(status: ExitStatus, problem: impl Into<String>) -> Self {
        Self { status, problems: vec![problem.into()], inputs: None, shown: true }
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
        Self { status: ExitStatus::Failed, problems, inputs: None, shown: true }
    }

    /// Returns the error of inputs that cannot be used: their own problems say why.
    pub(super) fn broken(inputs: LoadedInputs) -> Self {
        let problems = inputs.unread.clone();
        Self { status: ExitStatus::Failed, problems, inputs: Some(inputs.into()), shown: false }
    }

    /// Returns the error of a command that a signal ended.
    pub(super) fn interrupted(stop: &Stop, problem: impl Into<String>) -> Self {
        Self::new(stop.status().unwrap_or(ExitStatus::Failed), problem)
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
        self.problems.iter().for_each(|problem| ui.error(problem));
        if !self.shown {
            ui.diagnostics(diagnostics, sources);
        }
        let Some(forms) = forms else { return self.status };
        let report =
            Report { diagnostics, errors: &self.problems, took: Duration::ZERO, ..Report::new(command, sources) };
        report.publish(forms, self.status, ui)
    }
}

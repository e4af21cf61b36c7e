//! The inputs of a command: paths, manifests and configuration as they were read.

use std::{collections::HashMap, path::PathBuf};

use super::args::Inputs;
use crate::{
    config::{Config, Target},
    diagnostic::Diagnostic,
    manifest::Set,
    source::Sources,
};

/// The loaded manifests and configuration.
#[derive(Debug)]
pub(super) struct LoadedInputs {
    /// All texts that were read.
    pub(super) sources: Sources,
    /// The configuration; `None` if there is no file.
    pub(super) config: Option<Config>,
    /// The manifests.
    pub(super) set: Set,
    /// Problems of any of it.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Files and directories that could not be read.
    pub(super) unread: Vec<String>,
    /// Remarks about the configuration.
    pub(super) notes: Vec<String>,
}

impl LoadedInputs {
    /// Returns true if the run must not go on.
    pub(super) fn is_broken(&self) -> bool {
        !self.unread.is_empty() || self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// The paths that a command was given; the current directory where none was.
pub(super) fn paths(inputs: &Inputs) -> Vec<PathBuf> {
    let given: Vec<_> = inputs.paths.iter().chain(&inputs.files).cloned().collect();
    if given.is_empty() { vec![PathBuf::from(".")] } else { given }
}

/// An error with all its causes in one line.
pub(super) fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The settings of a target that are written in the file itself.
pub(super) fn literals(target: &Target) -> HashMap<&'static str, String> {
    target.settings.keys().filter_map(|key| Some((*key, target.literal(key)?.to_owned()))).collect()
}

//! Values of flags of which there are a few.

use clap::ValueEnum;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Document {
    /// A document of a manifest
    Manifest,
    /// The configuration, `reconcile.yaml`
    Config,
    /// A plan, and what became of it
    Plan,
    /// The drift, and who caused it
    Drift,
    /// The explanation of a line of a manifest
    Explanation,
    /// Who changed what the lines of a file declare
    Blame,
    /// Runs of the past
    History,
    /// The diagnostics of a run without a plan
    Validation,
    /// One line of the stream of events
    Events,
    /// What became of runs that were broken off
    Resumption,
    /// How fault schedules ended
    Rehearsal,
    /// Manifests after variables and overlays
    Rendering,
    /// The version of the program
    Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// The same document as YAML
    Yaml,
    /// A comment on a pull request, at most 65,000 characters
    Markdown,
    /// Annotations of a GitHub workflow
    Github,
    /// Counts for GitLab's `artifacts:reports:terraform`
    Gitlab,
    /// Findings for GitLab's `artifacts:reports:codequality`
    GitlabCodeQuality,
    /// SARIF 2.1.0
    Sarif,
    /// Test results
    Junit,
}

/// The forms of what is one document or a few lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum TextOrJson {
    /// For people
    Text,
    /// One JSON document
    Json,
}

/// The forms of rendered manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RenderFormat {
    /// Manifests, with the origins of values as comments
    Yaml,
    /// One JSON document, with the origin of each value
    Json,
}

/// The forms of data that people read and programs too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum DataFormat {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// The same document as YAML
    Yaml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PartialStale {
    /// Nothing is sent
    Stop,
    /// The others are sent
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Mode {
    /// Correct it
    Enforce,
    /// Only say so
    Report,
    /// Look at nothing, and only check the manifests
    Ignore,
}

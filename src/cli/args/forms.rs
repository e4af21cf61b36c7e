//! The forms of results.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// In which forms results are shown, and where.
#[derive(Debug, Args)]
pub(in crate::cli) struct Forms {
    /// Form of the result on stdout
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "text", env = "RECONCILE_OUTPUT")]
    pub(in crate::cli) format: Format,
    /// Write the result to a file too, in a form of its own, such as `json=plan.json`; repeats
    #[arg(
        long = "output-file",
        value_name = "FORMAT=PATH",
        env = "RECONCILE_OUTPUT_FILE",
        value_delimiter = ',',
        value_parser = form_and_path
    )]
    pub(in crate::cli) output_files: Vec<(Format, PathBuf)>,
}

/// Where the stream of a run goes.
#[derive(Debug, Args)]
pub(in crate::cli) struct Stream {
    /// Write what happens into a file while it happens, one JSON document a line
    #[arg(long, value_name = "FILE", env = "RECONCILE_EVENTS")]
    pub(in crate::cli) events: Option<PathBuf>,
}

fn form_and_path(text: &str) -> Result<(Format, PathBuf), String> {
    let (form, path) = text.split_once('=').ok_or_else(|| "it is not FORMAT=PATH".to_owned())?;
    if path.is_empty() {
        return Err("it names no file".to_owned());
    }
    let form = Format::from_str(form, false).map_err(|_| {
        let known = Format::value_variants().iter().filter_map(Format::to_possible_value);
        let known: Vec<_> = known.map(|form| form.get_name().to_owned()).collect();
        format!("`{form}` is no form; there are {}", known.join(", "))
    })?;
    Ok((form, path.into()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Document {
    /// A plan, and what became of it
    Plan,
    /// What drifted, and who did that
    Drift,
    /// What a line of a manifest decides
    Explanation,
    /// What is wrong where there is no plan
    Validation,
    /// One line of the stream of events
    Events,
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

/// The forms of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Told {
    /// For people
    Text,
    /// One JSON document
    Json,
}

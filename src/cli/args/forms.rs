//! Where results go.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::choice::Format;

/// In which forms results are shown, and where.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Forms {
    /// Format of the result on stdout
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

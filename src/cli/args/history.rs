//! Arguments of `reconcile history`.

use std::path::PathBuf;

use clap::Args;

use super::{choice::DataFormat, parse::at_least_one};

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// The run to show: its id, the beginning of that, or `latest`
    #[arg(value_name = "RUN")]
    pub(in crate::cli) run: Option<String>,
    /// Directory of the journals [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
    /// Only runs on this target; repeats
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    pub(in crate::cli) target: Vec<String>,
    /// Maximum number of runs to list
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "run", value_parser = at_least_one)]
    pub(in crate::cli) limit: usize,
    /// Format of the result on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", env = "RECONCILE_HISTORY_OUTPUT")]
    pub(in crate::cli) output: DataFormat,
}

//! Arguments of `reconcile blame`.

use std::path::PathBuf;

use clap::Args;

use super::{choice::TextOrJson, inputs::Inputs, network::Network};

#[derive(Debug, Args)]
pub(in crate::cli) struct BlameArgs {
    /// Manifest, file of an overlay or values file whose lines are meant
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: String,
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Directory of the journals of runs [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
    /// Format of the result on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", env = "RECONCILE_BLAME_OUTPUT")]
    pub(in crate::cli) output: TextOrJson,
}

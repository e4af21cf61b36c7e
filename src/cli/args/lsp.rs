//! Arguments of `reconcile lsp`.

use std::path::PathBuf;

use clap::Args;

use super::inputs::Inputs;

#[derive(Debug, Args)]
pub(in crate::cli) struct LspArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    /// Show live values from a snapshot, or from the newest one in a directory; read again on save and on request
    #[arg(long, value_name = "PATH", env = "RECONCILE_AGAINST")]
    pub(in crate::cli) against: Option<PathBuf>,
    /// Directory of the journals of runs [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
}

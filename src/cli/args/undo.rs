//! Arguments of `reconcile undo`.

use std::path::PathBuf;

use clap::Args;

use super::{forms::Forms, network::Network, parse::truth, safety::SafetyArgs};

#[derive(Debug, Args)]
pub(in crate::cli) struct UndoArgs {
    /// The run to put back: its id, the beginning of that, or `latest`
    #[arg(value_name = "RUN")]
    pub(in crate::cli) run: String,
    /// Save the plan in this file, for `show` and `apply`
    #[arg(long, value_name = "FILE", env = "RECONCILE_OUT")]
    pub(in crate::cli) out: PathBuf,
    /// Configuration [default: reconcile.yaml in the current directory or above]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Directory of the journals [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) forms: Forms,
    /// Show the calls too
    #[arg(long, env = "RECONCILE_CALLS", value_parser = truth)]
    pub(in crate::cli) calls: bool,
    #[command(flatten, next_help_heading = "Safety")]
    pub(in crate::cli) safety: SafetyArgs,
}

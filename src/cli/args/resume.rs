//! Arguments of `reconcile resume`.

use std::path::PathBuf;

use clap::Args;

use super::{choice::TextOrJson, network::Network, state::StateArgs};

#[derive(Debug, Args)]
pub(in crate::cli) struct ResumeArgs {
    /// Settle this run by reading, close it, and send nothing; the beginning of its id is enough
    #[arg(long, value_name = "RUN")]
    pub(in crate::cli) abandon: Option<String>,
    /// Configuration [default: `reconcile.yaml` in the current directory or above it]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) state: StateArgs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Form of the report
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "text",
        env = "RECONCILE_RESUME_OUTPUT",
        help_heading = "Output"
    )]
    pub(in crate::cli) output: TextOrJson,
    /// Read each object back after its write
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, env = "RECONCILE_VERIFY")]
    pub(in crate::cli) verify: bool,
}

//! Arguments of `reconcile plan`.

use std::path::PathBuf;

use clap::Args;

use super::{inputs::Inputs, network::Network, output::Output, parse::truth, safety::SafetyArgs};

#[derive(Debug, Args)]
pub(in crate::cli) struct PlanArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) output: Output,
    /// Also delete live objects in the `prune` scopes of the configuration that no document declares; give every
    /// directory with manifests as PATH
    #[arg(long, env = "RECONCILE_PRUNE", value_parser = truth)]
    pub(in crate::cli) prune: bool,
    #[command(flatten, next_help_heading = "Safety")]
    pub(in crate::cli) safety: SafetyArgs,
    /// Save the plan in a file, for `show` and `apply`
    #[arg(long, value_name = "FILE", env = "RECONCILE_OUT")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Read a snapshot instead of the live state: no network, no credentials
    #[arg(long, value_name = "FILE", env = "RECONCILE_AGAINST", conflicts_with = "sandbox")]
    pub(in crate::cli) against: Option<PathBuf>,
    /// Directory of the journals of runs and of locks [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
}

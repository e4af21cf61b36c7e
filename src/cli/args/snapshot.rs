//! Arguments of `reconcile snapshot`.

use std::path::PathBuf;

use clap::Args;

use super::{inputs::Inputs, network::Network, parse::truth};

#[derive(Debug, Args)]
pub(in crate::cli) struct SnapshotArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Output file [default: stdout]
    #[arg(long, value_name = "FILE", env = "RECONCILE_SNAPSHOT_OUT")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Include the `prune` scopes of the configuration, for plans with --prune
    #[arg(long, env = "RECONCILE_PRUNE", value_parser = truth)]
    pub(in crate::cli) prune: bool,
    /// Include who changed each object last, and when, for editors
    #[arg(long, env = "RECONCILE_AUTHORS", value_parser = truth)]
    pub(in crate::cli) authors: bool,
}

//! Arguments of `reconcile drift`.

use clap::Args;

use super::{inputs::Inputs, network::Network, output::Output};

#[derive(Debug, Args)]
pub(in crate::cli) struct DriftArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) output: Output,
}

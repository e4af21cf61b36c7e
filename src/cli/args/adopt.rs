//! The arguments of `adopt`.

use clap::Args;

use super::{Inputs, Network, parse::truth};

#[derive(Debug, Args)]
pub(in crate::cli) struct AdoptArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Change the files instead of printing a patch
    #[arg(long, env = "RECONCILE_WRITE", value_parser = truth, help_heading = "Output")]
    pub(in crate::cli) write: bool,
    /// Also adopt differences of which it is not known which side moved
    #[arg(long, env = "RECONCILE_UNKNOWN", value_parser = truth, help_heading = "Output")]
    pub(in crate::cli) unknown: bool,
}

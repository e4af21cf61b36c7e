//! Arguments of `reconcile explain`.

use std::path::PathBuf;

use clap::Args;

use super::{choice::TextOrJson, inputs::Inputs, network::Network, place::Place};

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArgs {
    /// The place to explain; without a column all values of the line
    #[arg(value_name = "FILE:LINE[:COLUMN]")]
    pub(in crate::cli) place: Place,
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Read a snapshot instead of the live state: no network, no credentials
    #[arg(long, value_name = "FILE", env = "RECONCILE_AGAINST", conflicts_with = "sandbox")]
    pub(in crate::cli) against: Option<PathBuf>,
    /// Format of the result on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", env = "RECONCILE_EXPLAIN_OUTPUT")]
    pub(in crate::cli) output: TextOrJson,
}

//! Arguments of `reconcile validate`.

use std::path::PathBuf;

use clap::Args;

use super::{
    forms::{Forms, Stream},
    inputs::Inputs,
    network::Network,
    parse::truth,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ValidateArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Check fields and values against the models on the servers too; the objects need not exist
    #[arg(long, env = "RECONCILE_ONLINE", value_parser = truth)]
    pub(in crate::cli) online: bool,
    /// Read a snapshot instead of the live state: no network, no credentials
    #[arg(long, value_name = "FILE", env = "RECONCILE_AGAINST", conflicts_with_all = ["sandbox", "online"])]
    pub(in crate::cli) against: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) forms: Forms,
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) stream: Stream,
}

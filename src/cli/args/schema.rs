//! Arguments of `reconcile schema`.

use std::path::PathBuf;

use clap::Args;

use super::{choice::Document, inputs::Inputs, network::Network, parse::truth};

#[derive(Debug, Args)]
pub(in crate::cli) struct SchemaArgs {
    /// Document to describe
    #[arg(value_name = "DOCUMENT")]
    pub(in crate::cli) document: Document,
    /// Add the fields, types and options of the models that the manifests name, as the servers define them
    #[arg(long, env = "RECONCILE_SCHEMA_ONLINE", value_parser = truth)]
    pub(in crate::cli) online: bool,
    /// Read a snapshot instead of the live state: no network, no credentials
    #[arg(long, value_name = "FILE", env = "RECONCILE_AGAINST", conflicts_with_all = ["sandbox", "online"])]
    pub(in crate::cli) against: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
}

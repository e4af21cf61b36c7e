//! Arguments of `reconcile schema`.

use clap::Args;

use super::choice::Document;

#[derive(Debug, Args)]
pub(in crate::cli) struct SchemaArgs {
    /// Document to describe
    #[arg(value_name = "DOCUMENT")]
    pub(in crate::cli) document: Document,
}

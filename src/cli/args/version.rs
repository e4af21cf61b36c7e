//! Arguments of `reconcile version`.

use clap::Args;

use super::choice::TextOrJson;

#[derive(Debug, Args)]
pub(in crate::cli) struct VersionArgs {
    /// Format of the result
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: TextOrJson,
}

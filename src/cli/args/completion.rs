//! Arguments of `reconcile completion`.

use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Args)]
pub(in crate::cli) struct CompletionArgs {
    /// Shell to complete commands and flags in
    #[arg(value_name = "SHELL")]
    pub(in crate::cli) shell: Shell,
}

//! Arguments of `reconcile lsp`.

use clap::Args;

use super::inputs::Inputs;

#[derive(Debug, Args)]
pub(in crate::cli) struct LspArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
}

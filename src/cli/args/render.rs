//! Arguments of `reconcile render`.

use clap::Args;

use super::{choice::RenderFormat, inputs::Inputs};

#[derive(Debug, Args)]
pub(in crate::cli) struct RenderArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    /// Format of the result on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "yaml", env = "RECONCILE_RENDER_OUTPUT")]
    pub(in crate::cli) output: RenderFormat,
}

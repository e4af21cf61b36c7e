//! Arguments of `reconcile show`.

use std::path::PathBuf;

use clap::Args;

use super::{forms::Forms, parse::truth};

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// A plan that `plan --out` saved
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) forms: Forms,
    /// Show the calls too
    #[arg(long, env = "RECONCILE_CALLS", value_parser = truth)]
    pub(in crate::cli) calls: bool,
}

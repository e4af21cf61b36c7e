//! How results are shown.

use clap::Args;

use super::{
    forms::{Forms, Stream},
    parse::truth,
};

/// How results are shown.
#[derive(Debug, Args)]
pub(in crate::cli) struct Output {
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) forms: Forms,
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) stream: Stream,
    /// Exit with 2 if there are changes
    #[arg(long, alias = "non-zero-exit-code", env = "RECONCILE_DETAILED_EXITCODE", value_parser = truth)]
    pub(in crate::cli) detailed_exitcode: bool,
    /// Show the calls too
    #[arg(long, env = "RECONCILE_CALLS", value_parser = truth)]
    pub(in crate::cli) calls: bool,
}

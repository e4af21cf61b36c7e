//! How the program talks on stderr.

use clap::Args;

use super::{
    choice::{Color, LogFormat},
    parse::truth,
};

/// How the program talks on stderr.
#[derive(Debug, Args)]
pub(in crate::cli) struct LoggingArgs {
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", env = "RECONCILE_COLOR")]
    pub(in crate::cli) color: Color,
    /// Print more on stderr: -v each call, -vv each request
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(in crate::cli) verbose: u8,
    /// Print errors only
    #[arg(short, long, global = true, env = "RECONCILE_QUIET", value_parser = truth)]
    pub(in crate::cli) quiet: bool,
    /// Format of the log on stderr
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", env = "RECONCILE_LOG_FORMAT")]
    pub(in crate::cli) log_format: LogFormat,
}

//! Where runs are recorded and locked.

use std::path::PathBuf;

use clap::Args;

use super::parse::duration;

/// Where runs are recorded and locked.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct StateArgs {
    /// Directory of the journals of runs and of locks [default: `reconcile` in the user's directory for state]
    #[arg(long, value_name = "DIR", env = "RECONCILE_STATE_DIR")]
    pub(in crate::cli) state_dir: Option<PathBuf>,
    /// How long to wait for other runs on the same targets, such as 5m
    #[arg(long, value_name = "DURATION", default_value = "0s", env = "RECONCILE_LOCK_TIMEOUT", value_parser = duration)]
    pub(in crate::cli) lock_timeout: std::time::Duration,
}

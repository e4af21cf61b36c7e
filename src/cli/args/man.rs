//! Arguments of `reconcile man`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct ManArgs {
    /// Directory to write the pages to; made if it is missing
    #[arg(value_name = "DIR")]
    pub(in crate::cli) directory: PathBuf,
}

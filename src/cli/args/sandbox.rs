//! Arguments of `reconcile sandbox`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(in crate::cli) struct SandboxArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080", env = "RECONCILE_SANDBOX_LISTEN")]
    pub(in crate::cli) listen: std::net::SocketAddr,
    /// State to start from (YAML or JSON); repeats
    ///
    /// Sections of several files are merged, lists are put one behind the other; no two rows may have one id.
    #[arg(long, value_name = "FILE", env = "RECONCILE_STATE", value_delimiter = ',')]
    pub(in crate::cli) state: Vec<PathBuf>,
}

//! Arguments of `reconcile import`.

use std::path::PathBuf;

use clap::Args;

use super::{Layout, network::Network};

#[derive(Debug, Args)]
pub(in crate::cli) struct ImportArgs {
    /// Spreadsheet that the page of BlueKing CMDB exported, or its template that people filled
    #[arg(value_name = "FILE.xlsx")]
    pub(in crate::cli) file: PathBuf,
    /// Model of the instances
    #[arg(long, value_name = "MODEL")]
    pub(in crate::cli) model: String,
    /// Target of the configuration [default: the only one with such instances]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) target: Option<String>,
    /// Read the definitions of models from a snapshot: no network, no credentials
    #[arg(long, value_name = "SNAPSHOT", conflicts_with = "sandbox")]
    pub(in crate::cli) from: Option<PathBuf>,
    /// Configuration [default: reconcile.yaml in the current directory or above]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Directory to write the files to; no file that differs is replaced [default: stdout]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// How documents are spread over the files of --out
    #[arg(long, value_name = "LAYOUT", default_value = "group", help_heading = "Output")]
    pub(in crate::cli) layout: Layout,
}

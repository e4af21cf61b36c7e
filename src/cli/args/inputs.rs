//! The manifests, and the part of them to work on.

use std::path::PathBuf;

use clap::Args;

use super::{parse::truth, selection::Selection};

/// The manifests, and the part of them to work on.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Inputs {
    /// Manifest files or directories; `-` is stdin
    #[arg(value_name = "PATH", help_heading = "Arguments")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// Same as PATH
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Configuration [default: reconcile.yaml beside the first PATH or in a parent directory]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Set a variable of the manifests; repeats
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(in crate::cli) set: Vec<String>,
    /// Read variables from a YAML file; repeats, later files win
    #[arg(long, value_name = "FILE", env = "RECONCILE_VALUES", value_delimiter = ',')]
    pub(in crate::cli) values: Vec<PathBuf>,
    /// Merge the documents of this directory over those with the same kind and name; repeats, later ones win
    ///
    /// Key by key: lists, scalars and null replace what PATH says. A directory below PATH is not read as manifests.
    #[arg(long = "overlay", value_name = "DIR", env = "RECONCILE_OVERLAY", value_delimiter = ',')]
    pub(in crate::cli) overlays: Vec<PathBuf>,
    /// Follow links in directories wherever they lead; without it only within the git work tree or PATH
    #[arg(long, env = "RECONCILE_FOLLOW_LINKS", value_parser = truth)]
    pub(in crate::cli) follow_links: bool,
    /// Accept that nothing is declared where no manifest is found
    #[arg(long, env = "RECONCILE_ALLOW_EMPTY", value_parser = truth)]
    pub(in crate::cli) allow_empty: bool,
    #[command(flatten)]
    pub(in crate::cli) selection: Selection,
}

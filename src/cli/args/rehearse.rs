//! Arguments of `reconcile rehearse`.

use std::path::PathBuf;

use clap::Args;

use super::choice::TextOrJson;

#[derive(Debug, Args)]
pub(in crate::cli) struct RehearseArgs {
    /// A plan that `plan --out` saved
    #[arg(value_name = "PLAN")]
    pub(in crate::cli) plan: PathBuf,
    /// A snapshot of the state that the plan was made for
    #[arg(long, value_name = "SNAPSHOT")]
    pub(in crate::cli) against: PathBuf,
    /// Number of fault schedules, one for each seed from 1
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(in crate::cli) seeds: u64,
    /// Replay the schedule of one seed and print its history
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    pub(in crate::cli) seed: Option<u64>,
    /// Configuration [default: reconcile.yaml beside PLAN or in a parent directory]
    #[arg(long, value_name = "FILE", env = "RECONCILE_CONFIG")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// Format of the result on stdout
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", env = "RECONCILE_REHEARSE_OUTPUT")]
    pub(in crate::cli) output: TextOrJson,
}

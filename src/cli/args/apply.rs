//! Arguments of `reconcile apply`.

use clap::Args;

use super::{
    choice::PartialStale, inputs::Inputs, network::Network, output::Output, parse::truth, safety::SafetyArgs,
    state::StateArgs,
};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(in crate::cli) struct ApplyArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    #[command(flatten, next_help_heading = "Output")]
    pub(in crate::cli) output: Output,
    /// Also delete live objects in the `prune` scopes of the configuration that no document declares; give every
    /// directory with manifests as PATH
    #[arg(long, env = "RECONCILE_PRUNE", value_parser = truth)]
    pub(in crate::cli) prune: bool,
    #[command(flatten, next_help_heading = "Safety")]
    pub(in crate::cli) safety: SafetyArgs,
    /// Apply although windows or suspensions hold changes back; REASON is recorded in the journal
    #[arg(long, value_name = "REASON", env = "RECONCILE_OVERRIDE_HOLDS")]
    pub(in crate::cli) override_holds: Option<String>,
    #[command(flatten, next_help_heading = "Safety")]
    pub(in crate::cli) state: StateArgs,
    /// First settle and finish runs on the same targets that were broken off, as `resume` does
    #[arg(long, env = "RECONCILE_RESUME", value_parser = truth)]
    pub(in crate::cli) resume: bool,
    /// Do not ask
    #[arg(short = 'y', long, env = "RECONCILE_AUTO_APPROVE", value_parser = truth)]
    pub(in crate::cli) auto_approve: bool,
    /// Handling of a saved plan with stale objects: `stop` sends nothing, `skip` applies the others
    #[arg(long, value_name = "WHAT", default_value = "stop", env = "RECONCILE_PARTIAL_STALE")]
    pub(in crate::cli) partial_stale: PartialStale,
    /// Plan only
    #[arg(long, env = "RECONCILE_DRY_RUN", value_parser = truth)]
    pub(in crate::cli) dry_run: bool,
    /// Read each object back after its write
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, env = "RECONCILE_VERIFY")]
    pub(in crate::cli) verify: bool,
}

impl ApplyArgs {
    /// Returns why changes are made that are held back; `None` if they are not to be made. A CI variable that nobody set
    /// is empty.
    pub(in crate::cli) fn override_reason(&self) -> Option<&str> {
        self.override_holds.as_deref().map(str::trim).filter(|reason| !reason.is_empty())
    }
}

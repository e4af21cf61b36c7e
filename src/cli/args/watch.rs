//! Arguments of `reconcile watch`.

use clap::Args;

use super::{
    choice::Mode,
    inputs::Inputs,
    network::Network,
    parse::{duration, truth},
    state::StateArgs,
};

#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct WatchArgs {
    #[command(flatten, next_help_heading = "Inputs and selection")]
    pub(in crate::cli) inputs: Inputs,
    #[command(flatten, next_help_heading = "Connection")]
    pub(in crate::cli) network: Network,
    /// Reaction to drift [default: enforce, or `watch.mode` of the configuration]
    #[arg(long, value_name = "MODE", env = "RECONCILE_MODE")]
    pub(in crate::cli) mode: Option<Mode>,
    /// Time between two full reconciliations, such as 5m [default: 5m, or `watch.resync`]
    #[arg(long, value_name = "DURATION", env = "RECONCILE_RESYNC", value_parser = duration)]
    pub(in crate::cli) resync: Option<std::time::Duration>,
    /// Address of /healthz, /readyz and /metrics [default: 127.0.0.1:8321, or `watch.listen`]
    #[arg(long, value_name = "ADDR", env = "RECONCILE_LISTEN")]
    pub(in crate::cli) listen: Option<std::net::SocketAddr>,
    #[command(flatten)]
    pub(in crate::cli) state: StateArgs,
    /// Poll the files every few seconds instead of waiting for events of the file system
    #[arg(long, env = "RECONCILE_POLL", value_parser = truth)]
    pub(in crate::cli) poll: bool,
}

//! `reconcile sandbox`, and the sandbox that `--sandbox` starts inside another command.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use reconcile_sandbox::{Running, Sandbox};
use serde_json::Value;

use super::{args::SandboxArgs, error::CommandError, exit::ExitStatus, inputs, signal::Stop, state, view::Ui};
use crate::{config::Target, provider::Endpoint};

/// The account of the process that embeds a sandbox whose state asks for credentials.
const GUEST: &str = "embedded-sandbox";

/// Serves until a signal comes.
pub(super) async fn run(args: &SandboxArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let (sandbox, _) = state::load(&args.state).map_err(CommandError::all)?;
    if !args.listen.ip().is_loopback() {
        ui.always(&format!(
            "warning: {} can be reached from other machines, and whoever reaches it can change its state",
            args.listen
        ));
    }
    let stop = Stop::listen();
    let running = sandbox.start(args.listen).await;
    let running =
        running.map_err(|error| CommandError::failed(format!("cannot listen on {}: {error}", args.listen)))?;
    ui.out(&format!("sandbox listening on http://{}\n", running.address));
    stop.token().cancelled().await;
    let _ = running.shutdown().await;
    Ok(ExitStatus::Success)
}

/// The sandbox of a command with `--sandbox`.
pub(super) struct Embedded {
    sandbox: Sandbox,
    state: Value,
    running: Running,
}

impl Embedded {
    /// Starts a sandbox with the states of files in it.
    pub(super) async fn start(files: &[PathBuf]) -> Result<Self, String> {
        let (sandbox, mut state) = state::load(files).map_err(|problems| problems.join("\n"))?;
        if sandbox.admit(&mut state, GUEST) {
            sandbox.load(&state).map_err(|mistakes| format!("the sandbox refused its guest: {mistakes:?}"))?;
        }
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let running = sandbox.start(listen).await.map_err(|error| format!("the sandbox cannot listen: {error}"))?;
        Ok(Self { sandbox, state, running })
    }

    /// Returns the address that it listens on.
    pub(super) fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Returns where a target's requests go instead of to the real platform. No secret of the target is read: what
    /// its settings take from elsewhere is taken from the state.
    pub(super) fn endpoint(&self, target: &Target) -> Endpoint {
        let mut settings = inputs::literals(target);
        let given = |key: &str| settings.get(key).cloned();
        let access = self.sandbox.guest_access(target.platform.name(), &self.state, &given, GUEST);
        for (key, value) in &access.settings {
            settings.extend(value.clone().map(|value| (*key, value)));
        }
        target.platform.fill_settings(&mut settings, &|name| std::env::var(name).ok());
        settings.retain(|key, _| !access.settings.contains(&(*key, None)));
        let secrets = access.secrets.into_iter().map(|(key, secret)| (key, secret.into())).collect();
        Endpoint { url: format!("http://{}", self.running.address), settings, secrets }
    }

    /// Returns the calls that it got, by operation, writes first, and ends it.
    pub(super) async fn end(self) -> Vec<(String, u64)> {
        let counts = self.sandbox.call_counts();
        let _ = self.running.shutdown().await;
        counts.into_iter().collect()
    }
}

//! `reconcile sandbox`, and the sandbox that `--sandbox` starts inside another command.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use reconcile_sandbox::{Running, Sandbox};
use serde_json::{Value, json};

use super::{args::SandboxArgs, exit, setup, signal::Stop, state, view::Ui};
use crate::{config::Target, provider::Endpoint};

/// The account of the process that embeds a sandbox whose state asks for credentials.
const GUEST: &str = "embedded-sandbox";

/// Serves until a signal comes.
pub(super) async fn run(args: &SandboxArgs, ui: &Ui) -> u8 {
    let sandbox = match state::load(&args.state) {
        Ok((sandbox, _)) => sandbox,
        Err(problems) => {
            problems.iter().for_each(|problem| ui.error(problem));
            return exit::ERROR;
        }
    };
    if !args.listen.ip().is_loopback() {
        ui.always(&format!(
            "warning: {} can be reached from other machines, and whoever reaches it can change its state",
            args.listen
        ));
    }
    let stop = Stop::listen();
    let running = match sandbox.start(args.listen).await {
        Ok(running) => running,
        Err(error) => {
            ui.error(&format!("cannot listen on {}: {error}", args.listen));
            return exit::ERROR;
        }
    };
    Ui::out(&format!("sandbox listening on http://{}\n", running.address));
    stop.token().cancelled().await;
    let _ = running.shutdown().await;
    exit::OK
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
        if let Some(admitted) = admit_guest(&state) {
            sandbox.load(&admitted).map_err(|mistakes| format!("the sandbox refused its guest: {mistakes:?}"))?;
            state = admitted;
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
        let mut settings = setup::literals(target);
        let first = |list: &str, key: &str| self.state.pointer(&format!("/roma-connect/{list}/0/{key}"))?.as_str();
        // A project that only its token or its name would tell: that of the instance, else the first one.
        let instances = self.state.pointer("/roma-connect/instances").and_then(Value::as_array);
        let own = instances
            .into_iter()
            .flatten()
            .find(|row| row["id"].as_str() == settings.get("instanceId").map(String::as_str));
        let project = own.and_then(|row| row["project_id"].as_str()).or_else(|| first("projects", "id"));
        let stand_ins = [
            ("username", Some(GUEST)),
            ("appCode", Some(GUEST)),
            ("projectId", project.or(Some(GUEST))),
            ("instanceId", first("instances", "id")),
        ];
        for (key, value) in stand_ins {
            if let Some(value) = value {
                settings.entry(key).or_insert_with(|| value.to_owned());
            }
        }
        // Its own account, whatever accounts the target has.
        settings.insert("appCode", GUEST.to_owned());
        settings.insert("username", GUEST.to_owned());
        settings.remove("endpoint");
        target.complete(&mut settings, &|name| std::env::var(name).ok());
        // Its gateway has one stage.
        settings.remove("stage");
        Endpoint {
            url: format!("http://{}", self.running.address),
            settings,
            secrets: HashMap::from([("appSecret", GUEST.into()), ("token", GUEST.into())]),
        }
    }

    /// Returns the calls that it got, by operation, writes first, and ends it.
    pub(super) async fn end(self) -> Vec<(String, u64)> {
        let counts = self.sandbox.call_counts();
        let _ = self.running.shutdown().await;
        counts.into_iter().collect()
    }
}

/// Adds the guest's credentials where a state asks for credentials; returns none where it accepts any.
fn admit_guest(state: &Value) -> Option<Value> {
    let mut state = state.clone();
    let mut changed = false;
    if let Some(apps) = state.pointer_mut("/bk-cmdb/credentials/apps").and_then(Value::as_object_mut) {
        apps.insert(GUEST.to_owned(), json!(GUEST));
        changed = true;
    }
    if let Some(users) = state.pointer_mut("/bk-cmdb/credentials/users").and_then(Value::as_array_mut) {
        users.push(json!(GUEST));
        changed = true;
    }
    if let Some(credentials) = state.pointer_mut("/roma-connect/credentials").and_then(Value::as_object_mut) {
        let tokens = credentials.entry("tokens").or_insert_with(|| json!({}));
        tokens[GUEST] = json!({});
        changed = true;
    }
    changed.then_some(state)
}

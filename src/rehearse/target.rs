//! A simulated server, made of a snapshot.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use reconcile_sandbox::{Sandbox, simulator::Listing};

use serde_json::json;

use crate::{
    provider::{Endpoint, Platform},
    snapshot::TargetSnapshot,
};

/// The account of the rehearsal on the simulated servers.
const GUEST: &str = "rehearsal";

/// A target whose server is simulated.
pub struct SimulatedTarget {
    /// Its name.
    pub(super) name: Arc<str>,
    /// Its platform.
    pub(super) platform: &'static dyn Platform,
    /// The settings and secrets by which the simulator is reached; its URL does not count.
    pub(super) endpoint: Endpoint,
    /// The simulator with its state.
    pub(super) sandbox: Sandbox,
    /// Maximum number of concurrent requests.
    pub(super) concurrency: Option<usize>,
    /// Maximum number of requests a second.
    pub(super) rate: Option<f64>,
}

/// The settings of a target as a configuration spells them out, and its limits.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    /// The settings that are no references.
    pub settings: HashMap<&'static str, String>,
    /// Maximum number of concurrent requests.
    pub concurrency: Option<usize>,
    /// Maximum number of requests a second.
    pub rate: Option<f64>,
}

impl SimulatedTarget {
    /// Returns a target whose simulator holds what a snapshot does that was taken at a time. An error says what the simulator does not take.
    pub fn new(
        name: Arc<str>,
        platform: &'static dyn Platform,
        snapshot: &TargetSnapshot,
        taken: Timestamp,
        configured: Configured,
    ) -> Result<Self, String> {
        let sandbox = Sandbox::new();
        let listings: Vec<Listing> = snapshot
            .scopes
            .iter()
            .filter_map(|(scope, content)| {
                let rows = content.as_ref().ok()?.rows().to_vec();
                Some(Listing { operation: scope.operation().to_owned(), arguments: scope.arguments(), rows })
            })
            .collect();
        let refused = |mistakes: Vec<reconcile_sandbox::simulator::StateError>| {
            let first = mistakes.first().map(|mistake| format!("{}: {}", mistake.pointer, mistake.message));
            format!("the snapshot of target `{name}` cannot be simulated: {}", first.unwrap_or_default())
        };
        let state = sandbox.listed(platform.name(), &listings, &snapshot.settings).map_err(refused)?;
        // What rows do not say of themselves, such as when they were made, is the same each time.
        let frozen = json!({"frozen": taken.to_string()});
        sandbox.set_option("clock", &frozen).map_err(|why| format!("the time {taken} cannot be simulated: {why}"))?;
        sandbox.load(&state).map_err(refused)?;
        let Configured { mut settings, concurrency, rate } = configured;
        let known = platform.settings().iter().map(|setting| setting.name);
        let taken = known.filter_map(|key| Some((key, snapshot.settings.get(key)?.clone())));
        for (key, value) in taken.collect::<Vec<_>>() {
            settings.entry(key).or_insert(value);
        }
        let given = settings.clone();
        let access = sandbox.guest_access(platform.name(), &state, &|key| given.get(key).cloned(), GUEST);
        for (key, value) in &access.settings {
            settings.extend(value.clone().map(|value| (*key, value)));
        }
        platform.fill_settings(&mut settings, &|_| None);
        settings.retain(|key, _| !access.settings.contains(&(*key, None)));
        let secrets = access.secrets.into_iter().map(|(key, secret)| (key, secret.into())).collect();
        let endpoint = Endpoint { url: String::new(), settings, secrets };
        Ok(Self { name, platform, endpoint, sandbox, concurrency, rate })
    }
}

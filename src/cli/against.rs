//! A snapshot in place of the servers: `plan --against`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use super::{
    args::Network,
    inputs,
    setup::Connected,
    view::{Ui, snapshot as snapshot_view},
};
use crate::{
    config::{self, Config, Setting},
    engine::{
        connection::{self, Connection, Shared},
        scope_reader::ScopeReader,
    },
    model::Refusal,
    platform,
    provider::{Platform, scope::ScopeSchema, settings::Role},
    snapshot::{Snapshot, TargetSnapshot},
    transport::{Options, Transport},
};

/// Opens a snapshot in place of connections: nothing is sent, and no secret is looked for.
pub(super) fn open(
    file: &Path,
    network: &Network,
    config: Option<&Config>,
    used: &BTreeSet<Arc<str>>,
    ui: &Ui,
) -> Result<Connected, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut snapshot = Snapshot::from_text(&text).map_err(|error| format!("cannot use {shown}: {error}"))?;
    let age = Timestamp::now().duration_since(snapshot.taken);
    ui.say(&snapshot_view::age(&shown.to_string(), snapshot.taken, Duration::try_from(age).ok()));
    if !snapshot.missing.is_empty() {
        ui.say(&format!("warning: the snapshot is incomplete: it lacks {}", snapshot.missing.join(", ")));
    }
    let options = Options { timeout: network.timeout, ..Options::default() };
    let transport = Transport::new(&options).map_err(|error| inputs::explain(&error))?;
    let shared = Shared::new(transport, network.parallelism, network.rate);
    let (mut connections, mut snapshot_scopes) = (Vec::new(), BTreeMap::new());
    for name in used {
        let target = config.and_then(|config| config.targets.iter().find(|target| target.name == *name));
        let of_name = || platform::ALL.iter().copied().find(|platform| platform.name() == &**name);
        let Some(platform) = target.map(|target| target.platform).or_else(of_name) else { continue };
        let of_platform = schema_of(platform)?;
        let target_snapshot = snapshot.targets.remove(&**name);
        let target_snapshot = target_snapshot.ok_or_else(|| format!("the snapshot does not hold the target `{name}`"));
        let target_snapshot = target_snapshot
            .and_then(|target_snapshot| Ok((settings(target, platform, &target_snapshot)?, target_snapshot)));
        let (settings, scopes) = match target_snapshot {
            Ok((settings, target_snapshot)) => (Ok(settings), target_snapshot.scopes),
            Err(why) => (Err(Refusal::new(None, why)), BTreeMap::new()),
        };
        snapshot_scopes.insert(name.clone(), ScopeReader::kept(of_platform, settings, scopes));
        let target = connection::Target {
            name: name.clone(),
            platform,
            resolve: Arc::new(|| Err("a plan against a snapshot connects to nothing".to_owned())),
            concurrency: None,
            rate: None,
        };
        connections.push(Connection::new(target, shared.clone()));
    }
    Ok(Connected { connections, shared, sandbox: None, snapshot_scopes })
}

/// Says what was answered from something that does not quite tell.
pub(super) fn guesses(connected: &Connected, ui: &Ui) {
    for (name, scopes) in &connected.snapshot_scopes {
        for guess in scopes.guessed() {
            let hint = "what this identity does not see may differ";
            ui.say(&format!("warning: target `{name}`: the snapshot answers {guess}; {hint}"));
        }
    }
}

pub(super) fn schema_of(platform: &dyn Platform) -> Result<&'static dyn ScopeSchema, String> {
    platform.snapshot_scopes().ok_or_else(|| format!("there are no snapshots of {}", platform.name()))
}

/// Returns the settings of a target: what the configuration spells out now, and what stood behind its references when
/// the snapshot was taken.
pub(super) fn settings(
    target: Option<&config::Target>,
    platform: &dyn Platform,
    target_snapshot: &TargetSnapshot,
) -> Result<HashMap<String, String>, String> {
    if target_snapshot.platform != platform.name() {
        return Err(format!("the snapshot holds it as a target of {}", target_snapshot.platform));
    }
    let loaded = |key: &str| target?.settings.get(key).map(|setting| &setting.value);
    for key in platform.settings_of(Role::Identifies) {
        if let (Some(Setting::Literal(now)), Some(then)) = (loaded(key), target_snapshot.settings.get(key))
            && now != then
        {
            return Err(format!("the snapshot was taken with the {key} `{then}`, not `{now}`"));
        }
    }
    let value = |key: &&str| match loaded(key) {
        Some(Setting::Literal(now)) => Some(now.clone()),
        // Without a configuration, or where it only says where the value is.
        _ if target.is_none() || loaded(key).is_some() => target_snapshot.settings.get(*key).cloned(),
        _ => None,
    };
    let shaping = platform.settings_of(Role::ShapesPlans);
    Ok(shaping.iter().filter_map(|key| Some(((*key).to_owned(), value(key)?))).collect())
}

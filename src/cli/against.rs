//! A snapshot in place of the servers: `plan --against`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
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
    provider::{Catalog, Platform, scope::ScopeSchema, settings::Role},
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
    let snapshot = read(file)?;
    let age = Timestamp::now().duration_since(snapshot.taken);
    ui.say(&snapshot_view::age(&file.display().to_string(), snapshot.taken, Duration::try_from(age).ok()));
    if !snapshot.missing.is_empty() {
        ui.say(&format!("warning: the snapshot is incomplete: it lacks {}", snapshot.missing.join(", ")));
    }
    connect(snapshot, network, config, used)
}

/// Returns the newest snapshot in a directory; a path of a file as it is.
pub(super) fn newest(path: &Path) -> Result<PathBuf, String> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let failed = |error: std::io::Error| format!("cannot list {}: {error}", path.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_json = entry.path().extension().is_some_and(|end| end == "json");
        if let Some(time) = entry.metadata().ok().filter(|_| is_json).and_then(|metadata| metadata.modified().ok()) {
            found.push((time, entry.path()));
        }
    }
    let newest = found.into_iter().max().map(|(_, path)| path);
    newest.ok_or_else(|| format!("no snapshot in {} (looked for *.json)", path.display()))
}

/// Reads a snapshot.
pub(super) fn read(file: &Path) -> Result<Snapshot, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    Snapshot::from_text(&text).map_err(|error| format!("cannot use {shown}: {error}"))
}

/// Returns the fields and names that a snapshot tells.
pub(super) fn catalog(snapshot: &Snapshot) -> Catalog {
    let mut catalog = Catalog::default();
    for target in snapshot.targets.values() {
        let platform = platform::ALL.iter().find(|platform| platform.name() == target.platform);
        let Some(schema) = platform.and_then(|platform| platform.snapshot_scopes()) else { continue };
        for (name, content) in &target.scopes {
            if let Ok(rows) = content {
                schema.describe(name.operation(), &name.arguments(), rows, &mut catalog);
            }
        }
    }
    catalog
}

/// Lets a snapshot stand for connections to targets.
pub(super) fn connect(
    mut snapshot: Snapshot,
    network: &Network,
    config: Option<&Config>,
    used: &BTreeSet<Arc<str>>,
) -> Result<Connected, String> {
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

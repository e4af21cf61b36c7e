//! `reconcile snapshot`, and what stands for the servers in `plan --against`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{
    args::{Network, SnapshotArgs},
    configuration,
    error::CommandError,
    exit::ExitStatus,
    selection,
    setup::{self, Connected},
    signal::Stop,
    view::{Ui, progress, snapshot as snapshot_view},
};
use crate::{
    config::{self, Config, Setting},
    engine::{
        connection::{self, Connection, Shared},
        observe::{note, observe},
        prune::prune,
        scope_reader::ScopeReader,
    },
    files::write::{self, Readers},
    model::{Desired, Refusal},
    plan::{plan, select},
    platform,
    provider::{Platform, scope::ScopeSchema, settings::Role},
    snapshot::{Snapshot, TargetSnapshot},
    transport::{Options, Transport},
};

/// Writes a snapshot of the live state that the manifests touch.
pub(super) async fn run(args: &SnapshotArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    tokio::select! {
        result = write_snapshot(args, ui) => result,
        () = stop.token().cancelled() => {
            let problem = "interrupted before the snapshot was complete: nothing was written";
            Err(CommandError::interrupted(&stop, problem))
        }
    }
}

/// Reads as a plan does, each read from the whole scope around it.
async fn write_snapshot(args: &SnapshotArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let start = Instant::now();
    let is_selected = selection::filter(&args.inputs).map_err(CommandError::usage)?;
    let mut loaded = setup::usable(setup::read(&args.inputs).map_err(CommandError::usage)?, ui)?;
    selection::check(&args.inputs, &loaded).map_err(CommandError::usage)?;
    let mut desired = std::mem::take(&mut loaded.set.desired);
    let config = loaded.config.as_ref();
    let scopes = if args.prune { setup::scopes(config) } else { Vec::new() };
    select(&mut desired, &scopes, &*is_selected);
    let mut used = setup::used(&desired);
    used.extend(setup::used(&scopes));
    if config.is_none() && !used.is_empty() {
        return Err(CommandError::failed(configuration::missing(&setup::paths(&args.inputs))));
    }
    let mut connected = setup::connect(&args.network, config, &used).await.map_err(CommandError::failed)?;
    for connection in &connected.connections {
        let target = connection.target();
        let snapshot_scopes = schema_of(target.platform).map_err(CommandError::failed)?;
        connected.snapshot_scopes.insert(target.name.clone(), ScopeReader::live(snapshot_scopes, connection.reader()));
    }
    let work = read_scopes(&connected, &desired, &scopes, ui);
    let snapshot = progress::reading(&used, connected.shared.counters(), ui, work).await;
    let reads = connected.shared.counters().total(false);
    let text = snapshot.to_text();
    match &args.out {
        None => ui.out(&text),
        Some(file) => write::replace(file, text.as_bytes(), Readers::Owner)
            .map_err(|error| CommandError::failed(format!("cannot write {}: {error}", file.display())))?,
    }
    ui.say(&snapshot_view::summary(&snapshot, reads, start.elapsed()));
    super::plan::end(connected).await;
    Ok(if snapshot.missing.is_empty() { ExitStatus::Success } else { ExitStatus::Partial })
}

/// Plans, so that all is read that a plan reads, then reads what belongs to it.
async fn read_scopes(connected: &Connected, desired: &[Desired], scopes: &[Desired], ui: &Ui) -> Snapshot {
    let taken = Timestamp::now();
    let readers = connected.readers();
    let mut states = observe(&readers, desired).await;
    prune(&readers, &mut states, scopes).await;
    let mut plan = plan(&states);
    note(&readers, &mut states, &mut plan).await;
    let taken = Timestamp::from_second(taken.as_second()).unwrap_or(taken);
    let mut snapshot = Snapshot { taken, missing: Vec::new(), targets: BTreeMap::new() };
    for (name, scopes) in &connected.snapshot_scopes {
        let found = scopes.finish().await;
        for (scope, refusal) in found.missing {
            ui.error(&format!("target `{name}`: {scope} could not be read: {refusal}"));
            snapshot.missing.push(format!("{name}: {scope}"));
        }
        for (scope, refusal) in found.left_out {
            ui.say(&format!("warning: target `{name}`: {scope} is left out: {refusal}"));
        }
        match found.target_snapshot {
            Ok(target_snapshot) => drop(snapshot.targets.insert(name.to_string(), target_snapshot)),
            Err(refusal) => {
                ui.error(&format!("target `{name}` could not be read: {refusal}"));
                snapshot.missing.push(name.to_string());
            }
        }
    }
    snapshot
}

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
    let transport = Transport::new(&options).map_err(|error| setup::explain(&error))?;
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

fn schema_of(platform: &dyn Platform) -> Result<&'static dyn ScopeSchema, String> {
    platform.snapshot_scopes().ok_or_else(|| format!("there are no snapshots of {}", platform.name()))
}

/// Returns the settings of a target: what the configuration spells out now, and what stood behind its references when
/// the snapshot was taken.
fn settings(
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

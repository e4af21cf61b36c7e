//! `reconcile snapshot`, and what stands for the servers in `plan --against`.

use std::{collections::BTreeMap, time::Instant};

use jiff::Timestamp;

use super::{
    against,
    args::SnapshotArgs,
    configuration,
    error::CommandError,
    exit::ExitStatus,
    inputs, planning, selection,
    setup::{self, Connected},
    signal::Stop,
    view::{Ui, progress, snapshot as snapshot_view},
};
use crate::{
    engine::{
        observe::{note, observe},
        prune::prune,
        scope_reader::ScopeReader,
    },
    files::write::{self, Readers},
    model::Desired,
    plan::{plan, select},
    platform,
    snapshot::Snapshot,
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
    let is_selected = selection::filter(&args.inputs.selection).map_err(CommandError::usage)?;
    let mut loaded = setup::usable(setup::read(&args.inputs).map_err(CommandError::usage)?, ui)?;
    selection::check(&args.inputs, &loaded).map_err(CommandError::usage)?;
    let mut desired = std::mem::take(&mut loaded.set.desired);
    let config = loaded.config.as_ref();
    let scopes = if args.prune { setup::scopes(config) } else { Vec::new() };
    select(&mut desired, &scopes, platform::ALL, &*is_selected);
    let mut used = setup::used(&desired);
    used.extend(setup::used(&scopes));
    if config.is_none() && !used.is_empty() {
        return Err(CommandError::failed(configuration::missing(&inputs::paths(&args.inputs))));
    }
    let mut connected = setup::connect(&args.network, config, &used).await.map_err(CommandError::failed)?;
    for connection in &connected.connections {
        let target = connection.target();
        let snapshot_scopes = against::schema_of(target.platform).map_err(CommandError::failed)?;
        let scopes = ScopeReader::live(snapshot_scopes, connection.reader(), args.authors);
        connected.snapshot_scopes.insert(target.name.clone(), scopes);
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
    planning::end(connected).await;
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

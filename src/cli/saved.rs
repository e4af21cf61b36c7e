//! Saved plans: `plan --out FILE`, `show FILE`, `apply FILE`.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use sha2::{Digest, Sha256};

use super::{
    apply::{ApplyJob, execute},
    args::{ApplyArgs, Format, Inputs, ShowArgs},
    configuration,
    error::CommandError,
    exit::ExitStatus,
    plan::{self, PlannedRun, Prepared},
    selection, setup,
    signal::Stop,
    view::{
        Ui, progress,
        report::{Record, Report},
    },
};
use crate::{
    config::Config,
    engine::{connection::Connection, impact::impact, observe::recall},
    files::write::{self, Readers},
    model::{Desired, ResourceId},
    plan::{
        Plan, TargetState,
        file::{self, Saved, Setup},
        guard, integrity, moved, part,
        precondition::{self, SavedChangeState},
    },
    platform,
    provider::settings::Role,
    source::Sources,
};

/// Returns what a plan was made from.
pub(super) fn record(prepared: &Prepared, states: &[TargetState<'_>], plan: &Plan) -> Record {
    let changed: HashSet<&ResourceId> = plan.changes.iter().map(|change| &change.id).collect();
    // As far as they are enforced: what is not is nothing to a saved plan.
    let objects = part(states, &|one: &Desired| changed.contains(&one.id));
    let loaded = &prepared.loaded;
    let manifests = loaded.sources.files().map(|file| {
        let digest = Sha256::digest(loaded.sources.text(file).as_bytes());
        let digest = digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        (loaded.sources.path(file).to_string(), digest)
    });
    let used: BTreeSet<&Arc<str>> = objects.iter().map(|desired| &desired.target).collect();
    let is_sandbox = prepared.connected.sandbox.is_some();
    let setups = loaded.config.as_ref().map(|config| setups(config, &used, is_sandbox)).unwrap_or_default();
    let config = loaded.config.as_ref().map(|config| config.path.display().to_string());
    Record { objects, manifests: manifests.collect(), setups, config }
}

/// Says where targets lead to, as far as the configuration itself does.
fn setups(config: &Config, used: &BTreeSet<&Arc<str>>, is_sandbox: bool) -> Vec<Setup> {
    let setup = |target: &crate::config::Target| {
        let mut literals = setup::literals(target);
        if is_sandbox {
            literals.insert("endpoint", "--sandbox".to_owned());
        }
        // A slash at the end of an address leads nowhere else.
        literals.values_mut().for_each(|value| value.truncate(value.trim_end_matches('/').len()));
        let locating = target.platform.settings_of(Role::Locates).into_iter();
        let settings = locating.filter_map(|key| Some((key.to_owned(), file::fingerprint(literals.get(key)?))));
        Setup { target: target.name.clone(), platform: target.platform.name().into(), settings: settings.collect() }
    };
    config.targets.iter().filter(|target| used.contains(&target.name)).map(setup).collect()
}

/// Writes a plan to a file, whole or not at all.
pub(super) fn save(report: &Report<'_>, path: &Path) -> Result<(), String> {
    let problem = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    write::replace(path, report.form(Format::Json).as_bytes(), Readers::Owner).map_err(problem)
}

/// Returns the saved plan that a command was given instead of manifests; an error where both were.
pub(super) fn given(inputs: &Inputs) -> Result<Option<PathBuf>, String> {
    let paths = setup::paths(inputs);
    if let Some(path) = paths.iter().find(|path| is_empty(path)) {
        let message = "the file is empty: a plan or a manifest that was not written whole; write it again";
        return Err(format!("{}: {message}", path.display()));
    }
    let Some(path) = paths.iter().find(|path| is_saved(path)) else { return Ok(None) };
    let is_more = !inputs.set.is_empty() || !inputs.values.is_empty() || !inputs.overlays.is_empty();
    if paths.len() > 1 || is_more || selection::is_partial(inputs) {
        let message = "a saved plan is applied as it is: no other paths, overlays, variables or selections go with it";
        return Err(format!("{}: {message}", path.display()));
    }
    Ok(Some(path.clone()))
}

/// Says what a file or stdin, where manifests were asked for by name, is instead; `None` if it may be one.
pub(super) fn mistaken(inputs: &Inputs, sources: &Sources) -> Option<String> {
    let given: Vec<_> = setup::paths(inputs).iter().map(|path| path.display().to_string()).collect();
    let named = |path: &str| given.iter().any(|text| text == path || (text == "-" && path == "<stdin>"));
    let wrong = sources.files().find(|file| named(sources.path(*file)) && is_document(sources.text(*file)))?;
    let path = sources.path(wrong);
    Some(format!(
        "{path} holds no manifests: it was written by this program; `apply FILE` takes a saved plan as a file, `plan \
         --against FILE` a snapshot"
    ))
}

/// Returns true for a file without a letter.
fn is_empty(path: &Path) -> bool {
    path.is_file() && std::fs::read_to_string(path).is_ok_and(|text| text.trim().is_empty())
}

/// Returns true if a file is a document of this program other than a manifest.
fn is_saved(path: &Path) -> bool {
    // What cannot be read is told when it is read as a manifest.
    path.is_file() && std::fs::read_to_string(path).is_ok_and(|text| is_document(&text))
}

fn is_document(text: &str) -> bool {
    let is_ours = |value: &serde_json::Value| value["apiVersion"] == "reconcile/v1" && value["kind"].is_string();
    let parsed = serde_json::from_str(text);
    // A document that was cut off is no manifest either.
    parsed.as_ref().map_or_else(|_| text.starts_with("{\n  \"") && text.contains("\"reconcile/v1\""), is_ours)
}

/// Reads a saved plan.
fn read(path: &Path, sources: &mut Sources) -> Result<Saved, String> {
    let problem = |error: &dyn std::error::Error| format!("{}: {}", path.display(), setup::explain(error));
    let text = std::fs::read_to_string(path).map_err(|error| problem(&error))?;
    file::read(&text, platform::ALL, sources).map_err(|error| problem(&error))
}

/// Shows a saved plan; nothing is read from a platform.
pub(super) fn show(args: &ShowArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let mut sources = Sources::default();
    let saved = read(&args.file, &mut sources).map_err(CommandError::failed)?;
    // What the calls have to be rests on what is live, so that only `apply` compares them.
    let contradiction = integrity::contradiction(&saved.plan);
    let errors: Vec<_> = contradiction
        .iter()
        .map(|why| format!("{}: {why}: `apply` refuses it; plan again", args.file.display()))
        .collect();
    let report = Report { calls: args.calls, errors: &errors, ..report("show", &saved, &sources) };
    if args.forms.format == Format::Text {
        plan::preview(&report, ui);
        plan::blocked(&report, ui);
        if let Some(config) = &saved.config {
            ui.say(&format!("made with the configuration {}", crate::plain::line(config)));
        }
    } else {
        ui.out(&report.form(args.forms.format));
    }
    errors.iter().for_each(|problem| ui.error(problem));
    let status = if errors.is_empty() { ExitStatus::Success } else { ExitStatus::Failed };
    Ok(report.save(&args.forms, status, ui))
}

/// Returns what is said about a saved plan.
fn report<'a>(command: &'static str, saved: &'a Saved, sources: &'a Sources) -> Report<'a> {
    Report {
        plan: Some(&saved.plan),
        diagnostics: &saved.diagnostics,
        document: Some(&saved.document),
        ..Report::new(command, sources)
    }
}

/// Carries out a saved plan: what moved since is left alone.
pub(super) async fn apply(args: &ApplyArgs, path: &Path, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    let mut sources = Sources::default();
    let of_file = |problem: String| CommandError::failed(format!("{}: {problem}", path.display()));
    if args.prune {
        return Err(CommandError::usage("a saved plan says itself what is pruned: `--prune` belongs to `plan`"));
    }
    let mut saved = read(path, &mut sources).map_err(CommandError::failed)?;
    if let Some(problem) = integrity::contradiction(&saved.plan) {
        return Err(of_file(format!("{problem}: nothing was sent; plan again")));
    }
    let config = configuration_of(args, &mut sources, ui)?;
    if config.is_none() && !saved.setups.is_empty() {
        // A file may name any configuration, and a configuration runs programs.
        let made = saved.config.as_ref().map(|made| format!(" (it was made with {made})")).unwrap_or_default();
        return Err(of_file(format!("no {} beside it or above: name one by `--config`{made}", crate::config::FILE)));
    }
    let used: BTreeSet<&Arc<str>> = saved.objects.iter().map(|desired| &desired.target).collect();
    let here = config.as_ref().map(|config| setups(config, &used, args.network.sandbox)).unwrap_or_default();
    if let Some(problem) = elsewhere(&saved.setups, &here) {
        return Err(of_file(problem));
    }
    let used = used.into_iter().cloned().collect();
    let connected = setup::connect(&args.network, config.as_ref(), &used).await.map_err(CommandError::failed)?;
    ui.events.reading(saved.setups.iter().map(|setup| &*setup.target), saved.objects.len());
    let start = Instant::now();
    let readers: Vec<_> = connected.connections.iter().map(Connection::reader).collect();
    let mut states = tokio::select! {
        states = progress::reading(&used, connected.shared.counters(), ui, recall(&readers, &saved.objects, &saved.plan)) => states,
        () = stop.token().cancelled() => return Err(plan::interrupted(&stop)),
    };
    let standings = precondition::saved_change_states(&saved.plan, &states);
    for (change, (id, _)) in
        saved.plan.changes.iter().zip(&standings).filter(|(_, (_, state))| *state == SavedChangeState::Stale)
    {
        ui.say(&format!("{id} has moved since this was planned: {}", moved(change, &states)));
    }
    if let Some(problem) = integrity::mismatch(&saved.plan, &states, &standings) {
        return Err(of_file(format!("{problem}: nothing was sent; plan again")));
    }
    let settled = standings.iter().filter_map(|(id, standing)| Some((id.clone(), standing.outcome()?))).collect();
    let mut plan = std::mem::take(&mut saved.plan);
    let safety = plan::safety(config.as_ref(), &args.safety);
    if safety.needs_impact() {
        // As much may hang below by now as nobody has looked at.
        impact(&readers, &mut states, &mut plan).await;
    }
    let excesses = guard::excesses(&plan, &safety);
    let acknowledged = plan::acknowledged(&args.safety, &plan, &excesses);
    let planned_run =
        PlannedRun { states, plan, excesses, acknowledged, record: Record::default(), start, took: start.elapsed() };
    let report = Report {
        plan: Some(&planned_run.plan),
        excesses: &planned_run.excesses,
        acknowledged: planned_run.acknowledged,
        counters: Some(connected.shared.counters()),
        took: planned_run.took,
        calls: args.output.calls,
        ..report("apply", &saved, &sources)
    };
    // What was read is read again right before each call.
    let apply_job = ApplyJob { planned_run: &planned_run, report, settled, fresh_until: start, file: Some(path) };
    let status = execute(args, &connected, apply_job, &stop, ui).await;
    drop(planned_run);
    plan::end(connected).await;
    Ok(stop.status().unwrap_or(status))
}

/// Reads the configuration that a saved plan is applied with.
fn configuration_of(args: &ApplyArgs, sources: &mut Sources, ui: &Ui) -> Result<Option<Config>, CommandError> {
    let mut diagnostics = Vec::new();
    let named = args.inputs.config.as_deref();
    let config = configuration::read(named, &setup::paths(&args.inputs), sources, &mut diagnostics)
        .map_err(CommandError::failed)?;
    ui.diagnostics(&diagnostics, sources);
    if diagnostics.iter().any(crate::diagnostic::Diagnostic::is_error) {
        let error = CommandError::failed("the configuration has errors: nothing was sent");
        return Err(error.with_configuration(std::mem::take(sources), diagnostics));
    }
    Ok(config)
}

/// Says which target leads elsewhere than it did when the plan was made; `None` if all lead there.
fn elsewhere(then: &[Setup], now: &[Setup]) -> Option<String> {
    let now: BTreeMap<&Arc<str>, &Setup> = now.iter().map(|setup| (&setup.target, setup)).collect();
    for setup in then {
        let Some(here) = now.get(&setup.target).filter(|here| here.platform == setup.platform) else {
            return Some(format!("the configuration has no target `{}` on {}", setup.target, setup.platform));
        };
        let keys: BTreeSet<&String> = setup.settings.keys().chain(here.settings.keys()).collect();
        let other = keys.into_iter().find(|key| setup.settings.get(*key) != here.settings.get(*key));
        if let Some(key) = other {
            return Some(format!(
                "`{key}` of target `{}` is not what it was when this was planned: plan again",
                setup.target
            ));
        }
    }
    None
}

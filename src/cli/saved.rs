//! Saved plans: `plan --out FILE`, `show FILE`, `apply FILE`.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use tokio::time::Instant;

use super::{
    args::{ApplyArgs, Format, ShowArgs},
    claim::claim,
    configuration,
    error::CommandError,
    execute::{ApplyJob, execute},
    exit::ExitStatus,
    inputs, journal, plan_file,
    planning::{self, PlannedRun},
    setup,
    signal::Stop,
    view::{
        Ui, progress,
        report::{Record, Report},
    },
};
use crate::{
    config::Config,
    engine::{
        connection::Connection,
        impact::impact,
        observe::{Recalled, recall_for},
    },
    journal::target_record,
    plan::{file::Saved, guard, integrity, moved, precondition::SavedChangeState},
    source::Sources,
};

/// Shows a saved plan; nothing is read from a platform.
pub(super) fn show(args: &ShowArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let mut sources = Sources::default();
    let saved = plan_file::read(&args.file, &mut sources).map_err(CommandError::failed)?;
    // The right calls depend on the live state, so only `apply` compares them.
    let contradiction = integrity::contradiction(&saved.plan);
    let errors: Vec<_> = contradiction
        .iter()
        .map(|why| format!("{}: {why}: `apply` refuses it; plan again", args.file.display()))
        .collect();
    let report = Report { calls: args.calls, errors: &errors, ..report("show", &saved, &sources) };
    if args.forms.format == Format::Text {
        planning::preview(&report, ui);
        planning::blocked(&report, ui);
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
        saved: Some(saved),
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
    let mut saved = plan_file::read(path, &mut sources).map_err(CommandError::failed)?;
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
    let here = config.as_ref().map(|config| plan_file::setups(config, &used, args.network.sandbox)).unwrap_or_default();
    if let Some(problem) = plan_file::elsewhere(&saved.setups, &here) {
        return Err(of_file(problem));
    }
    let surroundings = journal::of_apply(args, config.as_ref());
    let targets: Vec<_> = here.iter().map(target_record).collect();
    let claim = claim(args, config.as_ref(), &surroundings, &targets, (&stop, ui)).await?;
    let used = used.into_iter().cloned().collect();
    let connected = setup::connect(&args.network, config.as_ref(), &used).await.map_err(CommandError::failed)?;
    ui.events.reading(saved.setups.iter().map(|setup| &*setup.target), saved.objects.len());
    let start = Instant::now();
    let readers: Vec<_> = connected.connections.iter().map(Connection::reader).collect();
    let recall = recall_for(&saved.plan, &saved.objects, &readers);
    let Recalled { mut states, change_states: standings, mismatch } = tokio::select! {
        recalled = progress::reading(&used, connected.shared.counters(), ui, recall) => recalled,
        () = stop.token().cancelled() => return Err(planning::interrupted(&stop)),
    };
    for (change, (id, _)) in
        saved.plan.changes.iter().zip(&standings).filter(|(_, (_, state))| *state == SavedChangeState::Stale)
    {
        ui.say(&format!("{id} has moved since this was planned: {}", moved(change, &states)));
    }
    if let Some(problem) = mismatch {
        return Err(of_file(format!("{problem}: nothing was sent; plan again")));
    }
    let settled = standings.iter().filter_map(|(id, standing)| Some((id.clone(), standing.outcome()?))).collect();
    let mut plan = std::mem::take(&mut saved.plan);
    let safety = planning::safety(config.as_ref(), &args.safety);
    if safety.needs_impact() {
        // As much may hang below by now as nobody has looked at.
        impact(&readers, &mut states, &mut plan).await;
    }
    let excesses = guard::excesses(&plan, &safety);
    let acknowledged = planning::acknowledged(&args.safety, &plan, &excesses);
    let held = planning::held(config.as_ref(), &plan, &states);
    let record = Record::default();
    let planned_run = PlannedRun { states, plan, excesses, acknowledged, held, record, start, took: start.elapsed() };
    let report = Report {
        plan: Some(&planned_run.plan),
        excesses: &planned_run.excesses,
        acknowledged: planned_run.acknowledged,
        held: &planned_run.held,
        counters: Some(connected.shared.counters()),
        took: planned_run.took,
        calls: args.output.calls,
        ..report("apply", &saved, &sources)
    };
    // Each object is read again right before its call.
    let apply_job = ApplyJob {
        planned_run: &planned_run,
        report,
        settled,
        fresh_until: start,
        file: Some(path),
        surroundings: &surroundings,
        claim,
        targets,
    };
    let status = execute(args, &connected, apply_job, &stop, ui).await;
    drop(planned_run);
    planning::end(connected).await;
    Ok(stop.status().unwrap_or(status))
}

/// Reads the configuration that a saved plan is applied with.
fn configuration_of(args: &ApplyArgs, sources: &mut Sources, ui: &Ui) -> Result<Option<Config>, CommandError> {
    let mut diagnostics = Vec::new();
    let named = args.inputs.config.as_deref();
    let config = configuration::read(named, &inputs::paths(&args.inputs), sources, &mut diagnostics)
        .map_err(CommandError::failed)?;
    ui.diagnostics(&diagnostics, sources);
    if diagnostics.iter().any(crate::diagnostic::Diagnostic::is_error) {
        let error = CommandError::failed("the configuration has errors: nothing was sent");
        return Err(error.with_configuration(std::mem::take(sources), diagnostics));
    }
    Ok(config)
}

//! The shared steps of commands that plan: read the inputs, read the live state, plan, show.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    against,
    args::{Format, Inputs, Network, Output, SafetyArgs},
    configuration,
    error::CommandError,
    exit::ExitStatus,
    inputs,
    inputs::LoadedInputs,
    plan_file, selection,
    setup::{self, Connected},
    signal::Stop,
    view::{
        Ui,
        origin::Origins,
        progress,
        report::{ManifestFiles, Record, Report},
        text,
    },
};
use crate::{
    config::Config,
    engine::{
        impact::impact,
        observe::{note, observe},
        prune::prune,
    },
    model::{Desired, ResourceId},
    plan::{
        Cause, Plan, TargetState,
        guard::{self, Excess, Safety},
        hold::{HeldChanges, held_changes},
        part, plan, select,
    },
    platform,
};

/// Returns the error of a run that a signal ended before it had a plan.
pub(super) fn interrupted(stop: &Stop) -> CommandError {
    CommandError::interrupted(stop, "interrupted before the plan was complete: nothing was sent")
}

/// Everything that a plan needs.
pub(super) struct Prepared {
    /// The loaded inputs; their objects lie in `desired`.
    pub(super) loaded: LoadedInputs,
    /// The objects of this run.
    pub(super) desired: Vec<Desired>,
    /// Where what no document means is to be removed.
    pub(super) scopes: Vec<Desired>,
    /// The targets of this run.
    pub(super) connected: Connected,
    /// The objects that are declared and are no part of any run.
    pub(super) ignored: Vec<ResourceId>,
    /// Not all that is declared is known.
    pub(super) is_partial: bool,
}

/// Reads manifests and configuration, and prepares connections, or the snapshot that stands for them.
pub(super) async fn prepare(
    inputs: &Inputs,
    network: &Network,
    prune: bool,
    against: Option<&Path>,
    ui: &Ui,
) -> Result<Prepared, CommandError> {
    let is_selected = selection::filter(&inputs.selection).map_err(CommandError::usage)?;
    if prune && inputs.selection.is_partial() {
        let problem = "`--prune` needs all documents: it cannot go with --selector, --target or --exclude";
        return Err(CommandError::usage(problem));
    }
    let loaded = setup::read(inputs).map_err(CommandError::usage)?;
    if let Some(problem) = plan_file::mistaken(inputs, &loaded.sources) {
        return Err(CommandError::usage(problem));
    }
    let mut loaded = setup::usable(loaded, ui)?;
    if let Err(problem) = selection::check(inputs, &loaded) {
        return Err(CommandError::usage(problem).with(loaded));
    }
    let mut desired = std::mem::take(&mut loaded.set.desired);
    let scopes = if prune { setup::scopes(loaded.config.as_ref()) } else { Vec::new() };
    let ignored = desired.iter().filter(|desired| desired.policies.ignore_all()).map(|desired| desired.id.clone());
    let ignored = ignored.collect();
    let is_partial = inputs.selection.is_partial() || loaded.set.partial || loaded.set.unplaced;
    select(&mut desired, &scopes, platform::ALL, &*is_selected);
    if prune && scopes.is_empty() {
        ui.say("nothing to prune in: the configuration has no scopes under `prune`");
    }
    let mut used = setup::used(&desired);
    used.extend(setup::used(&scopes));
    if loaded.config.is_none() && against.is_none() && !used.is_empty() {
        return Err(CommandError::failed(configuration::missing(&inputs::paths(inputs))).with(loaded));
    }
    let connected = match against {
        Some(file) => against::open(file, network, loaded.config.as_ref(), &used, ui),
        None => setup::connect(network, loaded.config.as_ref(), &used).await,
    };
    let connected = match connected {
        Ok(connected) => connected,
        Err(problem) => return Err(CommandError::failed(problem).with(loaded)),
    };
    ui.events.reading(used.iter().map(|target| &**target), desired.len());
    Ok(Prepared { loaded, desired, scopes, connected, ignored, is_partial })
}

impl Prepared {
    /// Returns the targets of the run.
    pub(super) fn used(&self) -> BTreeSet<Arc<str>> {
        let mut used = setup::used(&self.desired);
        used.extend(setup::used(&self.scopes));
        used
    }

    /// Shows that targets are read until `work` is done.
    pub(super) async fn reading<T>(&self, ui: &Ui, work: impl Future<Output = T>) -> T {
        progress::reading(self.used(), self.connected.shared.counters(), ui, work).await
    }
}

/// A plan and what it was made from.
pub(super) struct PlannedRun<'a> {
    /// The observed states.
    pub(super) states: Vec<TargetState<'a>>,
    /// The plan.
    pub(super) plan: Plan,
    /// The limits that it exceeds.
    pub(super) excesses: Vec<Excess>,
    /// It may go over them all the same.
    pub(super) acknowledged: bool,
    /// The changes that windows and suspensions hold back for now.
    pub(super) held: Vec<HeldChanges>,
    /// The record from which the plan was made.
    pub(super) record: Record,
    /// When reading began.
    pub(super) start: Instant,
    /// How long it took.
    pub(super) took: Duration,
}

/// Reads what is live and plans.
pub(super) async fn observe_and_plan<'p>(prepared: &'p Prepared, args: &SafetyArgs, ui: &Ui) -> PlannedRun<'p> {
    prepared.reading(ui, read(prepared, args)).await
}

pub(super) async fn read<'p>(prepared: &'p Prepared, args: &SafetyArgs) -> PlannedRun<'p> {
    let start = Instant::now();
    let readers = prepared.connected.readers();
    let mut states = observe(&readers, &prepared.desired).await;
    prune(&readers, &mut states, &prepared.scopes).await;
    if prepared.loaded.set.partial {
        states.iter_mut().for_each(|state| state.surplus.clear());
    }
    let mut plan = plan(&states);
    prepared.loaded.name_variables(plan.diagnostics_mut());
    note(&readers, &mut states, &mut plan).await;
    impact(&readers, &mut states, &mut plan).await;
    let excesses = guard::excesses(&plan, &safety(prepared.loaded.config.as_ref(), args));
    let acknowledged = acknowledged(args, &plan, &excesses);
    let held = held(prepared.loaded.config.as_ref(), &plan, &states);
    let record = record(prepared, &states, &plan);
    PlannedRun { states, plan, excesses, acknowledged, held, record, start, took: start.elapsed() }
}

/// Returns what all forms of report say about a plan.
pub(super) fn report<'a>(
    command: &'static str,
    prepared: &'a Prepared,
    planned_run: &'a PlannedRun<'_>,
    output: &Output,
) -> Report<'a> {
    Report {
        plan: Some(&planned_run.plan),
        excesses: &planned_run.excesses,
        acknowledged: planned_run.acknowledged,
        held: &planned_run.held,
        diagnostics: &prepared.loaded.diagnostics,
        counters: Some(prepared.connected.shared.counters()),
        took: planned_run.took,
        record: Some(&planned_run.record),
        origins: Some(Origins { states: &planned_run.states, provenance: &prepared.loaded.set.provenance }),
        calls: output.calls,
        ..Report::new(command, &prepared.loaded.sources)
    }
}

/// Shows a report on stdout, and what blocks objects on stderr.
pub(super) fn show(report: &Report<'_>, output: &Output, ui: &Ui) {
    if output.forms.format == Format::Text {
        preview(report, ui);
    } else {
        ui.out(&report.form(output.forms.format));
    }
    blocked(report, ui);
}

/// Shows the plan of a report on stdout for people.
pub(super) fn preview(report: &Report<'_>, ui: &Ui) {
    ui.out(&preview_text(report, ui));
}

/// Returns the plan of a report as people read it on a screen.
pub(super) fn preview_text(report: &Report<'_>, ui: &Ui) -> String {
    let Some(plan) = report.plan else { return String::new() };
    let mut writer = text::Writer::new(ui, report.sources).explaining(report);
    writer.plan(plan, report.counters, report.took);
    if report.calls {
        writer.calls(plan);
    }
    writer.finish()
}

/// Returns the changes of a plan that are held back now.
pub(super) fn held(config: Option<&Config>, plan: &Plan, states: &[TargetState<'_>]) -> Vec<HeldChanges> {
    let holds = config.map(Config::holds).unwrap_or_default();
    held_changes(plan, states, &mut holds.at(Timestamp::now()))
}

/// Returns true if the text that was given acknowledges a plan.
pub(super) fn acknowledged(args: &SafetyArgs, plan: &Plan, excesses: &[Excess]) -> bool {
    args.ack.as_ref().is_some_and(|text| *text == guard::acknowledgement(plan, excesses))
}

/// Returns the error of a plan that exceeds limits and that nothing acknowledges; `None` if it may be sent.
pub(super) fn refused(planned_run: &PlannedRun<'_>, args: &SafetyArgs) -> Option<CommandError> {
    if planned_run.excesses.is_empty() || planned_run.acknowledged {
        return None;
    }
    let acknowledgement = guard::acknowledgement(&planned_run.plan, &planned_run.excesses);
    let mut problems: Vec<_> = planned_run.excesses.iter().map(ToString::to_string).collect();
    // A CI variable that nobody set is empty.
    if args.ack.as_ref().is_some_and(|text| !text.is_empty()) {
        problems.push("the acknowledgement that was given belongs to another plan".to_owned());
    }
    let error = CommandError::refused(problems)
        .hint(format!("nothing is sent; `--ack '{acknowledgement}'` lets this plan pass, and no other"));
    let remedies = guard::remedies(&planned_run.excesses);
    Some(if remedies.is_empty() {
        error
    } else {
        error.hint(format!("`{}` raises the limits for one run", remedies.join(" ")))
    })
}

/// Returns the error of a plan with changes that are held back, and no reason to make them all the same; `None` if it may
/// be sent.
pub(super) fn held_back(planned_run: &PlannedRun<'_>, reason: Option<&str>) -> Option<CommandError> {
    if planned_run.held.is_empty() || reason.is_some() {
        return None;
    }
    let error = CommandError::refused(planned_run.held.iter().map(ToString::to_string).collect());
    let hint = "nothing is sent; `--override-holds REASON` makes these changes all the same and records the reason, \
                `--exclude` leaves objects out";
    Some(error.hint(hint))
}

/// The limits of a run: those of the configuration, and those of the flags above them.
pub(super) fn safety(config: Option<&Config>, args: &SafetyArgs) -> Safety {
    let mut safety = config.map(|config| config.safety.clone()).unwrap_or_default();
    // A flag is about this run, so it wins over limits on single kinds too.
    for limits in std::iter::once(&mut safety.all).chain(safety.kinds.values_mut()) {
        limits.changes = args.max_changes.or(limits.changes);
        limits.deletes = args.max_deletes.or(limits.deletes);
        limits.max_impact.extend(args.max_impact.iter().cloned());
    }
    safety
}

/// Writes to stderr what is wrong with objects that are blocked, and what is to be said about others.
pub(super) fn blocked(report: &Report<'_>, ui: &Ui) {
    ui.events.planned(report);
    let wrong: Vec<_> = report.plan.iter().flat_map(|plan| plan.diagnostics()).cloned().collect();
    ui.diagnostics(&wrong, report.sources);
}

/// Ends the sandbox of the run, if there is one, and logs which calls it got.
pub(super) async fn end(connected: Connected) {
    if let Some(sandbox) = connected.sandbox.and_then(Arc::into_inner) {
        let calls = sandbox.end().await;
        let calls: Vec<_> = calls.iter().map(|(operation, count)| format!("{operation} {count}")).collect();
        tracing::info!("sandbox: {}", if calls.is_empty() { "no calls".to_owned() } else { calls.join(", ") });
    }
}

/// Returns how a run ended whose plan was not applied.
pub(super) fn exit_status(plan: &Plan, detailed: bool) -> ExitStatus {
    if plan.blocked.iter().any(|blocked| matches!(blocked.cause, Cause::Unread(_))) {
        ExitStatus::Partial
    } else if plan.failing().next().is_some() {
        ExitStatus::Failed
    } else if detailed && !plan.is_empty() {
        ExitStatus::Changes
    } else {
        ExitStatus::Success
    }
}

/// Returns what a plan was made from.
fn record(prepared: &Prepared, states: &[TargetState<'_>], plan: &Plan) -> Record {
    let changed: HashSet<&ResourceId> = plan.changes.iter().map(|change| &change.id).collect();
    // As far as they are enforced: what is not is nothing to a saved plan.
    let objects = part(states, &|object: &Desired| changed.contains(&object.id));
    let loaded = &prepared.loaded;
    let used: BTreeSet<&Arc<str>> = objects.iter().map(|desired| &desired.target).collect();
    let is_sandbox = prepared.connected.sandbox.is_some();
    let setups = loaded.config.as_ref().map(|config| plan_file::setups(config, &used, is_sandbox)).unwrap_or_default();
    let config = loaded.config.as_ref().map(|config| config.path.display().to_string());
    Record { objects, manifests: ManifestFiles::new(loaded.sources.files()), setups, config }
}

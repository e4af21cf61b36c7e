//! `reconcile undo`: a saved plan that puts back what a run changed.

use std::{collections::BTreeSet, sync::Arc};

use tokio::time::Instant;

use super::{
    args::{Format, UndoArgs},
    configuration,
    error::CommandError,
    exit::ExitStatus,
    history, journal, plan_file,
    planning::{self, PlannedRun},
    setup::{self, Connected},
    signal::Stop,
    view::{
        Ui, progress,
        report::{ManifestFiles, Record, Report},
    },
};
use crate::{
    config::Config,
    engine::{
        connection::{Connection, Reader},
        impact::impact,
        observe::{note, recall},
    },
    journal::{
        Directory, Store,
        history::{RunHistory, Standing, find_run},
    },
    model::{Action, Change, Desired, FieldPath, ResourceId},
    plan::{
        Plan,
        file::Saved,
        guard, part, plan,
        undo::{self, Documents, MadeChange},
    },
    platform,
    provider::Kind,
    source::Sources,
};

/// Reads the live state, plans the way back, and saves that plan. Nothing here can write to a platform.
pub(super) async fn run(args: &UndoArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    let Some(path) = journal::state_directory(args.state_dir.as_deref()) else {
        return Err(CommandError::failed(journal::NO_STATE));
    };
    let store = Directory::new(path);
    let mut sources = Sources::default();
    let (history, saved) = ended_run(&store, &args.run, &mut sources)?;
    let made = made_changes(&history, &saved.plan);
    let config = configuration_of(args, &saved, &mut sources, ui)?;
    let used: BTreeSet<Arc<str>> = saved.objects.iter().map(|desired| desired.target.clone()).collect();
    let connected = setup::connect(&args.network, config.as_ref(), &used).await.map_err(CommandError::failed)?;
    let start = Instant::now();
    let readers: Vec<_> = connected.connections.iter().map(Connection::reader).collect();
    let asked = undo::questions(&saved.objects, &made, &kind_of);
    let work = find_way_back(&readers, &saved, &made, asked);
    let documents = tokio::select! {
        documents = progress::reading(&used, connected.shared.counters(), ui, work) => documents,
        () = stop.token().cancelled() => return Err(planning::interrupted(&stop)),
    };
    let planned_run = tokio::select! {
        planned_run = plan_way_back(&readers, &documents, args, config.as_ref(), start) => planned_run,
        () = stop.token().cancelled() => return Err(planning::interrupted(&stop)),
    };
    let record = record(&planned_run, config.as_ref(), &connected);
    let report = Report {
        plan: Some(&planned_run.plan),
        excesses: &planned_run.excesses,
        acknowledged: planned_run.acknowledged,
        held: &planned_run.held,
        counters: Some(connected.shared.counters()),
        took: planned_run.took,
        record: Some(&record),
        calls: args.calls,
        ..Report::new("undo", &sources)
    };
    let saved = plan_file::save(&report, &args.out);
    if args.forms.format == Format::Text {
        planning::preview(&report, ui);
    } else {
        ui.out(&report.form(args.forms.format));
    }
    planning::blocked(&report, ui);
    let mut status = planning::exit_status(&planned_run.plan, false);
    if documents.unread && status == ExitStatus::Success {
        status = ExitStatus::Partial;
    }
    match saved {
        Err(problem) => {
            ui.error(&problem);
            status = status.unwritten();
        }
        Ok(()) if planned_run.plan.is_empty() => ui.say("nothing is left to put back"),
        Ok(()) => {
            let acknowledgement = guard::acknowledgement(&planned_run.plan, &planned_run.excesses);
            planned_run.excesses.iter().for_each(|excess| ui.say(&excess.to_string()));
            let pass =
                if planned_run.excesses.is_empty() { String::new() } else { format!(" --ack '{acknowledgement}'") };
            let (id, path) = (&history.id, args.out.display());
            ui.say(&format!("saved: `reconcile apply {path}{pass}` puts back what run {id} changed"));
        }
    }
    let status = report.save(&args.forms, status, ui);
    drop(planned_run);
    planning::end(connected).await;
    Ok(status)
}

/// Returns a run that came to an end, with its plan.
fn ended_run(store: &Directory, name: &str, sources: &mut Sources) -> Result<(RunHistory, Saved), CommandError> {
    let id = find_run(store, name).map_err(|error| CommandError::failed(error.to_string()))?;
    let journal = store.journal(&id).map_err(|error| CommandError::failed(format!("{}: {error}", store.place(&id))))?;
    let history = RunHistory::of(&id, &journal);
    match history.standing {
        Standing::Ended(_) => {}
        Standing::Unfinished => {
            let problem = format!("run {id} is unfinished: `reconcile resume` settles it first");
            return Err(CommandError::failed(problem));
        }
        Standing::Altered => {
            let problem = format!(
                "the journal of run {id} was edited or damaged, so that it does not tell what was changed: `reconcile \
                 resume` settles it first"
            );
            return Err(CommandError::failed(problem));
        }
    }
    let saved = history::plan(store, &history, sources).map_err(CommandError::failed)?;
    Ok((history, saved))
}

/// Returns the changes that the run made, and those of which that is not known: the live state tells.
fn made_changes<'p>(history: &RunHistory, plan: &'p Plan) -> Vec<MadeChange<'p>> {
    let all_noted = history.by_address(|noted| noted.is_made() || noted.is_open());
    let made = plan.changes.iter().filter_map(|change: &'p Change| {
        let noted = all_noted.get(&*change.id.to_string())?;
        let handle = match change.action {
            Action::Create => noted.handle().cloned().unwrap_or_default(),
            Action::Update | Action::Delete | Action::Sync => change.handle.clone(),
        };
        let outcome =
            noted.outcome.as_ref().map(|(_, outcome)| outcome).filter(|outcome| outcome.outcome == "normalised");
        let stored = outcome.into_iter().flat_map(|outcome| &outcome.fields);
        let stored = stored.filter_map(|field| Some((field.path.parse::<FieldPath>().ok()?, field.to.clone())));
        Some(MadeChange { change, handle, stored: stored.collect() })
    });
    let mut made: Vec<_> = made.collect();
    undo::fill_handles(&mut made);
    made
}

fn kind_of(id: &ResourceId) -> Option<&'static dyn Kind> {
    platform::ALL.iter().find_map(|platform| platform.kind(id.kind))
}

/// Reads the configuration. The targets of the run have to lead where they led then.
fn configuration_of(
    args: &UndoArgs,
    saved: &Saved,
    sources: &mut Sources,
    ui: &Ui,
) -> Result<Option<Config>, CommandError> {
    let mut diagnostics = Vec::new();
    let config =
        configuration::read(args.config.as_deref(), &[], sources, &mut diagnostics).map_err(CommandError::failed)?;
    ui.diagnostics(&diagnostics, sources);
    if diagnostics.iter().any(crate::diagnostic::Diagnostic::is_error) {
        let error = CommandError::failed("the configuration has errors: nothing was planned");
        return Err(error.with_configuration(std::mem::take(sources), diagnostics));
    }
    if config.is_none() && !saved.setups.is_empty() {
        return Err(CommandError::failed(configuration::missing(&[])));
    }
    let used: BTreeSet<&Arc<str>> = saved.objects.iter().map(|desired| &desired.target).collect();
    let here = config.as_ref().map(|config| plan_file::setups(config, &used, args.network.sandbox)).unwrap_or_default();
    match plan_file::elsewhere(&saved.setups, &here) {
        Some(problem) => Err(CommandError::failed(format!("{problem}, so that other objects may be meant"))),
        None => Ok(config),
    }
}

/// Reads the objects of the run and returns the documents that put them back.
async fn find_way_back(readers: &[Reader], saved: &Saved, made: &[MadeChange<'_>], mut asked: Documents) -> Documents {
    let objects: Vec<Desired> = std::mem::take(&mut asked.objects);
    let by_handle = Plan { changes: std::mem::take(&mut asked.changes), ..Plan::default() };
    let states = recall(readers, &objects, &by_handle).await;
    undo::reversals(&saved.objects, made, &states, asked)
}

async fn plan_way_back<'d>(
    readers: &[Reader],
    documents: &'d Documents,
    args: &UndoArgs,
    config: Option<&Config>,
    start: Instant,
) -> PlannedRun<'d> {
    let by_handle = Plan { changes: documents.changes.clone(), ..Plan::default() };
    let mut states = recall(readers, &documents.objects, &by_handle).await;
    let mut plan = plan(&states);
    plan.remarks.extend(documents.remarks.iter().cloned());
    undo::count_as_implicit(&mut plan);
    note(readers, &mut states, &mut plan).await;
    impact(readers, &mut states, &mut plan).await;
    let excesses = guard::excesses(&plan, &planning::safety(config, &args.safety));
    let acknowledged = planning::acknowledged(&args.safety, &plan, &excesses);
    let held = planning::held(config, &plan, &states);
    let record = Record::default();
    PlannedRun { states, plan, excesses, acknowledged, held, record, start, took: start.elapsed() }
}

fn record(planned_run: &PlannedRun<'_>, config: Option<&Config>, connected: &Connected) -> Record {
    let changed: BTreeSet<&ResourceId> = planned_run.plan.changes.iter().map(|change| &change.id).collect();
    let objects = part(&planned_run.states, &|object: &Desired| changed.contains(&object.id));
    let used: BTreeSet<&Arc<str>> = objects.iter().map(|desired| &desired.target).collect();
    let setups = config.map(|config| plan_file::setups(config, &used, connected.sandbox.is_some())).unwrap_or_default();
    let config = config.map(|config| config.path.display().to_string());
    Record { objects, manifests: ManifestFiles::default(), setups, config }
}

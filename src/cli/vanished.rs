//! Live objects whose documents are gone, as the journals of earlier runs know them.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use serde_json::Value;

use super::{
    args::SafetyArgs,
    history, journal, plan_file,
    planning::{self, PlannedRun, Prepared},
    view::Ui,
};
use crate::{
    engine::observe::found_again,
    journal::{Directory, Store, history::RunHistory},
    model::{Action, Desired, ResourceId},
    plan::of_vanished,
    source::Sources,
};

/// Runs of which the plans are looked into, the newest first.
const RUNS: usize = 20;

/// Reads what is live and plans, with what journals tell of objects that may only have got another name.
pub(super) async fn plan<'p>(
    prepared: &'p Prepared,
    args: &SafetyArgs,
    state_dir: Option<&Path>,
    ui: &Ui,
) -> PlannedRun<'p> {
    let mut planned_run = planning::observe_and_plan(prepared, args, ui).await;
    propose(prepared, &mut planned_run, state_dir).await;
    planned_run
}

/// Adds to a plan a warning about each new object that may be a live one whose document is gone: the way to declare that
/// it only has another name. Reads nothing unless something is to be made.
async fn propose(prepared: &Prepared, planned_run: &mut PlannedRun<'_>, state_dir: Option<&Path>) {
    let is_new = planned_run.plan.changes.iter().any(|change| change.action == Action::Create);
    let is_sandbox = prepared.connected.sandbox.is_some() && state_dir.is_none();
    if !is_new || is_sandbox || prepared.is_partial {
        return;
    }
    let vanished = vanished(prepared, state_dir);
    if vanished.is_empty() {
        return;
    }
    let found = found_again(&prepared.connected.readers(), &vanished).await;
    let plan = &mut planned_run.plan;
    let remarks = planned_run.states.iter().flat_map(|state| of_vanished(state, &plan.changes, &found));
    let remarks: Vec<_> = remarks.collect();
    plan.remarks.extend(remarks);
}

/// Returns the objects that the latest runs made or changed and that nothing declares any more, with their handles.
fn vanished(prepared: &Prepared, state_dir: Option<&Path>) -> Vec<(Desired, Value)> {
    let Some(path) = journal::state_directory(state_dir) else { return Vec::new() };
    let store = Directory::new(path);
    let declared = prepared.desired.iter().map(|desired| &desired.id);
    let declared = declared.chain(&prepared.loaded.set.broken).chain(&prepared.ignored);
    let declared: HashSet<String> = declared.map(ToString::to_string).collect();
    let mut known: HashMap<ResourceId, Option<(Desired, Value)>> = HashMap::new();
    // A journal that cannot be read is passed over: `history` and `resume` report it.
    for id in store.runs().unwrap_or_default().iter().rev().take(RUNS) {
        let Ok(journal) = store.journal(id) else { continue };
        let history = RunHistory::of(id, &journal);
        let gone = history.by_address(|noted| noted.is_made() && !declared.contains(&noted.address));
        // The plan of a run is large, and most runs are about what is still declared.
        if gone.is_empty() {
            continue;
        }
        let Ok(saved) = history::plan(&store, &history, &mut Sources::default()) else { continue };
        let config = prepared.loaded.config.as_ref();
        let used = saved.objects.iter().map(|desired| &desired.target).collect();
        let here = config.map(|config| plan_file::setups(config, &used, prepared.connected.sandbox.is_some()));
        if plan_file::elsewhere(&saved.setups, &here.unwrap_or_default()).is_some() {
            continue;
        }
        let whole = saved.objects.iter().filter(|desired| desired.id.part.is_none());
        let objects: HashMap<&ResourceId, &Desired> = whole.map(|desired| (&desired.id, desired)).collect();
        for change in &saved.plan.changes {
            let Some(noted) = gone.get(&*change.id.to_string()) else { continue };
            let handle = match change.action {
                Action::Create => noted.handle().cloned(),
                Action::Update => Some(change.handle.clone()),
                Action::Delete | Action::Sync => None,
            };
            let object = || Some(((*objects.get(&change.id)?).clone(), handle?));
            // The newest run tells; what it removed is gone.
            known.entry(change.id.clone()).or_insert_with(object);
        }
    }
    known.into_values().flatten().collect()
}

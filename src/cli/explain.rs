//! `reconcile explain`: from a line of YAML to the objects, the fields and the calls that it decides.

pub(super) mod decided;
pub(super) mod place;

use std::collections::HashSet;

use serde_json::Value;

use super::{
    args::{ExplainArgs, SafetyArgs, TextOrJson},
    error::CommandError,
    exit::ExitStatus,
    planning,
    signal::Stop,
    view::{Ui, explain as view},
};
use crate::{
    manifest::Provenance,
    model::ResourceId,
    plan::{Cause, Plan, TargetState},
};
use decided::{Decided, Explained, Object, State};

/// Explains a place. Only readers are made: nothing here can write.
pub(super) async fn run(args: &ExplainArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    tokio::select! {
        result = explain(args, ui) => result,
        () = stop.token().cancelled() => {
            Err(CommandError::interrupted(&stop, "interrupted before everything was read"))
        }
    }
}

async fn explain(args: &ExplainArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let prepared = planning::prepare(&args.inputs, &args.network, false, args.against.as_deref(), ui).await?;
    let sources = &prepared.loaded.sources;
    let Some(file) = place::find_file(&args.place.file, sources) else {
        let problem = format!("`{}` is none of the files that are read; name its directory as PATH", args.place.file);
        planning::end(prepared.connected).await;
        return Err(CommandError::usage(problem));
    };
    let provenance = &prepared.loaded.set.provenance;
    let is_values = args.inputs.values.iter().any(|path| *path.display().to_string() == **sources.path(file));
    let otherwise = || {
        if is_values {
            return "no value in force takes this variable".to_owned();
        }
        place::undecided(&args.place, file, sources)
    };
    let decided = place::values(&args.place, file, sources).and_then(|values| {
        let decided = Decided::new(&values, &prepared.desired, provenance);
        if decided.objects.is_empty() { Err(decided.nothing(otherwise())) } else { Ok(decided) }
    });
    let status = match decided {
        Err(why) => {
            show(args, &view::nothing(&args.place, &why), &format!("{}: {why}\n", view::name(&args.place)), ui);
            ExitStatus::Failed
        }
        Ok(decided) => {
            let unlimited = SafetyArgs { max_changes: None, max_deletes: None, max_impact: Vec::new(), ack: None };
            let planned_run = planning::observe_and_plan(&prepared, &unlimited, ui).await;
            let synced = decided.synced(&planned_run.states);
            let objects = decided.objects.iter().chain(&synced);
            let explained = explained(objects, &planned_run.plan, &planned_run.states, provenance);
            let writer = view::Writer { sources, provenance };
            show(args, &writer.json(&args.place, &decided, &explained), &writer.text(&decided, &explained), ui);
            let wrong = explained.iter().filter_map(|explained| match explained.state {
                State::Blocked(Cause::Wrong(problems)) => Some(problems.clone()),
                _ => None,
            });
            ui.diagnostics(&wrong.flatten().collect::<Vec<_>>(), sources);
            exit_status(&explained)
        }
    };
    planning::end(prepared.connected).await;
    Ok(status)
}

/// Explains objects. A roll-out has many parts: those that it does nothing about are left out.
pub(super) fn explained<'a>(
    objects: impl Iterator<Item = &'a Object<'a>>,
    plan: &'a Plan,
    states: &'a [TargetState<'_>],
    provenance: &'a Provenance,
) -> Vec<Explained<'a>> {
    let parts: HashSet<&ResourceId> = states.iter().flat_map(|state| &state.parts).map(|part| &part.id).collect();
    let is_shown = |explained: &Explained<'_>| {
        !parts.contains(&explained.object.desired.id) || !matches!(explained.state, State::AsDeclared)
    };
    objects.map(|object| Explained::new(object, plan, states, provenance)).filter(is_shown).collect()
}

fn show(args: &ExplainArgs, document: &Value, text: &str, ui: &Ui) {
    match args.output {
        TextOrJson::Text => ui.out(&ui.guard(text)),
        TextOrJson::Json => ui.out(&format!("{document:#}\n")),
    }
}

fn exit_status(explained: &[Explained<'_>]) -> ExitStatus {
    if explained.iter().any(|explained| matches!(explained.state, State::Blocked(Cause::Unread(_)))) {
        ExitStatus::Partial
    } else if explained.iter().any(|explained| matches!(explained.state, State::Blocked(_))) {
        ExitStatus::Failed
    } else {
        ExitStatus::Success
    }
}

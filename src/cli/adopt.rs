//! `reconcile adopt`: live values go into the lines that decide them.

pub(super) mod decide;
mod hunks;
mod patch;

use std::collections::HashMap;

use super::{
    args::AdoptArgs,
    error::CommandError,
    exit::ExitStatus,
    planning::{self, Prepared},
    rewrite,
    signal::Stop,
    view::{Ui, adopt as view},
};
use crate::{
    engine::{
        author::{Trace, trace},
        observe::observe,
    },
    files::write::{self, Readers},
    model::{
        Action, Change, Desired, FieldChange, ResourceId,
        author::{Changed, Verdict},
    },
    plan::{Plan, TargetState, plan},
};
use decide::{Decider, Refused};
use patch::{Patch, Wanted};

/// Plans, asks who changed what differs, and writes the live values into the manifests. Only readers are made: nothing
/// here can write to a platform.
pub(super) async fn run(args: &AdoptArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    let work = async {
        let prepared = planning::prepare(&args.inputs, &args.network, false, None, ui).await?;
        let status = adopt(args, &prepared, ui).await;
        planning::end(prepared.connected).await;
        status
    };
    tokio::select! {
        result = work => result,
        () = stop.token().cancelled() => Err(planning::interrupted(&stop)),
    }
}

async fn adopt(args: &AdoptArgs, prepared: &Prepared, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let readers = prepared.connected.readers();
    let work = async {
        let mut states = observe(&readers, &prepared.desired).await;
        let plan = plan(&states);
        let trace = trace(&readers, &mut states, &plan).await;
        (states, plan, trace)
    };
    let (states, plan, trace) = prepared.reading(ui, work).await;
    let outcome = adopted(prepared, &states, &plan, &trace, args.unknown);
    let sources = &prepared.loaded.sources;
    ui.diagnostics(&outcome.refused.iter().map(Refused::diagnostic).collect::<Vec<_>>(), sources);
    if args.write {
        for file in &outcome.patch.files {
            replace(&file.path, &file.before, &file.now).map_err(CommandError::failed)?;
        }
        ui.out(&view::message(&outcome.lines));
    } else if !outcome.lines.is_empty() {
        ui.out(&view::message(&outcome.lines));
        ui.out(&format!("\n{}", outcome.patch.text()));
    }
    ui.say(&view::summary(outcome.lines.len(), outcome.refused.len(), outcome.patch.files.len(), args.write));
    let status = planning::exit_status(&plan, false);
    let is_whole = outcome.refused.iter().all(|refused| !refused.is_drift);
    Ok(if status == ExitStatus::Success && !is_whole { ExitStatus::Failed } else { status })
}

/// What was adopted and what was not.
struct Outcome {
    patch: Patch,
    lines: Vec<view::Adopted>,
    refused: Vec<Refused>,
}

/// A value whose place is known.
struct Candidate<'c> {
    change: &'c Change,
    field: &'c FieldChange,
    changed: Changed,
}

fn adopted(prepared: &Prepared, states: &[TargetState<'_>], plan: &Plan, trace: &Trace, unknown: bool) -> Outcome {
    let loaded = &prepared.loaded;
    let sources = &loaded.sources;
    let changes = || plan.changes.iter().chain(&plan.reported);
    let decider = Decider::new(&prepared.desired, changes(), &loaded.set.provenance, sources);
    let documents: HashMap<&ResourceId, &Desired> =
        prepared.desired.iter().map(|desired| (&desired.id, desired)).collect();
    let (mut candidates, mut wanted, mut refused) = (Vec::new(), Wanted::default(), Vec::new());
    for change in changes() {
        let state = states.iter().find(|state| state.target == change.target);
        let (Some(state), Some(desired)) = (state, documents.get(&change.id)) else { continue };
        for (path, changed) in trace.all(change) {
            let field = change.fields.iter().find(|field| Some(&field.path) == path);
            let found = match (changed.verdict(change.action), field) {
                (Verdict::Edit, _) => continue,
                (Verdict::Unknown, _) if !unknown => {
                    Err("it is not known which side moved; `--unknown` adopts it".to_owned())
                }
                (_, None) => Err(whole(change.action).to_owned()),
                (_, Some(field)) => decider.edit(field, desired, state).map(|edit| (edit, field)),
            };
            match found {
                Err(why) => refused.push(Refused::new(change, field, &changed, &why)),
                Ok(((place, value), field)) => {
                    wanted.add(candidates.len(), &place, value);
                    candidates.push(Candidate { change, field, changed });
                }
            }
        }
    }
    let (patch, failed) = wanted.write(sources);
    let mut lines = Vec::new();
    for (number, Candidate { change, field, changed }) in candidates.iter().enumerate() {
        match failed.get(&number) {
            Some(why) => refused.push(Refused::new(change, Some(field), changed, &why.to_string())),
            None => lines.push(view::Adopted::new(&change.id, &field.path, changed)),
        }
    }
    Outcome { patch, lines, refused }
}

/// Says why an object that is made or removed is not adopted.
fn whole(action: Action) -> &'static str {
    match action {
        Action::Create => "it is gone, which only the document as a whole can say",
        Action::Delete => "it is there, which only the document as a whole can say",
        Action::Update | Action::Sync => "no line declares it",
    }
}

/// Writes a file that still is as it was read, through links that lead to it.
fn replace(path: &std::path::Path, before: &str, text: &str) -> Result<(), String> {
    let (place, now) = rewrite::as_it_was(path, before)?;
    let text = rewrite::with_mark(&now, text);
    write::replace(&place, text.as_bytes(), Readers::Mask)
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

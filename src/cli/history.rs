//! `reconcile history`: the runs of a state directory, or one of them.

use super::{
    args::{DataFormat, HistoryArgs},
    error::CommandError,
    exit::ExitStatus,
    journal,
    view::{Ui, history as view},
};
use crate::{
    journal::{
        Directory, Store,
        history::{RunHistory, find_run},
    },
    plan::file::{self, Saved},
    platform,
    source::Sources,
};

/// Lists runs, the newest first, or shows one.
pub(super) fn run(args: &HistoryArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let Some(path) = journal::state_directory(args.state_dir.as_deref()) else {
        return Err(CommandError::failed(journal::NO_STATE));
    };
    let store = Directory::new(path);
    let (document, text, unread) = match &args.run {
        Some(name) => one(&store, name, ui)?,
        None => list(&store, args, ui)?,
    };
    match args.output {
        DataFormat::Text => ui.out(&ui.guard(&text)),
        DataFormat::Json => ui.out(&format!("{document:#}\n")),
        DataFormat::Yaml => ui.out(&view::yaml(&document)),
    }
    Ok(if unread { ExitStatus::Failed } else { ExitStatus::Success })
}

/// Returns a document, its text, and true if not everything could be read.
type Shown = (serde_json::Value, String, bool);

fn list(store: &Directory, args: &HistoryArgs, ui: &Ui) -> Result<Shown, CommandError> {
    let runs = store.runs().map_err(|error| unreadable(store, &error))?;
    let mut unread = false;
    let mut found = Vec::new();
    for id in runs.iter().rev() {
        if found.len() == args.limit {
            break;
        }
        match store.journal(id) {
            Ok(journal) => {
                let history = RunHistory::of(id, &journal);
                let targets = history.record.iter().flat_map(|record| &record.targets);
                if args.target.is_empty() || targets.into_iter().any(|target| args.target.contains(&target.name)) {
                    found.push(history);
                }
            }
            // A run that has been removed since.
            Err(_) if store.runs().is_ok_and(|now| !now.contains(id)) => {}
            Err(error) => {
                unread = true;
                ui.error(&format!("{}: {error}", store.place(id)));
            }
        }
    }
    Ok((view::list(&found), view::table(&found), unread))
}

fn one(store: &Directory, name: &str, ui: &Ui) -> Result<Shown, CommandError> {
    let id = find_run(store, name).map_err(|error| CommandError::failed(error.to_string()))?;
    let journal = store.journal(&id).map_err(|error| CommandError::failed(format!("{}: {error}", store.place(&id))))?;
    let history = RunHistory::of(&id, &journal);
    let mut sources = Sources::default();
    let saved = plan(store, &history, &mut sources);
    if let Err(problem) = &saved {
        ui.say(&format!("warning: {problem}: only what the journal holds is shown"));
    }
    let saved = saved.ok();
    let shown = saved.as_ref().map(|saved| &saved.plan);
    Ok((view::detail(&history, shown), view::run(&history, shown, ui), false))
}

/// Reads the plan of a run. One that is not the plan that the journal names is an error.
pub(super) fn plan(store: &Directory, history: &RunHistory, sources: &mut Sources) -> Result<Saved, String> {
    let problem = |why: &str| format!("the plan of run {} {why}", history.id);
    let bytes = store.plan(&history.id).map_err(|error| problem(&format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| problem("is not UTF-8"))?;
    let saved =
        file::read(text, platform::ALL, sources).map_err(|error| problem(&format!("cannot be used: {error}")))?;
    let expected = history.record.as_ref().and_then(|record| record.plan.as_ref());
    if expected.is_some_and(|expected| saved.document().digest().as_ref() != Some(expected)) {
        return Err(problem("is not the one that its journal names"));
    }
    Ok(saved)
}

fn unreadable(store: &Directory, error: &std::io::Error) -> CommandError {
    CommandError::failed(format!("the runs in {} cannot be read: {error}", store.path().display()))
}

//! `reconcile blame`: who changed last what the lines of a file declare.

use std::{collections::HashMap, path::Path};

use super::{
    args::BlameArgs,
    error::CommandError,
    exit::ExitStatus,
    explain::place::find_file,
    journal,
    planning::{self, Prepared},
    signal::Stop,
    view::{
        Ui,
        blame::{self as view, Line, Own},
    },
};
use crate::{
    engine::{author::touched, observe::observe},
    journal::{Directory, Store, history::RunHistory},
    manifest::{Given, Provenance},
    model::{Desired, ObservedState, author::Changed},
    plan::{TargetState, select},
    platform,
    source::{FileId, Origin},
};

/// Reads the objects of a file and shows who changed them. Only readers are made: nothing here can write.
pub(super) async fn run(args: &BlameArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let stop = Stop::listen();
    let work = async {
        let mut prepared = planning::prepare(&args.inputs, &args.network, false, None, ui).await?;
        let status = blame(args, &mut prepared, ui).await;
        planning::end(prepared.connected).await;
        status
    };
    tokio::select! {
        result = work => result,
        () = stop.token().cancelled() => Err(planning::interrupted(&stop)),
    }
}

async fn blame(args: &BlameArgs, prepared: &mut Prepared, ui: &Ui) -> Result<ExitStatus, CommandError> {
    let Some(file) = find_file(&args.file, &prepared.loaded.sources) else {
        let problem = format!("`{}` is none of the files that are read; name its directory as PATH", args.file);
        return Err(CommandError::usage(problem));
    };
    let provenance = prepared.loaded.set.provenance.clone();
    let places = |desired: &Desired| places(desired, file, &provenance);
    let selected = |desired: &Desired| desired.selected && !places(desired).is_empty();
    let was_selected: Vec<bool> = prepared.desired.iter().map(selected).collect();
    if !was_selected.contains(&true) {
        return Err(CommandError::failed(format!("{} declares no value of an object", args.file)));
    }
    select(&mut prepared.desired, &[], platform::ALL, &|desired: &Desired| !places(desired).is_empty());
    let readers = prepared.connected.readers();
    let work = async {
        let mut states = observe(&readers, &prepared.desired).await;
        let touched = touched(&readers, &mut states).await;
        (states, touched)
    };
    let (states, touched) = prepared.reading(ui, work).await;
    let own = own_changes(args.state_dir.as_deref(), ui);
    let (mut lines, mut unread) = (Vec::new(), false);
    for (state, desired) in states.iter().flat_map(|state| state.desired.iter().map(move |desired| (state, *desired))) {
        for (path, place) in places(desired) {
            let known = known(state, desired);
            unread |= matches!(known, Known::Unread);
            let changed = touched.get(&desired.id);
            lines.push(Line {
                position: prepared.loaded.sources.position(&place),
                object: desired.id.to_string(),
                foreign: foreign(known, changed),
                own: own.get(&(desired.id.to_string(), path.clone())).cloned().or_else(|| by_account(changed)),
                path,
            });
        }
    }
    lines.sort_by(|one, other| {
        (one.position.line, one.position.column).cmp(&(other.position.line, other.position.column))
    });
    ui.out(&ui.guard(&view::text(&lines)));
    Ok(if unread { ExitStatus::Partial } else { ExitStatus::Success })
}

/// Returns the fields of an object whose values a file decides, each with its place there.
fn places(desired: &Desired, file: FileId, provenance: &Provenance) -> Vec<(String, Origin)> {
    let mut places = Vec::new();
    for (path, value) in &desired.fields {
        if value.origin.file == file {
            places.push((path.to_string(), value.origin.clone()));
            continue;
        }
        let used = provenance.variables(&value.origin).iter();
        let given = used.filter_map(|usage| match &usage.given {
            Given::Values(place) if place.file == file => Some(place.clone()),
            _ => None,
        });
        places.extend(given.map(|place| (path.to_string(), place)));
    }
    places
}

/// What is known of an object.
#[derive(Clone, Copy)]
enum Known {
    Found,
    Missing,
    Unread,
}

fn known(state: &TargetState<'_>, desired: &Desired) -> Known {
    match state.facts.observed(&desired.id) {
        Some(ObservedState::Found(_)) => Known::Found,
        Some(ObservedState::Absent { .. }) => Known::Missing,
        _ => Known::Unread,
    }
}

/// Returns the last change that somebody else made, in words.
fn foreign(known: Known, changed: Option<&Changed>) -> String {
    match (known, changed) {
        (Known::Missing, _) => "it is not there".to_owned(),
        (Known::Unread, _) => "unknown: it could not be read".to_owned(),
        (Known::Found, Some(changed)) if changed.ours == Some(false) => view::foreign(changed),
        (Known::Found, Some(changed)) if changed.ours.is_none() && changed.by.is_some() => {
            format!("perhaps {}", view::foreign(changed))
        }
        // The platform keeps the last change of an object alone, and that was another one.
        (Known::Found, _) => "unknown".to_owned(),
    }
}

/// Returns a change by the target's own account that no journal here tells of.
fn by_account(changed: Option<&Changed>) -> Option<Own> {
    let changed = changed.filter(|changed| changed.ours == Some(true))?;
    Some(Own { at: changed.at.clone().unwrap_or_default(), user: None, run: None })
}

/// Returns the last own change of each field, by its object and path, as the journals tell it.
fn own_changes(state_dir: Option<&Path>, ui: &Ui) -> HashMap<(String, String), Own> {
    let mut own = HashMap::new();
    let Some(path) = journal::state_directory(state_dir) else { return own };
    let store = Directory::new(path);
    for id in store.runs().unwrap_or_default() {
        let journal = match store.journal(&id) {
            Ok(journal) => journal,
            Err(error) => {
                ui.say(&format!("warning: {}: {error}", store.place(&id)));
                continue;
            }
        };
        let history = RunHistory::of(&id, &journal);
        let user = history.record.as_ref().and_then(|record| record.origin.user.clone());
        for change in history.changes.iter().filter(|change| change.is_made()) {
            let time = change.attempts.last().map(|attempt| attempt.time.to_string()).unwrap_or_default();
            for field in &change.fields {
                // Runs come in the order of their beginnings: a later one replaces what an earlier one said.
                let made = Own { at: time.clone(), user: user.clone(), run: Some(id.clone()) };
                own.insert((change.address.clone(), field.path.clone()), made);
            }
        }
    }
    own
}

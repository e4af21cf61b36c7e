//! `reconcile blame`: who changed last what the lines of a file declare.

use std::{collections::HashMap, path::Path};

use super::{
    args::{BlameArgs, TextOrJson},
    error::CommandError,
    exit::ExitStatus,
    explain::place::find_file,
    journal,
    planning::{self, Prepared},
    signal::Stop,
    view::{
        Ui,
        blame::{self as view, Foreign, Known, Line, Own},
    },
};
use crate::{
    engine::{author::touched, observe::observe},
    journal::{Directory, Store, history::RunHistory},
    manifest::{Given, Provenance},
    model::{Desired, FieldPath, ObservedState, author::Changed},
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
    let own = OwnChanges::read(args.state_dir.as_deref(), &mut |problem| ui.say(problem));
    let (mut lines, mut unread) = (Vec::new(), false);
    for (state, desired) in states.iter().flat_map(|state| state.desired.iter().map(move |desired| (state, *desired))) {
        for (path, place) in places(desired) {
            let known = known(state, desired);
            unread |= known == Known::Unread;
            lines.push(Line {
                position: prepared.loaded.sources.position(&place),
                object: desired.id.to_string(),
                target: desired.target.to_string(),
                foreign: Foreign::of(known, touched.last(&desired.id, &path)),
                own: own.of(desired, &path).or_else(|| by_account(touched.object(&desired.id))),
                path: path.to_string(),
            });
        }
    }
    lines.sort_by(|one, other| {
        (one.position.line, one.position.column).cmp(&(other.position.line, other.position.column))
    });
    match args.output {
        TextOrJson::Text => ui.out(&ui.guard(&view::text(&lines))),
        TextOrJson::Json => ui.out(&format!("{:#}\n", view::json(&args.file, &lines))),
    }
    Ok(if unread { ExitStatus::Partial } else { ExitStatus::Success })
}

/// Returns the fields of an object whose values a file decides, each with its place there.
fn places(desired: &Desired, file: FileId, provenance: &Provenance) -> Vec<(FieldPath, Origin)> {
    let mut places = Vec::new();
    for (path, value) in &desired.fields {
        if value.origin.file == file {
            places.push((path.clone(), value.origin.clone()));
            continue;
        }
        let used = provenance.variables(&value.origin).iter();
        let given = used.filter_map(|usage| match &usage.given {
            Given::Values(place) if place.file == file => Some(place.clone()),
            _ => None,
        });
        places.extend(given.map(|place| (path.clone(), place)));
    }
    places
}

/// Returns what is known of an object.
pub(super) fn known(state: &TargetState<'_>, desired: &Desired) -> Known {
    match state.facts.observed(&desired.id) {
        Some(ObservedState::Found(_)) => Known::Found,
        Some(ObservedState::Absent { .. }) => Known::Missing,
        _ => Known::Unread,
    }
}

/// Returns a change by the target's own account that no journal here tells of.
pub(super) fn by_account(changed: Option<&Changed>) -> Option<Own> {
    let changed = changed.filter(|changed| changed.ours == Some(true))?;
    Some(Own { at: changed.at.clone().unwrap_or_default(), user: None, run: None })
}

/// The last own change of each field, by its object and path, as the journals tell it.
#[derive(Default)]
pub(super) struct OwnChanges(HashMap<String, HashMap<String, Own>>);

impl OwnChanges {
    /// Reads the journals of a state directory: the one that was named, else the user's own.
    pub(super) fn read(state_dir: Option<&Path>, say: &mut dyn FnMut(&str)) -> Self {
        let mut own = Self::default();
        let Some(path) = journal::state_directory(state_dir) else { return own };
        let store = Directory::new(path);
        for id in store.runs().unwrap_or_default() {
            let journal = match store.journal(&id) {
                Ok(journal) => journal,
                Err(error) => {
                    say(&format!("warning: {}: {error}", store.place(&id)));
                    continue;
                }
            };
            let history = RunHistory::of(&id, &journal);
            let user = history.record.as_ref().and_then(|record| record.origin.user.clone());
            for change in history.changes.iter().filter(|change| change.is_made()) {
                let time = change.attempts.last().map(|attempt| attempt.time.to_string()).unwrap_or_default();
                let fields = own.0.entry(change.address.clone()).or_default();
                for field in &change.fields {
                    // Runs come in the order of their beginnings: a later one replaces what an earlier one said.
                    let made = Own { at: time.clone(), user: user.clone(), run: Some(id.clone()) };
                    fields.insert(field.path.clone(), made);
                }
            }
        }
        own
    }

    /// Returns the last own change of a declared field. A row that a manifest names by its position has an id in journals:
    /// so the last change of its list counts.
    pub(super) fn of(&self, desired: &Desired, path: &FieldPath) -> Option<Own> {
        let fields = self.0.get(&desired.id.to_string())?;
        if let Some(own) = fields.get(path.as_str()) {
            return Some(own.clone());
        }
        path.row()?;
        let list = path.root();
        let of_list = fields.iter().filter(|(name, _)| name.starts_with(&*list)).map(|(_, own)| own);
        of_list.max_by(|one, other| one.at.cmp(&other.at)).cloned()
    }
}

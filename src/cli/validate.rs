//! `reconcile validate`.

use std::collections::BTreeSet;

use super::{
    against,
    args::{Format, ValidateArgs},
    configuration,
    error::CommandError,
    exit::ExitStatus,
    inputs,
    inputs::LoadedInputs,
    plan_file, planning, selection, setup,
    signal::Stop,
    view::{Ui, plain::count, report::Report},
};
use crate::{
    diagnostic::Diagnostic,
    engine::check::check,
    manifest::{self, Retain},
    plan::select,
    platform,
};

/// Checks offline and, where it is asked to, what is right so far against the servers' definitions.
pub(super) async fn run(args: &ValidateArgs, ui: &Ui) -> Result<ExitStatus, CommandError> {
    // Offline, the values of a document are not needed once it is checked.
    let is_online = args.online || args.against.is_some();
    let retain = match (is_online, &args.inputs.selection.selector) {
        (true, _) => Retain::Objects,
        (false, Some(_)) => Retain::Labels,
        (false, None) => Retain::Addresses,
    };
    let options = manifest::Options { retain, without_places: true, ..manifest::Options::default() };
    let mut loaded = setup::read_with(&args.inputs, &options).map_err(CommandError::usage)?;
    if let Some(problem) = plan_file::mistaken(&args.inputs, &loaded.sources) {
        return Err(CommandError::usage(problem));
    }
    if !loaded.is_broken()
        && let Err(problem) = selection::check(&args.inputs, &loaded)
    {
        return Err(CommandError::usage(problem).with(loaded));
    }
    let objects = loaded.set.desired.len();
    let mut status = if loaded.is_broken() { ExitStatus::Failed } else { ExitStatus::Success };
    if is_online && status == ExitStatus::Success {
        let stop = Stop::listen();
        status = tokio::select! {
            status = online(args, &mut loaded, ui) => status,
            () = stop.token().cancelled() => stop.status().unwrap_or(ExitStatus::Failed),
        };
        if stop.status().is_some() {
            loaded.unread.push("interrupted before everything was checked".to_owned());
        }
    }
    let report =
        Report { diagnostics: &loaded.diagnostics, errors: &loaded.unread, ..Report::new("validate", &loaded.sources) };
    let ended = report.publish(&args.forms, status, ui);
    loaded.notes.iter().for_each(|note| ui.say(note));
    loaded.unread.iter().for_each(|problem| ui.error(problem));
    ui.diagnostics(&loaded.diagnostics, &loaded.sources);
    let wrong: Vec<_> = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
    if !wrong.is_empty() && args.forms.format == Format::Text {
        let files: BTreeSet<_> =
            wrong.iter().filter_map(|diagnostic| diagnostic.origin()).map(|origin| origin.file).collect();
        ui.say(&format!("{} in {}", count(wrong.len(), "error"), count(files.len(), "file")));
    }
    if status == ExitStatus::Success && args.forms.format == Format::Text {
        let documents = loaded.set.documents;
        ui.out(&format!("valid: {} in {}\n", count(objects, "object"), count(documents, "document")));
    }
    // The process ends here: to free each text and object by itself would only take time.
    std::mem::forget(loaded);
    Ok(ended)
}

/// Adds the problems that the servers' definitions show, and returns how the check ended.
async fn online(args: &ValidateArgs, loaded: &mut LoadedInputs, ui: &Ui) -> ExitStatus {
    let is_selected = match selection::filter(&args.inputs.selection) {
        Ok(is_selected) => is_selected,
        Err(problem) => {
            loaded.unread.push(problem);
            return ExitStatus::Usage;
        }
    };
    let desired = &mut loaded.set.desired;
    select(desired, &[], platform::ALL, &*is_selected);
    let used = setup::used(desired);
    if loaded.config.is_none() && args.against.is_none() && !used.is_empty() {
        loaded.unread.push(configuration::missing(&inputs::paths(&args.inputs)));
        return ExitStatus::Failed;
    }
    let connected = match &args.against {
        Some(file) => against::open(file, &args.network, loaded.config.as_ref(), &used, ui),
        None => setup::connect(&args.network, loaded.config.as_ref(), &used).await,
    };
    let connected = match connected {
        Ok(connected) => connected,
        Err(problem) => {
            loaded.unread.push(problem);
            return ExitStatus::Failed;
        }
    };
    let readers = connected.readers();
    ui.events.reading(used.iter().map(|target| &**target), desired.len());
    let findings = check(&readers, desired).await;
    ui.events.read(connected.shared.counters());
    planning::end(connected).await;
    let mut diagnostics = findings.diagnostics;
    loaded.name_variables(&mut diagnostics);
    loaded.diagnostics.extend(diagnostics);
    loaded.unread.extend(findings.unread);
    if !loaded.unread.is_empty() {
        ExitStatus::Partial
    } else if loaded.diagnostics.iter().any(Diagnostic::is_error) {
        ExitStatus::Failed
    } else {
        ExitStatus::Success
    }
}

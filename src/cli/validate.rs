//! `reconcile validate`.

use std::collections::BTreeSet;

use super::{
    args::{Format, ValidateArgs},
    configuration, exit, plan, saved, selection,
    setup::{self, LoadedInputs},
    signal::Stop,
    view::{Ui, text::count},
};
use crate::{
    diagnostic::Diagnostic,
    engine::{check::check, connection::Connection},
    plan::select,
    source::Sources,
};

/// Checks offline and, where it is asked to, what is right so far against the servers' definitions.
pub(super) async fn run(args: &ValidateArgs, ui: &Ui) -> u8 {
    let mut loaded = match setup::read(&args.inputs) {
        Ok(loaded) => loaded,
        Err(problem) => {
            ui.error(&problem);
            plan::unplanned("validate", &Sources::default(), &[], &[problem], &args.forms, ui);
            return exit::USAGE;
        }
    };
    if let Some(problem) = saved::mistaken(&args.inputs, &loaded.sources) {
        ui.error(&problem);
        return exit::USAGE;
    }
    if !loaded.is_broken()
        && let Err(problem) = selection::check(&args.inputs, &loaded)
    {
        ui.error(&problem);
        let LoadedInputs { sources, diagnostics, .. } = &loaded;
        plan::unplanned("validate", sources, diagnostics, &[problem], &args.forms, ui);
        return exit::USAGE;
    }
    let objects = loaded.set.desired.len();
    let mut code = if loaded.is_broken() { exit::ERROR } else { exit::OK };
    if args.online && code == exit::OK {
        let stop = Stop::listen();
        code = tokio::select! {
            code = online(args, &mut loaded, ui) => code,
            () = stop.token().cancelled() => stop.code().unwrap_or(exit::ERROR),
        };
        if stop.code().is_some() {
            loaded.unread.push("interrupted before everything was checked".to_owned());
        }
    }
    plan::unplanned("validate", &loaded.sources, &loaded.diagnostics, &loaded.unread, &args.forms, ui);
    setup::report(&loaded, ui);
    let wrong: Vec<_> = loaded.diagnostics.iter().filter(|one| one.is_error()).collect();
    if !wrong.is_empty() && args.forms.format == Format::Text {
        let files: BTreeSet<_> = wrong.iter().filter_map(|one| one.origin()).map(|origin| origin.file).collect();
        ui.say(&format!("{} in {}", count(wrong.len(), "error"), count(files.len(), "file")));
    }
    if code == exit::OK && args.forms.format == Format::Text {
        let documents = loaded.set.documents;
        Ui::out(&format!("valid: {} in {}\n", count(objects, "object"), count(documents, "document")));
    }
    code
}

/// Adds what the servers' definitions tell to what is wrong, and returns the exit code.
async fn online(args: &ValidateArgs, loaded: &mut LoadedInputs, ui: &Ui) -> u8 {
    let is_selected = match selection::filter(&args.inputs) {
        Ok(is_selected) => is_selected,
        Err(problem) => {
            loaded.unread.push(problem);
            return exit::USAGE;
        }
    };
    let desired = &mut loaded.set.desired;
    select(desired, &[], &*is_selected);
    let used = setup::used(desired);
    if loaded.config.is_none() && !used.is_empty() {
        loaded.unread.push(configuration::missing(&setup::paths(&args.inputs)));
        return exit::ERROR;
    }
    let connected = match setup::connect(&args.network, loaded.config.as_ref(), &used).await {
        Ok(connected) => connected,
        Err(problem) => {
            loaded.unread.push(problem);
            return exit::ERROR;
        }
    };
    let readers: Vec<_> = connected.connections.iter().map(Connection::reader).collect();
    ui.events.reading(used.iter().map(|target| &**target), desired.len());
    let findings = check(&readers, desired).await;
    ui.events.read(connected.shared.counters());
    plan::end(connected).await;
    loaded.diagnostics.extend(findings.diagnostics);
    loaded.unread.extend(findings.unread);
    if !loaded.unread.is_empty() {
        exit::PARTIAL
    } else if loaded.diagnostics.iter().any(Diagnostic::is_error) {
        exit::ERROR
    } else {
        exit::OK
    }
}

//! `reconcile validate`.

use std::collections::BTreeSet;

use super::{
    args::{Format, ValidateArgs},
    configuration, exit, plan, saved, selection,
    setup::{self, Written},
    signal::Stop,
    view::{Screen, text::count},
};
use crate::{
    diagnostic::Diagnostic,
    engine::{check::check, connection::Connection},
    plan::select,
    source::Sources,
};

/// Checks offline and, where it is asked to, what is right so far against the servers' definitions.
pub(super) async fn run(args: &ValidateArgs, screen: &Screen) -> u8 {
    let mut written = match setup::read(&args.inputs) {
        Ok(written) => written,
        Err(problem) => {
            screen.error(&problem);
            plan::unplanned("validate", &Sources::default(), &[], &[problem], &args.forms, screen);
            return exit::USAGE;
        }
    };
    if let Some(problem) = saved::mistaken(&args.inputs, &written.sources) {
        screen.error(&problem);
        return exit::USAGE;
    }
    if !written.is_broken()
        && let Err(problem) = selection::check(&args.inputs, &written)
    {
        screen.error(&problem);
        let Written { sources, diagnostics, .. } = &written;
        plan::unplanned("validate", sources, diagnostics, &[problem], &args.forms, screen);
        return exit::USAGE;
    }
    let objects = written.set.desired.len();
    let mut code = if written.is_broken() { exit::ERROR } else { exit::OK };
    if args.online && code == exit::OK {
        let stop = Stop::listen();
        code = tokio::select! {
            code = online(args, &mut written, screen) => code,
            () = stop.token().cancelled() => stop.code().unwrap_or(exit::ERROR),
        };
        if stop.code().is_some() {
            written.unread.push("interrupted before everything was checked".to_owned());
        }
    }
    plan::unplanned("validate", &written.sources, &written.diagnostics, &written.unread, &args.forms, screen);
    setup::report(&written, screen);
    let wrong: Vec<_> = written.diagnostics.iter().filter(|one| one.is_error()).collect();
    if !wrong.is_empty() && args.forms.format == Format::Text {
        let files: BTreeSet<_> = wrong.iter().filter_map(|one| one.origin()).map(|origin| origin.file).collect();
        screen.say(&format!("{} in {}", count(wrong.len(), "error"), count(files.len(), "file")));
    }
    if code == exit::OK && args.forms.format == Format::Text {
        let documents = written.set.documents;
        Screen::out(&format!("valid: {} in {}\n", count(objects, "object"), count(documents, "document")));
    }
    code
}

/// Adds what the servers' definitions tell to what is wrong, and returns the exit code.
async fn online(args: &ValidateArgs, written: &mut Written, screen: &Screen) -> u8 {
    let is_selected = match selection::filter(&args.inputs) {
        Ok(is_selected) => is_selected,
        Err(problem) => {
            written.unread.push(problem);
            return exit::USAGE;
        }
    };
    let desired = &mut written.set.desired;
    select(desired, &[], &*is_selected);
    let used = setup::used(desired);
    if written.config.is_none() && !used.is_empty() {
        written.unread.push(configuration::missing(&setup::paths(&args.inputs)));
        return exit::ERROR;
    }
    let connected = match setup::connect(&args.network, written.config.as_ref(), &used).await {
        Ok(connected) => connected,
        Err(problem) => {
            written.unread.push(problem);
            return exit::ERROR;
        }
    };
    let readers: Vec<_> = connected.connections.iter().map(Connection::reader).collect();
    screen.events.reading(used.iter().map(|target| &**target), desired.len());
    let findings = check(&readers, desired).await;
    screen.events.read(connected.shared.counters());
    plan::end(connected).await;
    written.diagnostics.extend(findings.diagnostics);
    written.unread.extend(findings.unread);
    if !written.unread.is_empty() {
        exit::PARTIAL
    } else if written.diagnostics.iter().any(Diagnostic::is_error) {
        exit::ERROR
    } else {
        exit::OK
    }
}

//! `reconcile apply`.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Instant,
};

use super::{
    args::{ApplyArgs, Format},
    exit,
    plan::{self, Prepared, Seen},
    signal::Stop,
    view::{Screen, progress::Progress, report::Report, text},
};
use crate::{
    engine::{
        apply::{self, Event, apply},
        connection::Connection,
    },
    model::{Outcome, ResourceId},
    plan::{Cause, Plan},
};

/// Plans, asks, applies, verifies.
pub(super) async fn run(args: &ApplyArgs, screen: &Screen) -> u8 {
    let stop = Stop::listen();
    let prepared = match plan::prepare("apply", &args.inputs, &args.network, &args.output, args.prune, screen).await {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let seen = tokio::select! {
        seen = plan::look(&prepared, &args.safety) => seen,
        () = stop.token().cancelled() => return plan::interrupted("apply", &args.output.forms, &stop, screen),
    };
    let report = plan::report("apply", &prepared, &seen, &args.output);
    let as_text = args.output.forms.format == Format::Text;
    if as_text {
        plan::preview(&report, screen);
    }
    plan::blocked(&report, screen);
    let start = Instant::now();
    let mut errors = Vec::new();
    let (code, outcomes) = match leave(args, &seen, &stop, &mut errors, screen).await {
        Ok(()) => {
            let outcomes = go(args, &prepared, &seen, &stop, screen).await;
            (exit_code(&seen.plan, &outcomes, args.output.detailed_exitcode), Some(outcomes))
        }
        Err(code) => (code, None),
    };
    let report = Report { outcomes: outcomes.as_deref(), errors: &errors, ..report };
    if !as_text {
        Screen::out(&report.form(args.output.forms.format));
    } else if let Some(outcomes) = &outcomes {
        let mut writer = text::Writer::new(screen, report.sources);
        writer.outcomes(outcomes, prepared.connected.shared.tally(), start.elapsed());
        Screen::out(&format!("\n{}", writer.finish()));
    }
    let code = plan::write(&report, &args.output, code, screen);
    drop(seen);
    plan::end(prepared.connected, screen).await;
    stop.code().unwrap_or(code)
}

/// Returns whether the plan may be carried out; the error is the exit code where it may or need not. What went wrong is
/// added to `errors`.
async fn leave(
    args: &ApplyArgs,
    seen: &Seen<'_>,
    stop: &Stop,
    errors: &mut Vec<String>,
    screen: &Screen,
) -> Result<(), u8> {
    if let Some(code) = plan::refused(seen, &args.safety, screen) {
        return Err(code);
    }
    if args.dry_run || seen.plan.is_empty() {
        return Err(plan::exit_code(&seen.plan, args.output.detailed_exitcode && args.dry_run));
    }
    if args.auto_approve {
        return Ok(());
    }
    let (problem, code) = match approved(stop).await {
        Answer::Yes => return Ok(()),
        Answer::No => ("not approved: nothing was sent", stop.code().unwrap_or(exit::ERROR)),
        Answer::Nobody => {
            ("there is no terminal to ask on: nothing was sent; `--auto-approve` goes ahead unasked", exit::USAGE)
        }
    };
    screen.error(problem);
    errors.push(problem.to_owned());
    Err(code)
}

/// Carries out the plan and shows how it goes.
async fn go(
    args: &ApplyArgs,
    prepared: &Prepared,
    seen: &Seen<'_>,
    stop: &Stop,
    screen: &Screen,
) -> Vec<(ResourceId, Outcome)> {
    let writers: Vec<_> = prepared.connected.connections.iter().map(Connection::writer).collect();
    let progress = Progress::new(seen.plan.changes.len(), screen, &prepared.written.sources);
    let show = |event: &Event<'_>| progress.show(event);
    let options = apply::Options { verify: args.verify, listener: &show, stop: stop.token().clone() };
    let outcomes = apply(&seen.plan, &seen.scenes, &writers, &options).await;
    progress.end();
    outcomes
}

enum Answer {
    Yes,
    No,
    Nobody,
}

/// Asks on the terminal. Only the whole word is a yes.
async fn approved(stop: &Stop) -> Answer {
    if !io::stdin().is_terminal() {
        return Answer::Nobody;
    }
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\nApply these changes? Only `yes` is accepted: ").and_then(|()| stderr.flush());
    drop(stderr);
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line).unwrap_or_default()
    });
    tokio::select! {
        line = answer => if line.is_ok_and(|line| line.trim() == "yes") { Answer::Yes } else { Answer::No },
        () = stop.token().cancelled() => Answer::No,
    }
}

/// The exit code of a plan that was carried out.
fn exit_code(plan: &Plan, outcomes: &[(ResourceId, Outcome)], detailed: bool) -> u8 {
    let applied = outcomes.iter().filter(|(_, outcome)| outcome.converged()).count();
    let unknown = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Unknown(_)));
    let unread = plan.blocked.iter().any(|one| matches!(one.cause, Cause::Unread(_)));
    let failed = applied < outcomes.len() || !plan.blocked.is_empty();
    match (failed, applied) {
        _ if unread || unknown => exit::PARTIAL,
        (true, 0) => exit::ERROR,
        (true, _) => exit::PARTIAL,
        (false, _) if detailed => exit::CHANGES,
        (false, _) => exit::OK,
    }
}

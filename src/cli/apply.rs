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
    view::{Screen, json, progress::Progress, text},
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
    let prepared = match plan::prepare(&args.inputs, &args.network, &args.output, args.prune, None, screen).await {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let seen = tokio::select! {
        seen = plan::look(&prepared, &args.safety) => seen,
        () = stop.token().cancelled() => {
            screen.error("interrupted before the plan was complete: nothing was sent");
            return stop.code().unwrap_or(exit::ERROR);
        }
    };
    let code = go(args, &prepared, &seen, &stop, screen).await;
    drop(seen);
    plan::end(prepared.connected, screen).await;
    stop.code().unwrap_or(code)
}

async fn go(args: &ApplyArgs, prepared: &Prepared, seen: &Seen<'_>, stop: &Stop, screen: &Screen) -> u8 {
    let as_text = args.output.format == Format::Text;
    if args.dry_run || seen.plan.is_empty() {
        plan::show(prepared, seen, &args.output, screen);
        let refused = plan::refused(seen, &args.safety, screen);
        return refused.unwrap_or_else(|| plan::exit_code(&seen.plan, args.output.detailed_exitcode && args.dry_run));
    }
    if as_text {
        plan::show(prepared, seen, &args.output, screen);
    }
    if let Some(code) = plan::refused(seen, &args.safety, screen) {
        if !as_text {
            plan::show(prepared, seen, &args.output, screen);
        }
        return code;
    }
    if !args.auto_approve {
        let answer = approved(stop).await;
        if !as_text && !matches!(answer, Answer::Yes) {
            plan::show(prepared, seen, &args.output, screen);
        }
        match answer {
            Answer::Yes => {}
            Answer::No => {
                screen.error("not approved: nothing was sent");
                return stop.code().unwrap_or(exit::ERROR);
            }
            Answer::Nobody => {
                screen.error("there is no terminal to ask on: nothing was sent; `--auto-approve` goes ahead unasked");
                return exit::USAGE;
            }
        }
    }
    if !as_text {
        plan::blocked(&seen.plan, prepared, screen);
    }
    let start = Instant::now();
    let writers: Vec<_> = prepared.connected.connections.iter().map(Connection::writer).collect();
    let progress = Progress::new(seen.plan.changes.len(), screen, &prepared.written.sources);
    let show = |event: &Event<'_>| progress.show(event);
    let options = apply::Options { verify: args.verify, listener: &show, stop: stop.token().clone() };
    let outcomes = apply(&seen.plan, &seen.scenes, &writers, &options).await;
    progress.end();
    let tally = prepared.connected.shared.tally();
    if as_text {
        let mut writer = text::Writer::new(screen, &prepared.written.sources);
        writer.outcomes(&outcomes, tally, start.elapsed());
        Screen::out(&format!("\n{}", writer.finish()));
    } else {
        let written = &prepared.written;
        let document = json::plan(&seen.plan, &written.diagnostics, &written.sources, tally, seen.took);
        Screen::out(&format!("{:#}\n", json::outcomes(document, &outcomes, tally)));
    }
    exit_code(&seen.plan, &outcomes, args.output.detailed_exitcode)
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

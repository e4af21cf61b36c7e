//! `reconcile apply`.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
    time::Instant,
};

use super::{
    args::{ApplyArgs, Format, PartialStale},
    exit,
    journal::Journal,
    plan::{self, Seen},
    saved,
    setup::Connected,
    signal::Stop,
    view::{Screen, follow_up::follow_ups, progress::Progress, report::Report, text},
};
use crate::{
    engine::{
        apply::{self, Event, apply},
        connection::Connection,
    },
    model::{Action, Outcome, ResourceId},
    plan::{Cause, Plan},
    source::Sources,
};

/// Plans, asks, applies, verifies.
pub(super) async fn run(args: &ApplyArgs, screen: &Screen) -> u8 {
    match saved::given(&args.inputs) {
        Ok(None) => {}
        Ok(Some(path)) => return saved::apply(args, &path, screen).await,
        Err(problem) => {
            screen.error(&problem);
            plan::unplanned("apply", &Sources::default(), &[], &[problem], &args.output.forms, screen);
            return exit::USAGE;
        }
    }
    let stop = Stop::listen();
    let prepared = plan::prepare("apply", &args.inputs, &args.network, &args.output, args.prune, None, screen).await;
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(code) => return code,
    };
    let seen = tokio::select! {
        seen = plan::look(&prepared, &args.safety, screen) => seen,
        () = stop.token().cancelled() => return plan::interrupted("apply", &args.output.forms, &stop, screen),
    };
    let report = plan::report("apply", &prepared, &seen, &args.output);
    let job = Job { seen: &seen, report, settled: Vec::new(), fresh_until: seen.start + apply::TRUST, file: None };
    let code = carry_out(args, &prepared.connected, job, &stop, screen).await;
    drop(seen);
    plan::end(prepared.connected).await;
    stop.code().unwrap_or(code)
}

/// A plan that is to be carried out.
pub(super) struct Job<'a> {
    /// The plan and what it was made from.
    pub(super) seen: &'a Seen<'a>,
    /// What is said about it.
    pub(super) report: Report<'a>,
    /// Changes that are not to be sent, with their outcomes.
    pub(super) settled: Vec<(ResourceId, Outcome)>,
    /// Until when what was read is trusted.
    pub(super) fresh_until: Instant,
    /// The file that it was saved in.
    pub(super) file: Option<&'a Path>,
}

/// Shows a plan, asks, and carries it out; returns the exit code.
pub(super) async fn carry_out(
    args: &ApplyArgs,
    connected: &Connected,
    job: Job<'_>,
    stop: &Stop,
    screen: &Screen,
) -> u8 {
    let Job { seen, report, settled, fresh_until, file } = job;
    let as_text = args.output.forms.format == Format::Text;
    let asks = !args.auto_approve && !args.dry_run && settled.len() < seen.plan.changes.len();
    if as_text {
        plan::preview(&report, screen);
    }
    if asks && io::stdin().is_terminal() && !(as_text && io::stdout().is_terminal()) {
        // Nobody is asked about changes that are written where nobody looks.
        Screen::aside(&plan::preview_text(&report, &screen.of_stderr()));
    }
    plan::blocked(&report, screen);
    let start = Instant::now();
    let mut errors = Vec::new();
    let journal = Journal::of(args, file);
    let leave = match leave(args, seen, &settled, stop, &mut errors, screen).await {
        Ok(()) => journal.start(seen, args, screen),
        Err(code) => {
            journal.leave(code, seen);
            Err(code)
        }
    };
    let (code, outcomes) = match leave {
        Ok(()) => {
            let outcomes =
                send(args, connected, (seen, settled, fresh_until), report.sources, &journal, stop, screen).await;
            journal.end(&outcomes);
            (exit_code(&seen.plan, &outcomes, args.output.detailed_exitcode), Some(outcomes))
        }
        // What kept it from being sent is told object by object.
        Err(code) => {
            screen.events.settled(&seen.plan, &settled, report.sources);
            (code, (!settled.is_empty()).then_some(settled))
        }
    };
    let report = Report { outcomes: outcomes.as_deref(), errors: &errors, ..report };
    if !as_text {
        Screen::out(&report.form(args.output.forms.format));
    } else if let Some(outcomes) = &outcomes {
        let mut writer = text::Writer::new(screen, report.sources);
        writer.outcomes(outcomes, connected.shared.counters(), start.elapsed());
        writer.follow_ups(&follow_ups(&seen.plan, Some(outcomes)));
        Screen::out(&format!("\n{}", writer.finish()));
    }
    plan::write(&report, &args.output.forms, code, screen)
}

/// Carries a plan out and shows how that goes on.
async fn send(
    args: &ApplyArgs,
    connected: &Connected,
    (seen, settled, fresh_until): (&Seen<'_>, Vec<(ResourceId, Outcome)>, Instant),
    sources: &Sources,
    journal: &Journal,
    stop: &Stop,
    screen: &Screen,
) -> Vec<(ResourceId, Outcome)> {
    let writers: Vec<_> = connected.connections.iter().map(Connection::writer).collect();
    let progress = Progress::new(seen.plan.changes.len(), screen, sources);
    let show = |event: &Event<'_>| {
        if let Event::Finished(change, outcome, _) = event {
            journal.change(change, outcome);
        }
        progress.show(event);
    };
    let token = stop.token().clone();
    let options = apply::Options { verify: args.verify, fresh_until, settled, listener: &show, stop: token };
    let mut work = std::pin::pin!(apply(&seen.plan, &seen.states, &writers, &options));
    tokio::select! {
        outcomes = &mut work => outcomes,
        () = stop.token().cancelled() => {
            progress.interrupted();
            work.await
        }
    }
}

/// Returns whether the plan may be carried out; the error is the exit code where it may or need not. What went wrong is
/// added to `errors`.
async fn leave(
    args: &ApplyArgs,
    seen: &Seen<'_>,
    settled: &[(ResourceId, Outcome)],
    stop: &Stop,
    errors: &mut Vec<String>,
    screen: &Screen,
) -> Result<(), u8> {
    let has = |what: fn(&Outcome) -> bool| settled.iter().any(|(_, outcome)| what(outcome));
    let (stale, unknown) =
        (has(|outcome| *outcome == Outcome::Stale), has(|outcome| matches!(outcome, Outcome::Unknown(_))));
    let is_idle = settled.len() == seen.plan.changes.len();
    if !args.dry_run && !is_idle && !args.auto_approve && !io::stdin().is_terminal() {
        // A wrong call of the program is told before all else.
        let problem = "there is no terminal to ask on: nothing was sent; `--auto-approve` goes ahead unasked";
        screen.error(problem);
        errors.push(problem.to_owned());
        return Err(exit::USAGE);
    }
    if let Some(code) = plan::refused(seen, &args.safety, screen) {
        return Err(code);
    }
    let mut fail = |problem: &str, code: u8| {
        screen.error(problem);
        errors.push(problem.to_owned());
        Err(code)
    };
    if stale && args.partial_stale == PartialStale::Stop {
        let problem = "nothing was sent: objects have moved since this was planned; plan again, or send the others with \
                       `--partial-stale=skip`";
        return fail(problem, exit::STALE);
    }
    if unknown {
        let problem = "nothing was sent: not every object could be read";
        return fail(problem, if stale { exit::STALE } else { exit::PARTIAL });
    }
    if args.dry_run || is_idle {
        let detailed = args.output.detailed_exitcode && args.dry_run && !is_idle;
        return Err(if stale { exit::STALE } else { plan::exit_code(&seen.plan, detailed) });
    }
    if args.auto_approve {
        return Ok(());
    }
    if approved(&question(&seen.plan), stop).await {
        Ok(())
    } else {
        fail("not approved: nothing was sent", stop.code().unwrap_or(exit::ERROR))
    }
}

/// Returns what people are asked: how much happens, and where.
fn question(plan: &Plan) -> String {
    let number = |action, what| text::count(plan.count(action), what);
    let (creates, updates, deletes) =
        (number(Action::Create, "create"), number(Action::Update, "update"), number(Action::Delete, "delete"));
    let targets: BTreeSet<&str> = plan.changes.iter().map(|change| &*change.target).collect();
    let targets = targets.into_iter().collect::<Vec<_>>().join(", ");
    format!("Apply {creates}, {updates} and {deletes} to {targets}? Only `yes` is accepted: ")
}

/// Asks on the terminal. Only the whole word is a yes.
async fn approved(question: &str, stop: &Stop) -> bool {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "\n{question}").and_then(|()| stderr.flush());
    drop(stderr);
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line).unwrap_or_default()
    });
    let line = tokio::select! {
        line = answer => line.unwrap_or_default(),
        () = stop.token().cancelled() => String::new(),
    };
    if !line.ends_with('\n') {
        // An interruption and the end of the input leave the cursor behind the question.
        let _ = writeln!(io::stderr());
    }
    line.trim() == "yes"
}

/// The exit code of a plan that was carried out.
fn exit_code(plan: &Plan, outcomes: &[(ResourceId, Outcome)], detailed: bool) -> u8 {
    let applied = outcomes.iter().filter(|(_, outcome)| outcome.converged()).count();
    let unknown = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Unknown(_)));
    let unread = plan.blocked.iter().any(|one| matches!(one.cause, Cause::Unread(_)));
    let failed = applied < outcomes.len() || plan.failing().next().is_some();
    match (failed, applied) {
        _ if outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Stale) => exit::STALE,
        _ if unread || unknown => exit::PARTIAL,
        (true, 0) => exit::ERROR,
        (true, _) => exit::PARTIAL,
        (false, _) if detailed => exit::CHANGES,
        (false, _) => exit::OK,
    }
}

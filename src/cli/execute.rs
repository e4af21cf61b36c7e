//! The execution of a plan: consent, calls, outcomes.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

use tokio::time::Instant;

use super::{
    args::{ApplyArgs, Format, PartialStale},
    error::CommandError,
    exit::ExitStatus,
    planning::{self, PlannedRun},
    setup::Connected,
    signal::Stop,
    view::{Ui, follow_up::follow_ups, plain, progress::Progress, report::Report, text},
};
use crate::{
    engine::{
        apply::{self, Event},
        connection::Connection,
        run_log::Unrecorded,
    },
    journal::{TargetRecord, Verdict},
    model::{Action, Outcome, ResourceId},
    plan::{Cause, Plan, file::Document},
    run::{self, Claim, Finished, RunError, Surroundings, Work},
    source::Sources,
};

/// A plan that is to be carried out.
pub(super) struct ApplyJob<'a> {
    /// The plan and what it was made from.
    pub(super) planned_run: &'a PlannedRun<'a>,
    /// Its report.
    pub(super) report: Report<'a>,
    /// Changes that are not to be sent, with their outcomes.
    pub(super) settled: Vec<(ResourceId, Outcome)>,
    /// Until when what was read is trusted.
    pub(super) fresh_until: Instant,
    /// The file that it was saved in.
    pub(super) file: Option<&'a Path>,
    /// Where it is recorded.
    pub(super) surroundings: &'a Surroundings,
    /// The locks on its targets; `None` if nothing is to be sent.
    pub(super) claim: Option<Claim>,
    /// Its targets.
    pub(super) targets: Vec<TargetRecord>,
}

/// Shows a plan, asks, and carries it out; returns how that ended.
pub(super) async fn execute(
    args: &ApplyArgs,
    connected: &Connected,
    apply_job: ApplyJob<'_>,
    stop: &Stop,
    ui: &Ui,
) -> ExitStatus {
    let ApplyJob { planned_run, report, settled, fresh_until, file, surroundings, claim, targets } = apply_job;
    let as_text = args.output.forms.format == Format::Text;
    let asks = !args.auto_approve && !args.dry_run && settled.len() < planned_run.plan.changes.len();
    if as_text {
        planning::preview(&report, ui);
    }
    if asks && io::stdin().is_terminal() && !(as_text && io::stdout().is_terminal()) {
        // Nobody is asked about changes that are written where nobody looks.
        Ui::aside(&planning::preview_text(&report, &ui.of_stderr()));
    }
    planning::blocked(&report, ui);
    if args.dry_run || args.override_reason().is_some() {
        // Otherwise they are why nothing is sent.
        planned_run.held.iter().for_each(|held| ui.say(&held.to_string()));
    }
    let start = Instant::now();
    let consent = confirm(args, planned_run, &settled, stop).await;
    let verdict = match status_of(&consent) {
        ExitStatus::Refused => Some(Verdict::Refused),
        ExitStatus::Stale => Some(Verdict::Stale),
        _ => None,
    };
    let is_recorded = surroundings.store().is_some() && (verdict.is_some() || matches!(consent, Ok(Consent::Given)));
    let document = if is_recorded { report.run_document() } else { Document::default() };
    let work = Work {
        plan: &planned_run.plan,
        document: &document,
        manifests: if is_recorded { planned_run.record.manifests.digests(report.sources) } else { &[] },
        excesses: &planned_run.excesses,
        acknowledged: planned_run.acknowledged,
        held: &planned_run.held,
        override_reason: args.override_reason(),
        file: file.map(|file| file.display().to_string()),
    };
    if let Some(verdict) = verdict
        && let Err(problem) = run::record_refusal(surroundings, targets, &work, verdict)
    {
        tracing::warn!("{problem}");
    }
    // Before what is told object by object.
    if let Err(error) = &consent {
        error.print(ui);
    }
    let (status, outcomes, error) = match (consent, claim) {
        (Ok(Consent::Given), Some(claim)) => {
            let sending = Sending { surroundings, claim, work, planned_run, settled, fresh_until };
            match send(args.verify, connected, sending, report.sources, stop, ui).await {
                Ok(finished) => {
                    let status = exit_status(&planned_run.plan, &finished.outcomes, args.output.detailed_exitcode);
                    let error = finished.problem.map(CommandError::failed);
                    error.iter().for_each(|error| error.print(ui));
                    let status = if error.is_some() { status.unwritten() } else { status };
                    (status, Some(finished.outcomes), error)
                }
                Err(error) => {
                    let error = CommandError::failed(error.to_string());
                    error.print(ui);
                    (error.status(), None, Some(error))
                }
            }
        }
        // The reasons why it was not sent are told object by object.
        (consent, _) => {
            ui.events.settled(&planned_run.plan, &settled, report.sources);
            (status_of(&consent), (!settled.is_empty()).then_some(settled), consent.err())
        }
    };
    let errors = error.as_ref().map(CommandError::for_reports).unwrap_or_default();
    let report = Report { outcomes: outcomes.as_deref(), errors, ..report };
    if !as_text {
        ui.out(&report.form(args.output.forms.format));
    } else if let Some(outcomes) = &outcomes {
        let mut writer = text::Writer::new(ui, report.sources);
        writer.outcomes(outcomes, connected.shared.counters(), start.elapsed());
        writer.follow_ups(&follow_ups(&planned_run.plan, Some(outcomes)));
        ui.out(&format!("\n{}", writer.finish()));
    }
    report.save(&args.output.forms, status, ui)
}

/// A plan that may be sent.
struct Sending<'a> {
    surroundings: &'a Surroundings,
    claim: Claim,
    work: Work<'a>,
    planned_run: &'a PlannedRun<'a>,
    settled: Vec<(ResourceId, Outcome)>,
    fresh_until: Instant,
}

/// Carries a plan out and shows how that goes on.
async fn send(
    verify: bool,
    connected: &Connected,
    sending: Sending<'_>,
    sources: &Sources,
    stop: &Stop,
    ui: &Ui,
) -> Result<Finished, RunError> {
    let Sending { surroundings, claim, work, planned_run, settled, fresh_until } = sending;
    let writers: Vec<_> = connected.connections.iter().map(Connection::writer).collect();
    let progress = Progress::new(planned_run.plan.changes.len(), ui, sources);
    let show = |event: &Event<'_>| progress.show(event);
    let token = stop.token().clone();
    let options = apply::Options { verify, fresh_until, settled, listener: &show, stop: token, log: &Unrecorded };
    let work = run::carry_out(surroundings, claim, &work, (&planned_run.states, &writers), options);
    let mut work = std::pin::pin!(work);
    tokio::select! {
        finished = &mut work => finished,
        () = stop.token().cancelled() => {
            progress.interrupted();
            work.await
        }
    }
}

/// The result of asking whether a plan is to be carried out.
pub(super) enum Consent {
    /// It is.
    Given,
    /// Nothing is to be sent, and the command ends so.
    Needless(ExitStatus),
}

/// Returns how a command ends that has no consent to send anything.
fn status_of(consent: &Result<Consent, CommandError>) -> ExitStatus {
    match consent {
        Ok(Consent::Given) => ExitStatus::Success,
        Ok(Consent::Needless(status)) => *status,
        Err(error) => error.status(),
    }
}

/// Asks for consent. The error says why the plan may not be carried out.
pub(super) async fn confirm(
    args: &ApplyArgs,
    planned_run: &PlannedRun<'_>,
    settled: &[(ResourceId, Outcome)],
    stop: &Stop,
) -> Result<Consent, CommandError> {
    let has = |what: fn(&Outcome) -> bool| settled.iter().any(|(_, outcome)| what(outcome));
    let (stale, unknown) =
        (has(|outcome| *outcome == Outcome::Stale), has(|outcome| matches!(outcome, Outcome::Unknown(_))));
    let is_idle = settled.len() == planned_run.plan.changes.len();
    if !args.dry_run && !is_idle && !args.auto_approve && !io::stdin().is_terminal() {
        // A wrong call of the program is told before all else.
        let problem = "there is no terminal to ask on: nothing was sent; `--auto-approve` goes ahead without asking";
        return Err(CommandError::usage(problem));
    }
    if let Some(error) = planning::refused(planned_run, &args.safety) {
        return Err(error);
    }
    if stale && args.partial_stale == PartialStale::Stop {
        let problem = "nothing was sent: objects have moved since this was planned; plan again, or send the others with \
                       `--partial-stale=skip`";
        return Err(CommandError::stale(problem));
    }
    if unknown {
        let problem = "nothing was sent: not every object could be read";
        return Err(if stale { CommandError::stale(problem) } else { CommandError::partial(problem) });
    }
    if args.dry_run || is_idle {
        let detailed = args.output.detailed_exitcode && args.dry_run && !is_idle;
        let status = if stale { ExitStatus::Stale } else { planning::exit_status(&planned_run.plan, detailed) };
        return Ok(Consent::Needless(status));
    }
    if let Some(error) = planning::held_back(planned_run, args.override_reason()) {
        return Err(error);
    }
    if args.auto_approve || approved(&question(&planned_run.plan), stop).await {
        Ok(Consent::Given)
    } else {
        Err(CommandError::interrupted(stop, "not approved: nothing was sent"))
    }
}

/// Returns what people are asked: how much happens, and where.
pub(super) fn question(plan: &Plan) -> String {
    let number = |action, what| plain::count(plan.count(action), what);
    let (creates, updates, deletes) =
        (number(Action::Create, "create"), number(Action::Update, "update"), number(Action::Delete, "delete"));
    // Roll-outs are rare: most plans have none.
    let syncs = match plan.count(Action::Sync) {
        0 => String::new(),
        _ => format!(", with {}", number(Action::Sync, "sync")),
    };
    let targets: BTreeSet<&str> = plan.changes.iter().map(|change| &*change.target).collect();
    let targets = targets.into_iter().collect::<Vec<_>>().join(", ");
    format!("Apply {creates}, {updates} and {deletes}{syncs} to {targets}? Only `yes` is accepted: ")
}

/// Asks on the terminal. Only the whole word is a yes.
pub(super) async fn approved(question: &str, stop: &Stop) -> bool {
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

/// Returns how a run ended whose plan was carried out.
pub(super) fn exit_status(plan: &Plan, outcomes: &[(ResourceId, Outcome)], detailed: bool) -> ExitStatus {
    let applied = outcomes.iter().filter(|(_, outcome)| outcome.converged()).count();
    let unknown = outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Unknown(_)));
    let unread = plan.blocked.iter().any(|blocked| matches!(blocked.cause, Cause::Unread(_)));
    let manual = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Manual(_))).count();
    let failed = applied + manual < outcomes.len() || plan.failing().next().is_some();
    match (failed, applied) {
        _ if outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Stale) => ExitStatus::Stale,
        _ if unread || unknown => ExitStatus::Partial,
        (true, 0) => ExitStatus::Failed,
        (true, _) => ExitStatus::Partial,
        (false, _) if detailed => ExitStatus::Changes,
        (false, _) => ExitStatus::Success,
    }
}

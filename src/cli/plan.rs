//! `reconcile plan`, and the first half of `apply`.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    args::{Format, Inputs, Network, Output, PlanArgs, SafetyArgs},
    exit,
    setup::{self, Connected, Written},
    signal::Stop,
    snapshot,
    view::{Screen, json, text},
};
use crate::{
    engine::{
        observe::{note, observe},
        prune::prune,
    },
    model::Desired,
    plan::{
        Cause, Plan, Scene,
        guard::{self, Excess, Safety},
        plan, select,
    },
};

/// Plans and shows the plan. Only readers are made: nothing here can write.
pub(super) async fn run(args: &PlanArgs, screen: &Screen) -> u8 {
    let stop = Stop::listen();
    let work = async {
        let against = args.against.as_deref();
        let prepared = match prepare(&args.inputs, &args.network, &args.output, args.prune, against, screen).await {
            Ok(prepared) => prepared,
            Err(code) => return code,
        };
        let seen = look(&prepared, &args.safety).await;
        show(&prepared, &seen, &args.output, screen);
        snapshot::guesses(&prepared.connected, screen);
        let code = match refused(&seen, &args.safety, screen) {
            Some(code) => code,
            None => exit_code(&seen.plan, args.output.detailed_exitcode),
        };
        drop(seen);
        end(prepared.connected, screen).await;
        code
    };
    tokio::select! {
        code = work => code,
        () = stop.token().cancelled() => {
            screen.error("interrupted before the plan was complete");
            stop.code().unwrap_or(exit::ERROR)
        }
    }
}

/// Everything that a plan needs.
pub(super) struct Prepared {
    /// What people wrote; its objects lie in `desired`.
    pub(super) written: Written,
    /// The objects of this run.
    pub(super) desired: Vec<Desired>,
    /// Where what no document means is to be removed.
    pub(super) scopes: Vec<Desired>,
    /// The targets of this run.
    pub(super) connected: Connected,
}

/// Reads what people wrote and prepares connections, or the snapshot that stands for them; the error is the exit code.
pub(super) async fn prepare(
    inputs: &Inputs,
    network: &Network,
    output: &Output,
    prune: bool,
    against: Option<&Path>,
    screen: &Screen,
) -> Result<Prepared, u8> {
    let usage = |problem: String| {
        screen.error(&problem);
        exit::USAGE
    };
    let is_selected = setup::filter(inputs).map_err(usage)?;
    if prune && setup::is_partial(inputs) {
        return Err(usage(
            "`--prune` needs all documents: it cannot go with --selector, --target or --exclude".to_owned(),
        ));
    }
    let mut written = setup::read(inputs).map_err(usage)?;
    if written.is_broken() && output.format == Format::Json {
        let document = json::problems(&written.diagnostics, &written.sources, &written.unread);
        Screen::out(&format!("{document:#}\n"));
    }
    if let Some(code) = setup::report(&written, screen) {
        return Err(code);
    }
    setup::check_addresses(inputs, &written).map_err(usage)?;
    let mut desired = std::mem::take(&mut written.set.desired);
    if inputs.selector.is_some() && !desired.iter().any(|one| is_selected(one)) {
        screen.say("warning: nothing that is declared fits the selection");
    }
    select(&mut desired, &*is_selected);
    let scopes = if prune { setup::scopes(written.config.as_ref()) } else { Vec::new() };
    if prune && scopes.is_empty() {
        screen.say("nothing to prune in: the configuration has no scopes under `prune`");
    }
    let mut used = setup::used(&desired);
    used.extend(setup::used(&scopes));
    let connected = match against {
        Some(file) => snapshot::open(file, network, written.config.as_ref(), &used, screen),
        None => setup::connect(network, written.config.as_ref(), &used).await,
    };
    let connected = connected.map_err(|problem| {
        screen.error(&problem);
        exit::ERROR
    })?;
    Ok(Prepared { written, desired, scopes, connected })
}

/// A plan and what it was made from.
pub(super) struct Seen<'a> {
    /// What was read.
    pub(super) scenes: Vec<Scene<'a>>,
    /// What is to be done.
    pub(super) plan: Plan,
    /// The limits that it exceeds.
    pub(super) excesses: Vec<Excess>,
    /// How long it took.
    pub(super) took: Duration,
}

/// Reads what is live and plans.
pub(super) async fn look<'p>(prepared: &'p Prepared, args: &SafetyArgs) -> Seen<'p> {
    let start = Instant::now();
    let readers = prepared.connected.readers();
    let mut scenes = observe(&readers, &prepared.desired).await;
    prune(&readers, &mut scenes, &prepared.scopes).await;
    let mut plan = plan(&scenes);
    note(&readers, &mut scenes, &mut plan).await;
    let excesses = guard::excesses(&plan, &scenes, &safety(prepared, args));
    Seen { scenes, plan, excesses, took: start.elapsed() }
}

/// Shows a plan: text or JSON on stdout, what blocks objects on stderr.
pub(super) fn show(prepared: &Prepared, seen: &Seen<'_>, output: &Output, screen: &Screen) {
    let sources = &prepared.written.sources;
    let tally = prepared.connected.shared.tally();
    match output.format {
        Format::Text => {
            let mut writer = text::Writer::new(screen, sources);
            writer.plan(&seen.plan, tally, seen.took);
            if output.calls {
                writer.calls(&seen.plan);
            }
            Screen::out(&writer.finish());
        }
        Format::Json => {
            let document = json::plan(&seen.plan, &prepared.written.diagnostics, sources, tally, seen.took);
            let document = json::limits(document, &seen.plan, &seen.excesses);
            Screen::out(&json::text(&document));
        }
    }
    blocked(&seen.plan, prepared, screen);
}

/// Says which limits the plan exceeds; returns the exit code where it does and nothing acknowledges it.
pub(super) fn refused(seen: &Seen<'_>, args: &SafetyArgs, screen: &Screen) -> Option<u8> {
    if seen.excesses.is_empty() {
        return None;
    }
    let acknowledgement = guard::acknowledgement(&seen.plan);
    if args.ack.as_ref() == Some(&acknowledgement) {
        return None;
    }
    seen.excesses.iter().for_each(|excess| screen.error(&excess.to_string()));
    if args.ack.is_some() {
        screen.error("the acknowledgement that was given belongs to another plan");
    }
    screen.say(&format!("nothing is sent; `--ack '{acknowledgement}'` lets this plan pass, and no other"));
    Some(exit::REFUSED)
}

/// The limits of a run: those of the configuration, and those of the flags above them.
fn safety(prepared: &Prepared, args: &SafetyArgs) -> Safety {
    let mut safety = prepared.written.config.as_ref().map(|config| config.safety.clone()).unwrap_or_default();
    // A flag is about this run, so it wins over limits on single kinds too.
    for limits in std::iter::once(&mut safety.all).chain(safety.kinds.values_mut()) {
        limits.changes = args.max_changes.or(limits.changes);
        limits.deletes = args.max_deletes.or(limits.deletes);
    }
    safety
}

/// Writes to stderr what is wrong with objects that are left alone, and what is to be said about others.
pub(super) fn blocked(plan: &Plan, prepared: &Prepared, screen: &Screen) {
    let wrong = plan.blocked.iter().filter_map(|one| match &one.cause {
        Cause::Wrong(problems) => Some(problems),
        Cause::Unread(_) | Cause::Needs(_) => None,
    });
    let wrong: Vec<_> = wrong.flatten().chain(&plan.remarks).cloned().collect();
    screen.diagnostics(&wrong, &prepared.written.sources);
}

/// Ends the sandbox of the run, if there is one, and says which calls it got.
pub(super) async fn end(connected: Connected, screen: &Screen) {
    if let Some(sandbox) = connected.sandbox {
        let calls = sandbox.end().await;
        let calls: Vec<_> = calls.iter().map(|(operation, count)| format!("{operation} {count}")).collect();
        screen.say(&format!("sandbox: {}", if calls.is_empty() { "no calls".to_owned() } else { calls.join(", ") }));
    }
}

/// The exit code of a plan that was not applied.
pub(super) fn exit_code(plan: &Plan, detailed: bool) -> u8 {
    if plan.blocked.iter().any(|one| matches!(one.cause, Cause::Unread(_))) {
        exit::PARTIAL
    } else if !plan.blocked.is_empty() {
        exit::ERROR
    } else if detailed && !plan.is_empty() {
        exit::CHANGES
    } else {
        exit::OK
    }
}

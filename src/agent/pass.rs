//! One pass: observe, plan, and apply where the agent is to enforce.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Mode,
    engine::{
        apply::{self, apply},
        author::{Trace, trace},
        connection::{Connection, Reader},
        impact::impact,
        observe::observe,
    },
    model::{Desired, Outcome, ResourceId},
    plan::{
        Plan, TargetState,
        guard::{self, Excess, Safety},
        plan, select,
    },
};

use super::{
    Filter,
    log::PassLog,
    manifests::Manifests,
    metrics::Metrics,
    record::Record,
    report::{Sum, sum},
    said::Said,
    status::{ByKind, Counts, Report, Trigger, Verdict},
};

/// Most changes whose authors are asked for in one pass.
const TRACED: usize = 100;

/// The state that all passes of an agent share.
pub(super) struct Shared {
    pub(super) connections: Vec<Arc<Connection>>,
    pub(super) mode: Mode,
    pub(super) safety: Safety,
    pub(super) verify: bool,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) metrics: Metrics,
    /// Why the last pass sent nothing, so that it is said once.
    pub(super) refusal: Mutex<Option<String>>,
    /// The last log line of each object, so that a pass says only what is new.
    pub(super) said: Mutex<Said>,
    pub(super) record: Record,
}

impl Shared {
    /// Says that a plan exceeds limits, unless that was said of the same plan before.
    fn refuse(&self, plan: &Plan, excesses: &[Excess]) {
        let refusal = (!excesses.is_empty()).then(|| {
            let limits: Vec<_> = excesses.iter().map(ToString::to_string).collect();
            let acknowledgement = guard::acknowledgement(plan, excesses);
            format!(
                "{}: nothing is sent. `reconcile apply --ack '{acknowledgement}'` makes these changes, and no others; \
                 `safety` in the configuration sets the limits",
                limits.join("; ")
            )
        });
        let mut last = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refusal) = refusal.as_ref().filter(|refusal| last.as_ref() != Some(*refusal)) {
            tracing::error!("{refusal}");
            self.record.refused(plan, excesses);
        }
        *last = refusal;
    }
}

/// Looks at all objects once and, where the agent enforces, makes them as declared.
pub(super) async fn pass(shared: &Shared, manifests: &Manifests, trigger: Trigger, stop: &CancellationToken) -> Report {
    let start = Timestamp::now();
    let end = |sum: Sum, drift: usize| {
        let Sum { counts, by_kind, verdict, error, retry } = sum;
        Report { trigger, start, end: Timestamp::now(), verdict, counts, by_kind, drift, error, retry }
    };
    let mut desired = manifests.desired.clone();
    let unselected = shared.filter.as_ref().is_some_and(|filter| !desired.is_empty() && !desired.iter().any(&**filter));
    match &shared.filter {
        None => select(&mut desired, &[], &|_| true),
        Some(filter) => select(&mut desired, &[], &**filter),
    }
    let desired: &[Desired] = &desired;
    let unserved = unserved(desired, &shared.connections);
    let readers: Vec<_> = shared.connections.iter().map(Connection::reader).collect();
    let read_at = Instant::now();
    let states = tokio::select! {
        biased;
        // Reads may be broken off: nothing depends on their answers.
        () = stop.cancelled() => return end(interrupted(), 0),
        states = observe(&readers, desired) => states,
    };
    let mut states = states;
    let is_partial = manifests.errors() > 0 || manifests.partial;
    if is_partial {
        // An object without a document may be declared in a broken one.
        states.iter_mut().for_each(|state| state.surplus.clear());
    }
    let mut plan = plan(&states);
    if shared.safety.needs_impact() {
        tokio::select! {
            biased;
            () = stop.cancelled() => return end(interrupted(), 0),
            () = impact(&readers, &mut states, &mut plan) => {}
        }
    }
    let sources = &manifests.sources;
    // A pass that only reports sends nothing, so no limit can be exceeded.
    let limited = shared.mode == Mode::Enforce;
    let excesses = if limited { guard::excesses(&plan, &shared.safety) } else { Vec::new() };
    shared.refuse(&plan, &excesses);
    let differing = plan.reported.iter().chain(plan.changes.iter().filter(|_| !limited)).collect::<Vec<_>>();
    let declared: HashSet<&ResourceId> = desired.iter().map(|object| &object.id).collect();
    let is_known = |id: &ResourceId| if declared.contains(id) { !unserved.contains(id) } else { !is_partial };
    let news = shared.said.lock().unwrap_or_else(PoisonError::into_inner).news(&differing, &plan, is_known);
    let is_traced = excesses.is_empty() && (!news.drift.is_empty() || (limited && !plan.changes.is_empty()));
    let trace = tokio::select! {
        biased;
        () = stop.cancelled() => return end(interrupted(), plan.differing()),
        trace = authors(&readers, &mut states, &plan, is_traced) => trace,
    };
    let log = PassLog { sources, run: shared.record.run(), trace };
    log.news(&news);
    let outcomes = match shared.mode {
        // Nobody is there to acknowledge it.
        Mode::Enforce if !excesses.is_empty() => Vec::new(),
        Mode::Report => Vec::new(),
        Mode::Enforce if plan.changes.is_empty() => Vec::new(),
        Mode::Enforce => enforce(shared, &plan, &states, read_at, stop, &log).await,
    };
    let mut sum = sum(&plan, &outcomes, desired, &unserved);
    correct(&mut sum, &excesses, manifests, unselected);
    end(sum, plan.differing())
}

/// Sends the changes of a plan, and records what became of each.
async fn enforce(
    shared: &Shared,
    plan: &Plan,
    states: &[TargetState<'_>],
    read_at: Instant,
    stop: &CancellationToken,
    log: &PassLog<'_>,
) -> Vec<(ResourceId, Outcome)> {
    shared.record.started(plan);
    let listener = |event: &apply::Event<'_>| {
        if let apply::Event::Finished(change, outcome, _) = event {
            shared.record.finished(change, outcome);
            log.outcome(change, outcome);
            shared.metrics.change(&change.id, change.action, outcome);
        }
    };
    let writers: Vec<_> = shared.connections.iter().map(Connection::writer).collect();
    let options = apply::Options {
        verify: shared.verify,
        fresh_until: read_at + apply::TRUST,
        settled: Vec::new(),
        listener: &listener,
        stop: stop.clone(),
    };
    let outcomes = apply(plan, states, &writers, &options).await;
    shared.record.ended(&outcomes);
    outcomes
}

/// Corrects the sum of a pass: one over nothing, or one that was refused, is no success.
fn correct(sum: &mut Sum, excesses: &[Excess], manifests: &Manifests, unselected: bool) {
    if let Some(excess) = excesses.first() {
        sum.error.get_or_insert(format!("{excess}: nothing was sent"));
        sum.verdict = Verdict::Refused;
    } else if manifests.vanished {
        sum.error = manifests.unreadable.last().cloned();
        sum.verdict = Verdict::Failed;
    } else if manifests.errors() > 0 && manifests.desired.is_empty() {
        sum.error.get_or_insert("no document can be used".to_owned());
        sum.verdict = Verdict::Failed;
    } else if unselected {
        sum.error.get_or_insert("nothing that is declared fits the selection".to_owned());
        sum.verdict = Verdict::Failed;
    }
}

/// Asks who changed what differs, before that is overwritten. A plan of many changes is no drift of a few values: its
/// authors would cost too many reads, as would those of a plan that is refused in each pass, or of what was said before.
async fn authors(readers: &[Reader], states: &mut [TargetState<'_>], plan: &Plan, is_news: bool) -> Trace {
    let count = plan.changes.len() + plan.reported.len();
    let is_wanted = count > 0 && count <= TRACED && is_news && tracing::enabled!(tracing::Level::INFO);
    if is_wanted { trace(readers, states, plan).await } else { Trace::default() }
}

/// Returns what a pass comes to that was broken off before it had a plan.
fn interrupted() -> Sum {
    Sum { counts: Counts::default(), by_kind: ByKind::new(), verdict: Verdict::Interrupted, error: None, retry: false }
}

/// Returns the objects whose target nobody can talk to, and says which targets these are.
fn unserved<'d>(desired: &'d [Desired], connections: &[Arc<Connection>]) -> HashSet<&'d ResourceId> {
    let served: HashSet<&Arc<str>> = connections.iter().map(|connection| &connection.target().name).collect();
    let unserved: Vec<&Desired> =
        desired.iter().filter(|object| object.selected && !served.contains(&object.target)).collect();
    for target in unserved.iter().map(|object| &object.target).collect::<HashSet<_>>() {
        tracing::error!("there is no connection to the target `{target}`");
    }
    unserved.into_iter().map(|object| &object.id).collect()
}

//! One pass: observe, plan, and apply where the agent is to enforce.

use std::{collections::HashSet, sync::Arc};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    config::Mode,
    engine::{
        apply::{self, apply},
        connection::Connection,
        observe::observe,
    },
    model::{Change, Desired, Outcome},
    plan::{
        Plan,
        guard::{self, Safety},
        plan, select,
    },
    source::Sources,
};

use super::{
    Event, Filter, Listener,
    manifests::Manifests,
    metrics::Metrics,
    report::{Sum, cause, outcome_detail, sum},
    status::{Counts, Report, Trigger, Verdict},
};

/// What all passes of an agent share.
pub(super) struct Shared {
    pub(super) connections: Vec<Arc<Connection>>,
    pub(super) mode: Mode,
    pub(super) safety: Safety,
    pub(super) verify: bool,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) metrics: Metrics,
    pub(super) listener: Arc<Listener>,
}

/// Looks at all objects once and, where the agent enforces, makes them as declared.
pub(super) async fn pass(shared: &Shared, manifests: &Manifests, trigger: Trigger, stop: &CancellationToken) -> Report {
    let start = Timestamp::now();
    let end = |sum: Sum, drift: usize| {
        let Sum { counts, verdict, error, retry } = sum;
        Report { trigger, start, end: Timestamp::now(), verdict, counts, drift, error, retry }
    };
    let mut desired = manifests.desired.clone();
    match &shared.filter {
        None => select(&mut desired, &[], &|_| true),
        Some(filter) => select(&mut desired, &[], &**filter),
    }
    let desired: &[Desired] = &desired;
    let unserved = unserved(desired, &shared.connections);
    let readers: Vec<_> = shared.connections.iter().map(Connection::reader).collect();
    let scenes = tokio::select! {
        biased;
        // Reads may be broken off: nothing depends on their answers.
        () = stop.cancelled() => return end(interrupted(), 0),
        scenes = observe(&readers, desired) => scenes,
    };
    let mut scenes = scenes;
    if manifests.errors() > 0 {
        // What no document seems to declare may well be declared in one that is broken.
        scenes.iter_mut().for_each(|scene| scene.surplus.clear());
    }
    let plan = plan(&scenes);
    let sources = &manifests.sources;
    (shared.listener)(&Event::Planned { plan: &plan, sources });
    log_blocked(&plan, sources);
    let excesses = guard::excesses(&plan, &scenes, &shared.safety);
    for excess in &excesses {
        tracing::error!("{excess}: nothing is sent in this pass");
    }
    plan.reported.iter().for_each(|change| log_drift(change, sources));
    let outcomes = match shared.mode {
        // Nobody is there to acknowledge it.
        Mode::Enforce if !excesses.is_empty() => Vec::new(),
        Mode::Report => {
            plan.changes.iter().for_each(|change| log_drift(change, sources));
            Vec::new()
        }
        Mode::Enforce => {
            let listener = |event: &apply::Event<'_>| {
                if let apply::Event::Finished(change, outcome, took) = event {
                    log_outcome(change, outcome, sources);
                    shared.metrics.change(&change.id, change.action, outcome);
                    (shared.listener)(&Event::Finished { change, outcome, took: *took, sources });
                }
            };
            let writers: Vec<_> = shared.connections.iter().map(Connection::writer).collect();
            let options = apply::Options { verify: shared.verify, listener: &listener, stop: stop.clone() };
            apply(&plan, &scenes, &writers, &options).await
        }
    };
    let mut sum = sum(&plan, &outcomes, unserved);
    // A pass over nothing, or one that was not let through, is no success.
    let trouble = excesses.first().map(|excess| format!("{excess}: nothing was sent"));
    let nothing = manifests.errors() > 0 && manifests.desired.is_empty();
    if let Some(trouble) = trouble.or_else(|| nothing.then(|| "no document can be used".to_owned())) {
        sum.error.get_or_insert(trouble);
        sum.verdict = Verdict::Failed;
    }
    end(sum, plan.differing())
}

/// Returns what a pass comes to that was broken off before it had a plan.
fn interrupted() -> Sum {
    Sum { counts: Counts::default(), verdict: Verdict::Interrupted, error: None, retry: false }
}

/// Counts objects whose target nobody can talk to, and says which targets these are.
fn unserved(desired: &[Desired], connections: &[Arc<Connection>]) -> usize {
    let served: HashSet<&Arc<str>> = connections.iter().map(|connection| &connection.target().name).collect();
    let unserved: Vec<&Arc<str>> = desired
        .iter()
        .filter(|object| object.selected)
        .map(|object| &object.target)
        .filter(|target| !served.contains(target))
        .collect();
    for target in unserved.iter().collect::<HashSet<_>>() {
        tracing::error!("there is no connection to the target `{target}`");
    }
    unserved.len()
}

fn log_blocked(plan: &Plan, sources: &Sources) {
    for blocked in &plan.blocked {
        let (kind, key, at) = (blocked.id.kind, &*blocked.id.key, sources.position(&blocked.origin));
        tracing::warn!(kind, key, %at, outcome = "blocked", "{}", cause(blocked));
    }
}

fn log_drift(change: &Change, sources: &Sources) {
    let (kind, key, at) = (change.id.kind, &*change.id.key, sources.position(&change.origin));
    let fields: Vec<&str> = change.fields.iter().map(|field| field.path.as_str()).collect();
    let action = change.action.name();
    tracing::warn!(kind, key, %at, action, outcome = "drifted", "would {action}: {}", fields.join(", "));
}

fn log_outcome(change: &Change, outcome: &Outcome, sources: &Sources) {
    let (kind, key, at) = (change.id.kind, &*change.id.key, sources.position(&change.origin));
    let (action, _detail) = (change.action.name(), outcome_detail(outcome));
    let _outcome_name = outcome.name();
    if outcome.converged() {
        tracing::info!(kind, key, %at, action, outcome = "{detail}");
    } else {
        tracing::error!(kind, key, %at, action, outcome = "{detail}");
    }
}

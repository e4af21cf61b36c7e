//! One run: attempts until none is killed, the end of the faults, and what brings all to its planned state.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Baseline, Ending, HalfDone, Mended, Rehearsal, counts, judge,
    schedule::{Extent, Schedule},
    world::{Way, World, url},
};
use crate::{
    engine::{
        apply::{self, Event, apply},
        connection::{Connection, Shared, Target},
        observe::{observe, recall},
    },
    model::{Desired, Outcome, ResourceId},
    plan::{plan, precondition::saved_change_states},
    provider::Endpoint,
    transport::Transport,
};

/// Requests at once in a run, as many as the program makes by default.
const PARALLELISM: usize = 32;
/// How long after a kill a request may still be under way: as long as a client waits.
const UNDER_WAY: Duration = Duration::from_secs(40);
/// After that no request of before is under way any more.
const QUIET: Duration = Duration::from_mins(3);
/// The longest time that an attempt may take by the clock of the simulation.
const LONGEST: Duration = Duration::from_hours(24);
/// Plans that are made, each from what the one before left, before the objects count as not to be mended.
const PLANS: usize = 3;

/// Runs the plan once without faults, one request at a time, and notes which cells each call changes.
pub(super) async fn baseline(rehearsal: &Rehearsal) -> Result<Baseline, String> {
    let world = world(rehearsal, Schedule::of_kills(Vec::new()), false, true);
    let before = world.cells();
    let order: Mutex<Vec<ResourceId>> = Mutex::default();
    let listener = |event: &Event<'_>| {
        if let Event::Started(change) = event {
            order.lock().unwrap_or_else(PoisonError::into_inner).push(change.id.clone());
        }
    };
    let connections = connections(rehearsal, &world, 1);
    let outcomes = attempt(rehearsal, &connections, &listener).await;
    if let Some((id, outcome)) = outcomes.iter().find(|(_, outcome)| !outcome.converged()) {
        return Err(format!("{id} is {} in a run without any fault", describe(outcome)));
    }
    let already = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::AlreadyTrue).count();
    if already == outcomes.len() && already > 0 {
        return Err("all changes of the plan are there already".to_owned());
    }
    // Only counted: a run of its own makes as many at once as the program.
    let counted = self::world(rehearsal, Schedule::of_kills(Vec::new()), false, false);
    attempt(rehearsal, &self::connections(rehearsal, &counted, PARALLELISM), &|_| {}).await;
    let extent = {
        let events = counted.events();
        Extent { requests: events.requests, writes: events.writes }
    };
    let order = order.into_inner().unwrap_or_else(PoisonError::into_inner);
    let effects = effects(rehearsal, &world, &order);
    Ok(Baseline { extent, before, after: world.cells(), effects })
}

/// Returns the reason why a change is not as planned, in words.
fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(refusal) => format!("refused ({refusal})"),
        Outcome::NotApplied(why) | Outcome::Unknown(why) => format!("{} ({why})", outcome.name()),
        other => other.name().to_owned(),
    }
}

/// Returns the cells that each call changed: the calls of a target leave in the order in which their changes start.
fn effects(rehearsal: &Rehearsal, world: &World, order: &[ResourceId]) -> BTreeMap<usize, super::Effect> {
    let events = world.events();
    let mut effects = BTreeMap::new();
    for (number, target) in rehearsal.targets.iter().enumerate() {
        let mut left: Vec<usize> = Vec::new();
        for id in order {
            let of = |(_, call): &(usize, &crate::model::Call)| call.target == target.name && call.serves.contains(id);
            let calls = rehearsal.plan.calls.iter().enumerate().filter(of).map(|(at, _)| at);
            let new: Vec<_> = calls.filter(|at| !left.contains(at)).collect();
            left.extend(new);
        }
        let traced: Vec<_> = events.traced.iter().filter(|(server, _)| *server == number).collect();
        // Where calls were made twice, it cannot be told which is which.
        if traced.len() == left.len() {
            effects.extend(left.into_iter().zip(traced).map(|(call, (_, effect))| (call, effect.clone())));
        }
    }
    effects
}

fn world(rehearsal: &Rehearsal, schedule: Schedule, records: bool, traces: bool) -> Arc<World> {
    let prototypes: Vec<_> = rehearsal.targets.iter().map(|target| &target.sandbox).collect();
    let mut keep = BTreeSet::new();
    for desired in &rehearsal.objects {
        // Such as `match.bk_asset_id`.
        keep.extend(desired.locator.keys().filter_map(|name| name.rsplit('.').next()).map(str::to_owned));
    }
    World::new(&prototypes, rehearsal.since.clone(), keep, schedule, records, traces)
}

/// Returns new connections, as a new process has them.
fn connections(rehearsal: &Rehearsal, world: &Arc<World>, parallelism: usize) -> Vec<Arc<Connection>> {
    let shared = Shared::new(Transport::in_process(Arc::new(Way(world.clone()))), parallelism, None);
    let connection = |(number, target): (usize, &super::SimulatedTarget)| {
        let endpoint = Endpoint { url: url(number), ..target.endpoint.clone() };
        let target = Target {
            name: target.name.clone(),
            platform: target.platform,
            resolve: Arc::new(move || Ok(endpoint.clone())),
            concurrency: target.concurrency,
            rate: target.rate,
        };
        Connection::new(target, shared.clone())
    };
    rehearsal.targets.iter().enumerate().map(connection).collect()
}

/// Carries the saved plan out as far as it is still to be done.
async fn attempt(
    rehearsal: &Rehearsal,
    connections: &[Arc<Connection>],
    listener: &apply::Listener<'_>,
) -> Vec<(ResourceId, Outcome)> {
    let fresh_until = Instant::now();
    let readers: Vec<_> = connections.iter().map(Connection::reader).collect();
    let writers: Vec<_> = connections.iter().map(Connection::writer).collect();
    let states = recall(&readers, &rehearsal.objects, &rehearsal.plan).await;
    let standings = saved_change_states(&rehearsal.plan, &states);
    let settled = standings.into_iter().filter_map(|(id, standing)| Some((id, standing.outcome()?))).collect();
    let options = apply::Options { verify: true, fresh_until, settled, listener, stop: CancellationToken::new() };
    apply(&rehearsal.plan, &states, &writers, &options).await
}

/// Plans anew from the objects of the plan and carries that out. Returns true if nothing was left to do.
async fn plan_anew(rehearsal: &Rehearsal, connections: &[Arc<Connection>]) -> bool {
    let implicit: HashSet<&ResourceId> =
        rehearsal.plan.changes.iter().filter(|change| change.implicit).map(|change| &change.id).collect();
    let declared = rehearsal.objects.iter().filter(|desired| !implicit.contains(&desired.id));
    let declared: Vec<Desired> = declared.cloned().collect();
    let readers: Vec<_> = connections.iter().map(Connection::reader).collect();
    let writers: Vec<_> = connections.iter().map(Connection::writer).collect();
    let states = observe(&readers, &declared).await;
    let plan = plan(&states);
    if plan.is_empty() {
        return true;
    }
    let fresh_until = Instant::now() + apply::TRUST;
    let stop = CancellationToken::new();
    let options = apply::Options { verify: true, fresh_until, settled: Vec::new(), listener: &|_| {}, stop };
    apply(&plan, &states, &writers, &options).await;
    false
}

/// Runs a schedule to its end and judges it.
pub(super) async fn history(rehearsal: &Rehearsal, schedule: Schedule, records: bool) -> Ending {
    let world = world(rehearsal, schedule, records, false);
    let (mut kills, mut half_done) = (0, None);
    let outcomes = loop {
        let connections = connections(rehearsal, &world, PARALLELISM);
        let finished = |event: &Event<'_>| {
            if let Event::Finished(change, outcome, took) = event {
                let (id, took) = (&change.id, took.as_secs_f64());
                world.note(|| format!("outcome {id}: {} after {took:.3} s", describe(outcome)));
            }
        };
        world.begin();
        let ended = tokio::select! {
            biased;
            () = world.killed() => None,
            outcomes = attempt(rehearsal, &connections, &finished) => Some(outcomes),
            () = world.overrun() => Some(Vec::new()),
            () = tokio::time::sleep(LONGEST) => Some(Vec::new()),
        };
        if let Some(outcomes) = ended {
            break outcomes;
        }
        kills += 1;
        // The requests that are under way are seen to first: people look later.
        tokio::time::sleep(UNDER_WAY).await;
        half_done.get_or_insert_with(|| found(rehearsal, &world));
        interval(rehearsal, &world).await;
    };
    let took = world.elapsed();
    let mut violations = judge::truth(rehearsal, &world, &outcomes);
    if outcomes.is_empty() {
        violations.push("the run came to no end".to_owned());
    }
    world.schedule().end();
    violations.extend(std::mem::take(&mut world.events().violations));
    world.note(|| "faults are over".to_owned());
    tokio::time::sleep(QUIET).await;
    violations.extend(judge::untouched(rehearsal, &world));
    let mended = mend(rehearsal, &world).await;
    violations.extend(judge::end(rehearsal, &world, mended.is_some()));
    if let Some(half_done) = &mut half_done {
        half_done.mended_by = mended;
    }
    let mut events = world.events();
    Ending {
        seed: 0,
        writes: events.writes,
        requests: events.requests,
        took,
        strikes: std::mem::take(&mut events.strikes),
        kills,
        half_done,
        outcomes: counts(&outcomes),
        violations,
        history: std::mem::take(&mut events.lines),
    }
}

/// Passes the time between a kill and the next attempt. Somebody else may write meanwhile.
async fn interval(rehearsal: &Rehearsal, world: &World) {
    let (pause, edits) = {
        let mut schedule = world.schedule();
        let is_disturbed = schedule.has_second_writer();
        let pause = schedule.random().u64(1..300);
        (pause, if is_disturbed { schedule.random().usize(..3) } else { 0 })
    };
    tokio::time::sleep(Duration::from_secs(pause)).await;
    for edit in 0..edits {
        world.disturb(edit % rehearsal.targets.len());
    }
}

/// Returns what a person finds behind a kill.
fn found(rehearsal: &Rehearsal, world: &World) -> HalfDone {
    let cells = world.cells();
    let mut states: HashMap<&ResourceId, bool> = HashMap::new();
    for (call, effect) in &rehearsal.baseline.effects {
        let is_done = effect.iter().all(|(cell, (_, to))| cells.get(cell) == to.as_ref());
        for id in &rehearsal.plan.calls[*call].serves {
            states.entry(id).and_modify(|done| *done &= is_done).or_insert(is_done);
        }
    }
    let done: BTreeSet<&ResourceId> = states.iter().filter(|(_, done)| **done).map(|(id, _)| *id).collect();
    let open = rehearsal.plan.changes.len() - done.len();
    HalfDone { done: done.into_iter().cloned().collect(), open, mended_by: None }
}

/// Brings all objects to their planned state, without faults; returns what it took, or `None` where it did not work.
async fn mend(rehearsal: &Rehearsal, world: &Arc<World>) -> Option<Mended> {
    if judge::is_complete(rehearsal, world) {
        return Some(Mended::Resume);
    }
    let outcomes = attempt(rehearsal, &connections(rehearsal, world, PARALLELISM), &|_| {}).await;
    if outcomes.iter().all(|(_, outcome)| outcome.converged()) {
        return Some(Mended::SecondResume);
    }
    for _ in 0..PLANS {
        if plan_anew(rehearsal, &connections(rehearsal, world, PARALLELISM)).await {
            return Some(Mended::NewPlan);
        }
    }
    None
}

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
    world::{Difference, Way, World, url},
};
use crate::{
    engine::{
        apply::{self, Event, apply},
        connection::{Connection, Shared, Target},
        observe::{observe, recall},
        run_log::Unrecorded,
    },
    journal::{RunOrigin, memory::Memory, target_record},
    model::{Desired, Outcome, ResourceId},
    plan::{plan, precondition::saved_change_states},
    provider::Endpoint,
    run::{self, Recording, Surroundings, Work, resume, unfinished::unfinished_on},
    transport::Transport,
};

/// Requests at once in a run, as many as the program makes by default.
const PARALLELISM: usize = 32;
/// How long a request may be under way: as long as a client waits.
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
    let outcomes = attempt(rehearsal, &world, 1, &listener).await?;
    if let Some((id, outcome)) = outcomes.iter().find(|(_, outcome)| !outcome.converged()) {
        return Err(format!("{id} is {} in a run without any fault", describe(outcome)));
    }
    let already = outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::AlreadyTrue).count();
    if already == outcomes.len() && already > 0 {
        return Err("all changes of the plan are there already".to_owned());
    }
    // Only counted: a run of its own makes as many at once as the program.
    let counted = self::world(rehearsal, Schedule::of_kills(Vec::new()), false, false);
    attempt(rehearsal, &counted, PARALLELISM, &|_| {}).await?;
    let extent = {
        let events = counted.events();
        Extent { requests: events.requests, writes: events.writes, kill_points: events.kill_points.clone() }
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
fn effects(rehearsal: &Rehearsal, world: &World, order: &[ResourceId]) -> BTreeMap<usize, Difference> {
    let events = world.events();
    let mut effects = BTreeMap::new();
    for (number, target) in rehearsal.targets.iter().enumerate() {
        let mut left: Vec<usize> = Vec::new();
        for id in order {
            let of = |(_, call): &(usize, &crate::model::Call)| call.target == target.name && call.serves.contains(id);
            let calls = rehearsal.saved.plan.calls.iter().enumerate().filter(of).map(|(at, _)| at);
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
    for desired in &rehearsal.saved.objects {
        // Such as `match.bk_asset_id`.
        keep.extend(desired.locator.keys().filter_map(|name| name.rsplit('.').next()).map(str::to_owned));
    }
    World::new(&prototypes, rehearsal.origin.clone(), keep, schedule, records, traces)
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

/// Returns the surroundings of a run that is recorded on the simulated disk.
fn surroundings(process: Memory) -> Surroundings {
    let origin =
        RunOrigin { command: "rehearse".to_owned(), version: String::new(), user: None, host: None, commit: None };
    Surroundings { recording: Recording::In(Arc::new(process)), ..Surroundings::unrecorded(origin) }
}

/// Starts a process that takes up an unfinished run, or else carries the saved plan out as far as it is still to be
/// done. An error says why that was refused.
async fn attempt(
    rehearsal: &Rehearsal,
    world: &Arc<World>,
    parallelism: usize,
    listener: &apply::Listener<'_>,
) -> Result<Vec<(ResourceId, Outcome)>, String> {
    let surroundings = surroundings(world.start_process());
    let connections = connections(rehearsal, world, parallelism);
    let readers: Vec<_> = connections.iter().map(Connection::reader).collect();
    let writers: Vec<_> = connections.iter().map(Connection::writer).collect();
    let saved = &rehearsal.saved;
    let targets: Vec<_> = saved.setups.iter().map(target_record).collect();
    let stop = CancellationToken::new();
    let say = |_: &str| {};
    let unfinished = surroundings.store().map(|store| unfinished_on(store, &targets)).transpose();
    let unfinished = unfinished.map_err(|error| error.to_string())?.unwrap_or_default();
    if let Some(run) = unfinished.first() {
        world.note(|| format!("resume  {}", run.describe()));
        let options = resume::Options { abandon: false, verify: true, timeout: UNDER_WAY, listener, stop };
        let resumed = resume::resume(&surroundings, run, Ok(saved), (&readers, &writers), &options, &say).await;
        let resumed = resumed.map_err(|error| error.to_string())?.ok_or("the run is not there any more")?;
        return resumed.finished.problem.map_or(Ok(resumed.finished.outcomes), Err);
    }
    let claim = run::claim(&surroundings, targets, &say).await.map_err(|error| error.to_string())?;
    let fresh_until = Instant::now();
    let states = recall(&readers, &saved.objects, &saved.plan).await;
    let standings = saved_change_states(&saved.plan, &states);
    let settled = standings.into_iter().filter_map(|(id, standing)| Some((id, standing.outcome()?))).collect();
    let options = apply::Options { verify: true, fresh_until, settled, listener, stop, log: &Unrecorded };
    let document = saved.document();
    let work = Work {
        plan: &saved.plan,
        document: &document,
        manifests: &[],
        excesses: &[],
        held: &[],
        override_reason: None,
        acknowledged: false,
        file: None,
    };
    let finished = run::carry_out(&surroundings, claim, &work, (&states, &writers), options).await;
    let finished = finished.map_err(|error| error.to_string())?;
    finished.problem.map_or(Ok(finished.outcomes), Err)
}

/// Plans anew from the objects of the plan and carries that out. Returns true if nothing was left to do.
async fn plan_anew(rehearsal: &Rehearsal, connections: &[Arc<Connection>]) -> bool {
    let implicit: HashSet<&ResourceId> =
        rehearsal.saved.plan.changes.iter().filter(|change| change.implicit).map(|change| &change.id).collect();
    let declared = rehearsal.saved.objects.iter().filter(|desired| !implicit.contains(&desired.id));
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
    let options =
        apply::Options { verify: true, fresh_until, settled: Vec::new(), listener: &|_| {}, stop, log: &Unrecorded };
    apply(&plan, &states, &writers, &options).await;
    false
}

/// Runs a schedule to its end and judges it.
pub(super) async fn history(rehearsal: &Rehearsal, schedule: Schedule, records: bool) -> Ending {
    let world = world(rehearsal, schedule, records, false);
    let (mut kills, mut half_done) = (0, None);
    let mut problem = None;
    let outcomes = loop {
        let finished = |event: &Event<'_>| {
            if let Event::Finished(change, outcome, took) = event {
                let (id, took) = (&change.id, took.as_secs_f64());
                world.note(|| format!("outcome {id}: {} after {took:.3} s", describe(outcome)));
            }
        };
        let endless = || Some(Err("the run came to no end".to_owned()));
        let ended = tokio::select! {
            biased;
            () = world.killed() => None,
            ended = attempt(rehearsal, &world, PARALLELISM, &finished) => Some(ended),
            () = world.overrun() => endless(),
            () = tokio::time::sleep(LONGEST) => endless(),
        };
        // Who dies says nothing any more.
        match ended.filter(|_| !world.process().is_dead()) {
            Some(Ok(outcomes)) => break outcomes,
            Some(Err(why)) => {
                problem = Some(why);
                break Vec::new();
            }
            None => {}
        }
        kills += 1;
        // A notice of this death that is left must not be taken for that of the next process.
        world.start_process();
        interval(rehearsal, &world).await;
        half_done.get_or_insert_with(|| found(rehearsal, &world));
    };
    let took = world.elapsed();
    let mut violations = judge::truth(rehearsal, &world, &outcomes);
    violations.extend(problem);
    let is_calm = kills == 0 && world.events().strikes.is_empty();
    if is_calm && !outcomes.iter().all(|(_, outcome)| outcome.converged()) {
        violations.push("nothing went wrong, and not all changes were made".to_owned());
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
        journals: world.process().journals(),
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
        let most = [2, 60, 300][schedule.random().usize(..3)];
        let pause = schedule.random().u64(0..most);
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
        let is_done = !effect.is_empty() && effect.iter().all(|(cell, (_, to))| cells.get(cell) == to.as_ref());
        for id in &rehearsal.saved.plan.calls[*call].serves {
            states.entry(id).and_modify(|done| *done &= is_done).or_insert(is_done);
        }
    }
    let done: BTreeSet<&ResourceId> = states.iter().filter(|(_, done)| **done).map(|(id, _)| *id).collect();
    let open = rehearsal.saved.plan.changes.len() - done.len();
    HalfDone { done: done.into_iter().cloned().collect(), open, mended_by: None }
}

/// Brings all objects to their planned state, without faults; returns what it took, or `None` where it did not work.
async fn mend(rehearsal: &Rehearsal, world: &Arc<World>) -> Option<Mended> {
    if judge::is_complete(rehearsal, world) {
        return Some(Mended::Resume);
    }
    let outcomes = attempt(rehearsal, world, PARALLELISM, &|_| {}).await.unwrap_or_default();
    if !outcomes.is_empty() && outcomes.iter().all(|(_, outcome)| outcome.converged()) {
        return Some(Mended::SecondResume);
    }
    for _ in 0..PLANS {
        if plan_anew(rehearsal, &connections(rehearsal, world, PARALLELISM)).await {
            return Some(Mended::NewPlan);
        }
    }
    None
}

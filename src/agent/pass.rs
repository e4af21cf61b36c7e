//! One pass: observe, plan, and apply where the agent is to enforce.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{
        apply,
        author::{Trace, trace},
        connection::{Connection, Reader},
        impact::impact,
        observe::{note, observe_as},
        run_log::Unrecorded,
    },
    model::{Desired, Outcome, ResourceId, policy::Policy},
    plan::{
        Cause, Plan, TargetState,
        guard::{self, Excess},
        plan, select_some,
    },
    provider::{Event, Freshness, Platform},
    run::{self, Work},
};

use super::{
    Control, Filter, Inventory,
    contest::Contests,
    events::KeyIndex,
    follow_ups::FollowUps,
    held::{self, Held, hold_back},
    inventory,
    lane::Stage,
    log::PassLog,
    looked::Looked,
    manifests::Manifests,
    metrics::Metrics,
    record::{self, Record},
    report::{Sum, sum},
    said::Said,
    settings::Settings,
    status::{ByKind, Counts, Report, Trigger, Verdict},
};

/// Most changes whose authors are asked for in one pass.
const TRACED: usize = 100;

/// The surroundings of the passes over one target.
pub(super) struct Shared {
    /// The target. The settings hold its connection and no other.
    pub(super) target: Arc<str>,
    pub(super) settings: Settings,
    pub(super) verify: bool,
    pub(super) filter: Option<Arc<Filter>>,
    pub(super) platforms: &'static [&'static dyn Platform],
    pub(super) record: Record,
    pub(super) memory: Arc<Memory>,
    pub(super) control: Control,
}

/// The state that all passes over a target share.
pub(super) struct Memory {
    pub(super) metrics: Metrics,
    /// Why the last pass sent nothing, so that it is said once.
    refusal: Mutex<Option<String>>,
    /// The last log line of each object, so that a pass says only what is new.
    said: Mutex<Said>,
    /// The manual follow-ups that stay, so that each is said once.
    follow_ups: Mutex<FollowUps>,
    /// What was found of each object.
    looked: Arc<Mutex<Looked>>,
    /// The states and differences of objects, for those who look at the agent.
    inventory: Inventory,
    /// The fields that were taken back from somebody else.
    contests: Mutex<Contests>,
}

impl Memory {
    /// Returns the memory of a target that was not looked at yet.
    pub(super) fn new(metrics: Metrics, inventory: &Inventory, target: &Arc<str>) -> Self {
        Self {
            metrics,
            refusal: Mutex::default(),
            said: Mutex::default(),
            looked: inventory.looked(target),
            follow_ups: Mutex::default(),
            inventory: inventory.clone(),
            contests: Mutex::default(),
        }
    }
}

impl Shared {
    /// Returns the objects that events may concern.
    pub(super) fn touched(
        &self,
        events: &[(Arc<str>, Event)],
        manifests: &Manifests,
        keys: &KeyIndex,
    ) -> HashSet<ResourceId> {
        let looked = self.looked();
        let mut touched = HashSet::new();
        let owners = || events.iter().map(|(target, event)| (looked.owner(target, &event.subject), target, event));
        // Only what was as declared may be so after an update.
        let well =
            owners().filter(|(owner, _, event)| owner.is_some_and(|(_, is_well)| is_well) && event.updated.is_some());
        let well = manifests.find(well.filter_map(|(owner, ..)| Some(owner?.0)));
        let declared: HashMap<&ResourceId, &Desired> =
            well.into_iter().map(|number| &*manifests.desired[number]).map(|object| (&object.id, object)).collect();
        for (owner, target, event) in owners() {
            if let Some((id, is_well)) = owner {
                let schema = self.settings.connections.iter().find(|connection| connection.target().name == *target);
                let schema = schema.and_then(|connection| connection.target().platform.events());
                let is_echo = is_well
                    && event.updated.as_ref().is_some_and(|updated| {
                        let declared = declared.get(id).zip(schema);
                        declared.is_some_and(|(object, schema)| schema.is_as_declared(object, updated))
                    });
                if !is_echo {
                    touched.insert(id.clone());
                }
            }
            let is_open = |id: &ResourceId| looked.is_open(id) || manifests.exclusive.contains(id);
            let mut named = keys.documents(target, event, is_open);
            if let Some((id, _)) = owner {
                named.remove(id);
            }
            touched.extend(named);
        }
        touched
    }

    /// Returns the objects to look at when windows open or close; `None` if all.
    pub(super) fn turned(&self) -> Option<HashSet<ResourceId>> {
        let looked = self.looked();
        looked.is_whole().then(|| looked.held())
    }

    /// Returns copies of the objects to look at, and of those that have to be known for their sake. With them comes true if
    /// nothing that is declared is to be looked at.
    fn select(&self, manifests: &Manifests, part: Option<&HashSet<ResourceId>>) -> (Vec<Desired>, bool) {
        let declared = &manifests.desired;
        let is_wanted = |object: &Desired| self.filter.as_ref().is_none_or(|filter| filter(object));
        let unselected = part.is_none() && !declared.is_empty() && !declared.iter().any(|object| is_wanted(object));
        let mut picked = part.map_or_else(|| (0..declared.len()).collect(), |part| manifests.find(part));
        picked.retain(|number| declared[*number].target == self.target && is_wanted(&declared[*number]));
        // Where all are looked at, what tells which objects some mean is among them.
        let platforms = if part.is_some() { self.platforms } else { &[] };
        (select_some(declared, &picked, platforms, &|ids| manifests.find(ids.iter().copied())), unselected)
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.memory.looked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contests(&self) -> MutexGuard<'_, Contests> {
        self.memory.contests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow_ups(&self) -> MutexGuard<'_, FollowUps> {
        self.memory.follow_ups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what is known of all objects once these were looked at, for the result of each to be added.
    fn looked_at(&self, states: &[TargetState<'_>], manifests: &Manifests, is_part: bool) -> MutexGuard<'_, Looked> {
        let mut looked = self.looked();
        if is_part {
            looked.keep(manifests);
        } else {
            looked.clear(manifests);
        }
        looked.own(states);
        looked
    }

    /// Settles runs that were broken off.
    async fn settle(&self, stop: &CancellationToken) {
        let readers: Vec<_> = self.settings.connections.iter().map(Connection::reader).collect();
        let writers: Vec<_> = self.settings.connections.iter().map(Connection::writer).collect();
        self.record.settle(&readers, &writers, stop).await;
    }

    /// Says that a plan exceeds limits, unless that was said of the same plan before.
    fn refuse(&self, plan: &Plan, states: &[TargetState<'_>], manifests: &Manifests, excesses: &[Excess]) {
        let refusal = (!excesses.is_empty()).then(|| {
            let limits: Vec<_> = excesses.iter().map(ToString::to_string).collect();
            let acknowledgement = guard::acknowledgement(plan, excesses);
            format!(
                "{}: nothing is sent. `reconcile apply --ack '{acknowledgement}'` makes these changes, and no others; \
                 `safety` in the configuration sets the limits",
                limits.join("; ")
            )
        });
        let mut last = self.memory.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refusal) = refusal.as_ref().filter(|refusal| last.as_ref() != Some(*refusal)) {
            tracing::error!("{refusal}");
            self.record.refused(plan, states, manifests, excesses);
        }
        *last = refusal;
    }
}

/// A pass over more than one object in so many is made over all: reading everything costs little more then.
const SHARE: usize = 4;

/// Looks at objects once and, where the agent enforces, makes them as declared: at a part of them, if that is enough, else
/// at all.
pub(super) async fn pass(
    shared: &Shared,
    manifests: &Manifests,
    (trigger, part): (Trigger, Option<&HashSet<ResourceId>>),
    stage: &Stage,
    stop: &CancellationToken,
) -> Report {
    shared.settings.connections.iter().for_each(|connection| connection.begin_pass());
    if shared.settings.mode == Policy::Enforce {
        shared.settle(stop).await;
    }
    let is_whole = shared.looked().is_whole();
    let count = manifests.by_target.get(&shared.target).copied().unwrap_or_default();
    // Objects that are looked at at times of their own are not looked at together with the others.
    let is_small = |part: &&HashSet<ResourceId>| trigger == Trigger::Resync || part.len() <= count / SHARE;
    let part = part.filter(is_small).filter(|_| is_whole);
    // Until it has come to an end, nothing is known for certain.
    shared.looked().set_whole(false);
    let mut report = match part {
        Some(part) => pass_over(shared, manifests, (trigger, Some(part)), stage, stop).await,
        None => None,
    };
    if report.is_none() {
        report = pass_over(shared, manifests, (trigger, None), stage, stop).await;
    }
    let report = report.unwrap_or_else(|| Report::of(trigger, Timestamp::now(), interrupted(), 0, None));
    // Changes that exceed a limit all together must not be sent in parts. What gave way has changed nothing.
    let is_known = matches!(report.verdict, Verdict::Converged | Verdict::Drifted | Verdict::Failed);
    shared.looked().set_whole(is_known || (is_whole && stage.has_given_way()));
    report
}

/// Makes a pass over some of the objects, or over all; nothing comes back where a pass over some leaves a doubt that only
/// one over all can settle. Then nothing was sent.
async fn pass_over(
    shared: &Shared,
    manifests: &Manifests,
    (trigger, part): (Trigger, Option<&HashSet<ResourceId>>),
    stage: &Stage,
    stop: &CancellationToken,
) -> Option<Report> {
    let start = Timestamp::now();
    let end = |sum: Sum, drift: usize| Some(Report::of(trigger, start, sum, drift, part.cloned()));
    let newest = shared.record.newest();
    let (mut desired, unselected) = shared.select(manifests, part);
    shared.contests().soften(&mut desired);
    let is_enforcing = shared.settings.mode == Policy::Enforce;
    let held = if is_enforcing { hold_back(&mut desired, &shared.settings.holds, start) } else { Held::new() };
    let desired: &[Desired] = &desired;
    let unserved = unserved(desired, &shared.settings.connections);
    let readers: Vec<_> = shared.settings.connections.iter().map(Connection::reader).collect();
    let read_at = Instant::now();
    // A replica may not know yet what an event told of.
    let freshness = if trigger == Trigger::Event { Freshness::Primary } else { Freshness::Replica };
    let states = tokio::select! {
        biased;
        // Reads may be broken off: nothing depends on their answers.
        () = stop.cancelled() => return end(interrupted(), 0),
        states = observe_as(&readers, desired, freshness) => states,
    };
    let mut states = states;
    let is_partial = manifests.errors() > 0 || manifests.partial;
    if part.is_some() && shared.looked().is_contested(&states) {
        return None;
    }
    if is_partial {
        // An object without a document may be declared in a broken one.
        states.iter_mut().for_each(|state| state.surplus.clear());
    }
    let Some(mut plan) = planned(shared, &readers, &mut states, stop).await else { return end(interrupted(), 0) };
    let sources = &manifests.sources;
    // A pass that only reports sends nothing, so no limit can be exceeded. Nor does one of an agent that is paused.
    let limited = is_enforcing && shared.control.paused().is_none();
    let excesses = if limited { guard::excesses(&plan, &shared.settings.safety) } else { Vec::new() };
    if part.is_some() && (!excesses.is_empty() || is_doubtful(&plan, trigger, &shared.looked())) {
        return None;
    }
    // From here on it is remembered what was found.
    if !stage.begin_sending() {
        return end(interrupted(), 0);
    }
    shared.refuse(&plan, &states, manifests, &excesses);
    // Nobody is there to acknowledge what exceeds a limit.
    let is_enforced = limited && excesses.is_empty() && !plan.changes.is_empty();
    if is_enforced && stop.run_until_cancelled(note(&readers, &mut states, &mut plan)).await.is_none() {
        return end(interrupted(), plan.differing());
    }
    let differing = plan.reported.iter().chain(plan.changes.iter().filter(|_| !limited)).collect::<Vec<_>>();
    let declared: HashSet<&ResourceId> = desired.iter().map(|object| &object.id).collect();
    shared.contests().observe(&declared, &plan.reported, &shared.settings.ceasefire);
    let is_known =
        |id: &ResourceId| if declared.contains(id) { !unserved.contains(id) } else { !is_partial && part.is_none() };
    let news =
        shared.memory.said.lock().unwrap_or_else(PoisonError::into_inner).news(&differing, &plan, &held, is_known);
    let is_traced = excesses.is_empty() && (!news.drift.is_empty() || (limited && !plan.changes.is_empty()));
    let trace = tokio::select! {
        biased;
        () = stop.cancelled() => return end(interrupted(), plan.differing()),
        trace = authors(&readers, &mut states, &plan, is_traced) => trace,
    };
    let log = PassLog { sources, run: None, trace, held: &held };
    log.news(&news);
    let read = Read { states: &states, at: read_at, newest };
    let Enforced { outcomes, run, problem } =
        if is_enforced { enforce(shared, manifests, &plan, read, stop, &log).await } else { Enforced::default() };
    let steps = shared.follow_ups().news(&plan, &outcomes, |id| {
        if declared.contains(&id.document()) { is_known(&id.document()) } else { is_known(id) }
    });
    PassLog { run: run.as_deref(), ..log.clone() }.follow_ups(&steps);
    let mut looked = shared.looked_at(&states, manifests, part.is_some());
    let mut sum = sum(&plan, &outcomes, desired, &unserved, &held, &mut looked);
    drop(looked);
    let ids: Option<Vec<ResourceId>> = part.map(|part| part.iter().cloned().collect());
    shared.memory.inventory.record(&inventory::Found {
        plan: &plan,
        outcomes: &outcomes,
        trace: &log.trace,
        sources,
        run: run.as_deref(),
        refusal: excesses.first().map(ToString::to_string),
        held: &held,
        target: &shared.target,
        secrets: shared.record.secrets(),
        part: ids.as_deref(),
    });
    correct(&mut sum, &excesses, manifests, unselected);
    if let Some(problem) = problem {
        sum = Sum { verdict: Verdict::Failed, error: Some(problem), retry: true, ..sum };
    }
    end(sum, plan.differing())
}

/// Returns the plan, with its impact where limits need that; nothing where the pass was broken off.
async fn planned(
    shared: &Shared,
    readers: &[Reader],
    states: &mut [TargetState<'_>],
    stop: &CancellationToken,
) -> Option<Plan> {
    let mut plan = plan(states);
    if shared.settings.safety.needs_impact() {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = impact(readers, states, &mut plan) => {}
        }
    }
    Some(plan)
}

/// Returns true if the plan of a part of the objects blocks one that a look at all may not: another object may hold what it
/// wants, and be about to let go of it. A read that failed would fail again.
fn is_doubtful(plan: &Plan, trigger: Trigger, looked: &Looked) -> bool {
    plan.blocked.iter().any(|blocked| match blocked.cause {
        Cause::Unread(_) => false,
        Cause::Wrong(_) | Cause::Needs(_) => trigger == Trigger::Change || !looked.was_blocked(&blocked.id),
    })
}

/// What was read for a plan.
struct Read<'a> {
    states: &'a [TargetState<'a>],
    /// When reading began.
    at: Instant,
    /// The newest run before that.
    newest: Option<String>,
}

/// What came of sending.
#[derive(Default)]
struct Enforced {
    outcomes: Vec<(ResourceId, Outcome)>,
    /// The run in the journal.
    run: Option<String>,
    /// Why it ended early, where it did for a reason of its own.
    problem: Option<String>,
}

/// Sends the changes of a plan where a call makes any. A run that sends nothing is none.
async fn enforce(
    shared: &Shared,
    manifests: &Manifests,
    plan: &Plan,
    read: Read<'_>,
    stop: &CancellationToken,
    log: &PassLog<'_>,
) -> Enforced {
    if plan.calls.is_empty() {
        return Enforced { outcomes: apply::left_to_people(plan, read.states), ..Enforced::default() };
    }
    let sent = send(shared, manifests, plan, read, stop, log).await;
    sent.unwrap_or_else(|problem| Enforced { problem: Some(problem), ..Enforced::default() })
}

/// Sends the changes of a plan, and records what became of each. Returns the outcomes, and why it ended early if it did
/// for a reason of its own. Where nothing could be sent, the reason is an error.
async fn send(
    shared: &Shared,
    manifests: &Manifests,
    plan: &Plan,
    read: Read<'_>,
    stop: &CancellationToken,
    log: &PassLog<'_>,
) -> Result<Enforced, String> {
    let (claim, taken) = shared.record.claim(plan).await?;
    let settled = plan.changes.iter().filter_map(|change| {
        let why = taken.get(&*change.target)?;
        Some((change.id.clone(), Outcome::Unsent(why.clone())))
    });
    // Another run may have written since the objects were read; the plan does not know of that.
    let is_alone = shared.record.is_alone(claim.newest(), read.newest.as_deref());
    let fresh_until = if is_alone { read.at + apply::TRUST } else { read.at };
    let run = claim.run().to_owned();
    let log = PassLog { run: Some(&run), sources: log.sources, trace: log.trace.clone(), held: log.held };
    let listener = |event: &apply::Event<'_>| {
        if let apply::Event::Finished(change, outcome, _) = event {
            // What is left to people is said as a follow-up, and once.
            if !matches!(outcome, Outcome::Manual(_)) {
                log.outcome(change, outcome);
            }
            if outcome.converged() {
                shared.contests().wrote(change, &log.trace, &shared.settings.ceasefire);
            }
            shared.memory.metrics.change(&change.id, change.action, outcome);
        }
    };
    let writers: Vec<_> = shared.settings.connections.iter().map(Connection::writer).collect();
    let stop = stop.child_token();
    let options = apply::Options {
        verify: shared.verify,
        fresh_until,
        settled: settled.collect(),
        listener: &listener,
        stop: stop.clone(),
        log: &Unrecorded,
    };
    let inputs = shared.record.inputs(plan, read.states);
    let document = record::document(plan, inputs.as_ref(), &manifests.sources);
    let digests = [(String::new(), manifests.digest.clone())];
    let work = Work {
        plan,
        document: &document,
        manifests: &digests,
        excesses: &[],
        acknowledged: false,
        held: &[],
        override_reason: None,
        file: None,
    };
    // Unless it comes to its end, there is something to settle.
    shared.record.doubt();
    let surroundings = shared.record.surroundings();
    let closing = held::closing(plan, read.states, &shared.settings.holds);
    let mut work = pin!(run::carry_out(&surroundings, claim, &work, (read.states, &writers), options));
    let finished = tokio::select! {
        finished = &mut work => finished,
        // What is under way then comes to its end, and nothing else is sent.
        () = held::until(closing) => {
            stop.cancel();
            work.await
        }
    };
    let finished = finished.map_err(|error| error.to_string())?;
    if finished.problem.is_none() {
        shared.record.trust();
    }
    let problem = finished.problem.or_else(|| taken.into_values().next());
    Ok(Enforced { outcomes: finished.outcomes, run: Some(run.clone()), problem })
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
    Sum {
        counts: Counts::default(),
        by_kind: ByKind::new(),
        verdict: Verdict::Interrupted,
        error: None,
        retry: false,
        failing: HashSet::new(),
    }
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

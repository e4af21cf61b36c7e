//! The computed set of changes: what differs, in which order it is changed, by which calls. Pure.

mod candidate;
pub mod file;
pub mod follow_up;
pub mod guard;
pub mod hold;
pub mod integrity;
mod moved;
pub mod order;
mod parts;
mod policy;
pub mod precondition;
mod rename;
mod select;
mod settle;
pub mod undo;

use candidate::{Candidate, trouble};
pub use moved::moved;
pub use rename::{Vanished, of_vanished};
pub use select::{implicit_dependencies, part, select, select_some};
use settle::{Held, block_cycles, block_dependents, order_by_unique_keys, order_deletes};

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crate::{
    diagnostic::Diagnostic,
    model::{Action, Call, Change, CreateContext, Desired, Ensure, Live, ObservedState, ResourceId, policy::Policy},
    provider::{Facts, Kind, Planned, Platform},
};

/// One target, what is wanted of it and what was read from it.
pub struct TargetState<'a> {
    /// The target's name.
    pub target: Arc<str>,
    /// Its platform.
    pub platform: &'static dyn Platform,
    /// The objects that documents declare there.
    pub desired: Vec<&'a Desired>,
    /// Live objects that no document means and that a document or a scope asks to remove, as if they were declared
    /// absent.
    pub surplus: Vec<Desired>,
    /// Parts of roll-outs, in the order in which they are synced.
    pub parts: Vec<Desired>,
    /// Scopes of `reconcile.yaml` in which what no document means is surplus too.
    pub scopes: Vec<&'a Desired>,
    /// Remarks about documents beside their problems.
    pub remarks: Vec<Diagnostic>,
    /// The answers so far.
    pub facts: Facts,
    /// The enforced part of live objects of which not everything is enforced.
    pub enforced: BTreeMap<ResourceId, Desired>,
}

impl TargetState<'_> {
    /// Returns all objects that the plan is about, as far as their documents are enforced.
    pub fn objects(&self) -> impl Iterator<Item = &Desired> {
        self.declared().map(|desired| self.enforced.get(&desired.id).unwrap_or(desired))
    }

    /// Returns the kind of an object.
    pub fn kind(&self, id: &ResourceId) -> Option<&'static dyn Kind> {
        self.platform.kind(id.kind)
    }
}

impl AsMut<Facts> for TargetState<'_> {
    fn as_mut(&mut self) -> &mut Facts {
        &mut self.facts
    }
}

impl TargetState<'_> {
    /// Returns a change with all that it rests on.
    pub fn planned<'s>(&'s self, desired: &'s Desired, change: &'s Change) -> Planned<'s> {
        let (live, context) = match self.facts.observed(&desired.id) {
            Some(ObservedState::Found(live)) => (Some(live), CreateContext::none()),
            Some(ObservedState::Absent { context, .. }) => (None, context),
            _ => (None, CreateContext::none()),
        };
        Planned { desired, live, context, change }
    }

    /// Returns the changes of a kind on this target with all that they rest on; `objects` holds what they are about.
    pub fn planned_of<'s>(
        &'s self,
        kind: &dyn Kind,
        objects: impl Iterator<Item = &'s Desired>,
        changes: impl Iterator<Item = &'s Change>,
    ) -> Vec<Planned<'s>> {
        let is_own = |change: &&Change| change.target == self.target && change.id.kind == kind.name();
        let changes: Vec<&Change> = changes.filter(is_own).collect();
        let objects = changing(changes.iter().copied(), objects);
        changes.into_iter().filter_map(|change| Some(self.planned(objects.get(&change.id)?, change))).collect()
    }
}

/// Returns the objects that changes are about, by their addresses. Few objects change, as a rule, and all of them are many.
fn changing<'c, 's>(
    changes: impl IntoIterator<Item = &'c Change>,
    objects: impl Iterator<Item = &'s Desired>,
) -> HashMap<&'s ResourceId, &'s Desired> {
    let ids: HashSet<&ResourceId> = changes.into_iter().map(|change| &change.id).collect();
    if ids.is_empty() {
        return HashMap::new();
    }
    objects.filter(|desired| ids.contains(&desired.id)).map(|desired| (&desired.id, desired)).collect()
}

/// Why an object is blocked.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// It cannot become as declared.
    Wrong(Vec<Diagnostic>),
    /// It could not be read.
    Unread(String),
    /// It needs another object that is blocked.
    Needs(ResourceId),
}

/// An object that is blocked, because something about it is wrong or unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocked {
    /// The object.
    pub id: ResourceId,
    /// Its target.
    pub target: Arc<str>,
    /// Where its document begins.
    pub origin: crate::source::Origin,
    /// Why.
    pub cause: Cause,
}

/// The changes, and the objects that are blocked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Changes, in an order in which they can be made.
    pub changes: Vec<Change>,
    /// The calls that make them, in the same order.
    pub calls: Vec<Call>,
    /// Changes that are left alone, because their policy is to report them.
    pub reported: Vec<Change>,
    /// How many objects are as declared.
    pub unchanged: usize,
    /// How many declared objects of a kind were found live on a target: what shares count among.
    pub live: BTreeMap<(Arc<str>, &'static str), usize>,
    /// Objects that are blocked.
    pub blocked: Vec<Blocked>,
    /// Warnings about documents.
    pub remarks: Vec<Diagnostic>,
    /// The impact of all changes of a kind on a target.
    pub impact: Vec<ImpactTotal>,
}

/// The impact of all changes of a kind on a target, in one unit. Things that several changes share count once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImpactTotal {
    /// The target.
    pub target: Arc<str>,
    /// The kind.
    pub kind: &'static str,
    /// The noun, such as `modules`.
    pub unit: &'static str,
    /// The number; `None` if it is unknown.
    pub count: Option<u64>,
}

impl Plan {
    /// Returns true if nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns all diagnostics: what is wrong with blocked objects, and the remarks.
    pub fn diagnostics_mut(&mut self) -> impl Iterator<Item = &mut Diagnostic> {
        let wrong = self.blocked.iter_mut().filter_map(|blocked| match &mut blocked.cause {
            Cause::Wrong(diagnostics) => Some(diagnostics),
            Cause::Unread(_) | Cause::Needs(_) => None,
        });
        wrong.flatten().chain(&mut self.remarks)
    }

    /// Returns how many objects are not as declared. One may be enforced in some fields and reported in others.
    pub fn differing(&self) -> usize {
        let all = self.changes.iter().chain(&self.reported).map(|change| &change.id);
        all.collect::<HashSet<_>>().len()
    }

    /// Returns the objects that are blocked for another reason than that what they need is only reported.
    pub fn failing(&self) -> impl Iterator<Item = &Blocked> {
        let reported: HashSet<&ResourceId> = self.reported.iter().map(|change| &change.id).collect();
        self.blocked.iter().filter(move |one| !matches!(&one.cause, Cause::Needs(other) if reported.contains(other)))
    }

    /// Returns how many changes are of a kind.
    pub fn count(&self, action: Action) -> usize {
        self.changes.iter().filter(|change| change.action == action).count()
    }

    /// Returns what is to be said about documents: what is wrong with those that are blocked, then warnings.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        let wrong = self.blocked.iter().flat_map(|blocked| match &blocked.cause {
            Cause::Wrong(problems) => problems.as_slice(),
            Cause::Unread(_) | Cause::Needs(_) => &[],
        });
        wrong.chain(&self.remarks)
    }

    /// Returns the calls that serve an object.
    pub fn calls_of<'p>(&'p self, id: &'p ResourceId) -> impl Iterator<Item = &'p Call> {
        self.calls.iter().filter(move |call| call.serves.contains(id))
    }
}

/// Compares what is wanted with what was read, on all targets.
pub fn plan(states: &[TargetState<'_>]) -> Plan {
    let mut plan = Plan::default();
    for state in states {
        plan_scene(state, &mut plan);
    }
    plan
}

fn plan_scene(state: &TargetState<'_>, plan: &mut Plan) {
    let mut blocked: BTreeMap<&ResourceId, Cause> = BTreeMap::new();
    let mut candidates: BTreeMap<&ResourceId, Candidate<'_>> = BTreeMap::new();
    let mut unchanged = 0;
    let mut reported = BTreeMap::new();
    let surplus: HashSet<&ResourceId> = state.surplus.iter().map(|desired| &desired.id).collect();
    for looked in candidate::all(state, &surplus) {
        unchanged += looked.unchanged;
        candidates.extend(looked.candidates);
        blocked.extend(looked.blocked);
        reported.extend(looked.reported);
    }
    for scope in &state.scopes {
        // What is known of a scope is why nothing is removed in it.
        blocked.extend(state.facts.observed(&scope.id).and_then(trouble).map(|cause| (&scope.id, cause)));
    }
    // The holders of unique values matter only where one is in an object's way.
    let held = if candidates.values().any(|candidate| !candidate.key_conflicts.is_empty()) {
        held(state)
    } else {
        Held::default()
    };
    order_by_unique_keys(&mut candidates, &held, &mut blocked);
    order_deletes(&mut candidates, &mut blocked);
    order_followers(state, &mut candidates);
    parts::add(state, &mut candidates, &mut blocked, &mut reported);
    block_dependents(&mut candidates, &mut blocked);
    for level in levels(&mut candidates, &mut blocked) {
        finish_level(state, &level, &surplus, &mut candidates, plan);
    }
    let proposals = rename::proposals(state, &plan.changes);
    plan.remarks.extend(proposals);
    plan.unchanged += unchanged;
    for kind in state.platform.kinds() {
        if plan.changes.iter().any(|change| change.target == state.target && change.id.kind == kind.name()) {
            let unknown = |unit: &&'static str| ImpactTotal {
                target: state.target.clone(),
                kind: kind.name(),
                unit,
                count: None,
            };
            plan.impact.extend(kind.impact_units().iter().map(unknown));
        }
    }
    // A removal that is ignored is no part of the plan.
    let is_part = |desired: &Desired| {
        desired.selected && (desired.ensure != Ensure::Absent || desired.policies.object != Policy::Ignore)
    };
    let is_found = |desired: &&Desired| {
        is_part(desired) && matches!(state.facts.observed(&desired.id), Some(ObservedState::Found(_)))
    };
    for document in state.desired.iter().filter(|desired| is_found(desired)) {
        *plan.live.entry((state.target.clone(), document.id.kind)).or_default() += 1;
    }
    reported.retain(|id, _| !blocked.contains_key(id));
    plan.reported.extend(reported.into_values());
    plan.remarks.extend_from_slice(&state.remarks);
    let origins: HashMap<_, _> =
        state.objects().chain(state.scopes.iter().copied()).map(|desired| (&desired.id, &desired.origin)).collect();
    plan.blocked.extend(blocked.into_iter().map(|(id, cause)| Blocked {
        id: id.clone(),
        target: state.target.clone(),
        origin: origins[id].clone(),
        cause,
    }));
}

/// Lets changes wait for others that come first, where the run makes both.
fn order_followers(state: &TargetState<'_>, candidates: &mut BTreeMap<&ResourceId, Candidate<'_>>) {
    let all: Vec<&Desired> = state.objects().collect();
    for kind in state.platform.kinds() {
        let own = candidates.values().filter(|candidate| candidate.desired.id.kind == kind.name());
        let own: Vec<(&Desired, Option<&Live>)> = own.map(|candidate| (candidate.desired, candidate.live)).collect();
        if own.is_empty() {
            continue;
        }
        for (id, first) in kind.follows(&own, &all, &state.facts) {
            if candidates.contains_key(&first)
                && let Some(candidate) = candidates.get_mut(&id)
            {
                candidate.after.insert(first);
            }
        }
    }
}

/// Returns the candidates in the levels of their order. What waits for itself is blocked.
fn levels<'s>(
    candidates: &mut BTreeMap<&'s ResourceId, Candidate<'s>>,
    blocked: &mut BTreeMap<&'s ResourceId, Cause>,
) -> Vec<Vec<ResourceId>> {
    loop {
        match order::levels(&edges(candidates)) {
            Ok(levels) => return levels,
            Err(cycles) => block_cycles(&cycles, candidates, blocked),
        }
    }
}

/// Returns which candidates wait for which.
fn edges(candidates: &BTreeMap<&ResourceId, Candidate<'_>>) -> BTreeMap<ResourceId, BTreeSet<ResourceId>> {
    candidates.iter().map(|(id, candidate)| ((*id).clone(), candidate.after.clone())).collect()
}

/// Returns which objects hold what others may want.
fn held<'s>(state: &'s TargetState<'_>) -> Held<'s> {
    let mut held = Held::default();
    for desired in state.objects() {
        let Some(kind) = state.kind(&desired.id).filter(|kind| !parts::is_part(*kind, desired)) else { continue };
        let (live, context) = match state.facts.observed(&desired.id) {
            Some(ObservedState::Found(live)) => (Some(live), CreateContext::none()),
            Some(ObservedState::Absent { context, .. }) => (None, context),
            _ => continue,
        };
        held.labels.extend(live.map(|live| (live.label.as_str(), &desired.id)));
        let unique_keys = kind.unique_keys(desired, live, context, &state.facts);
        held.unique_keys.extend(unique_keys.current.into_iter().map(|claim| (claim, &desired.id)));
    }
    held
}

/// Turns the objects of one level into changes and calls.
fn finish_level(
    state: &TargetState<'_>,
    level: &[ResourceId],
    surplus: &HashSet<&ResourceId>,
    candidates: &mut BTreeMap<&ResourceId, Candidate<'_>>,
    plan: &mut Plan,
) {
    for kind in state.platform.kinds() {
        let of_kind = level.iter().filter(|id| id.kind == kind.name());
        let ready: Vec<(Candidate<'_>, Change)> = of_kind
            .filter_map(|id| candidates.remove(id))
            .map(|mut candidate| {
                let change = Change {
                    id: candidate.desired.id.clone(),
                    target: state.target.clone(),
                    label: candidate.live.map(|live| live.label.to_string()).unwrap_or_default(),
                    handle: candidate.live.map(|live| live.handle.to_value()).unwrap_or_default(),
                    action: candidate.action,
                    implicit: surplus.contains(&candidate.desired.id),
                    fields: std::mem::take(&mut candidate.fields),
                    before: match (candidate.action, candidate.live) {
                        (Action::Delete, Some(live)) => kind.before(candidate.desired, live, &state.facts),
                        _ => Vec::new(),
                    },
                    impact: BTreeMap::new(),
                    notes: Vec::new(),
                    field_notes: BTreeMap::new(),
                    wave: candidate.wave,
                    after: candidate.after.iter().cloned().collect(),
                    precondition: state
                        .facts
                        .observed(&candidate.desired.id)
                        .map(|observed| precondition::precondition_digest(*kind, candidate.desired, observed))
                        .unwrap_or_default(),
                    origin: candidate.desired.origin.clone(),
                };
                (candidate, change)
            })
            .collect();
        let planned: Vec<_> = ready
            .iter()
            .map(|(candidate, change)| Planned {
                desired: candidate.desired,
                live: candidate.live,
                context: candidate.context,
                change,
            })
            .collect();
        plan.calls.extend(kind.calls(&planned, &state.facts));
        plan.changes.extend(ready.into_iter().map(|(_, change)| change));
    }
}

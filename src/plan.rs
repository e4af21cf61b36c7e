//! The computed set of changes: what differs, in which order it is changed, by which calls. Pure.

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
    model::{
        Action, Call, Change, CreateContext, Desired, Ensure, FieldChange, KeyConflict, Live, ObservedState,
        ResourceId, Undeletable, Wave, policy::Policy,
    },
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
        let objects: HashMap<&ResourceId, &Desired> = objects.map(|desired| (&desired.id, desired)).collect();
        changes
            .filter(|change| change.target == self.target && change.id.kind == kind.name())
            .filter_map(|change| Some(self.planned(objects.get(&change.id)?, change)))
            .collect()
    }
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

/// An object that would change.
struct Candidate<'s> {
    desired: &'s Desired,
    action: Action,
    live: Option<&'s Live>,
    key_conflicts: &'s [KeyConflict],
    context: &'s CreateContext,
    fields: Vec<FieldChange>,
    wanted: Vec<String>,
    after: BTreeSet<ResourceId>,
    wave: Option<Wave>,
}

impl Candidate<'_> {
    /// Returns true if the object is as declared.
    fn is_nothing(&self) -> bool {
        match self.action {
            Action::Create | Action::Sync => false,
            Action::Update => self.fields.is_empty(),
            Action::Delete => self.live.is_none(),
        }
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
    for (declared, desired) in state.declared().zip(state.objects()) {
        let Some(kind) = state.kind(&desired.id) else { continue };
        if parts::is_part(kind, desired) {
            continue;
        }
        let candidate = candidate(state, kind, desired).and_then(|candidate| {
            let change = if desired.selected {
                policy::reported(state, kind, declared, surplus.contains(&declared.id))?
            } else {
                None
            };
            reported.extend(change.map(|change| (&declared.id, change)));
            Ok(candidate)
        });
        match candidate {
            Ok(candidate) => {
                if !desired.selected {
                    continue;
                }
                if candidate.is_nothing() {
                    unchanged += usize::from(!reported.contains_key(&desired.id));
                } else if policy::policy_allows(&desired.policies, candidate.action) {
                    let wanted = || {
                        let facts = &state.facts;
                        kind.unique_keys(desired, candidate.live, candidate.context, facts).desired
                    };
                    let wanted = if candidate.action == Action::Delete { Vec::new() } else { wanted() };
                    candidates.insert(&desired.id, Candidate { wanted, ..candidate });
                }
            }
            Err(cause) => {
                if desired.selected {
                    blocked.insert(&desired.id, cause);
                }
            }
        }
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

/// Looks at one object: what differs, or why nothing can be done about it.
fn candidate<'s>(state: &'s TargetState<'_>, kind: &dyn Kind, desired: &'s Desired) -> Result<Candidate<'s>, Cause> {
    let unread = || Cause::Unread("it was not read".to_owned());
    let (live, key_conflicts, context) = match state.facts.observed(&desired.id).ok_or_else(unread)? {
        ObservedState::Found(live) => (Some(live), live.relations().key_conflicts.as_slice(), CreateContext::none()),
        ObservedState::Absent { nearest, .. } if desired.ensure == Ensure::Existing => {
            return Err(Cause::Wrong(vec![missing(desired, nearest)]));
        }
        ObservedState::Absent { key_conflicts, context, .. } => (None, key_conflicts.as_slice(), context),
        open => return Err(trouble(open).unwrap_or_else(unread)),
    };
    if desired.ensure == Ensure::Absent {
        if desired.protect && live.is_some() {
            let message = format!("{} is protected: it is not removed", desired.id);
            return Err(Cause::Wrong(vec![Diagnostic::error("P140", message, &desired.origin)]));
        }
        if let Some(Undeletable { reason, hint }) = live.and_then(|live| live.relations().undeletable.as_deref()) {
            let message = format!("{} cannot be removed: {reason}", desired.id);
            return Err(Cause::Wrong(vec![Diagnostic::error("P143", message, &desired.origin).hint(*hint)]));
        }
        let after = BTreeSet::new();
        let (action, key_conflicts) = (Action::Delete, [].as_slice());
        return Ok(Candidate {
            desired,
            action,
            live,
            key_conflicts,
            context,
            fields: Vec::new(),
            wanted: Vec::new(),
            after,
            wave: None,
        });
    }
    let is_looked_at = live.is_none() || desired.policies.any(Policy::Enforce);
    let fields = is_looked_at.then(|| kind.compare(desired, live, &state.facts).map_err(Cause::Wrong));
    let mut fields = fields.transpose()?.unwrap_or_default();
    fields.retain(|field| live.is_none() || desired.policies.of(&field.path) == Policy::Enforce);
    fields.retain(|field| !state.facts.suppressed.contains(&field.fingerprint(&desired.id)));
    let action = if live.is_some() { Action::Update } else { Action::Create };
    // What is made in this run has to be there first.
    let made = |id: &ResourceId| matches!(state.facts.observed(id), Some(ObservedState::Absent { .. }));
    let after = desired.references.iter().filter(|to| live.is_none() && made(&to.to)).map(|to| to.to.clone());
    let awaited = live.map(|live| kind.awaits(desired, live)).unwrap_or_default();
    let after = after.chain(context.made().cloned()).chain(awaited).collect();
    Ok(Candidate { desired, action, live, key_conflicts, context, fields, wanted: Vec::new(), after, wave: None })
}

/// Returns why nothing can be done about an object that was seen so; `None` if it is there, or is known not to be.
fn trouble(observed: &ObservedState) -> Option<Cause> {
    match observed {
        ObservedState::Found(_) | ObservedState::Absent { .. } => None,
        ObservedState::Needs(id) => Some(Cause::Needs(id.clone())),
        ObservedState::Ambiguous(diagnostic) | ObservedState::Impossible(diagnostic) => {
            Some(Cause::Wrong(vec![(**diagnostic).clone()]))
        }
        ObservedState::Unknown(why) => Some(Cause::Unread(why.clone())),
    }
}

fn missing(desired: &Desired, nearest: &[String]) -> Diagnostic {
    // The last thing that says which object is meant: the name rather than the business it lies in.
    let names = desired.locator.values().filter(|value| value.value.is_string() || value.value.is_i64());
    let place = names.max_by_key(|value| value.origin.order());
    let origin = place.map_or(&desired.origin, |value| &value.origin);
    let wanted = place.and_then(|value| value.value.as_str()).unwrap_or_default();
    let diagnostic = Diagnostic::error("P100", format!("{} does not exist", desired.id), origin);
    match crate::yaml::suggestion(wanted, nearest.iter().map(String::as_str)) {
        Some(question) => diagnostic.hint(question),
        None => diagnostic.hint("`ensure: existing` is the default: the object has to be there"),
    }
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

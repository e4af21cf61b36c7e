//! Reads what is live: the kinds say what to ask, round by round.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures_util::future::join_all;
use serde_json::Value;

use super::{
    connection::Reader,
    drive::{drive, drive_all},
};
use crate::{
    diagnostic::Diagnostic,
    model::{Action, Change, Desired, ObservedState, ResourceId},
    plan::{
        Plan, TargetState, Vanished, integrity,
        precondition::{SavedChangeState, saved_change_states},
    },
    provider::{Facts, Freshness, Kind, Notes, Observation, Step},
};

/// Reads all that the desired objects need to know, on all targets at once.
pub async fn observe<'d>(readers: &[Reader], desired: &'d [Desired]) -> Vec<TargetState<'d>> {
    observe_as(readers, desired, Freshness::Replica).await
}

/// Does the same with answers that are as fresh as is asked.
pub async fn observe_as<'d>(readers: &[Reader], desired: &'d [Desired], freshness: Freshness) -> Vec<TargetState<'d>> {
    let mut by_target: BTreeMap<&Arc<str>, Vec<&Desired>> = BTreeMap::new();
    for document in desired {
        by_target.entry(&document.target).or_default().push(document);
    }
    let states = by_target.into_iter().filter_map(|(target, group)| {
        let reader = readers.iter().find(|reader| reader.target().name == *target)?;
        Some(observe_target(reader, group, freshness))
    });
    join_all(states).await
}

/// Reads all that objects of one target need to know.
pub async fn observe_target<'d>(reader: &Reader, desired: Vec<&'d Desired>, freshness: Freshness) -> TargetState<'d> {
    let target = reader.target();
    let mut state = TargetState {
        target: target.name.clone(),
        platform: target.platform,
        desired,
        surplus: Vec::new(),
        parts: Vec::new(),
        scopes: Vec::new(),
        remarks: Vec::new(),
        facts: Facts::new(freshness, HashMap::new()),
        enforced: BTreeMap::new(),
    };
    match reader.settings().await {
        Ok(settings) => state.facts.settings = settings,
        Err(refusal) => {
            for desired in &state.desired {
                state.facts.record(desired.id.clone(), ObservedState::Unknown(refusal.to_string()));
            }
            return state;
        }
    }
    state.facts.suppressed = reader.suppressed();
    let mut by_kind: Vec<(_, Vec<&Desired>)> = Vec::new();
    for kind in target.platform.kinds() {
        let group: Vec<_> = state.desired.iter().copied().filter(|desired| desired.id.kind == kind.name()).collect();
        if !group.is_empty() {
            by_kind.push((*kind, group));
        }
    }
    let mut remarks = HashSet::new();
    let kinds: Vec<_> = by_kind.iter().map(|(kind, _)| *kind).collect();
    let observe = |kind: &'static dyn Kind, state: &mut TargetState<'d>| {
        let group = by_kind.iter().find(|(other, _)| other.name() == kind.name()).map_or(&[][..], |(_, group)| group);
        match kind.observe(group, &state.desired, &state.facts) {
            Step::Ask(missing) => Step::Ask(missing),
            Step::Done(observation) => {
                take_in(observation, state, &mut remarks);
                let is_known = |desired: &&Desired| state.facts.observed(&desired.id).is_some();
                // An open question may depend on what other kinds find.
                if group.iter().all(is_known) { Step::Done(()) } else { Step::Ask(Vec::new()) }
            }
        }
    };
    for (kind, result) in drive_all(reader, kinds, &mut state, observe).await {
        let Err(error) = result else { continue };
        let open: Vec<_> = state.desired.iter().filter(|desired| desired.id.kind == kind.name()).copied().collect();
        let unknown = |desired: &&Desired| (desired.id.clone(), Box::new(ObservedState::Unknown(error.to_string())));
        state.facts.record_new(open.iter().map(unknown).collect());
    }
    state.apply_policies();
    state
}

/// Adds to a plan what people have to do once it is carried out. A kind may have to read for that.
pub async fn note(readers: &[Reader], states: &mut [TargetState<'_>], plan: &mut Plan) {
    for state in states {
        let Some(reader) = readers.iter().find(|reader| reader.target().name == state.target) else { continue };
        let notes = |kind: &'static dyn Kind, state: &mut TargetState<'_>| {
            kind.notes(&state.planned_of(kind, state.objects(), plan.changes.iter()), &state.facts)
        };
        for (kind, notes) in drive_all(reader, state.platform.kinds().iter().copied(), state, notes).await {
            let mut by_id: HashMap<ResourceId, &mut Change> = HashMap::new();
            let is_own = |change: &&mut Change| change.target == state.target && change.id.kind == kind.name();
            for change in plan.changes.iter_mut().filter(is_own) {
                by_id.insert(change.id.clone(), change);
            }
            let notes = notes.unwrap_or_else(|error| {
                let note = format!("find out what else has to be done: {error}");
                Notes { notes: by_id.keys().map(|id| (id.clone(), note.clone())).collect(), fields: Vec::new() }
            });
            for (id, note) in notes.notes {
                by_id.entry(id).and_modify(|change| change.notes.push(note));
            }
            for (id, path, note) in notes.fields {
                by_id.entry(id).and_modify(|change| drop(change.field_notes.insert(path, note)));
            }
        }
    }
}

/// Adds what a kind knows to the state of its target.
fn take_in(observation: Observation, state: &mut TargetState<'_>, remarks: &mut HashSet<Diagnostic>) {
    state.facts.record_new(observation.known);
    for remark in observation.remarks {
        // A kind that waits for others says the same again.
        if remarks.insert(remark.clone()) {
            state.remarks.push(remark);
        }
    }
    for (part, observed) in observation.parts {
        if state.facts.observed(&part.id).is_none() {
            state.facts.record(part.id.clone(), observed);
            state.parts.push(part);
        }
    }
    for (surplus, live) in observation.surplus {
        if state.facts.observed(&surplus.id).is_none() {
            state.facts.record(surplus.id.clone(), ObservedState::Found(live));
            state.surplus.push(surplus);
        }
    }
}

/// The objects of a saved plan, read again.
pub struct Recalled<'d> {
    /// What was read.
    pub states: Vec<TargetState<'d>>,
    /// What became of each change of the plan.
    pub change_states: Vec<(ResourceId, SavedChangeState)>,
    /// Why its calls are not those of its changes; nothing if they are.
    pub mismatch: Option<String>,
}

/// Reads what a saved plan is about again, and compares its calls with those that its changes give.
///
/// The reads of one look are not of the same moment: what came or went between two of them contradicts itself. So calls
/// that do not fit are compared once more with a second look, which has it in all of its reads.
pub async fn recall_for<'d>(plan: &Plan, objects: &'d [Desired], readers: &[Reader]) -> Recalled<'d> {
    let look = async || {
        let states = recall(readers, objects, plan).await;
        let change_states = saved_change_states(plan, &states);
        let mismatch = integrity::mismatch(plan, &states, &change_states);
        Recalled { states, change_states, mismatch }
    };
    let first = look().await;
    if first.mismatch.is_none() { first } else { look().await }
}

/// Reads what a saved plan is about again: its objects as documents, and by their handles those that cannot be found
/// that way any more, or never could: what no document declares.
pub async fn recall<'d>(readers: &[Reader], objects: &'d [Desired], plan: &Plan) -> Vec<TargetState<'d>> {
    // No document declares what is implicit, nor the parts of roll-outs.
    let is_undeclared = |change: &&Change| change.implicit || change.action == Action::Sync;
    let implicit: HashSet<&ResourceId> = plan.changes.iter().filter(is_undeclared).map(|change| &change.id).collect();
    let mut by_target: BTreeMap<&Arc<str>, Vec<&Desired>> = BTreeMap::new();
    for desired in objects {
        let group = by_target.entry(&desired.target).or_default();
        if !implicit.contains(&desired.id) {
            group.push(desired);
        }
    }
    let states = by_target.into_iter().filter_map(|(target, group)| {
        let reader = readers.iter().find(|reader| reader.target().name == *target)?;
        Some(async move {
            let mut state = observe_target(reader, group, Freshness::Primary).await;
            state.remarks.clear();
            recall_by_handle(reader, objects, plan, &mut state).await;
            state
        })
    });
    join_all(states).await
}

async fn recall_by_handle<'d>(reader: &Reader, objects: &'d [Desired], plan: &Plan, state: &mut TargetState<'d>) {
    // Of what goes undeclared only that is known which the plan names.
    state.surplus.clear();
    state.parts.clear();
    let by_id: HashMap<&ResourceId, &'d Desired> = objects.iter().map(|desired| (&desired.id, desired)).collect();
    let own = plan.changes.iter().filter(|change| change.target == state.target && !change.handle.is_null());
    let open: Vec<(&'d Desired, &Value)> = own
        .filter(|change| match state.facts.observed(&change.id) {
            Some(ObservedState::Found(live)) => live.handle != change.handle,
            // A read that failed is not made up for: nothing is known.
            Some(ObservedState::Unknown(_)) => false,
            _ => true,
        })
        .filter_map(|change| Some((*by_id.get(&change.id)?, &change.handle)))
        .collect();
    let known: HashSet<&ResourceId> = state.desired.iter().map(|desired| &desired.id).collect();
    let implicit = plan.changes.iter().filter(|change| change.target == state.target && !known.contains(&change.id));
    let implicit: Vec<&Desired> = implicit.filter_map(|change| by_id.get(&change.id).copied()).collect();
    state.desired.extend(implicit);
    for kind in state.platform.kinds() {
        let group: Vec<_> = open.iter().filter(|(desired, _)| desired.id.kind == kind.name()).copied().collect();
        if !group.is_empty() {
            for (id, observed) in reread(reader, *kind, &group).await {
                state.facts.record(id, observed);
            }
        }
    }
}

/// Returns the live ones of objects that were found by their handles before. What cannot be read is not among them.
pub async fn found_again(readers: &[Reader], objects: &[(Desired, Value)]) -> Vec<Vanished> {
    let mut found = Vec::new();
    for reader in readers {
        for kind in reader.target().platform.kinds() {
            let is_own = |(desired, _): &&(Desired, Value)| {
                desired.id.kind == kind.name() && desired.target == reader.target().name
            };
            let group: Vec<_> = objects.iter().filter(is_own).map(|(desired, handle)| (desired, handle)).collect();
            if group.is_empty() {
                continue;
            }
            let mut observed = reread(reader, *kind, &group).await;
            found.extend(group.iter().filter_map(|(desired, _)| match observed.remove(&desired.id)? {
                ObservedState::Found(live) => Some(Vanished { desired: (*desired).clone(), live }),
                _ => None,
            }));
        }
    }
    found
}

/// Reads objects again by their handles.
pub(super) async fn reread(
    reader: &Reader,
    kind: &dyn Kind,
    objects: &[(&Desired, &Value)],
) -> HashMap<ResourceId, ObservedState> {
    let mut facts = Facts::new(Freshness::Primary, reader.settings().await.unwrap_or_default());
    let reread = |facts: &mut Facts| kind.reread(objects, facts);
    match drive(reader, kind, &mut facts, reread).await {
        Ok(observation) => observation.known.into_iter().map(|(id, observed)| (id, *observed)).collect(),
        Err(error) => {
            let unknown = ObservedState::Unknown(error.to_string());
            objects.iter().map(|(desired, _)| (desired.id.clone(), unknown.clone())).collect()
        }
    }
}

//! Reads what is live: the kinds say what to ask, round by round.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt, future::join_all, stream};
use serde_json::Value;

use super::connection::Reader;
use crate::{
    model::{Change, Desired, ObservedState, Request, ResourceId},
    plan::{Plan, TargetState},
    provider::{Facts, Freshness},
};

/// Requests of one round that are on their way at once; the connection's own limits lie below.
const AT_ONCE: usize = 64;

/// Reads all that the desired objects need to know, on all targets at once.
pub async fn observe<'d>(readers: &[Reader], desired: &'d [Desired]) -> Vec<TargetState<'d>> {
    let mut by_target: BTreeMap<&Arc<str>, Vec<&Desired>> = BTreeMap::new();
    for one in desired {
        by_target.entry(&one.target).or_default().push(one);
    }
    let states = by_target.into_iter().filter_map(|(target, group)| {
        let reader = readers.iter().find(|reader| reader.target().name == *target)?;
        Some(observe_target(reader, group, Freshness::Replica))
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
        scopes: Vec::new(),
        remarks: Vec::new(),
        facts: Facts::new(freshness, HashMap::new()),
        enforced: BTreeMap::new(),
    };
    match reader.settings().await {
        Ok(settings) => state.facts.settings = settings,
        Err(refusal) => {
            let unknown = |id: &ResourceId| (id.clone(), ObservedState::Unknown(refusal.to_string()));
            record(&mut state.facts, state.desired.iter().map(|one| unknown(&one.id)).collect());
            return state;
        }
    }
    state.facts.suppressed = reader.suppressed();
    let mut by_kind: Vec<(_, Vec<&Desired>)> = Vec::new();
    for kind in target.platform.kinds() {
        let group: Vec<_> = state.desired.iter().copied().filter(|one| one.id.kind == kind.name()).collect();
        if !group.is_empty() {
            by_kind.push((*kind, group));
        }
    }
    loop {
        let mut ask: Vec<Request> = Vec::new();
        let mut learned = false;
        for (kind, group) in &by_kind {
            if group.iter().all(|one| state.facts.observed(&one.id).is_some()) {
                continue;
            }
            let observation = kind.observe(group, &state.desired, &state.facts);
            let asks = !observation.ask.is_empty();
            ask.extend(observation.ask);
            if asks {
                // With answers missing, what it knows of some may still change.
                continue;
            }
            learned |= record(&mut state.facts, observation.known);
            for remark in observation.remarks {
                if !state.remarks.contains(&remark) {
                    state.remarks.push(remark);
                }
            }
            for (surplus, live) in observation.surplus {
                if state.facts.observed(&surplus.id).is_none() {
                    state.facts.record(surplus.id.clone(), ObservedState::Found(live));
                    state.surplus.push(surplus);
                }
            }
        }
        if !ask.is_empty() {
            round(reader, ask, &mut state.facts).await;
        } else if !learned {
            break;
        }
    }
    for one in &state.desired {
        if state.facts.observed(&one.id).is_none() {
            state.facts.record(one.id.clone(), ObservedState::Unknown("nothing told what it is".to_owned()));
        }
    }
    state.apply_policies();
    state
}

/// Adds to a plan what people have to do once it is carried out. A kind may have to read for that.
pub async fn note(readers: &[Reader], states: &mut [TargetState<'_>], plan: &mut Plan) {
    for state in states {
        let Some(reader) = readers.iter().find(|reader| reader.target().name == state.target) else { continue };
        for kind in state.platform.kinds() {
            let notes = loop {
                let objects: HashMap<&ResourceId, &Desired> = state.objects().map(|one| (&one.id, one)).collect();
                let changes =
                    plan.changes.iter().filter(|one| one.target == state.target && one.id.kind == kind.name());
                let planned: Vec<_> =
                    changes.filter_map(|change| Some(state.planned(objects.get(&change.id)?, change))).collect();
                let notes = kind.notes(&planned, &state.facts);
                if notes.ask.is_empty() {
                    break notes;
                }
                round(reader, notes.ask, &mut state.facts).await;
            };
            let mut by_id: HashMap<ResourceId, &mut Change> = HashMap::new();
            for change in plan.changes.iter_mut().filter(|change| change.id.kind == kind.name()) {
                by_id.insert(change.id.clone(), change);
            }
            for (id, note) in notes.notes {
                by_id.entry(id).and_modify(|change| change.notes.push(note));
            }
            for (id, path, note) in notes.fields {
                by_id.entry(id).and_modify(|change| drop(change.field_notes.insert(path, note)));
            }
        }
    }
}

/// Asks all requests of a round, each once.
pub(super) async fn round(reader: &Reader, mut ask: Vec<Request>, facts: &mut Facts) {
    let mut precondition = std::collections::HashSet::new();
    ask.retain(|request| precondition.insert(request.clone()));
    let answers = stream::iter(ask)
        .map(|request| async move {
            let answer = reader.read(&request).await;
            (request, answer)
        })
        .buffer_unordered(AT_ONCE);
    let answers: Vec<_> = answers.collect().await;
    for (request, answer) in answers {
        facts.learn(request, answer);
    }
}

fn record(facts: &mut Facts, known: Vec<(ResourceId, ObservedState)>) -> bool {
    let mut learned = false;
    for (id, observed) in known {
        if facts.observed(&id).is_none() {
            facts.record(id, observed);
            learned = true;
        }
    }
    learned
}

/// Reads what a saved plan is about again: its objects as documents, and by their handles those that cannot be found
/// that way any more, or never could: what no document declares.
pub async fn recall<'d>(readers: &[Reader], objects: &'d [Desired], plan: &Plan) -> Vec<TargetState<'d>> {
    let implicit: HashSet<&ResourceId> = plan.changes.iter().filter(|one| one.implicit).map(|one| &one.id).collect();
    let mut by_target: BTreeMap<&Arc<str>, Vec<&Desired>> = BTreeMap::new();
    for one in objects {
        let group = by_target.entry(&one.target).or_default();
        if !implicit.contains(&one.id) {
            group.push(one);
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
    let by_id: HashMap<&ResourceId, &'d Desired> = objects.iter().map(|one| (&one.id, one)).collect();
    let own = plan.changes.iter().filter(|one| one.target == state.target && !one.handle.is_null());
    let open: Vec<(&'d Desired, &Value)> = own
        .filter(|change| match state.facts.observed(&change.id) {
            Some(ObservedState::Found(live)) => live.handle != change.handle,
            // A read that failed is not made up for: nothing is known.
            Some(ObservedState::Unknown(_)) => false,
            _ => true,
        })
        .filter_map(|change| Some((*by_id.get(&change.id)?, &change.handle)))
        .collect();
    let known: HashSet<&ResourceId> = state.desired.iter().map(|one| &one.id).collect();
    let implicit = plan.changes.iter().filter(|one| one.target == state.target && !known.contains(&one.id));
    let implicit: Vec<&Desired> = implicit.filter_map(|change| by_id.get(&change.id).copied()).collect();
    state.desired.extend(implicit);
    for kind in state.platform.kinds() {
        let group: Vec<_> = open.iter().filter(|(one, _)| one.id.kind == kind.name()).copied().collect();
        if !group.is_empty() {
            for (id, observed) in super::verify::reread(reader, *kind, &group).await {
                state.facts.record(id, observed);
            }
        }
    }
}

//! Reads what hangs below the changes of a plan.

use std::collections::{BTreeMap, HashMap};

use super::{connection::Reader, observe::round};
use crate::{
    model::{Action, Desired, Request, ResourceId},
    plan::{Plan, TargetState},
    provider::{Impact, Kind},
};

/// Adds to a plan how many things hang below its changes. What cannot be read is unknown. A plan without changes costs
/// no read.
pub async fn impact(readers: &[Reader], states: &mut [TargetState<'_>], plan: &mut Plan) {
    for state in states {
        let Some(reader) = readers.iter().find(|reader| reader.target().name == state.target) else { continue };
        // The kinds of a target ask together, round by round.
        let told = loop {
            let mut told = told(state, plan);
            let ask: Vec<Request> = told.iter_mut().flat_map(|(_, impact)| std::mem::take(&mut impact.ask)).collect();
            if ask.is_empty() {
                break told;
            }
            round(reader, ask, &mut state.facts).await;
        };
        let mut counts: HashMap<ResourceId, BTreeMap<&'static str, Option<u64>>> = HashMap::new();
        for (kind, impact) in &told {
            let live: Vec<ResourceId> = plan
                .changes
                .iter()
                .filter(|one| one.target == state.target && one.id.kind == kind.name())
                .filter(|one| one.action != Action::Create)
                .map(|one| one.id.clone())
                .collect();
            counts.extend(impact.counts().map(|(id, counts)| (id.clone(), counts)));
            for total in plan.impact.iter_mut().filter(|one| one.target == state.target && one.kind == kind.name()) {
                total.count = impact.total(total.unit, &live);
            }
        }
        for change in plan.changes.iter_mut().filter(|change| change.target == state.target) {
            change.impact = counts.remove(&change.id).unwrap_or_default();
        }
    }
}

/// Returns what the kinds of a target that change know so far.
fn told(state: &TargetState<'_>, plan: &Plan) -> Vec<(&'static dyn Kind, Impact)> {
    let objects: HashMap<&ResourceId, &Desired> = state.objects().map(|one| (&one.id, one)).collect();
    let mut told = Vec::new();
    for kind in state.platform.kinds() {
        let changes = plan.changes.iter().filter(|one| one.target == state.target && one.id.kind == kind.name());
        let planned: Vec<_> =
            changes.filter_map(|change| Some(state.planned(objects.get(&change.id)?, change))).collect();
        if !planned.is_empty() {
            told.push((*kind, kind.impact(&planned, &state.facts)));
        }
    }
    told
}

//! Reads the impact of the changes of a plan.

use std::collections::{BTreeMap, HashMap};

use super::{connection::Reader, drive::drive_all};
use crate::{
    model::{Action, ResourceId},
    plan::{Plan, TargetState},
    provider::{Impact, Kind},
};

/// Adds their impact to the changes of a plan. What cannot be read is unknown. A plan without changes costs no read.
pub async fn impact(readers: &[Reader], states: &mut [TargetState<'_>], plan: &mut Plan) {
    for state in states {
        let Some(reader) = readers.iter().find(|reader| reader.target().name == state.target) else { continue };
        let has_changes = |kind: &&dyn Kind| !state.planned_of(*kind, state.objects(), plan.changes.iter()).is_empty();
        let kinds: Vec<_> = state.platform.kinds().iter().copied().filter(has_changes).collect();
        let impact = |kind: &'static dyn Kind, state: &mut TargetState<'_>| {
            kind.impact(&state.planned_of(kind, state.objects(), plan.changes.iter()), &state.facts)
        };
        let impacts = drive_all(reader, kinds, state, impact).await;
        let mut counts: HashMap<ResourceId, BTreeMap<&'static str, Option<u64>>> = HashMap::new();
        for (kind, impact) in &impacts {
            let live: Vec<ResourceId> = plan
                .changes
                .iter()
                .filter(|change| change.target == state.target && change.id.kind == kind.name())
                .filter(|change| change.action != Action::Create)
                .map(|change| change.id.clone())
                .collect();
            counts.extend(impact.iter().flat_map(Impact::counts).map(|(id, counts)| (id.clone(), counts)));
            for total in
                plan.impact.iter_mut().filter(|total| total.target == state.target && total.kind == kind.name())
            {
                total.count = impact.as_ref().ok().and_then(|impact| impact.total(total.unit, &live));
            }
        }
        for change in plan.changes.iter_mut().filter(|change| change.target == state.target) {
            change.impact = counts.remove(&change.id).unwrap_or_default();
        }
    }
}

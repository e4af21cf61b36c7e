//! The impact of changes of instances.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    super::impact::{ASSOCIATIONS, HOSTS, MODULES},
    layer, model_of, observe,
};
use crate::{
    model::{Action, ResourceId},
    platform::bk_cmdb::lookup::{PARENT, is_layer},
    provider::{Facts, Impact, ImpactSet, Observation, Planned, Step},
};

/// Counts the rows that live instances are either end of, or asks for them.
pub(super) fn impact(planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
    let (mut observation, mut impact) = (Observation::default(), Impact::default());
    let mut by_model: BTreeMap<&str, Vec<(&Planned<'_>, i64)>> = BTreeMap::new();
    let mut layers: BTreeMap<&str, BTreeMap<i64, &ResourceId>> = BTreeMap::new();
    for item in planned {
        let Some(live) = item.live else { continue };
        let id = &item.desired.id;
        if item.desired.locate("business").is_some() || is_layer(live.field(PARENT)) {
            layers.entry(model_of(item.desired)).or_default().extend(live.handle.as_i64().map(|at| (at, id)));
        } else {
            impact.set_none(id, MODULES);
            impact.set_none(id, HOSTS);
        }
        if item.change.action == Action::Delete {
            // They were read to see whether it can go.
            impact.note(id, ASSOCIATIONS, Some(Arc::new(things(&live.relations().holds))));
        } else if let Some(instance) = live.handle.as_i64() {
            by_model.entry(model_of(item.desired)).or_default().push((item, instance));
        }
    }
    for (model, group) in layers {
        let below = layer::below(model, &group.keys().copied().collect(), &mut observation, facts);
        for (at, id) in group {
            let below = below.as_ref().ok().and_then(|all| all.get(&at));
            impact.note(id, MODULES, below.map(|below| below.modules.clone()));
            impact.note(id, HOSTS, below.map(|below| below.hosts.clone()));
        }
    }
    for (model, group) in by_model {
        let ids: BTreeSet<i64> = group.iter().map(|(_, id)| *id).collect();
        let rows = observe::associations(model, &ids, &mut observation, facts);
        for (planned, id) in group {
            let rows = rows.as_ref().ok().map(|rows| rows.get(&id).map(|rows| things(rows)).unwrap_or_default());
            impact.note(&planned.desired.id, ASSOCIATIONS, rows.map(Arc::new));
        }
    }
    Step::new(observation.ask, impact)
}

fn things(labels: &[String]) -> ImpactSet {
    let mut things = ImpactSet::default();
    labels.iter().for_each(|label| things.add(label.clone()));
    things
}

//! The impact of changes of modules.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    platform::bk_cmdb::{
        kinds::impact::{self, HOSTS, SERVICE_INSTANCES},
        lookup::LookupError,
    },
    provider::{Facts, Impact, ImpactSet, Observation, Planned, Step},
};

/// Counts the hosts and the service instances of live modules.
pub(super) fn impact(planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
    let mut by_business: BTreeMap<i64, Vec<(&Planned<'_>, i64)>> = BTreeMap::new();
    for item in planned {
        let Some(live) = item.live else { continue };
        if let (Some(business), Some(module)) = (live.handle["business"].as_i64(), live.handle["module"].as_i64()) {
            by_business.entry(business).or_default().push((item, module));
        }
    }
    let (mut observation, mut impact) = (Observation::default(), Impact::default());
    for (business, group) in by_business {
        let ids: BTreeSet<i64> = group.iter().map(|(_, module)| *module).collect();
        let hosts = impact::hosts(business, &ids, &mut observation, facts);
        let service_instances = impact::service_instances(business, &ids, &mut observation, facts);
        let things = |found: &Result<BTreeMap<i64, ImpactSet>, LookupError>, module: i64| {
            Some(Arc::new(found.as_ref().ok()?.get(&module).cloned().unwrap_or_default()))
        };
        for (planned, module) in group {
            impact.note(&planned.desired.id, HOSTS, things(&hosts, module));
            impact.note(&planned.desired.id, SERVICE_INSTANCES, things(&service_instances, module));
        }
    }
    Step::new(observation.ask, impact)
}

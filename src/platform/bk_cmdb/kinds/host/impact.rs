//! The impact of moves: a host that leaves a module loses its service instance there with all processes, also those
//! that somebody edited (contract "topology", trap 19).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::placement;
use crate::{
    model::{Json, Request},
    platform::bk_cmdb::{
        kinds::impact::SERVICE_INSTANCES,
        lookup::{Counted, LookupError, worse},
    },
    provider::{Facts, Impact, ImpactSet, Observation, Planned, Step},
};

/// Processes of service instances.
pub(super) const PROCESSES: &str = "processes";
/// The units of the impact of moves.
pub(super) const UNITS: &[&str] = &[SERVICE_INSTANCES, PROCESSES];

/// Most hosts of one question, and rows of its answer.
const HOSTS: usize = 500;
const PAGE: usize = 1000;

/// A host that leaves modules.
struct Leaving<'p, 'd> {
    planned: &'p Planned<'d>,
    host: i64,
    modules: BTreeSet<i64>,
}

/// Counts what hosts lose with the modules that they leave, or asks for it.
pub(super) fn impact(planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
    let (mut observation, mut impact) = (Observation::default(), Impact::default());
    let mut leaving: BTreeMap<i64, Vec<Leaving<'_, '_>>> = BTreeMap::new();
    for item in planned {
        let modules = left(item);
        match item.live.and_then(|live| live.handle["host"].as_i64().zip(live.handle["business"].as_i64())) {
            Some((host, business)) if !modules.is_empty() => {
                leaving.entry(business).or_default().push(Leaving { planned: item, host, modules });
            }
            _ => UNITS.iter().for_each(|unit| impact.set_none(&item.desired.id, unit)),
        }
    }
    for (business, group) in leaving {
        let hosts: Vec<i64> = group.iter().map(|leaving| leaving.host).collect();
        let rows = services(business, &hosts, &mut observation, facts).ok();
        let mut by_host: BTreeMap<i64, Vec<&Json>> = BTreeMap::new();
        for row in rows.iter().flatten() {
            by_host.entry(row["bk_host_id"].as_i64().unwrap_or_default()).or_default().push(row);
        }
        for Leaving { planned, host, modules } in group {
            let own = by_host.get(&host).map(Vec::as_slice).unwrap_or_default();
            let counted = rows.is_some().then(|| counted(own, &modules).map(Some));
            for (unit, things) in UNITS.iter().zip(counted.unwrap_or_default()) {
                impact.note(&planned.desired.id, unit, things.map(Arc::new));
            }
        }
    }
    Step::new(observation.ask, impact)
}

/// Returns the modules that a host leaves.
fn left(planned: &Planned<'_>) -> BTreeSet<i64> {
    let Some(live) = planned.live.filter(|_| placement::is_placement(planned.desired)) else { return BTreeSet::new() };
    let target = placement::target(planned.desired, live);
    let goes = |module: &Value| !target.contains(module);
    placement::live_modules(live).iter().filter(|module| goes(module)).filter_map(Value::as_i64).collect()
}

/// Counts the service instances in some modules, and their processes.
fn counted(rows: &[&Json], modules: &BTreeSet<i64>) -> [ImpactSet; 2] {
    let mut counted = [ImpactSet::default(), ImpactSet::default()];
    let own = |row: &&&Json| row["bk_module_id"].as_i64().is_some_and(|module| modules.contains(&module));
    for row in rows.iter().filter(own) {
        let name = format!("service instance #{}", row["id"]);
        let processes = row["process_instances"].items().len() as u64;
        if processes > 0 {
            counted[1].add_all_of(name.clone(), processes);
        }
        counted[0].add(name);
    }
    counted
}

/// Reads the service instances of hosts with their processes.
fn services<'f>(
    business: i64,
    hosts: &[i64],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let (mut all, mut error) = (Vec::new(), None);
    for chunk in hosts.chunks(HOSTS) {
        let request = |page: Value| Request {
            operation: "list_service_instance_detail",
            arguments: json!({"bk_biz_id": business, "bk_host_ids": chunk, "page": page}),
            repeatable: true,
        };
        let list = Counted { request: &request, list: "info", sort: Some("id"), limit: PAGE };
        match list.all(|row| row["id"].as_i64(), observation, facts) {
            Ok(rows) => all.extend(rows),
            Err(found) => error = worse(error, found),
        }
    }
    error.map_or(Ok(all), Err)
}

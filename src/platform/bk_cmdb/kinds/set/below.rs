//! What lies below sets: modules, and in them hosts and service instances. A set goes with its modules, and not while a
//! host lies in one (code 1101030).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    model::{Desired, Ensure, Json, Undeletable},
    platform::bk_cmdb::{
        kinds::{
            impact::{self, HOSTS, MODULES, SERVICE_INSTANCES},
            instance::layer::CASCADE,
            module, sets,
        },
        lookup::{LookupError, modules_of_sets},
    },
    provider::{Facts, Impact, ImpactSet, Observation, Planned, Step},
};

/// The modules of a set: their ids and names.
type Modules<'f> = Vec<(i64, &'f str)>;

/// What lies below a set that is to be removed.
#[derive(Default)]
pub(super) struct Below<'f> {
    modules: Modules<'f>,
    hosts: u64,
}

/// Reads the modules of sets, by set.
fn modules<'f>(
    business: i64,
    ids: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<BTreeMap<i64, Modules<'f>>, LookupError> {
    let mut found: BTreeMap<i64, Modules<'_>> = ids.iter().map(|id| (*id, Vec::new())).collect();
    let fields = ["bk_module_id", "bk_module_name", "bk_set_id"].map(str::to_owned).into();
    for row in modules_of_sets(business, ids, None, &fields, observation, facts)? {
        let (Some(set), Some(id)) = (row["bk_set_id"].as_i64(), row["bk_module_id"].as_i64()) else { continue };
        found.entry(set).or_default().push((id, row["bk_module_name"].as_str().unwrap_or_default()));
    }
    Ok(found)
}

/// Reads what lies below sets that are to be removed, by set.
pub(super) fn of_going<'f>(
    business: i64,
    ids: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<BTreeMap<i64, Below<'f>>, LookupError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let modules = modules(business, ids, observation, facts)?;
    let all: BTreeSet<i64> = modules.values().flatten().map(|(id, _)| *id).collect();
    let hosts = if all.is_empty() {
        BTreeMap::new()
    } else {
        match impact::hosts(business, &all, observation, facts) {
            Err(LookupError::Pending) => return Err(LookupError::Pending),
            // The server refuses a set over hosts itself where they cannot be counted here.
            counted => counted.unwrap_or_default(),
        }
    };
    let below = modules.into_iter().map(|(set, modules)| {
        let mut things = ImpactSet::default();
        modules.iter().filter_map(|(id, _)| hosts.get(id)).for_each(|more| things.join(more));
        (set, Below { modules, hosts: things.count() })
    });
    Ok(below.collect())
}

impl Below<'_> {
    /// Returns why a set is not removed; `None` if it can be.
    pub(super) fn undeletable(&self, row: &Json) -> Option<Undeletable> {
        if sets::is_built_in(row) {
            let reason = "it is the built-in set, which the server never removes".to_owned();
            return Some(Undeletable { reason, hint: "leave it out" });
        }
        let reason = match self.hosts {
            0 => return None,
            1 => "1 host lies in its modules".to_owned(),
            count => format!("{count} hosts lie in its modules"),
        };
        Some(Undeletable { reason, hint: "the server removes no set over hosts: move them to other modules first" })
    }

    /// Returns the labels of the modules that would go with a set although nothing asks for it: with `cascade` only those
    /// that a document wants to be there.
    pub(super) fn holds(&self, desired: &Desired, row: &Json, all: &[&Desired]) -> Vec<String> {
        let agreed = desired.locate(CASCADE).is_some_and(|cascade| *cascade == true);
        let is_named = |given: Option<&Json>, id: i64, name: Option<&str>| {
            given.is_some_and(|given| given.as_i64() == Some(id) || (name.is_some() && given.as_str() == name))
        };
        let set = row["bk_set_id"].as_i64().unwrap_or_default();
        let documents: Vec<&Desired> = all
            .iter()
            .copied()
            .filter(|document| document.id.kind == module::KIND && document.selected)
            .filter(|document| is_named(document.locate("set"), set, row[sets::NAME].as_str()))
            .filter(|document| document.locate("business") == desired.locate("business"))
            .collect();
        let held = |(id, name): &(i64, &str)| {
            let document = documents.iter().find(|document| is_named(document.locate("module"), *id, Some(name)));
            match document {
                Some(document) => Some(module::label(document, &(*id).into()))
                    .filter(|_| !agreed || document.ensure != Ensure::Absent),
                None => (!agreed).then(|| format!("module `{name}` #{id}")),
            }
        };
        self.modules.iter().filter_map(held).collect()
    }
}

/// Counts what lies below live sets, or asks for it.
pub(super) fn impact(planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
    let mut by_business: BTreeMap<i64, Vec<(&Planned<'_>, i64)>> = BTreeMap::new();
    for item in planned {
        let Some(live) = item.live else { continue };
        if let (Some(business), Some(set)) = (live.field("bk_biz_id").as_i64(), live.handle.as_i64()) {
            by_business.entry(business).or_default().push((item, set));
        }
    }
    let (mut observation, mut impact) = (Observation::default(), Impact::default());
    for (business, group) in by_business {
        let ids: BTreeSet<i64> = group.iter().map(|(_, set)| *set).collect();
        let Ok(modules) = modules(business, &ids, &mut observation, facts) else {
            for (planned, _) in group {
                [MODULES, HOSTS, SERVICE_INSTANCES]
                    .iter()
                    .for_each(|unit| impact.note(&planned.desired.id, unit, None));
            }
            continue;
        };
        let all: BTreeSet<i64> = modules.values().flatten().map(|(id, _)| *id).collect();
        let nothing = || Ok(BTreeMap::new());
        let hosts = if all.is_empty() { nothing() } else { impact::hosts(business, &all, &mut observation, facts) };
        let service_instances = impact::service_instances(business, &all, &mut observation, facts);
        for (planned, set) in group {
            let own = &modules[&set];
            let mut things = ImpactSet::default();
            own.iter().for_each(|(id, _)| things.add(format!("module #{id}")));
            impact.note(&planned.desired.id, MODULES, Some(Arc::new(things)));
            for (unit, counted) in [(HOSTS, &hosts), (SERVICE_INSTANCES, &service_instances)] {
                let joined = counted.as_ref().ok().map(|counted| {
                    let mut things = ImpactSet::default();
                    own.iter().filter_map(|(id, _)| counted.get(id)).for_each(|more| things.join(more));
                    Arc::new(things)
                });
                impact.note(&planned.desired.id, unit, joined);
            }
        }
    }
    Step::new(observation.ask, impact)
}

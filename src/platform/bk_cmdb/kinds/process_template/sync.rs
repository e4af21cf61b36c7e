//! The follow-up of a changed process template: running processes follow only when their modules are synced, which is a
//! call of its own (contract section 4.4; the measured page, "Sync status and sync").

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::lock;
use crate::{
    platform::bk_cmdb::{
        kinds::{
            impact::{self, HOSTS, MODULES, SERVICE_INSTANCES},
            service_template,
        },
        lookup::LookupError,
    },
    provider::{Facts, Impact, ImpactSet, Notes, Observation, Planned, Step},
};

/// Names the modules whose processes do not follow by themselves, for each change that a sync would carry over.
pub(super) fn notes(planned: &[Planned<'_>], facts: &Facts) -> Step<Notes> {
    let needs_sync = |planned: &&Planned<'_>| lock::needs_sync(&planned.proposed());
    // All that change and not only those that need a sync: what hangs below them takes the same question.
    let mut templates = templates(planned);
    let reached: BTreeSet<_> = planned.iter().filter(needs_sync).map(|planned| location(planned).0).collect();
    templates.retain(|business, _| reached.contains(&Some(*business)));
    let (mut notes, mut observation) = (Notes::default(), Observation::default());
    let mut modules: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    for (business, templates) in &templates {
        let found = impact::modules(*business, templates, &mut observation, facts);
        let names = |template: i64, modules: Vec<(i64, &str)>| -> Vec<String> {
            // A roll-out syncs these, or says itself why it cannot.
            let synced = service_template::rolled_out(*business, template, facts);
            let left = modules.iter().filter(|(id, _)| !synced.contains(id));
            left.map(|(id, name)| format!("{name} (#{id})")).collect()
        };
        let left = |(template, modules)| (template, names(template, modules));
        match found.map(|found| found.into_iter().map(left).filter(|(_, names)| !names.is_empty())) {
            Ok(found) => modules.extend(found),
            Err(LookupError::Pending) => {}
            Err(LookupError::Failed(_) | LookupError::NoModel) => drop(failed.insert(*business)),
        }
    }
    for item in planned {
        let remarks =
            item.change.fields.iter().filter_map(|field| Some((field.path.clone(), lock::remark(field, item)?)));
        notes.fields.extend(remarks.map(|(path, remark)| (item.desired.id.clone(), path, remark)));
    }
    for item in planned.iter().filter(needs_sync) {
        let (Some(business), Some(template)) = location(item) else { continue };
        let note = match modules.get(&template) {
            _ if failed.contains(&business) => {
                Some("sync the modules of the service template; which they are could not be read".to_owned())
            }
            Some(names) => Some(format!("sync the modules of the service template: {}", names.join(", "))),
            None => None,
        };
        notes.notes.extend(note.map(|note| (item.desired.id.clone(), note)));
    }
    Step::new(observation.ask, notes)
}

fn location(planned: &Planned<'_>) -> (Option<i64>, Option<i64>) {
    let handle = planned.live.map_or(planned.context.handle(), |live| &live.handle);
    (handle["business"].as_i64(), handle["serviceTemplate"].as_i64())
}

/// The service templates of what changes, by business.
fn templates(planned: &[Planned<'_>]) -> BTreeMap<i64, BTreeSet<i64>> {
    let mut templates: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for item in planned {
        if let (Some(business), Some(template)) = location(item) {
            templates.entry(business).or_default().insert(template);
        }
    }
    templates
}

/// Returns the impact of each change: the modules of its service template, their hosts and service instances. A service
/// instance has one process of each process template.
pub(super) fn impact(planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
    let (mut observation, mut impact) = (Observation::default(), Impact::default());
    for (business, templates) in templates(planned) {
        let below = Below::read(business, &templates, &mut observation, facts);
        for item in planned.iter().filter(|planned| location(planned).0 == Some(business)) {
            let [modules, hosts, service_instances] = location(item).1.map(|id| below.of(id)).unwrap_or_default();
            impact.note(&item.desired.id, MODULES, modules);
            impact.note(&item.desired.id, HOSTS, hosts);
            impact.note(&item.desired.id, SERVICE_INSTANCES, service_instances);
        }
    }
    Step::new(observation.ask, impact)
}

/// The impact of service templates of a business, by template; `None` if it is not known.
pub(in crate::platform::bk_cmdb::kinds) struct Below {
    modules: Option<BTreeMap<i64, Arc<ImpactSet>>>,
    hosts: Option<BTreeMap<i64, Arc<ImpactSet>>>,
    service_instances: Option<BTreeMap<i64, Arc<ImpactSet>>>,
    /// The hosts and service instances of each module.
    by_module: [Option<BTreeMap<i64, Arc<ImpactSet>>>; 2],
}

impl Below {
    /// Returns the modules, hosts and service instances of a template, each `None` if it is not known.
    pub(in crate::platform::bk_cmdb::kinds) fn of(&self, template: i64) -> [Option<Arc<ImpactSet>>; 3] {
        let things = |found: &BTreeMap<i64, Arc<ImpactSet>>| found.get(&template).cloned().unwrap_or_default();
        [&self.modules, &self.hosts, &self.service_instances].map(|found| found.as_ref().map(things))
    }

    /// Returns a module itself, its hosts and its service instances, each `None` if it is not known.
    pub(in crate::platform::bk_cmdb::kinds) fn of_module(&self, module: i64) -> [Option<Arc<ImpactSet>>; 3] {
        let things = |found: &BTreeMap<i64, Arc<ImpactSet>>| found.get(&module).cloned().unwrap_or_default();
        let [hosts, service_instances] = self.by_module.each_ref().map(|found| found.as_ref().map(things));
        [Some(Arc::new(itself(module))), hosts, service_instances]
    }

    /// Reads it, or asks for it.
    pub(in crate::platform::bk_cmdb::kinds) fn read(
        business: i64,
        templates: &BTreeSet<i64>,
        observation: &mut Observation,
        facts: &Facts,
    ) -> Self {
        let Ok(modules) = impact::modules(business, templates, observation, facts) else {
            return Self { modules: None, hosts: None, service_instances: None, by_module: [None, None] };
        };
        let ids: BTreeSet<i64> = modules.values().flatten().map(|(id, _)| *id).collect();
        let by_template = |of: &dyn Fn(i64) -> ImpactSet| {
            let join = |modules: &Vec<(i64, &str)>| {
                let mut all = ImpactSet::default();
                modules.iter().for_each(|(id, _)| all.join(&of(*id)));
                Arc::new(all)
            };
            modules.iter().map(|(template, modules)| (*template, join(modules))).collect()
        };
        let joined = |found: &Option<BTreeMap<i64, Arc<ImpactSet>>>| {
            let found = found.as_ref()?;
            Some(by_template(&|id| found.get(&id).map(|things| (**things).clone()).unwrap_or_default()))
        };
        let shared = |found: Result<BTreeMap<i64, ImpactSet>, LookupError>| {
            Some(found.ok()?.into_iter().map(|(id, things)| (id, Arc::new(things))).collect())
        };
        let hosts = shared(impact::hosts(business, &ids, observation, facts));
        let service_instances = shared(impact::service_instances(business, &ids, observation, facts));
        Self {
            hosts: joined(&hosts),
            service_instances: joined(&service_instances),
            modules: Some(by_template(&itself)),
            by_module: [hosts, service_instances],
        }
    }
}

/// Returns a module as a thing that is counted.
fn itself(module: i64) -> ImpactSet {
    let mut impact_set = ImpactSet::default();
    impact_set.add(format!("module #{module}"));
    impact_set
}

//! What rests on service templates: the modules that are made from them, and their process templates. The server removes
//! no template with modules (code 1108030), and leaves the process templates of a removed one behind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::{
    model::{Desired, Ensure, Json, ObservedState, Request},
    platform::bk_cmdb::{
        kinds::{
            impact::{self, HOSTS, MODULES, SERVICE_INSTANCES},
            module, process_template,
        },
        lookup::{LookupError, read_rows},
    },
    provider::{Facts, Impact, Observation, Planned, Step},
};

/// What rests on a service template: ids and names.
#[derive(Default)]
pub(super) struct Below<'f> {
    modules: Vec<(i64, &'f str)>,
    processes: Vec<(i64, &'f str)>,
}

/// Reads what rests on templates that are to be removed.
pub(super) fn of_going<'f>(
    business: i64,
    ids: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<BTreeMap<i64, Below<'f>>, LookupError> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let modules = impact::modules(business, ids, observation, facts);
    let mut below: BTreeMap<i64, Below<'_>> = ids.iter().map(|id| (*id, Below::default())).collect();
    let mut error = None;
    for (id, below) in &mut below {
        let arguments = json!({"bk_biz_id": business, "service_template_id": id});
        let request = Request { operation: "list_proc_template", arguments, repeatable: true };
        match read_rows(request, "info", observation, facts) {
            Ok(rows) => below.processes = rows.into_iter().filter_map(process).collect(),
            Err(failed) => error = error.or(Some(failed)),
        }
    }
    if let Some(error) = error {
        return Err(error);
    }
    for (template, modules) in modules? {
        below.entry(template).or_default().modules = modules;
    }
    Ok(below)
}

fn process(row: &Json) -> Option<(i64, &str)> {
    Some((row["id"].as_i64()?, row["bk_process_name"].as_str().unwrap_or_default()))
}

impl Below<'_> {
    /// Returns the labels of what rests on a template, as the documents call it that want it to go too; `None` while these
    /// are still looked for.
    pub(super) fn holds(&self, all: &[&Desired], facts: &Facts) -> Option<Vec<String>> {
        let labels = |kind: &str, key: &str| -> Option<BTreeMap<i64, &str>> {
            let going = all
                .iter()
                .filter(|document| document.id.kind == kind && document.selected && document.ensure == Ensure::Absent);
            let mut labels = BTreeMap::new();
            for document in going {
                if let ObservedState::Found(live) = facts.observed(&document.id)? {
                    labels.extend(live.handle[key].as_i64().map(|id| (id, live.label.as_str())));
                }
            }
            Some(labels)
        };
        let (modules, processes) = (labels(module::KIND, "module")?, labels(process_template::KIND, "process")?);
        let named = |what: &str, going: &BTreeMap<i64, &str>, (id, name): &(i64, &str)| {
            going.get(id).map_or_else(|| format!("{what} `{name}` #{id}"), |label| (*label).to_owned())
        };
        let modules = self.modules.iter().map(|one| named("module", &modules, one));
        Some(modules.chain(self.processes.iter().map(|one| named("process template", &processes, one))).collect())
    }
}

/// Counts the modules of live templates, their hosts and service instances, or asks for them.
pub(super) fn impact(planned: &[Planned<'_>], facts: &Facts) -> Step<Impact> {
    let mut by_business: BTreeMap<i64, Vec<(&Planned<'_>, i64)>> = BTreeMap::new();
    for item in planned {
        let Some(live) = item.live else { continue };
        let ids = match live.handle.as_i64() {
            Some(template) => (live.field("bk_biz_id").as_i64(), Some(template)),
            // A module of a roll-out.
            None => (live.handle["business"].as_i64(), live.handle["serviceTemplate"].as_i64()),
        };
        if let (Some(business), Some(template)) = ids {
            by_business.entry(business).or_default().push((item, template));
        }
    }
    let (mut observation, mut impact) = (Observation::default(), Impact::default());
    for (business, group) in by_business {
        let ids: BTreeSet<i64> = group.iter().map(|(_, template)| *template).collect();
        let below = process_template::Below::read(business, &ids, &mut observation, facts);
        for (planned, template) in group {
            let module = planned.live.and_then(|live| live.handle["module"].as_i64());
            let [modules, hosts, service_instances] =
                module.map_or_else(|| below.of(template), |module| below.of_module(module));
            impact.note(&planned.desired.id, MODULES, modules);
            impact.note(&planned.desired.id, HOSTS, hosts);
            impact.note(&planned.desired.id, SERVICE_INSTANCES, service_instances);
        }
    }
    Step::new(observation.ask, impact)
}

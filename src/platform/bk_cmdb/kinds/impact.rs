//! The impact on modules: hosts and service instances (the measured page, "What hangs below").

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    model::{Json, Request},
    platform::bk_cmdb::lookup::{Counted, LookupError, until_short, worse},
    provider::{Facts, ImpactSet, Observation},
};

/// Modules that service templates gave rise to.
pub(super) const MODULES: &str = "modules";
/// Hosts in modules.
pub(super) const HOSTS: &str = "hosts";
/// Service instances of modules.
pub(super) const SERVICE_INSTANCES: &str = "serviceInstances";
/// Rows that an instance is either end of.
pub(super) const ASSOCIATIONS: &str = "associations";

/// Largest page of `find_module_with_relation`.
const OF_TEMPLATES: usize = 500;
/// Most modules of one question for hosts.
const IDS: usize = 500;
/// Largest page of hosts and of service instances.
const PAGE: usize = 1000;

/// The ids and names of modules, by service template.
type ByTemplate<'f> = BTreeMap<i64, Vec<(i64, &'f str)>>;

/// Reads the modules of service templates of a business by template.
pub(super) fn modules<'f>(
    business: i64,
    templates: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<ByTemplate<'f>, LookupError> {
    let mut modules = ByTemplate::new();
    for row in module_rows(business, templates, observation, facts)? {
        let name = row["bk_module_name"].as_str().unwrap_or_default();
        let template = row["service_template_id"].as_i64().unwrap_or_default();
        modules.entry(template).or_default().extend(row["bk_module_id"].as_i64().map(|id| (id, name)));
    }
    Ok(modules)
}

/// Reads the rows of the modules of service templates of a business.
pub(super) fn module_rows<'f>(
    business: i64,
    templates: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    // No templates at all would mean every module of the business.
    if templates.is_empty() {
        return Ok(Vec::new());
    }
    let request = |start: usize| {
        let arguments = json!({"bk_biz_id": business, "bk_service_template_ids": templates,
            "fields": ["bk_module_id", "bk_module_name", "bk_set_id", "service_template_id"],
            "page": {"start": start, "limit": OF_TEMPLATES, "sort": "bk_module_id"}});
        Request { operation: "find_module_with_relation", arguments, repeatable: true }
    };
    until_short(OF_TEMPLATES, request, observation, facts)
}

/// Counts the hosts of modules of a business, by module.
pub(super) fn hosts(
    business: i64,
    modules: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<BTreeMap<i64, ImpactSet>, LookupError> {
    let modules: Vec<i64> = modules.iter().copied().collect();
    let mut counted = BTreeMap::new();
    let mut error = None;
    for chunk in modules.chunks(IDS) {
        let count = Count {
            request: &|modules, page| Request {
                operation: "find_host_topo_relation",
                arguments: json!({"bk_biz_id": business, "bk_module_ids": modules, "page": page}),
                repeatable: true,
            },
            all: chunk,
            list: "data",
            name: &|row| Some(format!("host #{}", row["bk_host_id"].as_i64()?)),
        };
        match count.of(chunk, observation, facts) {
            Ok(more) => counted.extend(more),
            Err(found) => error = worse(error, found),
        }
    }
    error.map_or(Ok(counted), Err)
}

/// Counts the service instances of modules of a business, by module. The server takes one module or the whole
/// business.
pub(super) fn service_instances(
    business: i64,
    modules: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<BTreeMap<i64, ImpactSet>, LookupError> {
    let modules: Vec<i64> = modules.iter().copied().collect();
    let count = Count {
        request: &|modules, page| {
            let mut arguments = json!({"bk_biz_id": business, "page": page});
            if let [module] = modules {
                arguments["bk_module_id"] = json!(module);
            }
            Request { operation: "list_service_instance", arguments, repeatable: true }
        },
        all: &[],
        list: "info",
        name: &|row| Some(format!("service instance #{}", row["id"].as_i64()?)),
    };
    if modules.is_empty() { Ok(BTreeMap::new()) } else { count.of(&modules, observation, facts) }
}

/// How rows that lie in modules are counted.
struct Count<'a> {
    /// The question for a page of the rows of some modules.
    request: &'a dyn Fn(&[i64], Value) -> Request,
    /// The ids that the question names to have the rows of all modules together.
    all: &'a [i64],
    /// Where the rows lie in an answer.
    list: &'static str,
    /// Returns the name of a row's thing, which differs from that of others.
    name: &'a dyn Fn(&Json) -> Option<String>,
}

impl Count<'_> {
    /// Counts the rows of modules in the fewest reads: page by page all together, or one number for each module.
    fn of(
        &self,
        modules: &[i64],
        observation: &mut Observation,
        facts: &Facts,
    ) -> Result<BTreeMap<i64, ImpactSet>, LookupError> {
        if modules.len() == 1 {
            return self.numbers(modules, observation, facts);
        }
        let request = |page| (self.request)(self.all, page);
        let list = self.list(&request);
        let first = list.first(PAGE, observation, facts)?;
        if first.1.div_ceil(PAGE) > 1 + modules.len() {
            return self.numbers(modules, observation, facts);
        }
        let key = |row: &Json| (row["bk_module_id"].as_i64(), (self.name)(row));
        let rows = list.rest(first, key, observation, facts)?;
        let mut counted: BTreeMap<i64, ImpactSet> =
            modules.iter().map(|module| (*module, ImpactSet::default())).collect();
        for row in rows {
            let module = row["bk_module_id"].as_i64().unwrap_or_default();
            let name = (self.name)(row).ok_or_else(|| LookupError::Failed("a row has no id".to_owned()))?;
            if let Some(things) = counted.get_mut(&module) {
                things.add(name);
            }
        }
        Ok(counted)
    }

    /// Asks for one number a module.
    fn numbers(
        &self,
        modules: &[i64],
        observation: &mut Observation,
        facts: &Facts,
    ) -> Result<BTreeMap<i64, ImpactSet>, LookupError> {
        let mut counted = BTreeMap::new();
        let mut error = None;
        for module in modules {
            let request = |page| (self.request)(&[*module], page);
            match self.list(&request).first(1, observation, facts) {
                Ok((_, count)) => {
                    let mut things = ImpactSet::default();
                    things.add_all_of(format!("module #{module}"), count as u64);
                    counted.insert(*module, things);
                }
                Err(found) => error = worse(error, found),
            }
        }
        error.map_or(Ok(counted), Err)
    }

    fn list<'r>(&self, request: &'r dyn Fn(Value) -> Request) -> Counted<'r> {
        Counted { request, list: self.list, sort: None, limit: PAGE }
    }
}

//! Reading whole scopes page by page, and what is kept of their rows.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use serde_json::{Value, json};

use super::{BUSINESS, HOSTS, MODEL, SERVICES};
use crate::{
    model::{Json, Refusal, Request},
    platform::bk_cmdb::{
        api::AGAIN,
        attribute::{HISTORY, is_history},
        lookup::check_count,
    },
    provider::{
        Facts, Observation, Read,
        scope::{ScopeRows, only_read},
    },
};

/// Most rows of one page of most searches.
const PAGE: usize = 500;
/// Largest page of `list_service_template`.
const TEMPLATES: usize = 1000;
/// Largest page of hosts in modules and of service instances.
const THINGS: usize = 1000;
/// Most businesses of one page.
const BUSINESSES: usize = 200;
/// How often a list that moves while it is read is read.
const ROUNDS: usize = 5;

/// The columns of an instance that kinds read beside the attributes of its model.
const INSTANCE: &[&str] = &["bk_inst_id", "bk_inst_name", "bk_biz_id", "bk_parent_id"];
/// The columns of a set that kinds read beside its attributes.
const SET: &[&str] = &["bk_set_id", "bk_set_name", "bk_biz_id", "bk_parent_id", "default", "set_template_id"];
/// The columns of a host that kinds read beside its attributes.
const HOST: &[&str] = &["bk_host_id", ADDRESS, "bk_cloud_id", "bk_asset_id"];
/// The inner addresses of a host: a list, which answers show joined by commas.
const ADDRESS: &str = "bk_host_innerip";
/// The columns of a module that kinds read beside its attributes.
const MODULE: &[&str] = &[
    "bk_module_id",
    "bk_module_name",
    "bk_set_id",
    "bk_biz_id",
    "default",
    "service_template_id",
    "service_category_id",
];
/// The columns that kinds read of the modules of service templates.
const TEMPLATED: &[&str] = &["bk_module_id", "bk_module_name", "bk_set_id", "service_template_id"];
const ASSOCIATION: &[&str] = &["id", "bk_obj_asst_id", "bk_obj_id", "bk_inst_id", "bk_asst_obj_id", "bk_asst_inst_id"];

/// Returns what kinds read of the rows of a scope; `None` for those whose keys follow from a definition.
fn keys(operation: &str) -> Option<&'static [&'static str]> {
    Some(match operation {
        "search_object_attribute" => &[
            "id",
            "bk_property_id",
            "bk_property_name",
            "bk_property_type",
            "editable",
            "isrequired",
            "ismultiple",
            "option",
        ],
        "search_object_unique" => &["keys"],
        "search_instance_associations" | "find_instance_association" => ASSOCIATION,
        "find_object_association" => &["id", "bk_obj_asst_id", "bk_obj_id", "bk_asst_obj_id", "mapping"],
        "search_business" => &["bk_biz_id", "bk_biz_name"],
        "list_service_template" => &["id", "name", "bk_biz_id", "service_category_id"],
        "list_service_template_attribute" => &["service_template_id", "bk_attribute_id", "bk_property_value"],
        "list_service_category" => &["id", "name", "bk_parent_id"],
        "find_module_with_relation" => TEMPLATED,
        // They are counted, and nothing is said of them.
        "find_host_topo_relation" => &["bk_host_id", "bk_module_id"],
        "list_service_instance" => &["id", "bk_module_id"],
        SERVICES => &["id", "bk_module_id", "bk_host_id", "process_instances"],
        "list_proc_template" => &["id", "bk_process_name", "bk_biz_id", "service_template_id", "property"],
        _ => return None,
    })
}

/// Largest page of service instances with their processes.
const DETAILS: usize = 200;

/// Returns the row ids that the processes of a service instance hold: nothing else is read of them.
fn row_ids(mut row: Value) -> Value {
    let processes = row["process_instances"].as_array().into_iter().flatten().map(|value| {
        let rows = value["process"]["bind_info"].as_array().into_iter().flatten();
        let ids: Vec<_> = rows.map(|row| json!({"template_row_id": row["template_row_id"]})).collect();
        json!({"process": {"bind_info": ids},
            "relation": {"process_template_id": value["relation"]["process_template_id"]}})
    });
    row["process_instances"] = processes.collect();
    row
}

/// Returns a host with its addresses as a list, by each of which it is found.
fn addresses(mut row: Value) -> Value {
    if let Some((first, others)) = row[ADDRESS].as_str().and_then(|text| text.split_once(',')) {
        let all: Vec<Value> = std::iter::once(first).chain(others.split(',')).map(Value::from).collect();
        row[ADDRESS] = Value::Array(all);
    }
    row
}

/// Returns the rows of a scope, or asks for more of them.
pub(super) fn rows(
    scope: &Request,
    needs: &[Arc<ScopeRows>],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Option<Vec<Value>>, Refusal> {
    let (model, business) = (&scope.arguments[MODEL], &scope.arguments[BUSINESS]);
    let mut once = |list: &str, arguments: Value| list_of(scope, list, arguments, observation, facts);
    let found = match scope.operation {
        "search_object_attribute" => once("", scope.arguments.clone())?,
        "search_object_unique" => once("", json!({MODEL: model}))?,
        "find_object_association" => once("", json!({"condition": {"id": {"$gt": 0}}}))?,
        // Without a model in its condition an older server would return the rows of all models.
        "find_instance_association" => {
            let ends = json!([{"bk_obj_id": model}, {"bk_asst_obj_id": model}]);
            once("", json!({MODEL: model, "condition": {"$or": ends}}))?
        }
        "list_service_category" => once("info", json!({BUSINESS: business}))?,
        "list_proc_template" => of_templates(scope, ("info", "service_template_id"), needs, observation, facts)?,
        "list_service_template_attribute" => of_templates(scope, ("attributes", "id"), needs, observation, facts)?,
        "find_host_topo_relation" | "list_service_instance" => things(scope, observation, facts)?,
        _ => {
            let (arguments, key, most) = match scope.operation {
                "search_object_instances" => (json!({MODEL: model}), "bk_inst_id", PAGE),
                "search_inst_by_object" => (json!({MODEL: model, "condition": {}}), "bk_inst_id", PAGE),
                "search_instance_associations" => (json!({MODEL: model, "fields": ASSOCIATION}), "id", PAGE),
                "search_business" => (json!({"condition": {}, "fields": keys(scope.operation)}), BUSINESS, BUSINESSES),
                "search_set" => (json!({BUSINESS: business, "condition": {}, "fields": []}), "bk_set_id", PAGE),
                "search_module" => {
                    let arguments = json!({BUSINESS: business, "bk_set_id": 0, "condition": {}, "fields": []});
                    (arguments, "bk_module_id", PAGE)
                }
                // Without templates it is all modules.
                "find_module_with_relation" => (json!({BUSINESS: business, "fields": TEMPLATED}), "bk_module_id", PAGE),
                // Without a condition on hosts a page is cut before it is sorted (contract "topology", trap 18).
                HOSTS => {
                    let all = json!({"condition": "AND",
                        "rules": [{"field": "bk_host_id", "operator": "greater", "value": 0}]});
                    (json!({BUSINESS: business, "host_property_filter": all}), "bk_host_id", PAGE)
                }
                // Each comes with all its processes.
                SERVICES => (json!({BUSINESS: business}), "id", DETAILS),
                _ => (json!({BUSINESS: business}), "id", TEMPLATES),
            };
            pages(scope, &arguments, key, most, observation, facts)?
        }
    };
    Ok(found.map(|rows| kept(scope.operation, &rows, needs, facts.with_authors)))
}

/// Reads rows in one answer.
fn list_of<'f>(
    scope: &Request,
    list: &str,
    arguments: Value,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Option<Vec<&'f Json>>, Refusal> {
    match observation.read(Request { arguments, ..scope.clone() }, facts) {
        Read::Pending => Ok(None),
        Read::Failed(refusal) => Err(refusal.clone()),
        Read::Value(data) => {
            let rows = if list.is_empty() { data } else { &data[list] };
            Ok(Some(rows.as_array().into_iter().flatten().collect()))
        }
    }
}

fn too_many(why: String) -> Refusal {
    Refusal::new(None, why)
}

/// The result of one reading of a list.
enum Reading<'f> {
    /// Answers are missing.
    Pending,
    /// All rows.
    ScopeRows(Vec<&'f Json>),
    /// Rows came or went meanwhile, so that some may lie on no page.
    Moved,
}

/// Reads a list again until it holds still. `read` gets the mark that tells the answers of a reading apart from those
/// of the others.
fn steady<'f>(
    mut read: impl FnMut(&dyn Fn(Value) -> Value) -> Result<Reading<'f>, Refusal>,
) -> Result<Option<Vec<&'f Json>>, Refusal> {
    for round in 0..ROUNDS {
        let marked = |mut arguments: Value| {
            if round > 0 {
                arguments[AGAIN] = json!(round);
            }
            arguments
        };
        match read(&marked)? {
            Reading::Pending => return Ok(None),
            Reading::ScopeRows(rows) => return Ok(Some(rows)),
            Reading::Moved => {}
        }
    }
    Err(Refusal::new(None, format!("the rows moved each of {ROUNDS} times they were read")))
}

/// Reads rows page by page, by ascending key.
///
/// A row that goes draws those behind it forward, and one of them onto the page that was just read. So each page begins
/// with the last row of the one before: where that is another one now, the list is read again.
fn pages<'f>(
    scope: &Request,
    arguments: &Value,
    key: &str,
    most: usize,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Option<Vec<&'f Json>>, Refusal> {
    steady(|marked| {
        let mut all: Vec<&Json> = Vec::new();
        loop {
            let mut arguments = marked(arguments.clone());
            arguments["page"] = json!({"start": all.len().saturating_sub(1), "limit": most, "sort": key});
            let (rows, count) = match observation.read(Request { arguments, ..scope.clone() }, facts) {
                Read::Pending => return Ok(Reading::Pending),
                Read::Failed(refusal) => return Err(refusal.clone()),
                Read::Value(data) => (data["info"].items(), &data["count"]),
            };
            let is_full = rows.len() == most;
            let added = match all.last() {
                None => rows,
                Some(last) if rows.first().is_some_and(|first| first[key] == last[key]) => &rows[1..],
                Some(_) => return Ok(Reading::Moved),
            };
            all.extend(added);
            let told = count.as_u64().and_then(|count| usize::try_from(count).ok());
            check_count(told.unwrap_or(0).max(all.len())).map_err(too_many)?;
            // What has no count ends with a short page.
            let more = match count.as_u64() {
                Some(count) => !added.is_empty() && (all.len() as u64) < count,
                None => is_full,
            };
            if !more {
                let distinct: HashSet<String> = all.iter().map(|row| row[key].to_string()).collect();
                let is_whole =
                    distinct.len() == all.len() && count.as_u64().is_none_or(|count| count == all.len() as u64);
                return Ok(if is_whole { Reading::ScopeRows(all) } else { Reading::Moved });
            }
        }
    })
}

/// Reads what lies in the modules of a business: a page, which tells how much there is, and the others at once.
fn things<'f>(
    scope: &Request,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Option<Vec<&'f Json>>, Refusal> {
    let list = if scope.operation == "find_host_topo_relation" { "data" } else { "info" };
    let keys = keys(scope.operation).unwrap_or_default();
    steady(|marked| {
        let (mut all, mut is_known) = (Vec::new(), true);
        let (mut start, mut count) = (0, 1);
        while start < count {
            let mut arguments = marked(scope.arguments.clone());
            arguments["page"] = json!({"start": start, "limit": THINGS});
            match observation.read(Request { arguments, ..scope.clone() }, facts) {
                Read::Pending => is_known = false,
                Read::Failed(refusal) => return Err(refusal.clone()),
                Read::Value(data) => {
                    let told = data["count"].as_u64().and_then(|count| usize::try_from(count).ok());
                    count = told.ok_or_else(|| Refusal::new(None, "the answer has no count"))?;
                    // All pages are asked for at once.
                    check_count(count).map_err(too_many)?;
                    all.extend(data[list].as_array().into_iter().flatten());
                }
            }
            start += THINGS;
        }
        if !is_known {
            return Ok(Reading::Pending);
        }
        // No order is promised, so rows may lie on two pages, and others on none.
        let distinct: HashSet<String> = all.iter().map(|row| only_read(row, keys).to_string()).collect();
        Ok(if distinct.len() == count { Reading::ScopeRows(all) } else { Reading::Moved })
    })
}

/// Reads what all service templates of a business have: the server lists it by service template alone. `list` and `key`
/// name where an answer has it, and the argument for the template.
fn of_templates<'f>(
    scope: &Request,
    (list, key): (&str, &str),
    needs: &[Arc<ScopeRows>],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Option<Vec<&'f Json>>, Refusal> {
    let mut all = Some(Vec::new());
    for template in needs.iter().flat_map(|templates| templates.rows()) {
        let arguments = json!({BUSINESS: scope.arguments[BUSINESS], key: template["id"]});
        match (list_of(scope, list, arguments, observation, facts)?, &mut all) {
            (Some(rows), Some(all)) => all.extend(rows),
            _ => all = None,
        }
    }
    Ok(all)
}

/// The operations that list objects of documents, of which the rows say who changed them last.
const WITH_HISTORY: &[&str] =
    &["search_object_instances", "search_inst_by_object", "search_set", "search_module", "list_proc_template", HOSTS];

/// Returns rows with what kinds read of them: what else there is stays behind, and their history unless it is asked for.
fn kept(operation: &str, rows: &[&Json], needs: &[Arc<ScopeRows>], with_authors: bool) -> Vec<Value> {
    let declared = |row: &Value| row["bk_property_id"].as_str().filter(|_| !is_history(&row.into())).map(str::to_owned);
    let attributes: Vec<String> = needs.iter().flat_map(|definition| definition.rows()).filter_map(declared).collect();
    let attributes = || attributes.iter().map(String::as_str);
    let mut keys: BTreeSet<&str> = match keys(operation) {
        Some(keys) => keys.iter().copied().collect(),
        None if operation == HOSTS => attributes().chain(HOST.iter().copied()).collect(),
        None if operation == "search_set" => attributes().chain(SET.iter().copied()).collect(),
        None if operation == "search_module" => attributes().chain(MODULE.iter().copied()).collect(),
        None => attributes().chain(INSTANCE.iter().copied()).collect(),
    };
    if with_authors && WITH_HISTORY.contains(&operation) {
        keys.extend(HISTORY);
    }
    let keys: Vec<&str> = keys.into_iter().collect();
    let rows = rows.iter().map(|row| only_read(row, &keys));
    match operation {
        SERVICES => rows.map(row_ids).collect(),
        HOSTS => rows.map(addresses).collect(),
        _ => rows.collect(),
    }
}

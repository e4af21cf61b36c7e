//! The whole scopes that precise reads are answered from: models, businesses, associations, hosts and service instances
//! of modules.

mod filter;
mod read;

use std::sync::Arc;

use serde_json::{Value, json};

use self::filter::Filter;
use crate::{
    model::{Desired, Refusal, Request},
    platform::bk_cmdb::{attribute::HISTORY, catalog},
    provider::{
        Catalog, Facts, Observation, Step,
        scope::{ScopeRows, ScopeSchema, only},
    },
};

/// Scopes of the kinds' reads.
pub(super) struct Scopes;

const MODEL: &str = "bk_obj_id";
const BUSINESS: &str = "bk_biz_id";
/// The operations that count impact of modules and service templates of a business, and find the modules that need a
/// sync. Plans that lack them say that it is unknown.
const BELOW: &[&str] = &["find_module_with_relation", "find_host_topo_relation", "list_service_instance"];

/// The hosts of a business.
const HOSTS: &str = "list_biz_hosts";
/// The service instances of a business with their processes.
const SERVICES: &str = "list_service_instance_detail";
/// The attributes that service templates fix of their modules. The server refuses what a plan without it lets pass.
const FIXED: &str = "list_service_template_attribute";

/// Returns the name of a scope.
fn scope(operation: &'static str, arguments: Value) -> Request {
    Request { operation, arguments, repeatable: true }
}

impl ScopeSchema for Scopes {
    fn scopes(&self, request: &Request) -> Vec<Request> {
        let of = |operation, key: &str| scope(operation, json!({key: request.arguments[key]}));
        let found = match request.operation {
            "search_object_attribute" => {
                definition(&request.arguments[MODEL], request.arguments.get(BUSINESS).filter(|id| !id.is_null()))
            }
            "search_object_unique" => of("search_object_unique", MODEL),
            "search_object_instances" => of("search_object_instances", MODEL),
            "search_inst_by_object" => of("search_inst_by_object", MODEL),
            "search_instance_associations" => of("search_instance_associations", MODEL),
            "find_instance_association" => of("find_instance_association", MODEL),
            "search_set" | "find_set_batch" => of("search_set", BUSINESS),
            "search_module" | "find_module_batch" => of("search_module", BUSINESS),
            "find_module_with_relation" => of("find_module_with_relation", BUSINESS),
            // Where hosts are that are not in their business, a snapshot of that business does not tell.
            "find_host_topo_relation"
                if request.arguments[BUSINESS].is_null() && request.arguments["bk_host_ids"].is_array() =>
            {
                return Vec::new();
            }
            "find_host_topo_relation" => of("find_host_topo_relation", BUSINESS),
            HOSTS => of(HOSTS, BUSINESS),
            "list_service_instance" => of("list_service_instance", BUSINESS),
            "list_service_instance_detail" => of("list_service_instance_detail", BUSINESS),
            "list_service_template" => of("list_service_template", BUSINESS),
            FIXED => of(FIXED, BUSINESS),
            "list_service_category" => of("list_service_category", BUSINESS),
            "list_proc_template" => of("list_proc_template", BUSINESS),
            "search_business" => scope("search_business", json!({})),
            "find_object_association" => scope("find_object_association", json!({})),
            _ => return Vec::new(),
        };
        vec![found]
    }

    fn needs(&self, scope: &Request) -> Vec<Request> {
        let (model, business) = (&scope.arguments[MODEL], &scope.arguments[BUSINESS]);
        match scope.operation {
            "search_object_instances" | "search_inst_by_object" => vec![definition(model, None)],
            "search_set" => {
                let model = json!("set");
                vec![definition(&model, None), definition(&model, Some(business))]
            }
            "search_module" => {
                let model = json!("module");
                vec![definition(&model, None), definition(&model, Some(business))]
            }
            HOSTS => {
                let model = json!("host");
                vec![definition(&model, None), definition(&model, Some(business))]
            }
            "list_proc_template" | FIXED => vec![self::scope("list_service_template", json!({BUSINESS: business}))],
            _ => Vec::new(),
        }
    }

    fn related(&self, scope: &Request) -> Vec<Request> {
        let of = |key: &str, operation: &'static str| self::scope(operation, json!({key: scope.arguments[key]}));
        let definitions = || self::scope("find_object_association", json!({}));
        match scope.operation {
            "search_object_instances" => {
                vec![of(MODEL, "search_object_unique"), of(MODEL, "search_instance_associations"), definitions()]
            }
            // An older server: that it lacks the newer search is told too.
            "search_inst_by_object" => vec![
                of(MODEL, "search_object_unique"),
                of(MODEL, "search_instance_associations"),
                of(MODEL, "find_instance_association"),
                definitions(),
            ],
            "search_instance_associations" | "find_instance_association" => vec![definitions()],
            "search_set" => ["search_module"]
                .iter()
                .chain(BELOW)
                .map(|operation| of(BUSINESS, operation))
                .chain([definitions(), self::scope("search_business", json!({}))])
                .collect(),
            HOSTS => ["search_set", "search_module", "find_host_topo_relation", SERVICES]
                .iter()
                .map(|operation| of(BUSINESS, operation))
                .chain([self::scope("search_business", json!({}))])
                .collect(),
            "list_service_template" => ["list_service_category", "list_proc_template", "search_module", FIXED]
                .iter()
                .chain(BELOW)
                .map(|operation| of(BUSINESS, operation))
                .collect(),
            "list_proc_template" => ["search_module", "list_service_instance_detail"]
                .iter()
                .chain(BELOW)
                .map(|operation| of(BUSINESS, operation))
                .collect(),
            "search_module" => ["search_set", "list_service_template", "list_service_category", FIXED]
                .iter()
                .chain(BELOW)
                .map(|operation| of(BUSINESS, operation))
                .chain([self::scope("search_business", json!({}))])
                .collect(),
            _ => Vec::new(),
        }
    }

    fn rows(&self, scope: &Request, needs: &[Arc<ScopeRows>], facts: &Facts) -> Result<Step<Vec<Value>>, Refusal> {
        let mut observation = Observation::default();
        let rows = read::rows(scope, needs, &mut observation, facts)?;
        Ok(rows.map_or(Step::Ask(observation.ask), Step::Done))
    }

    fn is_answer(&self, _scope: &Request, refusal: &Refusal) -> bool {
        refusal.is_absent()
    }

    fn is_dispensable(&self, scope: &Request) -> bool {
        BELOW.contains(&scope.operation) || [FIXED, SERVICES].contains(&scope.operation)
    }

    fn definitions(&self, desired: &[&Desired]) -> Vec<Request> {
        catalog::definitions(desired)
    }

    fn describe(&self, operation: &str, arguments: &Value, scope_rows: &ScopeRows, catalog: &mut Catalog) {
        catalog::read(operation, arguments, scope_rows, catalog);
    }

    fn select(&self, request: &Request, _scope: &Request, scope_rows: &ScopeRows) -> Option<Result<Value, Refusal>> {
        select(request, scope_rows).map(Ok)
    }
}

/// Returns the scope of a model's attributes. Those that belong to a business are only listed where it is named.
fn definition(model: &Value, business: Option<&Value>) -> Request {
    let arguments = match business {
        Some(business) => json!({MODEL: model, BUSINESS: business}),
        None => json!({MODEL: model}),
    };
    scope("search_object_attribute", arguments)
}

/// Returns the answer that the server would have given, for all that kinds read of it; `None` if the conditions are not
/// among those that they ask with.
fn select(request: &Request, scope_rows: &ScopeRows) -> Option<Value> {
    let arguments = &request.arguments;
    // By what was left behind, rows cannot be told apart.
    let lacks = |field: &str| scope_rows.rows().first().is_some_and(|row| row.get(field).is_none());
    let is_known = |filter: &Filter| !HISTORY.iter().any(|field| filter.asks(field) && lacks(field));
    let rules = || Filter::of_rules(&arguments["conditions"]).filter(is_known);
    let condition = || Filter::of_condition(&arguments["condition"]).filter(is_known);
    let among = |keys: &[(&str, &str)]| {
        let parts = keys.iter().filter(|(argument, _)| !arguments[*argument].is_null());
        let part = |(argument, field): &(&str, &str)| {
            let value = &arguments[*argument];
            Filter::of_condition(&if value.is_array() {
                json!({*field: {"$in": value}})
            } else {
                json!({*field: value})
            })
        };
        Some(Filter::All(parts.map(part).collect::<Option<_>>()?))
    };
    let list = |rows: Vec<&Value>| Some(Value::Array(selected(rows, arguments)));
    let page = |rows: Vec<&Value>| Some(json!({"info": selected(paged(rows, arguments), arguments)}));
    let counted =
        |rows: Vec<&Value>| Some(json!({"count": rows.len(), "info": selected(paged(rows, arguments), arguments)}));
    let below = |list: &str| {
        let keys = [("bk_module_ids", "bk_module_id"), ("bk_module_id", "bk_module_id"), ("bk_host_ids", "bk_host_id")];
        let rows = among(&keys)?.rows(scope_rows);
        Some(json!({"count": rows.len(), list: selected(paged(rows, arguments), arguments)}))
    };
    match request.operation {
        "search_object_attribute" | "search_object_unique" => list(scope_rows.rows().iter().collect()),
        "search_object_instances" => page(rules()?.rows(scope_rows)),
        "search_instance_associations" => {
            let mut rows = rules()?.rows(scope_rows);
            if arguments["page"]["sort"] == "bk_inst_id" {
                rows.sort_by_key(|row| row["bk_inst_id"].as_i64());
            }
            page(rows)
        }
        "search_inst_by_object" | "search_business" | "search_set" | "search_module" => {
            counted(condition()?.rows(scope_rows))
        }
        HOSTS => counted(Filter::of_rules(&arguments["host_property_filter"]).filter(is_known)?.rows(scope_rows)),
        "find_instance_association" | "find_object_association" => list(condition()?.rows(scope_rows)),
        "find_set_batch" => list(among(&[("bk_ids", "bk_set_id")])?.rows(scope_rows)),
        "find_module_batch" => list(among(&[("bk_ids", "bk_module_id")])?.rows(scope_rows)),
        "find_module_with_relation" => {
            counted(among(&[("bk_service_template_ids", "service_template_id")])?.rows(scope_rows))
        }
        "find_host_topo_relation" => below("data"),
        "list_service_instance" | "list_service_instance_detail" => below("info"),
        FIXED => {
            let rows = among(&[("id", "service_template_id")])?.rows(scope_rows);
            Some(json!({"attributes": rows}))
        }
        "list_service_template" | "list_service_category" => counted(scope_rows.rows().iter().collect()),
        "list_proc_template" => {
            let keys = [("service_template_id", "service_template_id"), ("process_template_ids", "id")];
            counted(among(&keys)?.rows(scope_rows))
        }
        _ => None,
    }
}

/// Cuts the page out of rows. They lie in the order that pages of kinds ask for: by ascending id unless they were sorted
/// otherwise, or that of the server where they ask for none.
fn paged<'r>(rows: Vec<&'r Value>, arguments: &Value) -> Vec<&'r Value> {
    let number = |key: &str| arguments["page"][key].as_u64().and_then(|number| usize::try_from(number).ok());
    let most = number("limit").filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    rows.into_iter().skip(number("start").unwrap_or(0)).take(most).collect()
}

fn selected(rows: Vec<&Value>, arguments: &Value) -> Vec<Value> {
    let fields: Vec<&str> = arguments["fields"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    rows.into_iter().map(|row| only(row, &fields)).collect()
}

#[cfg(test)]
mod tests;

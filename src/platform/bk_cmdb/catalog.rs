//! The fields and names that scopes tell, by the documents that they are for.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    attribute::{self, HISTORY},
    kinds::instance::BUILT_IN,
};
use crate::{
    model::{Desired, Json, Request},
    provider::{Catalog, scope::ScopeRows},
};

/// The kinds whose `fields` are attributes of a built-in model, with that model.
const KINDS: &[(&str, &str)] = &[("host", "Host"), ("module", "Module"), ("set", "Set")];
/// The kind of the instances of all other models.
const INSTANCE: &str = "Instance";

/// Returns the reads that tell the fields of the models that documents name.
pub(super) fn definitions(desired: &[&Desired]) -> Vec<Request> {
    let model = |desired: &&Desired| {
        let built_in = KINDS.iter().find(|(_, kind)| *kind == desired.id.kind).map(|(model, _)| (*model).to_owned());
        let named = || desired.locate("model").and_then(Json::as_str).map(str::to_owned);
        built_in.or_else(|| named().filter(|_| desired.id.kind == INSTANCE))
    };
    let models: BTreeSet<String> = desired.iter().filter_map(model).collect();
    let request = |model: String| Request {
        operation: "search_object_attribute",
        arguments: json!({"bk_obj_id": model}),
        repeatable: true,
    };
    models.into_iter().map(request).collect()
}

/// Takes in what the rows of a scope tell.
pub(super) fn read(operation: &str, arguments: &Value, rows: &ScopeRows, catalog: &mut Catalog) {
    let rows = rows.rows();
    let mut names = |kind: &'static str, key: &str, column: &str| {
        catalog.add_values(kind, "", key, rows.iter().filter_map(|row| row[column].as_str()));
    };
    match operation {
        "search_object_attribute" => {
            let model = arguments["bk_obj_id"].as_str().unwrap_or_default();
            let fields = attribute::attributes(&Json::from(Value::Array(rows.to_vec())));
            let fields = fields.iter().filter(|(_, field)| !field.is_history());
            let fields = fields.map(|(id, field)| (id.to_string(), field.described()));
            match KINDS.iter().find(|(known, _)| *known == model) {
                Some((_, kind)) => catalog.add_fields(kind, "", fields),
                None if BUILT_IN.iter().any(|(known, _)| *known == model) => {}
                None => catalog.add_fields(INSTANCE, model, fields),
            }
        }
        "search_object_instances" | "search_inst_by_object" => {
            texts(INSTANCE, arguments["bk_obj_id"].as_str().unwrap_or_default(), rows, catalog);
        }
        "list_biz_hosts" => texts("Host", "", rows, catalog),
        "search_business" => names("", "business", "bk_biz_name"),
        "search_set" => {
            names("Set", "set", "bk_set_name");
            names("Module", "set", "bk_set_name");
        }
        "search_module" => names("Module", "module", "bk_module_name"),
        "list_service_template" => {
            names("ServiceTemplate", "template", "name");
            names("ProcessTemplate", "serviceTemplate", "name");
            names("Module", "serviceTemplate", "name");
        }
        "list_proc_template" => names("ProcessTemplate", "process", "bk_process_name"),
        "find_object_association" => names("InstanceAssociation", "association", "bk_obj_asst_id"),
        _ => {}
    }
}

/// Adds the texts of rows, by which `match` finds objects.
fn texts(kind: &'static str, model: &str, rows: &[Value], catalog: &mut Catalog) {
    let columns: BTreeSet<&String> = rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()).collect();
    for column in columns.into_iter().filter(|column| !HISTORY.contains(&column.as_str())) {
        let values: Vec<&str> = rows.iter().filter_map(|row| row[column].as_str()).collect();
        if !values.is_empty() {
            catalog.add_values(kind, model, column, values);
        }
    }
}

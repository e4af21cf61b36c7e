//! The state of a server whose rows were listed: what a snapshot holds, as a state file has it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::simulator::Listing;

/// Rows by their ids, each once.
type Rows = BTreeMap<i64, Value>;

/// What is known of the state so far.
#[derive(Default)]
struct Listed {
    sections: BTreeMap<&'static str, Rows>,
    instances: BTreeMap<String, Rows>,
    models: BTreeSet<String>,
    /// Rows without ids of their own.
    hosts: Vec<Value>,
    uniques: Vec<Value>,
    template_attributes: Vec<Value>,
    services: Rows,
    are_services_known: bool,
}

/// Returns the state that answers the same. What was not listed is not in it.
pub(super) fn state(listings: &[Listing], settings: &BTreeMap<String, String>) -> Value {
    let mut listed = Listed::default();
    // Attributes of one business are listed together with those that all businesses have.
    let is_special = |listing: &&Listing| {
        listing.operation == "search_object_attribute" && listing.arguments.get("bk_biz_id").is_some()
    };
    let (special, general): (Vec<_>, Vec<_>) = listings.iter().partition(is_special);
    for listing in general.into_iter().chain(special) {
        listed.add(listing);
    }
    listed.finished(settings)
}

fn id(row: &Value, key: &str) -> Option<i64> {
    row.get(key).and_then(Value::as_i64)
}

/// Returns a row with further cells, where it does not have them.
fn with(row: &Value, cells: &[(&str, Value)]) -> Value {
    let mut row: Map<String, Value> = row.as_object().cloned().unwrap_or_default();
    for (name, value) in cells {
        row.entry((*name).to_owned()).or_insert_with(|| value.clone());
    }
    Value::Object(row)
}

impl Listed {
    fn put(&mut self, section: &'static str, key: &str, row: Value) {
        if let Some(id) = id(&row, key) {
            self.sections.entry(section).or_default().entry(id).or_insert(row);
        }
    }

    fn add(&mut self, listing: &Listing) {
        let (model, business) = (&listing.arguments["bk_obj_id"], &listing.arguments["bk_biz_id"]);
        self.models.extend(model.as_str().map(str::to_owned));
        self.are_services_known |= listing.operation == "list_service_instance_detail";
        for row in &listing.rows {
            let of_business = with(row, &[("bk_biz_id", business.clone())]);
            let of_model = with(row, &[("bk_obj_id", model.clone())]);
            match listing.operation.as_str() {
                "search_business" => self.put("businesses", "bk_biz_id", row.clone()),
                "search_set" => self.put("sets", "bk_set_id", of_business),
                "search_module" => self.put("modules", "bk_module_id", of_business),
                "search_object_attribute" => {
                    let business = if business.is_null() { json!(0) } else { business.clone() };
                    self.put("attributes", "id", with(&of_model, &[("bk_biz_id", business)]));
                }
                "search_object_unique" => self.uniques.push(of_model),
                "search_object_instances" | "search_inst_by_object" => self.instance(model, row),
                "find_object_association" => {
                    let ends = ["bk_obj_id", "bk_asst_obj_id"].map(|end| row[end].as_str().unwrap_or_default());
                    self.models.extend(ends.map(str::to_owned));
                    let kind = association_kind(row["bk_obj_asst_id"].as_str().unwrap_or_default(), ends);
                    self.put("object_associations", "id", with(row, &[("bk_asst_id", json!(kind))]));
                }
                "search_instance_associations" | "find_instance_association" => {
                    self.put("instance_associations", "id", row.clone());
                }
                "list_service_category" => self.put("service_categories", "id", row.clone()),
                "list_service_template" => self.put("service_templates", "id", of_business),
                "list_service_template_attribute" => self.template_attributes.push(of_business),
                "list_proc_template" => self.put("process_templates", "id", of_business),
                "find_host_topo_relation" => self.hosts.push(of_business),
                "list_biz_hosts" => self.host(row),
                "list_service_instance" | "list_service_instance_detail" => {
                    let id = id(row, "id").unwrap_or_default();
                    // The one with the processes says more.
                    if row.get("process_instances").is_some() || !self.services.contains_key(&id) {
                        self.services.insert(id, of_business);
                    }
                }
                _ => {}
            }
        }
    }

    /// Adds a host. The state shows its addresses joined, as answers do.
    fn host(&mut self, row: &Value) {
        let Some(id) = id(row, "bk_host_id") else { return };
        let mut row = row.clone();
        if let Some(addresses) = row["bk_host_innerip"].as_array() {
            let addresses: Vec<&str> = addresses.iter().filter_map(Value::as_str).collect();
            row["bk_host_innerip"] = json!(addresses.join(","));
        }
        self.instances.entry("host".to_owned()).or_default().insert(id, row);
    }

    fn instance(&mut self, model: &Value, row: &Value) {
        if let (Some(model), Some(id)) = (model.as_str(), id(row, "bk_inst_id")) {
            self.instances.entry(model.to_owned()).or_default().entry(id).or_insert_with(|| row.clone());
        }
    }

    /// Adds an instance for each end of an association whose model was not listed.
    fn add_ends(&mut self) {
        let associations = self.sections.get("instance_associations").cloned().unwrap_or_default();
        for row in associations.values() {
            for (model, end) in [("bk_obj_id", "bk_inst_id"), ("bk_asst_obj_id", "bk_asst_inst_id")] {
                let instance = json!({"bk_inst_id": row[end], "bk_inst_name": format!("instance {}", row[end])});
                self.instance(&row[model], &instance);
            }
        }
    }

    fn finished(mut self, settings: &BTreeMap<String, String>) -> Value {
        self.add_ends();
        let mut state = Map::from_iter([("version".to_owned(), json!("3.14"))]);
        if let Some(zone) = settings.get("timeZone") {
            state.insert("time_zone".to_owned(), json!(zone));
        }
        let built_in = ["biz", "set", "module", "host"];
        let models = self.models.iter().filter(|model| !built_in.contains(&model.as_str()));
        let objects: Vec<_> = models.map(|model| json!({"bk_obj_id": model})).collect();
        state.insert("objects".to_owned(), json!(objects));
        let set_of = |module: &Value| {
            let modules = self.sections.get("modules");
            modules.and_then(|modules| modules.get(&module.as_i64()?)).map_or(json!(0), |row| row["bk_set_id"].clone())
        };
        let hosts = self.hosts.iter().map(|row| with(row, &[("bk_set_id", set_of(&row["bk_module_id"]))]));
        state.insert("host_relations".to_owned(), hosts.collect());
        for (section, rows) in [("uniques", &self.uniques), ("service_template_attributes", &self.template_attributes)]
        {
            let numbered = rows.iter().zip(1..).map(|(row, id)| with(row, &[("id", json!(id))]));
            state.insert(section.to_owned(), numbered.collect());
        }
        if self.are_services_known {
            let services: Vec<Value> = self.services.values().map(service).collect();
            state.insert("service_instances".to_owned(), json!(services));
        }
        for (section, rows) in self.sections {
            state.insert(section.to_owned(), rows.into_values().collect());
        }
        let rows = |rows: Rows| rows.into_values().collect::<Value>();
        let instances = self.instances.into_iter().map(|(model, of_model)| (model, rows(of_model)));
        state.insert("instances".to_owned(), Value::Object(instances.collect()));
        Value::Object(state)
    }
}

/// Returns a service instance whose processes have ids.
fn service(row: &Value) -> Value {
    let mut row = with(row, &[("bk_host_id", json!(0))]);
    let service = id(&row, "id").unwrap_or_default();
    let processes = row.get_mut("process_instances").and_then(Value::as_array_mut);
    for (process, number) in processes.into_iter().flatten().zip(1..) {
        process["process"] = with(&process["process"], &[("bk_process_id", json!(service * 1000 + number))]);
    }
    row
}

/// Returns the kind in the name of a model association, such as `connect` in `bk_switch_connect_bk_rack`.
fn association_kind(name: &str, [from, to]: [&str; 2]) -> String {
    let kind = name.strip_prefix(from).and_then(|rest| rest.strip_prefix('_'));
    let kind = kind.and_then(|rest| rest.strip_suffix(to)).and_then(|rest| rest.strip_suffix('_'));
    kind.filter(|kind| !kind.is_empty()).unwrap_or("default").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_associations_are_in_their_names() {
        let check = |name: &str, expected: &str| {
            assert_eq!(association_kind(name, ["bk_switch", "bk_rack"]), expected, "{name}");
        };
        check("bk_switch_connect_bk_rack", "connect");
        check("bk_switch_bk_mainline_bk_rack", "bk_mainline");
        check("cable", "default");
        check("bk_switch__bk_rack", "default");
    }
}

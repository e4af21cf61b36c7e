//! Businesses, sets, modules and instances of a state.

use std::sync::Arc;

use serde_json::Value;

use super::super::{
    process_instance,
    service_instance::{Maker, Order, PROCESSES, host, processes},
};
use super::{INNER, Loader, Row, id_field, name_field};

impl Loader<'_> {
    /// Reads businesses, sets and modules.
    pub(super) fn objects(&mut self) {
        for (pointer, map) in self.section("businesses") {
            let mut row = self.row(map);
            if !self.text(&pointer, &row, "bk_biz_name") {
                continue;
            }
            if row.get("last_time").is_none() {
                self.complete("biz", &mut row);
                row.fill("life_cycle", "2");
                row.fill("language", "1");
                row.fill("time_zone", "Asia/Shanghai");
            }
            row.fill("default", 0);
            self.store(&pointer, row, |tables| Some(&mut tables.businesses));
        }
        for (pointer, map) in self.section("sets") {
            let mut row = self.row(map);
            if !self.text(&pointer, &row, "bk_set_name") {
                continue;
            }
            let Some(business) = self.id(&pointer, &row, "bk_biz_id") else { continue };
            if self.world.tables.businesses.get(business).is_none() {
                self.error(&format!("{pointer}/bk_biz_id"), format!("there is no business {business}"));
            }
            row.fill("bk_parent_id", business);
            row.fill("default", 0);
            row.fill("set_template_id", 0);
            row.fill("bk_supplier_account", "0");
            if row.get("last_time").is_none() {
                self.complete("set", &mut row);
                row.fill("set_template_version", Value::Null);
            }
            self.store(&pointer, row, |tables| Some(&mut tables.sets));
        }
        self.modules();
        for (pointer, map) in self.section("host_relations") {
            let row = self.row(map);
            for field in ["bk_host_id", "bk_module_id", "bk_set_id", "bk_biz_id"] {
                self.id(&pointer, &row, field);
            }
            let pairs = &mut self.world.tables.host_relations;
            pairs.put(pairs.next_id(), Some(Arc::new(row)));
        }
    }

    fn modules(&mut self) {
        for (pointer, map) in self.section("modules") {
            let mut row = self.row(map);
            if !self.text(&pointer, &row, "bk_module_name") {
                continue;
            }
            let Some(set) = self.id(&pointer, &row, "bk_set_id") else { continue };
            match self.world.tables.sets.get(set).map(|set| set.int("bk_biz_id")) {
                None => self.error(&format!("{pointer}/bk_set_id"), format!("there is no set {set}")),
                Some(business) => {
                    row.fill("bk_biz_id", business);
                    if row.int("bk_biz_id") != business {
                        let message = format!("set {set} belongs to business {business}");
                        self.error(&format!("{pointer}/bk_biz_id"), message);
                    }
                }
            }
            row.fill("bk_parent_id", set);
            for (name, value) in
                [("default", 0), ("service_category_id", 2), ("service_template_id", 0), ("set_template_id", 0)]
            {
                row.fill(name, value);
            }
            row.fill("host_apply_enabled", false);
            if row.get("last_time").is_none() {
                self.complete("module", &mut row);
            }
            self.store(&pointer, row, |tables| Some(&mut tables.modules));
        }
    }

    /// Fills in what the server itself sets in a row: attributes that are not there, account, times.
    fn complete(&self, model: &str, row: &mut Row) {
        let business = row.int("bk_biz_id");
        for attribute in self.world.tables.schema(model).of_business(business) {
            if row.get(&attribute.id).is_none()
                && attribute.kind != "innertable"
                && !attribute.id.starts_with("bk_updated_")
            {
                // A key that is left out is null: two empty texts would collide.
                let key = self.world.tables.instances.get(model).is_some_and(|table| table.is_key(&attribute.id));
                let unset = key || attribute.id.starts_with("bk_created_");
                row.set(attribute.id.clone(), if unset { Value::Null } else { attribute.initial() });
            }
        }
        for (name, others) in [("create_time", "bk_created_at"), ("last_time", "bk_updated_at")] {
            let time = row.get(name).or_else(|| row.get(others)).filter(|time| time.is_string()).cloned();
            let time = time.unwrap_or_else(|| self.now.as_str().into());
            row.set(self.world.names.known(name), time.clone());
            if row.get(others).is_none_or(Value::is_null) {
                row.set(self.world.names.known(others), time);
            }
        }
        if row.get("bk_created_by").is_none_or(Value::is_null) {
            row.set(self.world.names.known("bk_created_by"), "admin");
        }
        row.fill("bk_updated_by", Value::Null);
        row.fill("bk_supplier_account", "0");
    }

    /// Reads the instances of all models.
    pub(super) fn instances(&mut self) {
        let Some(section) = self.state.get("instances") else { return };
        let Some(models) = section.as_object() else {
            return self.error("/instances", "expected an object of lists by model");
        };
        for (model, rows) in models {
            let pointer = format!("/instances/{model}");
            if !self.world.tables.instances.contains_key(model) {
                let message = match model.as_str() {
                    "biz" | "set" | "module" => format!("the rows of `{model}` have a section of their own"),
                    _ => format!("there is no model `{model}` among the objects"),
                };
                self.error(&pointer, message);
                continue;
            }
            let inner = INNER.contains(&model.as_str());
            for (pointer, map) in self.rows(&pointer, rows) {
                let mut row = self.row(map);
                if model == "host" {
                    row.fill("bk_cloud_id", 0);
                }
                if !inner && !self.text(&pointer, &row, name_field(model)) {
                    continue;
                }
                if row.get("last_time").is_none() || row.get("create_time").is_none() {
                    self.complete(model, &mut row);
                }
                if !inner {
                    row.fill("bk_obj_id", model.as_str());
                    if row.text("bk_obj_id") != model {
                        let message = format!("this row is of model `{}`", row.text("bk_obj_id"));
                        self.error(&format!("{pointer}/bk_obj_id"), message);
                    }
                }
                self.id(&pointer, &row, id_field(model));
                if row.get(id_field(model)).is_some_and(Value::is_i64) {
                    self.store(&pointer, row, |tables| tables.instances.get_mut(model));
                }
            }
        }
    }

    /// Reads the rows of inner-table attributes: lists by model and attribute.
    pub(super) fn quoted_instances(&mut self) {
        let Some(section) = self.state.get("quoted_instances") else { return };
        let Some(models) = section.as_object() else {
            return self.error("/quoted_instances", "expected an object of lists by model and attribute");
        };
        for (model, properties) in models {
            for (property, rows) in properties.as_object().into_iter().flatten() {
                let pointer = format!("/quoted_instances/{model}/{property}");
                let place = (model.clone(), property.clone());
                if !self.world.tables.quoted.contains_key(&place) {
                    self.error(&pointer, format!("`{model}` has no inner-table attribute `{property}`"));
                    continue;
                }
                for (pointer, map) in self.rows(&pointer, rows) {
                    let mut row = self.row(map);
                    let Some(owner) = self.id(&pointer, &row, "bk_inst_id") else { continue };
                    if self.world.tables.of_model(model).and_then(|table| table.get(owner)).is_none() {
                        self.error(&format!("{pointer}/bk_inst_id"), format!("there is no instance {owner}"));
                    }
                    row.fill("bk_supplier_account", "0");
                    self.store(&pointer, row, |tables| tables.quoted.get_mut(&place).map(|quoted| &mut quoted.table));
                }
            }
        }
    }

    /// Reads set templates with the service templates that they have.
    pub(super) fn set_templates(&mut self) {
        for (pointer, map) in self.section("set_templates") {
            let row = self.row(map);
            if self.text(&pointer, &row, "name") {
                self.store(&pointer, row, |tables| Some(&mut tables.set_templates));
            }
        }
        for (pointer, map) in self.section("set_template_service_templates") {
            let row = self.row(map);
            let tables = &self.world.tables;
            let set = tables.set_templates.get(row.int("set_template_id")).is_some();
            let service = tables.service_templates.get(row.int("service_template_id")).is_some();
            for (field, known) in [("set_template_id", set), ("service_template_id", service)] {
                if !known {
                    self.error(&format!("{pointer}/{field}"), format!("there is no template {}", row.int(field)));
                }
            }
            let members = &mut self.world.tables.set_template_members;
            members.put(members.next_id(), Some(Arc::new(row)));
        }
    }

    /// Reads service instances with their processes, as the server lists them.
    pub(super) fn service_instances(&mut self) {
        if !self.state.contains_key("service_instances") {
            return self.derived_service_instances();
        }
        for (pointer, map) in self.section("service_instances") {
            let mut row = self.row(map);
            self.complete_processes(&mut row);
            let known = self.world.tables.modules.get(row.int("bk_module_id")).is_some();
            if !known {
                let message = format!("there is no module {}", row.int("bk_module_id"));
                self.error(&format!("{pointer}/bk_module_id"), message);
            }
            if self.id(&pointer, &row, "bk_host_id").is_some() {
                self.store(&pointer, row, |tables| Some(&mut tables.service_instances));
            }
        }
    }

    /// Gives the processes of a service instance what they leave out, from their templates.
    fn complete_processes(&self, row: &mut Row) {
        let tables = &self.world.tables;
        let host = host(tables, row.int("bk_host_id"));
        let mut entries = processes(row).to_vec();
        for entry in &mut entries {
            let template = entry.pointer("/relation/process_template_id").and_then(Value::as_i64).unwrap_or(0);
            if let Some(template) = tables.process_templates.get(template) {
                process_instance::complete(template, host.map(|row| &**row), entry);
            }
        }
        if entries != processes(row) {
            row.set(PROCESSES, entries);
        }
    }

    /// Gives every host in a module of a service template what a transfer would have given it.
    fn derived_service_instances(&mut self) {
        let pairs: Vec<Arc<Row>> = self.world.tables.host_relations.rows().map(|(_, pair)| pair.clone()).collect();
        let now = self.now.clone();
        for pair in pairs {
            let Some(module) = self.world.tables.modules.get(pair.int("bk_module_id")).cloned() else { continue };
            let maker = Maker { time: &now, user: "admin", order: Order::NewestFirst };
            if let Some(row) = maker.make(&mut self.world, &module, pair.int("bk_host_id")) {
                self.world.tables.service_instances.put(row.int("id"), Some(Arc::new(row)));
            }
        }
    }

    /// Reads which attributes service templates configure: rows as the server lists them.
    pub(super) fn template_attributes(&mut self) {
        for (pointer, map) in self.section("service_template_attributes") {
            let mut row = self.row(map);
            let (template, attribute) = (row.int("service_template_id"), row.int("bk_attribute_id"));
            let tables = &self.world.tables;
            let known = tables.service_templates.get(template).is_some();
            let of_module = tables.attributes.get(attribute).is_some_and(|row| row.text("bk_obj_id") == "module");
            if !known {
                let message = format!("there is no service template {template}");
                self.error(&format!("{pointer}/service_template_id"), message);
            }
            if !of_module {
                let message = format!("the module model has no attribute {attribute}");
                self.error(&format!("{pointer}/bk_attribute_id"), message);
            }
            row.fill("id", self.world.tables.template_attributes.next_id());
            self.store(&pointer, row, |tables| Some(&mut tables.template_attributes));
        }
    }
}

//! Service categories, service templates and process templates of a state.

use serde_json::Value;

use super::super::{args::Args, property};
use super::{Loader, built_in};

impl Loader<'_> {
    /// Reads categories and templates.
    pub(super) fn processes(&mut self) {
        for (pointer, map) in self.section("service_categories") {
            let mut row = self.row(map);
            row.fill("bk_biz_id", 0);
            row.fill("bk_parent_id", 0);
            let root = if row.int("bk_parent_id") == 0 { row.int("id") } else { row.int("bk_parent_id") };
            row.fill("bk_root_id", root);
            row.fill("bk_supplier_account", "0");
            row.fill("is_built_in", false);
            if self.text(&pointer, &row, "name") {
                self.store(&pointer, row, |tables| Some(&mut tables.service_categories));
            }
        }
        for row in built_in::categories() {
            if self.world.tables.service_categories.get(row.int("id")).is_none() {
                self.store("/service_categories", row, |tables| Some(&mut tables.service_categories));
            }
        }
        for (pointer, map) in self.section("service_templates") {
            let mut row = self.row(map);
            if !self.text(&pointer, &row, "name") {
                continue;
            }
            let Some(business) = self.id(&pointer, &row, "bk_biz_id") else { continue };
            if self.world.tables.businesses.get(business).is_none() {
                self.error(&format!("{pointer}/bk_biz_id"), format!("there is no business {business}"));
            }
            row.fill("service_category_id", 2);
            row.fill("host_apply_enabled", false);
            self.complete_template(&mut row);
            self.store(&pointer, row, |tables| Some(&mut tables.service_templates));
        }
        self.module_templates();
        for (pointer, map) in self.section("process_templates") {
            self.process_template(&pointer, map);
        }
    }

    fn complete_template(&self, row: &mut super::Row) {
        row.fill("bk_supplier_account", "0");
        row.fill("creator", "admin");
        row.fill("modifier", "admin");
        row.fill("create_time", self.now.as_str());
        row.fill("last_time", self.now.as_str());
    }

    fn module_templates(&mut self) {
        for (pointer, map) in self.section("modules") {
            let id = map.get("service_template_id").and_then(Value::as_i64).unwrap_or(0);
            if id != 0 && self.world.tables.service_templates.get(id).is_none() {
                let message = format!("there is no service template {id}");
                self.error(&format!("{pointer}/service_template_id"), message);
            }
        }
    }

    fn process_template(&mut self, pointer: &str, map: &serde_json::Map<String, Value>) {
        let mut row = self.row(map);
        let Some(template) = self.id(pointer, &row, "service_template_id") else { return };
        match self.world.tables.service_templates.get(template).map(|row| row.int("bk_biz_id")) {
            // A whole row may have outlived its service template.
            None if row.get("bk_biz_id").is_some() && row.get("last_time").is_some() => {}
            None => {
                let message = format!("there is no service template {template}");
                self.error(&format!("{pointer}/service_template_id"), message);
            }
            Some(business) => row.fill("bk_biz_id", business),
        }
        let sent = match row.get("property") {
            None => Args::default(),
            Some(Value::Object(sent)) => Args(sent.clone()),
            Some(_) => return self.error(&format!("{pointer}/property"), "expected an object of properties"),
        };
        for name in sent.0.keys().filter(|name| !property::PROPERTIES.iter().any(|(known, _)| known == name)) {
            self.error(&format!("{pointer}/property/{name}"), format!("there is no property `{name}`"));
        }
        let mut properties = serde_json::Map::new();
        for (name, value) in &sent.0 {
            let args = Args(serde_json::Map::from_iter([(name.clone(), value.clone())]));
            match property::decode(&args) {
                Ok(read) => properties.extend(read),
                Err(_) => self.error(
                    &format!("{pointer}/property/{name}"),
                    "expected `value` and `as_default_value` of the property's type",
                ),
            }
        }
        let own = row.text("bk_process_name");
        if !properties.contains_key("bk_process_name") && !own.is_empty() {
            let name = serde_json::json!({"value": own, "as_default_value": true});
            properties.insert("bk_process_name".to_owned(), name);
        }
        let name = property::text(&properties, "bk_process_name").to_owned();
        if !properties.contains_key("bk_func_name") {
            let func = serde_json::json!({"value": name.as_str(), "as_default_value": true});
            properties.insert("bk_func_name".to_owned(), func);
        }
        property::complete(&mut properties);
        property::number_rows(&mut properties);
        if name.is_empty() {
            self.error(&format!("{pointer}/bk_process_name"), "`bk_process_name` must be a text that is not empty");
        }
        row.fill("bk_process_name", name);
        row.set("property", Value::Object(properties));
        self.complete_template(&mut row);
        self.store(pointer, row, |tables| Some(&mut tables.process_templates));
    }
}

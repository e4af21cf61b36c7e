//! Models, attributes, unique rules and model associations of a state.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::super::{
    attribute::{Attribute, Schema},
    table::{KeyType, Unique},
    world::{MAIN_LINE, Quoted},
};
use super::{INNER, Loader, Row, Table, built_in, id_field, name_field};

impl Loader<'_> {
    /// Reads the definitions and makes the tables of instances with their unique keys.
    pub(super) fn definitions(&mut self) {
        self.models();
        self.attributes();
        self.object_associations();
        self.kinds();
        self.layers();
        self.unique_rules();
        self.instance_tables();
        self.inner_tables();
    }

    fn next(table: &Table) -> i64 {
        table.rows().next_back().map_or(1, |(id, _)| id + 1)
    }

    fn models(&mut self) {
        for (pointer, map) in self.section("objects") {
            let mut row = self.row(map);
            if !self.text(&pointer, &row, "bk_obj_id") {
                continue;
            }
            if row.get("last_time").is_none() {
                self.complete_model(&mut row);
            }
            self.store(&pointer, row, |tables| Some(&mut tables.objects));
        }
        for model in INNER {
            if self.world.tables.object(model).is_none() {
                let mut row = Row::of([("bk_obj_id", model.into()), ("ispre", true.into())]);
                self.complete_model(&mut row);
                self.store("/objects", row, |tables| Some(&mut tables.objects));
            }
        }
    }

    fn complete_model(&self, row: &mut Row) {
        let model = row.text("bk_obj_id").to_owned();
        row.fill("id", Self::next(&self.world.tables.objects));
        row.fill("bk_classification_id", "bk_uncategorized");
        row.fill("bk_obj_icon", "icon-cc-default");
        row.fill("bk_obj_name", model);
        for name in ["bk_ishidden", "ispre", "bk_ispaused"] {
            row.fill(name, false);
        }
        for name in ["position", "description", "modifier"] {
            row.fill(name, "");
        }
        row.fill("bk_supplier_account", "0");
        row.fill("creator", "admin");
        row.fill("create_time", self.plain_now.as_str());
        row.fill("last_time", self.plain_now.as_str());
        row.fill("obj_sort_number", 1);
    }

    fn attributes(&mut self) {
        let mut bare = Vec::new();
        for (pointer, map) in self.section("attributes") {
            let row = self.row(map);
            let named = self.text(&pointer, &row, "bk_obj_id")
                & self.text(&pointer, &row, "bk_property_id")
                & self.text(&pointer, &row, "bk_property_type");
            if !named {
                continue;
            }
            if self.world.tables.object(row.text("bk_obj_id")).is_none() {
                let message = format!("there is no model `{}` among the objects", row.text("bk_obj_id"));
                self.error(&format!("{pointer}/bk_obj_id"), message);
                continue;
            }
            if row.get("id").is_none() {
                bare.push((pointer, row));
            } else {
                self.add_attribute(&pointer, row);
            }
        }
        for (pointer, row) in bare {
            self.add_attribute(&pointer, row);
        }
        let models: Vec<String> =
            self.world.tables.objects.rows().map(|(_, row)| row.text("bk_obj_id").to_owned()).collect();
        let whole = self.whole_models();
        for model in models {
            for (id, kind, required, editable) in built_in::attributes(&model) {
                // A server lists all attributes that it has: a built-in one that is missing was deleted.
                if !whole.contains(&model) && self.world.tables.schema(&model).get(id, 0).is_none() {
                    let row = Row::of([
                        ("bk_obj_id", model.as_str().into()),
                        ("bk_property_id", (*id).into()),
                        ("bk_property_type", (*kind).into()),
                        ("isrequired", (*required).into()),
                        ("editable", (*editable).into()),
                        ("ispre", true.into()),
                        ("option", built_in::option(&model, id)),
                    ]);
                    self.add_attribute("/attributes", row);
                }
            }
            for row in built_in::hidden(&model) {
                self.world.tables.learn(&row);
            }
        }
    }

    /// The models of which the state has built-in attributes as a server lists them.
    fn whole_models(&self) -> BTreeSet<String> {
        let listed = |row: &&Arc<Row>| row.get("ispre") == Some(&Value::Bool(true)) && row.get("last_time").is_some();
        let rows = self.world.tables.attributes.rows().map(|(_, row)| row);
        rows.filter(listed).map(|row| row.text("bk_obj_id").to_owned()).collect()
    }

    fn add_attribute(&mut self, pointer: &str, mut row: Row) {
        if row.get("last_time").is_none() {
            self.complete_attribute(&mut row);
        }
        let (model, id) = (row.text("bk_obj_id").to_owned(), row.text("bk_property_id").to_owned());
        let business = row.int("bk_biz_id");
        if self.world.tables.schema(&model).get(&id, business).is_some_and(|other| other.business == business) {
            self.error(&format!("{pointer}/bk_property_id"), format!("`{model}` has `{id}` twice"));
            return;
        }
        self.world.tables.learn(&row);
        self.store(pointer, row, |tables| Some(&mut tables.attributes));
    }

    fn complete_attribute(&self, row: &mut Row) {
        let id = row.text("bk_property_id").to_owned();
        let kind = row.text("bk_property_type").to_owned();
        let model = row.text("bk_obj_id").to_owned();
        let multiple = matches!(kind.as_str(), "objuser" | "organization" | "enummulti" | "enumquote");
        let automatic = id == name_field(&model);
        row.fill("bk_biz_id", 0);
        row.fill("id", Self::next(&self.world.tables.attributes));
        row.fill("bk_supplier_account", "0");
        row.fill("bk_property_name", built_in::display_name(&id).unwrap_or(&id));
        row.fill("bk_property_group", "default");
        row.fill("bk_property_index", self.world.tables.schema(&model).of_business(0).count());
        for name in ["unit", "placeholder", "description"] {
            row.fill(name, "");
        }
        row.fill("editable", !id.starts_with("bk_created_") && !id.starts_with("bk_updated_"));
        row.fill("isrequired", automatic);
        for name in ["ispre", "isreadonly", "bk_issystem", "bk_isapi"] {
            row.fill(name, false);
        }
        row.fill("isonly", automatic);
        let option = match kind.as_str() {
            "int" | "float" => json!({"min": "", "max": ""}),
            "enum" | "enummulti" | "enumquote" | "list" => json!([]),
            "bool" => json!(false),
            _ => json!(""),
        };
        row.fill("option", option);
        row.fill("ismultiple", multiple);
        row.fill("bk_template_id", 0);
        row.fill("creator", "admin");
        row.fill("create_time", self.plain_now.as_str());
        row.fill("last_time", self.plain_now.as_str());
        row.fill("bk_property_group_name", "Default");
    }

    fn unique_rules(&mut self) {
        for (pointer, map) in self.section("uniques") {
            let mut row = self.row(map);
            if !self.text(&pointer, &row, "bk_obj_id") {
                continue;
            }
            row.fill("id", Self::next(&self.world.tables.uniques));
            row.fill("bk_template_id", 0);
            row.fill("ispre", false);
            row.fill("bk_supplier_account", "0");
            row.fill("last_time", self.plain_now.as_str());
            let keys = row.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
            let known = |key: &Value| {
                let id = key.get("key_id").and_then(Value::as_i64);
                id.and_then(|id| self.world.tables.attributes.get(id))
                    .is_some_and(|attribute| attribute.text("bk_obj_id") == row.text("bk_obj_id"))
            };
            // Keys of built-in models and of layers may name hidden attributes.
            let model = row.text("bk_obj_id");
            let inner = INNER.contains(&model) || self.world.tables.layers.contains(model);
            let wrong = keys.iter().position(|key| !inner && !known(key));
            if keys.is_empty() {
                self.error(&format!("{pointer}/keys"), "expected a list of keys");
            } else if let Some(position) = wrong {
                let place = format!("{pointer}/keys/{position}/key_id");
                self.error(&place, "there is no attribute with this id in the model");
            } else {
                self.store(&pointer, row, |tables| Some(&mut tables.uniques));
            }
        }
    }

    /// Makes the table of each model's instances: unique by name and by the model's rules.
    fn instance_tables(&mut self) {
        let models: Vec<String> =
            self.world.tables.objects.rows().map(|(_, row)| row.text("bk_obj_id").to_owned()).collect();
        for model in models {
            if matches!(model.as_str(), "biz" | "set" | "module") {
                continue;
            }
            let inner = INNER.contains(&model.as_str());
            let mut uniques = Vec::new();
            let mut lookups: &[&str] = &[];
            let layer = self.world.tables.layers.contains(&model);
            if !inner {
                let name = self.world.names.share(name_field(&model));
                let id = self.attribute_id(&model, &name);
                if let Some(id) = id.filter(|_| !layer) {
                    self.name_rule(&model, id);
                }
                if layer {
                    // On a layer names are unique below their parent (section 4.1).
                    let parent = self.world.names.share("bk_parent_id");
                    uniques.push(Unique::on(vec![(parent, KeyType::Number), (name, KeyType::Text)]));
                    lookups = &["bk_parent_id", "bk_inst_name"];
                } else {
                    uniques.push(Unique::on(vec![(name, KeyType::Text)]));
                }
                uniques.extend(self.rules_of(&model, id));
            }
            self.world.tables.instances.insert(model.clone(), Table::new(id_field(&model), uniques, lookups));
        }
    }

    /// Finds the custom layers: models of a main-line association that are not built in.
    fn layers(&mut self) {
        let main_line = self.world.tables.object_associations.rows().map(|(_, row)| row);
        let ends = main_line
            .filter(|row| row.text("bk_asst_id") == MAIN_LINE)
            .flat_map(|row| [row.text("bk_obj_id").to_owned(), row.text("bk_asst_obj_id").to_owned()]);
        let layers = ends.filter(|model| !INNER.contains(&model.as_str())).collect();
        self.world.tables.layers = layers;
    }

    /// Makes the table of each inner-table attribute. Its option holds the attributes of the rows below `header`.
    fn inner_tables(&mut self) {
        let tables = &mut self.world.tables;
        for (_, attribute) in tables.attributes.rows().filter(|(_, row)| row.text("bk_property_type") == "innertable") {
            let mut schema = Schema::default();
            let header = attribute.get("option").and_then(|option| option.get("header")).and_then(Value::as_array);
            for column in header.into_iter().flatten().filter_map(Value::as_object) {
                schema.add(Attribute::of(&Row::from_map(column, &mut self.world.names)));
            }
            let place = (attribute.text("bk_obj_id").to_owned(), attribute.text("bk_property_id").to_owned());
            tables.quoted.insert(place, Quoted { table: Table::new("id", Vec::new(), &["bk_inst_id"]), schema });
        }
    }

    fn attribute_id(&self, model: &str, field: &str) -> Option<i64> {
        let ids = self.world.tables.attributes.ids("bk_obj_id", &[model.into()])?;
        let mut rows = ids.into_iter().filter_map(|id| self.world.tables.attributes.get(id));
        rows.find(|row| row.text("bk_property_id") == field).map(|row| row.int("id"))
    }

    /// Adds the rule of the name to a model without any. The name is unique in the others too, rule or not.
    fn name_rule(&mut self, model: &str, attribute: i64) {
        let keys = json!([{"key_kind": "property", "key_id": attribute}]);
        let uniques = &self.world.tables.uniques;
        if !uniques.ids("bk_obj_id", &[model.into()]).unwrap_or_default().is_empty() {
            return;
        }
        let row = Row::of([
            ("id", Self::next(uniques).into()),
            ("bk_template_id", 0.into()),
            ("bk_obj_id", model.into()),
            ("keys", keys),
            ("ispre", true.into()),
            ("bk_supplier_account", "0".into()),
            ("last_time", self.plain_now.as_str().into()),
        ]);
        self.store("/uniques", row, |tables| Some(&mut tables.uniques));
    }

    /// The unique keys of a model besides its name.
    fn rules_of(&mut self, model: &str, name: Option<i64>) -> Vec<Unique> {
        let tables = &self.world.tables;
        let rules = tables.uniques.ids("bk_obj_id", &[model.into()]).unwrap_or_default();
        let mut found = Vec::new();
        for rule in rules.into_iter().filter_map(|id| tables.uniques.get(id)) {
            let keys = rule.get("keys").and_then(Value::as_array).cloned().unwrap_or_default();
            let ids: Vec<i64> = keys.iter().filter_map(|key| key.get("key_id").and_then(Value::as_i64)).collect();
            let hidden = ids.iter().any(|id| tables.attributes.get(*id).is_none());
            if hidden || ids.iter().copied().eq(name) {
                continue;
            }
            let fields: Vec<(Arc<str>, KeyType)> = ids
                .iter()
                .filter_map(|id| tables.attributes.get(*id))
                .map(|row| {
                    let number = matches!(row.text("bk_property_type"), "int" | "float");
                    (Arc::from(row.text("bk_property_id")), if number { KeyType::Number } else { KeyType::Text })
                })
                .collect();
            found.push(Unique::on(fields));
        }
        found
    }

    fn object_associations(&mut self) {
        for (pointer, map) in self.section("object_associations") {
            let mut row = self.row(map);
            let complete = self.text(&pointer, &row, "bk_obj_id")
                & self.text(&pointer, &row, "bk_asst_obj_id")
                & self.text(&pointer, &row, "bk_asst_id");
            if !complete {
                continue;
            }
            for end in ["bk_obj_id", "bk_asst_obj_id"] {
                if self.world.tables.object(row.text(end)).is_none() {
                    let message = format!("there is no model `{}` among the objects", row.text(end));
                    self.error(&format!("{pointer}/{end}"), message);
                }
            }
            if !matches!(row.text("mapping"), "1:1" | "1:n" | "n:n") {
                self.error(&format!("{pointer}/mapping"), "`mapping` must be `1:1`, `1:n` or `n:n`");
            }
            let (from, kind, to) = (row.text("bk_obj_id"), row.text("bk_asst_id"), row.text("bk_asst_obj_id"));
            let id = format!("{from}_{kind}_{to}");
            row.fill("id", Self::next(&self.world.tables.object_associations));
            row.fill("bk_supplier_account", "0");
            row.fill("bk_obj_asst_id", id);
            row.fill("bk_obj_asst_name", "");
            row.fill("on_delete", "none");
            row.fill("ispre", false);
            self.store(&pointer, row, |tables| Some(&mut tables.object_associations));
        }
    }

    /// Reads the association kinds; those that the associations name exist.
    fn kinds(&mut self) {
        for (pointer, map) in self.section("association_kinds") {
            let row = self.row(map);
            if self.text(&pointer, &row, "bk_asst_id") {
                self.add_kind(&pointer, row);
            }
        }
        let named: Vec<Value> = self
            .world
            .tables
            .object_associations
            .rows()
            .filter_map(|(_, row)| row.get("bk_asst_id").cloned())
            .collect();
        for kind in named {
            let known = self.world.tables.association_kinds.ids("bk_asst_id", std::slice::from_ref(&kind));
            if known.unwrap_or_default().is_empty() {
                self.add_kind("/association_kinds", Row::of([("bk_asst_id", kind)]));
            }
        }
    }

    fn add_kind(&mut self, pointer: &str, mut row: Row) {
        row.fill("id", Self::next(&self.world.tables.association_kinds));
        for name in ["bk_asst_name", "src_des", "dest_des"] {
            row.fill(name, "");
        }
        row.fill("direction", "src_to_dest");
        row.fill("bk_supplier_account", "0");
        self.store(pointer, row, |tables| Some(&mut tables.association_kinds));
    }
}

//! Instance associations of a state.

use serde_json::Value;

use super::Loader;

impl Loader<'_> {
    /// Reads the associations and checks their ends and mappings.
    pub(super) fn associations(&mut self) {
        for (pointer, map) in self.section("instance_associations") {
            let mut row = self.row(map);
            if !self.text(&pointer, &row, "bk_obj_asst_id") {
                continue;
            }
            let name = row.text("bk_obj_asst_id").to_owned();
            let definitions = &self.world.tables.object_associations;
            let ids = definitions.ids("bk_obj_asst_id", &[Value::from(name.as_str())]).unwrap_or_default();
            let Some(definition) = ids.first().and_then(|id| definitions.get(*id)).cloned() else {
                self.error(&format!("{pointer}/bk_obj_asst_id"), format!("there is no model association `{name}`"));
                continue;
            };
            for field in ["bk_obj_id", "bk_asst_obj_id", "bk_asst_id"] {
                row.fill(field, definition.text(field));
                if row.text(field) != definition.text(field) {
                    let message = format!("`{name}` has `{}` here", definition.text(field));
                    self.error(&format!("{pointer}/{field}"), message);
                }
            }
            row.fill("bk_supplier_account", "0");
            for (model, id) in [("bk_obj_id", "bk_inst_id"), ("bk_asst_obj_id", "bk_asst_inst_id")] {
                let Some(inst) = self.id(&pointer, &row, id) else { continue };
                let model = definition.text(model);
                let table = self.world.tables.of_model(model);
                // The rows of hosts and the like need not be in a state.
                if table.is_some_and(|table| table.get(inst).is_none() && !(table.len() == 0 && is_elsewhere(model))) {
                    self.error(&format!("{pointer}/{id}"), format!("there is no instance {inst} of `{model}`"));
                }
            }
            self.check_mapping(&pointer, &name, definition.text("mapping"), &row);
            self.store(&pointer, row, |tables| Some(&mut tables.associations));
        }
    }

    fn check_mapping(&mut self, pointer: &str, name: &str, mapping: &str, row: &super::Row) {
        let ends: &[&str] = match mapping {
            "1:1" => &["bk_inst_id", "bk_asst_inst_id"],
            "1:n" => &["bk_asst_inst_id"],
            _ => &[],
        };
        for end in ends {
            let associations = &self.world.tables.associations;
            let ids = associations.ids(end, &[row.int(end).into()]).unwrap_or_default();
            let taken =
                ids.into_iter().filter_map(|id| associations.get(id)).any(|other| other.text("bk_obj_asst_id") == name);
            if taken {
                self.error(&format!("{pointer}/{end}"), format!("`{name}` is {mapping} and has this end already"));
            }
        }
    }
}

/// Models whose instances a state usually leaves out.
fn is_elsewhere(model: &str) -> bool {
    matches!(model, "host" | "process" | "plat" | "bk_biz_set_obj" | "bk_project")
}

//! The state cell by cell, for comparisons, and changes that somebody else makes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{save, world::World};
use crate::simulator::Cells;

/// Cells that the server sets by itself.
const OWN: &[&str] = &[
    "create_time",
    "last_time",
    "bk_created_at",
    "bk_created_by",
    "bk_updated_at",
    "bk_updated_by",
    "creator",
    "modifier",
    "op_time",
];

/// Sections that no client of the program can change, or that are no rows.
const FIXED: &[&str] = &["version", "time_zone", "next_ids", "credentials"];

/// Sections with rows that others name by id, those that are named first: the section, the counter and the key of its
/// ids, and the keys by which others name it. New rows get other ids from run to run, so their names stand in place.
const NAMED: &[(&str, &str, &str, &[&str])] = &[
    ("sets", "set", "bk_set_id", &["bk_set_id"]),
    ("service_templates", "service_template", "id", &["service_template_id"]),
    ("modules", "module", "bk_module_id", &["bk_module_id"]),
    ("process_templates", "process_template", "id", &["process_template_id"]),
];

/// The names of rows that are new, by model and id.
type Names = BTreeMap<(String, i64), String>;

/// Returns the cells of a state; ids from the counters of the state `since` on are new.
pub(super) fn cells(world: &World, since: &Value) -> Cells {
    let mut state = save::save(world);
    name_new_rows(&mut state, since);
    let (mut cells, mut names) = (Cells::new(), Names::new());
    let sections = state.as_object().into_iter().flatten().filter(|(name, _)| !FIXED.contains(&name.as_str()));
    // Instances come first: associations name them.
    for (model, rows) in state["instances"].as_object().into_iter().flatten() {
        for row in rows.as_array().into_iter().flatten() {
            let name = name(model, "bk_inst_id", row, since, &Names::new());
            if let (true, Some(id)) = (name.contains(' '), row["bk_inst_id"].as_i64()) {
                names.insert((model.clone(), id), name.clone());
            }
            add(&mut cells, &format!("instances/{model}/{name}"), "bk_inst_id", row);
        }
    }
    for (section, rows) in sections.filter(|(name, _)| *name != "instances") {
        let key = key_of(section);
        for row in rows.as_array().into_iter().flatten() {
            let name = name(section, key, row, since, &names);
            let row_name = format!("{section}/{name}");
            add(&mut cells, &row_name, key, row);
            if section == "instance_associations" {
                for (model, end) in [("bk_obj_id", "bk_inst_id"), ("bk_asst_obj_id", "bk_asst_inst_id")] {
                    let model = row[model].as_str().unwrap_or_default().to_owned();
                    let name = row[end].as_i64().and_then(|id| names.get(&(model, id)));
                    cells.extend(name.map(|name| (format!("{row_name}/{end}"), json!(name))));
                }
            }
        }
    }
    cells
}

/// Puts the names of new rows where others name them by id, and service instances into an order of their own: which of
/// their processes comes first is the server's choice, and so is the name that follows from it.
fn name_new_rows(state: &mut Value, since: &Value) {
    for (section, counter, key, references) in NAMED {
        let is_new = |id: i64| since["next_ids"][counter].as_i64().is_some_and(|next| id >= next);
        let rows = state[section].as_array().into_iter().flatten();
        let named = rows.filter_map(|row| {
            let id = row[key].as_i64().filter(|id| is_new(*id))?;
            Some((id, json!(name(section, key, row, since, &Names::new()))))
        });
        let names: BTreeMap<i64, Value> = named.collect();
        if !names.is_empty() {
            for (other, rows) in state.as_object_mut().into_iter().flatten() {
                // A module names its set as its parent, too.
                let more: &[&str] =
                    if (*section, other.as_str()) == ("sets", "modules") { &["bk_parent_id"] } else { &[] };
                let keys: Vec<&str> =
                    references.iter().chain(more).copied().filter(|key| key_of(other) != *key).collect();
                put_names(rows, &keys, &names);
            }
        }
    }
    for row in state["service_instances"].as_array_mut().into_iter().flatten() {
        if let Some(entries) = row["process_instances"].as_array_mut() {
            entries.sort_by_key(|entry| entry["process"]["bk_process_name"].to_string());
        }
        if let Some(cells) = row.as_object_mut() {
            cells.remove("name");
        }
    }
}

/// Replaces the ids behind some keys by the names of what they stand for.
fn put_names(value: &mut Value, keys: &[&str], names: &BTreeMap<i64, Value>) {
    match value {
        Value::Object(cells) => {
            for (key, value) in cells {
                let name = value.as_i64().filter(|_| keys.contains(&key.as_str())).and_then(|id| names.get(&id));
                match name {
                    Some(name) => *value = name.clone(),
                    None => put_names(value, keys, names),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put_names(item, keys, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the key with the ids of a section's rows.
fn key_of(section: &str) -> &'static str {
    let named = NAMED.iter().find(|(name, ..)| *name == section).map(|(_, _, key, _)| *key);
    named.unwrap_or(if section == "businesses" { "bk_biz_id" } else { "id" })
}

/// A cell of an instance that has an id for a name.
pub(super) struct InstanceCell<'n> {
    model: &'n str,
    id: i64,
    field: &'n str,
}

impl<'n> InstanceCell<'n> {
    /// Reads the name of a cell; `None` for all other cells.
    pub(super) fn named(name: &'n str) -> Option<Self> {
        let mut parts = name.strip_prefix("instances/")?.splitn(3, '/');
        let (model, id, field) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { model, id: id.parse().ok()?, field })
    }

    /// Returns its value.
    pub(super) fn value(&self, world: &World) -> Option<Value> {
        world.tables.instances.get(self.model)?.get(self.id)?.get(self.field).cloned()
    }
}

fn add(cells: &mut Cells, row_name: &str, key: &str, row: &Value) {
    // Whatever is there once has one cell for itself, and what is there twice shows.
    let count = cells.entry(row_name.to_owned()).or_insert_with(|| json!(0));
    *count = json!(count.as_i64().unwrap_or_default() + 1);
    for (cell, value) in row.as_object().into_iter().flatten() {
        if cell != key && !OWN.contains(&cell.as_str()) {
            cells.insert(format!("{row_name}/{cell}"), plain(value));
        }
    }
}

/// Returns a value without what the server sets by itself: the times and ids of processes within a service instance.
fn plain(value: &Value) -> Value {
    let is_own = |name: &str| OWN.contains(&name) || ["bk_process_id", "service_instance_id"].contains(&name);
    match value {
        Value::Object(entries) => {
            let kept = entries.iter().filter(|(name, _)| !is_own(name));
            kept.map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// Returns the id of a row, or a name where it is new.
fn name(section: &str, key: &str, row: &Value, since: &Value, names: &Names) -> String {
    // Transfers make service instances in any order.
    let Some(id) = row[key].as_i64().filter(|_| section != "service_instances") else {
        return ["bk_host_id", "bk_module_id", "service_template_id"].map(|key| row[key].to_string()).join("-");
    };
    let counter = NAMED.iter().find(|(name, ..)| *name == section).map(|(_, counter, ..)| *counter);
    let sequence = match section {
        "instance_associations" => "instance_association",
        other => counter.unwrap_or(other),
    };
    let is_new = since["next_ids"][sequence].as_i64().is_some_and(|next| id >= next);
    if !is_new {
        return id.to_string();
    }
    let text = |key: &str| row[key].as_str().map_or_else(|| row[key].to_string(), str::to_owned);
    let end = |model: &str, id: &str| {
        let (model, id) = (text(model), row[id].as_i64().unwrap_or_default());
        names.get(&(model, id)).cloned().unwrap_or_else(|| id.to_string())
    };
    match section {
        "sets" => format!("new {} {}", text("bk_parent_id"), text("bk_set_name")),
        "service_templates" => format!("new {} {}", text("bk_biz_id"), text("name")),
        "modules" => format!("new {} {}", text("bk_set_id"), text("bk_module_name")),
        "process_templates" => format!("new {} {}", text("service_template_id"), text("bk_process_name")),
        "instance_associations" => {
            let ends = (end("bk_obj_id", "bk_inst_id"), end("bk_asst_obj_id", "bk_asst_inst_id"));
            format!("new {} {} {}", text("bk_obj_asst_id"), ends.0, ends.1)
        }
        _ => format!("new {}", text("bk_inst_name")),
    }
}

/// Returns the body of an `update_inst` that changes a text of some instance.
pub(super) fn disturbance(world: &World, pick: &mut fastrand::Rng, keep: &BTreeSet<String>) -> Option<Value> {
    let tables = &world.tables;
    let instances = tables.instances.iter().flat_map(|(model, table)| table.rows().map(move |(id, _)| (model, id)));
    let instances: Vec<_> = instances.collect();
    let (model, id) = pick.choice(&instances)?;
    let table = tables.instances.get(*model)?;
    let schema = tables.schema(model);
    let is_text = |kind: &str| matches!(kind, "singlechar" | "longchar" | "int");
    let texts = schema.of_business(0).filter(|attribute| attribute.editable && is_text(&attribute.kind));
    let is_free = |id: &str| !table.is_key(id) && !keep.contains(id);
    let texts: Vec<_> = texts.filter(|attribute| is_free(&attribute.id)).collect();
    let attribute = pick.choice(&texts)?;
    let value = if attribute.kind == "int" { json!(pick.u8(1..40)) } else { json!(format!("theirs{}", pick.u16(..))) };
    Some(json!({"bk_obj_id": model, "bk_inst_id": id, &*attribute.id: value}))
}

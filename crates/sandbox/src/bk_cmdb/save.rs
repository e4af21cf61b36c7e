//! Writes the state such that loading it again changes nothing.

use serde_json::{Map, Value, json};

use super::{
    table::Table,
    world::{Credentials, Version, World},
};

/// The version as a state file has it.
pub(super) fn version_text(version: Version) -> &'static str {
    match version {
        Version::V3_9 => "3.9",
        Version::V3_10 => "3.10",
        Version::V3_14 => "3.14",
    }
}

fn rows(table: &Table) -> Value {
    Value::Array(table.rows().map(|(_, row)| row.to_value()).collect())
}

/// Returns the state.
pub(super) fn save(world: &World) -> Value {
    let tables = &world.tables;
    let mut state = Map::new();
    state.insert("version".to_owned(), version_text(world.version).into());
    if let Some(zone) = world.zone.iana_name().filter(|name| *name != "UTC") {
        state.insert("time_zone".to_owned(), zone.into());
    }
    for (name, table) in [
        ("businesses", &tables.businesses),
        ("sets", &tables.sets),
        ("modules", &tables.modules),
        ("objects", &tables.objects),
        ("attributes", &tables.attributes),
        ("uniques", &tables.uniques),
        ("object_associations", &tables.object_associations),
        ("association_kinds", &tables.association_kinds),
        ("instance_associations", &tables.associations),
        ("service_categories", &tables.service_categories),
        ("service_templates", &tables.service_templates),
        ("process_templates", &tables.process_templates),
    ] {
        state.insert(name.to_owned(), rows(table));
    }
    for (name, table) in [
        ("service_template_attributes", &tables.template_attributes),
        ("set_templates", &tables.set_templates),
        ("host_relations", &tables.host_relations),
    ] {
        if table.len() > 0 {
            state.insert(name.to_owned(), rows(table));
        }
    }
    // A relation with a service template that is gone is nothing that anybody sees.
    let members: Vec<Value> = tables
        .set_template_members
        .rows()
        .filter(|(_, row)| tables.service_templates.get(row.int("service_template_id")).is_some())
        .map(|(_, row)| row.to_value())
        .collect();
    if !members.is_empty() {
        state.insert("set_template_service_templates".to_owned(), members.into());
    }
    // Without the section every host would get its service instances anew.
    if tables.service_instances.len() > 0 || tables.host_relations.len() > 0 {
        state.insert("service_instances".to_owned(), rows(&tables.service_instances));
    }
    let mut quoted: Map<String, Value> = Map::new();
    for ((model, property), rows_of) in tables.quoted.iter().filter(|(_, quoted)| quoted.table.len() > 0) {
        let of_model = quoted.entry(model.clone()).or_insert_with(|| json!({}));
        of_model[property.as_str()] = rows(&rows_of.table);
    }
    if !quoted.is_empty() {
        state.insert("quoted_instances".to_owned(), Value::Object(quoted));
    }
    let instances: Map<String, Value> = tables
        .instances
        .iter()
        .filter(|(_, table)| table.len() > 0)
        .map(|(model, table)| (model.clone(), rows(table)))
        .collect();
    state.insert("instances".to_owned(), Value::Object(instances));
    let counters: Map<String, Value> =
        world.next_ids.iter().map(|(name, next)| (name.clone(), (*next).into())).collect();
    state.insert("next_ids".to_owned(), Value::Object(counters));
    let credentials = &world.credentials;
    if !(credentials.apps.is_empty() && credentials.users.is_empty() && credentials.tokens.is_empty()) {
        state.insert("credentials".to_owned(), self::credentials(credentials));
    }
    Value::Object(state)
}

/// Returns the credentials alone.
pub(super) fn credentials(credentials: &Credentials) -> Value {
    json!({"apps": credentials.apps, "users": credentials.users, "tokens": credentials.tokens})
}

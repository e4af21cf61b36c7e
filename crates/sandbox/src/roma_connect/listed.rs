//! The state of a server whose rows were listed: what a snapshot holds, as a state file has it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::simulator::Listing;

/// Returns the state that answers the same. What was not listed is not in it.
pub(super) fn state(listings: &[Listing], settings: &BTreeMap<String, String>) -> Value {
    let project = settings.get("projectId").map(|project| json!({"id": project}));
    let of = |operation: &'static str| listings.iter().filter(move |listing| listing.operation == operation);
    let members: BTreeMap<&str, &Value> = of("CheckAuthUsersOfApp")
        .flat_map(|listing| &listing.rows)
        .filter_map(|row| Some((row["app"].as_str()?, row.get("users").filter(|users| users.is_array())?)))
        .collect();
    let mut instances: BTreeMap<String, Value> = BTreeMap::new();
    for row in of("CheckRomaInstanceListV2").flat_map(|listing| &listing.rows) {
        if let Some(id) = row["id"].as_str() {
            instances.insert(id.to_owned(), row.clone());
        }
    }
    let mut apps: BTreeMap<&str, Value> = BTreeMap::new();
    for listing in of("ListRomaApp") {
        let Some(instance) = listing.arguments["instance_id"].as_str() else { continue };
        // One that the list does not show may hold apps all the same.
        instances.entry(instance.to_owned()).or_insert_with(|| json!({"id": instance}));
        for row in &listing.rows {
            let (Some(id), Some(row)) = (row["id"].as_str(), row.as_object()) else { continue };
            let mut app: Map<String, Value> = row.clone();
            app.insert("instance_id".to_owned(), json!(instance));
            app.extend(members.get(id).map(|users| ("users".to_owned(), (*users).clone())));
            apps.entry(id).or_insert(Value::Object(app));
        }
    }
    let owned = instances.into_values().map(|mut instance| {
        if let Some(project) = &project {
            instance["project_id"] = project["id"].clone();
        }
        instance
    });
    json!({
        "projects": project.iter().collect::<Vec<_>>(),
        "instances": owned.collect::<Vec<_>>(),
        "apps": apps.into_values().collect::<Vec<_>>(),
    })
}

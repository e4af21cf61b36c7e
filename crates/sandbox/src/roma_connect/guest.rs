//! A guest: a program that embeds the sandbox, with a token of its own.

use serde_json::{Value, json};

use crate::simulator::GuestAccess;

/// Adds a guest's token where a state asks for credentials. One that accepts any stays as it is.
pub(super) fn admit(state: &mut Value, guest: &str) {
    if let Some(credentials) = state.pointer_mut("/credentials").and_then(Value::as_object_mut) {
        let tokens = credentials.entry("tokens").or_insert_with(|| json!({}));
        tokens[guest] = json!({});
    }
}

/// Returns what leads a guest here. An instance that its configuration takes from elsewhere is the first one, and a
/// project that only its token or its name would tell that of the instance, else the first one.
pub(super) fn access(state: &Value, given: &dyn Fn(&str) -> Option<String>, guest: &str) -> GuestAccess {
    let first = |list: &str| state.pointer(&format!("/{list}/0/id"))?.as_str().map(str::to_owned);
    let (instance, project) = (given("instanceId"), given("projectId"));
    let instances = state["instances"].as_array().into_iter().flatten();
    let own = instances.clone().find(|row| row["id"].as_str() == instance.as_deref());
    let own = own.and_then(|row| row["project_id"].as_str()).map(str::to_owned);
    let project = project.or(own).or_else(|| first("projects")).unwrap_or_else(|| guest.to_owned());
    let instance = instance.or_else(|| first("instances"));
    GuestAccess {
        settings: vec![("projectId", Some(project)), ("instanceId", instance), ("endpoint", None)],
        secrets: vec![("token", guest.to_owned())],
    }
}

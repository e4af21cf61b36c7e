//! The state cell by cell, for comparisons.

use serde_json::{Value, json};

use crate::simulator::Cells;

/// Cells that the server sets by itself.
const OWN: &[&str] = &["id", "key", "secret", "create_time", "update_time", "created_user", "last_updated_user"];

/// Returns the cells of the applications of a state; those that the state `since` does not have are new.
pub(super) fn cells(state: &Value, since: &Value) -> Cells {
    let mut cells = Cells::new();
    let known: Vec<&Value> = since["apps"].as_array().into_iter().flatten().map(|app| &app["id"]).collect();
    for app in state["apps"].as_array().into_iter().flatten() {
        let text = |key: &str| app[key].as_str().unwrap_or_default();
        let name = if known.contains(&&app["id"]) {
            text("id").to_owned()
        } else {
            format!("new {} {}", text("instance_id"), text("name"))
        };
        let count = cells.entry(format!("apps/{name}")).or_insert_with(|| json!(0));
        *count = json!(count.as_i64().unwrap_or_default() + 1);
        for (cell, value) in app.as_object().into_iter().flatten().filter(|(cell, _)| !OWN.contains(&cell.as_str())) {
            cells.insert(format!("apps/{name}/{cell}"), value.clone());
        }
    }
    cells
}

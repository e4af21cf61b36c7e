//! Calls that are handled otherwise than they say, for faults.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    call::{Call, Payload},
    refusal::{Outcome, Reply},
    world::{Change, Place, Tables, World},
};

/// Returns the tables as they were some time ago, as far back as changes are kept.
pub(super) fn past(world: &World, now: Timestamp, lag: SignedDuration) -> Tables {
    let mut tables = world.tables.clone();
    for change in world.changes.iter().rev().take_while(|change| now.duration_since(change.time) < lag) {
        tables.put(&change.place, change.id, change.before.clone());
    }
    tables
}

/// Moves the page of a call by one row, as a delete or a create in front of it would.
pub(super) fn shift_page(call: &mut Call, skip: bool) {
    let Payload::Json(body) = &mut call.payload else { return };
    let Some(start) = body.get_mut("page").and_then(|page| page.get_mut("start")) else { return };
    // The first page has nothing in front of it.
    if let Some(number) = start.as_i64().filter(|number| *number > 0) {
        *start = json!(if skip { number + 1 } else { number - 1 });
    }
}

/// Takes the last row out of an answer's first list that has one.
pub(super) fn lose_row(outcome: Outcome) -> Outcome {
    fn pop(value: &mut Value) -> bool {
        match value {
            Value::Array(rows) => rows.pop().is_some(),
            Value::Object(cells) => cells.values_mut().any(pop),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }
    let mut value = match outcome? {
        Reply::Json(value) => value,
        Reply::Text(text) => serde_json::from_str(&text).unwrap_or_default(),
        reply @ (Reply::Nothing | Reply::Body(_)) => return Ok(reply),
    };
    pop(&mut value);
    Ok(Reply::Json(value))
}

/// Stores equivalents of what a write changed: numbers as texts, texts with a blank behind, false locks as null.
pub(super) fn normalise(world: &mut World) {
    let changes: Vec<Change> = world.pending().to_vec();
    for change in changes {
        let Some(after) = change.after.filter(|_| has_attributes(&change.place)) else { continue };
        let mut row = (*after).clone();
        let before = change.before.as_deref();
        let old = |name: &str| before.and_then(|row| row.get(name));
        if change.place == Place::ProcessTemplates {
            let mut property = row.get("property").cloned().unwrap_or_default();
            for envelope in property.as_object_mut().into_iter().flat_map(|map| map.values_mut()) {
                if envelope.get("as_default_value") == Some(&Value::Bool(false)) {
                    envelope["as_default_value"] = Value::Null;
                }
            }
            row.set("property", property);
        } else {
            let cells: Vec<(String, Value)> = after
                .cells()
                .filter(|(name, value)| !is_kept(name) && old(name) != Some(value))
                .filter_map(|(name, value)| Some((name.to_owned(), equivalent(value)?)))
                .collect();
            for (name, value) in cells {
                row.set(name.as_str(), value);
            }
        }
        world.replace(&change.place, change.id, Arc::new(row));
    }
}

/// Returns true if a table's rows hold values that somebody declares, and not only keys or the server's own.
fn has_attributes(place: &Place) -> bool {
    match place {
        Place::Businesses
        | Place::Sets
        | Place::Modules
        | Place::Instances(_)
        | Place::Quoted(..)
        | Place::Associations
        | Place::Attributes
        | Place::ProcessTemplates => true,
        Place::ServiceCategories
        | Place::ServiceTemplates
        | Place::TemplateAttributes
        | Place::SetTemplates
        | Place::SetTemplateMembers
        | Place::HostRelations
        | Place::ServiceInstances
        | Place::Tasks => false,
    }
}

/// Cells that are never normalised: ids, names that are keys, times, the server's own.
fn is_kept(name: &str) -> bool {
    name.ends_with("_id")
        || name.ends_with("_name")
        || name.ends_with("_time")
        || name.ends_with("_at")
        || name.ends_with("_by")
        || matches!(name, "id" | "default" | "bk_supplier_account")
}

fn equivalent(value: &Value) -> Option<Value> {
    match value {
        Value::Number(number) => Some(number.to_string().into()),
        Value::String(text) if !text.is_empty() => Some(format!("{text} ").into()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

//! The calls that make, change and remove service templates.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{
    CATEGORY, CATEGORY_ID, NAME,
    module_fields::{ATTRIBUTES, FixedCall, PROCESSES, Sorted},
};
use crate::{
    model::{Action, Json, Live, Request},
    platform::bk_cmdb::{
        attribute::Definition,
        kinds::{module, own},
    },
    provider::{Facts, Planned},
};

/// Returns the call of a change.
pub(super) fn request(planned: &Planned<'_>, facts: &Facts) -> Request {
    let Some(live) = planned.live else { return creation(planned, facts) };
    let business = live.field("bk_biz_id");
    if planned.change.action == Action::Delete {
        let arguments = json!({"bk_biz_id": business, "service_template_id": live.handle});
        // Of one that is gone the server says what it says of one that is in use (code 1108030).
        return Request { operation: "delete_service_template", arguments, repeatable: false };
    }
    let mut arguments = json!({"bk_biz_id": business, "id": live.handle});
    let sorted = Sorted::of(&planned.change.fields);
    let definition = || own::known(module::MODEL, business.as_i64(), facts);
    let operation = match sorted.call() {
        FixedCall::Own => {
            // A category that has become a parent refuses updates that merely repeat it.
            for (key, name) in [(CATEGORY_ID, CATEGORY), (NAME, NAME)] {
                if let Some(value) = to(planned, name) {
                    arguments[key] = value;
                }
            }
            "update_service_template"
        }
        FixedCall::Set => {
            arguments[ATTRIBUTES] = values(&sorted, &definition()).into();
            "update_service_template_attribute"
        }
        FixedCall::Free => {
            arguments["bk_attribute_ids"] = ids(&sorted.freed, &definition()).into();
            "delete_service_template_attribute"
        }
        FixedCall::Whole => {
            let name = to(planned, NAME).unwrap_or_else(|| live.field(NAME).to_value());
            let category = to(planned, CATEGORY).unwrap_or_else(|| live.field(CATEGORY).to_value());
            arguments[NAME] = name;
            arguments[CATEGORY_ID] = category;
            arguments[ATTRIBUTES] = all_values(live, &sorted, &definition()).into();
            arguments[PROCESSES] = live.field(PROCESSES).to_value();
            "update_service_template_all_info"
        }
    };
    Request { operation, arguments, repeatable: true }
}

fn creation(planned: &Planned<'_>, facts: &Facts) -> Request {
    let business = &planned.context["business"];
    let mut arguments = json!({"bk_biz_id": business, NAME: to(planned, NAME), CATEGORY_ID: planned.context[CATEGORY]});
    let sorted = Sorted::of(&planned.change.fields);
    if sorted.set.is_empty() {
        return Request { operation: "create_service_template", arguments, repeatable: false };
    }
    // With what it fixes, a template is made by one call or not at all.
    arguments[ATTRIBUTES] = values(&sorted, &own::known(module::MODEL, business.as_i64(), facts)).into();
    arguments[PROCESSES] = json!([]);
    Request { operation: "create_service_template_all_info", arguments, repeatable: false }
}

fn to(planned: &Planned<'_>, name: &str) -> Option<Value> {
    planned.change.fields.iter().find(|field| field.path == name)?.to.clone()
}

fn ids(names: &[Cow<'_, str>], definition: &Definition) -> Vec<i64> {
    names.iter().filter_map(|name| definition.get(&**name)?.id()).collect()
}

/// Returns the values that are to be fixed as the server takes them.
fn values(sorted: &Sorted<'_>, definition: &Definition) -> Vec<Value> {
    let value = |(name, value): &(Cow<'_, str>, &Value)| {
        let id = definition.get(&**name)?.id()?;
        Some(json!({"bk_attribute_id": id, "bk_property_value": value}))
    };
    sorted.set.iter().filter_map(value).collect()
}

/// Returns all values that are to be fixed: those that nobody declares stay as they were read.
fn all_values(live: &Live, sorted: &Sorted<'_>, definition: &Definition) -> Vec<Value> {
    let mut all = values(sorted, definition);
    let changed =
        ids(&sorted.freed, definition).into_iter().chain(all.iter().filter_map(|row| row["bk_attribute_id"].as_i64()));
    let changed: Vec<i64> = changed.collect();
    let stays = |row: &&Json| row["bk_attribute_id"].as_i64().is_none_or(|id| !changed.contains(&id));
    let kept = live.field(ATTRIBUTES).items().iter().filter(stays).map(Json::to_value);
    all.extend(kept);
    all
}

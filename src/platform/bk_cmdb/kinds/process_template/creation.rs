//! A process template that is to be made, by `batch_create_proc_template`: nothing is live, so what is not declared is
//! left to the server, and all that is declared is locked, as by the vendor's page, unless it says otherwise.

use serde_json::{Map, Value, json};

use super::{
    NAME, declared,
    property::{self, BIND_INFO},
    rows, wanted_name,
};
use crate::{
    diagnostic::Diagnostic,
    model::{Call, Desired, FieldChange, FieldPath, Json, Live, LiveFields, Request},
    provider::Planned,
    source::Located,
};

/// The property that only a create can set.
const FUNCTION: &str = "bk_func_name";

/// Nothing, as the comparison of properties wants it.
fn nothing() -> Live {
    Live::new(Value::Null, String::new(), LiveFields::new())
}

/// Returns all that is declared, as fields that come to be.
pub(super) fn changes(desired: &Desired) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
    let (mut changes, mut problems) = (Vec::new(), Vec::new());
    if desired.field(FUNCTION).is_none() {
        let message = format!("a new process template needs `{FUNCTION}`, which cannot be set later");
        let hint = format!("add `{FUNCTION}: NAME` to `properties`: the name of the program that runs");
        problems.push(Diagnostic::error("P115", message, &desired.origin).hint(hint));
    }
    let added = |path: FieldPath, value: &Located<Json>| FieldChange {
        path,
        from: None,
        to: Some(value.value.to_value()),
        display: None,
        because: value.origin.clone(),
    };
    if desired.field(NAME).is_none() {
        changes.extend(desired.locator.get("process").map(|name| added(FieldPath::field(NAME), name)));
    }
    for (path, value) in desired.fields.iter().filter(|(path, _)| path.root() != BIND_INFO) {
        // Refused by the create alone (contract section 4.4).
        if value.value.as_str().is_some_and(|text| text.trim() != text) {
            let message = format!("`{path}` of a new process template neither begins nor ends with a blank");
            problems.push(Diagnostic::error("P116", message, &value.origin));
        }
        changes.push(added(path.clone(), value));
    }
    if declared(desired).contains(BIND_INFO) {
        match rows::merge(desired, &nothing(), 0) {
            Ok(merged) => changes.extend(merged.changes.into_iter().map(|change| FieldChange { from: None, ..change })),
            Err(more) => problems.extend(more),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    changes.sort_by_key(|change| change.because.order());
    Ok(changes)
}

/// Returns the call.
pub(super) fn call(planned: &Planned<'_>) -> Call {
    let (desired, nothing) = (planned.desired, nothing());
    let mut spec = Map::new();
    for name in declared(desired) {
        let envelope = if name == BIND_INFO {
            rows::merge(desired, &nothing, 0).map(|merged| merged.envelope).unwrap_or_default()
        } else {
            property::envelope(&name, desired, &nothing)
        };
        spec.insert(name.into_owned(), envelope);
    }
    for (name, value) in [(NAME, wanted_name(desired)), (FUNCTION, desired.field(FUNCTION).and_then(Json::as_str))] {
        spec.insert(name.to_owned(), json!({"value": value, "as_default_value": true}));
    }
    let arguments = json!({"bk_biz_id": planned.context["business"], "service_template_id": planned.context["serviceTemplate"],
        "processes": [{"spec": spec}]});
    Call {
        request: Request { operation: "batch_create_proc_template", arguments, repeatable: false },
        target: desired.target.clone(),
        serves: vec![desired.id.clone()],
    }
}

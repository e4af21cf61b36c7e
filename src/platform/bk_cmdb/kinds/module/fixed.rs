//! Attributes that a service template fixes for its modules: the server refuses another value than the module has, also
//! the template's own (contract section 4.2). Only the server itself lists them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    MODEL, NAME, TEMPLATE, attribute_changes, is_sent, live,
    observe::{Services, resolve},
};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, FieldChange, Json, Live, ObservedState, Request},
    platform::bk_cmdb::{attribute::Definition, kinds::own},
    provider::{Facts, Observation},
    source::Located,
};

/// Asks what the service templates of modules fix, where a document changes more than a name. A server that does not
/// tell refuses the change itself.
pub(super) fn ask<'m>(
    business: i64,
    modules: impl Iterator<Item = (&'m Desired, Option<&'m Json>)>,
    services: &Services<'_>,
    observation: &mut Observation,
    facts: &Facts,
) {
    let definition = own::known(MODEL, Some(business), facts);
    let template = |desired: &Desired, row: Option<&Json>| {
        if let Some(row) = row {
            return row[TEMPLATE].as_i64();
        }
        let resolved = resolve(desired, services, facts).ok()?;
        resolved.into_iter().find(|(key, _)| *key == TEMPLATE).and_then(|(_, at)| at.id())
    };
    let templates: BTreeSet<i64> = modules
        .filter(|(desired, row)| {
            desired.ensure == Ensure::Present || (desired.ensure == Ensure::Existing && row.is_some())
        })
        .filter(|(desired, row)| changes_more(desired, *row, &definition, facts))
        .filter_map(|(desired, row)| template(desired, row).filter(|id| *id > 0))
        .collect();
    for template in templates {
        observation.read(request(business, template), facts);
    }
}

/// Returns true if a document changes an attribute beside the name.
fn changes_more(desired: &Desired, row: Option<&Json>, definition: &Definition, facts: &Facts) -> bool {
    let declared = desired.fields.iter().map(|(path, value)| (path.as_str(), value));
    let declared: Vec<(&str, &Located<Json>)> = declared.filter(|(name, _)| *name != NAME).collect();
    let live = row.map(|row| live(desired, row));
    attribute_changes(&declared, live.as_ref(), definition, facts)
        .is_ok_and(|changes| changes.iter().any(|change| row.is_none() || is_sent(desired, change)))
}

fn request(business: i64, template: i64) -> Request {
    let arguments = json!({"bk_biz_id": business, "id": template});
    Request { operation: "list_service_template_attribute", arguments, repeatable: true }
}

/// Returns what is wrong with changes of attributes that a module's service template fixes. A new module has the
/// template's values, whatever is sent.
pub(super) fn problems(
    desired: &Desired,
    live: Option<&Live>,
    changes: &[FieldChange],
    definition: &Definition,
    facts: &Facts,
) -> Vec<Diagnostic> {
    let template = match (live, facts.observed(&desired.id)) {
        (Some(live), _) => live.field(TEMPLATE).as_i64(),
        (None, Some(ObservedState::Absent { context, .. })) => context[TEMPLATE].as_i64(),
        (None, _) => None,
    };
    let place = own::business(desired, live, facts).zip(template.filter(|id| *id > 0));
    let Some((business, template)) = place else { return Vec::new() };
    let fixed = values(business, template, facts);
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let problem = |change: &FieldChange| {
        let attribute = definition.get(change.path.as_str())?;
        let value = fixed.get(&attribute.id()?)?;
        let is_same = change.to.as_ref().is_some_and(|to| attribute.same(&to.into(), value, time_zone));
        let path = &change.path;
        let (message, hint) = match live {
            None if is_same => return None,
            None => (
                format!(
                    "`{path}` is fixed by service template #{template}: a new module gets {value}, whatever is sent"
                ),
                "change it in the service template, or leave the field out",
            ),
            Some(live) => (
                format!(
                    "`{path}` of {} is fixed by its service template #{template}: only a sync changes it",
                    live.label
                ),
                if is_same {
                    "the service template has this value: sync the module"
                } else {
                    "change it in the service template and sync the module, or leave the field out"
                },
            ),
        };
        Some(Diagnostic::error("P119", message, &change.because).hint(hint))
    };
    // A new module is sent with all that is declared of it.
    changes.iter().filter(|change| live.is_none() || is_sent(desired, change)).filter_map(problem).collect()
}

/// Returns the values that a service template fixes by the ids of their attributes, as far as they were read.
fn values(business: i64, template: i64, facts: &Facts) -> BTreeMap<i64, &Json> {
    let answer = facts.answer(&request(business, template)).and_then(|answer| answer.as_ref().ok());
    let rows = answer.and_then(|answer| answer["attributes"].as_array()).into_iter().flatten();
    rows.filter_map(|row| Some((row["bk_attribute_id"].as_i64()?, &row["bk_property_value"]))).collect()
}

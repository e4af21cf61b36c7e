//! Attributes that a service template fixes for its modules: the server refuses another value than the module has, also
//! the template's own (contract section 4.2). Only the server itself lists them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    MODEL, NAME, TEMPLATE, attribute_changes, is_sent, live,
    observe::{Services, resolve},
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Desired, Ensure, FieldChange, FieldPath, Json, Live, ObservedState, ResourceId, placeholder_in, policy::Policy,
    },
    platform::bk_cmdb::{
        attribute::Definition,
        kinds::{own, service_template, templates::fixed_attributes},
    },
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
        observation.read(fixed_attributes(business, template), facts);
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
        (Some(live), _) => live.field(TEMPLATE),
        (None, Some(ObservedState::Absent { context, .. })) => &context[TEMPLATE],
        (None, _) => &Json::NULL,
    };
    let (Some(business), Some(key)) = (own::business(desired, live, facts), key(template)) else { return Vec::new() };
    let fixed = template.as_i64().map(|id| values(business, id, facts)).unwrap_or_default();
    let planned = service_template::declared_values(&key, facts);
    let module = Module { desired, live, template: &key, definition, facts };
    // A new module is sent with all that is declared of it.
    let sent = changes.iter().filter(|change| live.is_none() || is_sent(desired, change));
    let mut problems: Vec<Diagnostic> = Vec::new();
    for change in sent {
        let name = change.path.as_str();
        // What becomes free is written behind that.
        if planned.as_ref().is_none_or(|planned| !planned.values.contains_key(name)) {
            problems.extend(module.problem(change, &fixed));
        }
    }
    if let Some(planned) = planned {
        problems.extend(planned.values.iter().filter_map(|(name, value)| module.clash(name, value, &planned.document)));
    }
    problems
}

/// Returns the key of a service template among those of the run: its id, or the address of the document that makes it.
fn key(template: &Json) -> Option<String> {
    match template.as_i64() {
        Some(id) => (id > 0).then(|| id.to_string()),
        None => placeholder_in(template).map(str::to_owned),
    }
}

/// A module that a document declares.
struct Module<'a> {
    desired: &'a Desired,
    live: Option<&'a Live>,
    template: &'a str,
    definition: &'a Definition,
    facts: &'a Facts,
}

impl Module<'_> {
    fn time_zone(&self) -> Option<&str> {
        self.facts.settings.get("timeZone").map(String::as_str)
    }

    /// Returns what is wrong with a change of an attribute that the service template fixes on the server.
    fn problem(&self, change: &FieldChange, fixed: &BTreeMap<i64, &Json>) -> Option<Diagnostic> {
        let attribute = self.definition.get(change.path.as_str())?;
        let value = fixed.get(&attribute.id()?)?;
        let is_same = change.to.as_ref().is_some_and(|to| attribute.same(&to.into(), value, self.time_zone()));
        let (path, template) = (&change.path, self.template);
        let (message, hint) = match self.live {
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
    }

    /// Returns what is wrong with an attribute that the document of the service template declares too.
    fn clash(&self, name: &str, value: &Json, document: &ResourceId) -> Option<Diagnostic> {
        let path = FieldPath::field(name);
        let given = self.desired.fields.get(&path).filter(|_| self.desired.policies.of(&path) == Policy::Enforce)?;
        let attribute = self.definition.get(name).filter(|_| !value.is_null())?;
        let (own, fixed) =
            (attribute.wire(&given.value, self.time_zone()).ok()?, attribute.wire(value, self.time_zone()).ok()?);
        let is_same = attribute.same(&own, &fixed, self.time_zone());
        let is_there = self.live.is_none_or(|live| attribute.same(&own, live.field(name), self.time_zone()));
        if is_same && is_there {
            return None;
        }
        let message = format!("`{name}` is fixed by {document} for all modules of its service template");
        let hint = "declare it there alone: modules get it by a sync";
        Some(Diagnostic::error("P119", message, &given.origin).hint(hint))
    }
}

/// Returns the values that a service template fixes by the ids of their attributes, as far as they were read.
fn values(business: i64, template: i64, facts: &Facts) -> BTreeMap<i64, &Json> {
    let answer = facts.answer(&fixed_attributes(business, template)).and_then(|answer| answer.as_ref().ok());
    let rows = answer.and_then(|answer| answer["attributes"].as_array()).into_iter().flatten();
    rows.filter_map(|row| Some((row["bk_attribute_id"].as_i64()?, &row["bk_property_value"]))).collect()
}

//! `moduleFields`: values that a service template fixes for attributes of its modules (contract "topology", section 4).
//! Only what is declared is managed, and `null` says that the template leaves an attribute free.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Value, json};

use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, FieldChange, FieldPath, Json, Live, LiveFields, ObservedState, Request},
    platform::bk_cmdb::{
        attribute::Definition,
        kinds::{
            decode_common::{self, observed_after},
            instance::attribute_changes,
            module, own, templates,
        },
        lookup::{LookupError, read_rows},
    },
    provider::{Facts, Observation, Read},
    source::Located,
    yaml::Node,
};

/// The key in `spec`, and the root of the paths of the values.
pub(super) const MODULE_FIELDS: &str = "moduleFields";
/// The fields of a live template that a call with all of it sends back: the fixed values by the ids of their attributes,
/// and the process templates.
pub(super) const ATTRIBUTES: &str = "attributes";
pub(super) const PROCESSES: &str = "processes";

/// Returns the path of a fixed value.
pub(super) fn path(name: &str) -> FieldPath {
    FieldPath::field(MODULE_FIELDS).part(name)
}

/// Returns the name of the module attribute that a path is about; `None` if it is about the template itself.
pub(super) fn attribute_of(path: &FieldPath) -> Option<Cow<'_, str>> {
    if path.root() == MODULE_FIELDS { path.parts().next() } else { None }
}

/// Reads `moduleFields`.
pub(super) fn decode(node: &Node<'_>, desired: &mut Desired, diagnostics: &mut Vec<Diagnostic>) {
    for (field, value) in &decode_common::attributes_in(MODULE_FIELDS, node, diagnostics) {
        if *field == module::NAME {
            let message = format!("`{}` cannot be set here: modules have the name of their template", module::NAME);
            let hint = "write the name as `fields.name`";
            diagnostics.push(Diagnostic::error("M304", message, &value.name_origin()).hint(hint));
            continue;
        }
        desired.fields.insert(path(&field.root()), value.clone());
    }
}

/// Returns the declared values by the names of their attributes.
pub(super) fn declared(desired: &Desired) -> Vec<(Cow<'_, str>, &Located<Json>)> {
    desired.fields.iter().filter_map(|(path, value)| Some((attribute_of(path)?, value))).collect()
}

/// Reads what a live template fixes, where its document declares any of it.
pub(super) fn observe(
    desired: &Desired,
    live: Live,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Live, Option<ObservedState>> {
    let declared = declared(desired);
    let (Some(business), Some(template)) = (live.field("bk_biz_id").as_i64(), live.handle.as_i64()) else {
        return Ok(live);
    };
    if declared.is_empty() || desired.ensure == Ensure::Absent {
        return Ok(live);
    }
    check_access(desired, facts)?;
    let definition = definition(desired, business, observation, facts);
    let rows = read(desired, (business, template), observation, facts);
    let definition = definition.map_err(|error| observed_after(&error, desired))?;
    let rows = rows?;
    let live = with_values(live, rows, &definition);
    if !needs_whole(desired, &live, facts) {
        return Ok(live);
    }
    with_whole(live, (business, template), rows, observation, facts).map_err(|error| observed_after(&error, desired))
}

/// Reads what a template fixes.
fn read<'f>(
    desired: &Desired,
    (business, template): (i64, i64),
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<&'f [Json], Option<ObservedState>> {
    match observation.read(templates::fixed_attributes(business, template), facts) {
        Read::Pending => Err(None),
        Read::Failed(refusal) if refusal.is_absent() => Err(Some(impossible(desired, TOO_OLD, AGE))),
        Read::Failed(refusal) => Err(Some(ObservedState::Unknown(refusal.to_string()))),
        Read::Value(data) => Ok(data[ATTRIBUTES].items()),
    }
}

/// Finds out if a server can fix the values of a new template; `other` is any template of the business.
pub(super) fn check_server(
    desired: &Desired,
    business: i64,
    other: Option<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), Option<ObservedState>> {
    check_access(desired, facts)?;
    match other.filter(|_| !declared(desired).is_empty()) {
        Some(other) => read(desired, (business, other), observation, facts).map(drop),
        None => Ok(()),
    }
}

/// Asks for the definition of the model of modules where documents fix any of its attributes. What fails is told with the
/// object that needs it.
pub(super) fn ask_definition(business: i64, group: &[&Desired], observation: &mut Observation, facts: &Facts) {
    for desired in group.iter().filter(|desired| desired.ensure != Ensure::Absent && !declared(desired).is_empty()) {
        if check_access(desired, facts).is_ok() {
            let _ = definition(desired, business, observation, facts);
        }
    }
}

/// Reads the definition of the model of modules, with what the business has of its own where a document declares that.
pub(super) fn definition(
    desired: &Desired,
    business: i64,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Arc<Definition>, LookupError> {
    let needs_more = |common: &Definition| declared(desired).iter().any(|(name, _)| !common.contains_key(&**name));
    own::definition_for(module::MODEL, business, needs_more, observation, facts)
}

const TOO_OLD: &str = "this server has no attributes of service templates";
const AGE: &str = "they came with 3.10.18 and 3.11.1; leave `moduleFields` out for an older server";

/// Says why nothing can be fixed through the access of the target.
///
/// Neither the ESB nor the gateway has an operation for it, and what cannot be read is not guessed.
pub(super) fn check_access(desired: &Desired, facts: &Facts) -> Result<(), Option<ObservedState>> {
    let access = facts.settings.get("access").map_or("esb", String::as_str);
    if access == "direct" || declared(desired).is_empty() {
        return Ok(());
    }
    let message = format!("`access: {access}` shows no attributes of service templates, and cannot change them");
    let hint = "they need `access: direct`; or leave `moduleFields` out, and fix the attributes by hand";
    Err(Some(impossible(desired, &message, hint)))
}

/// Checks the declared values against the definition of the model of modules.
pub(super) fn check(
    desired: &Desired,
    business: i64,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Vec<Diagnostic>, Option<ObservedState>> {
    if declared(desired).is_empty() {
        return Ok(Vec::new());
    }
    check_access(desired, facts)?;
    definition(desired, business, observation, facts).map_err(|error| observed_after(&error, desired))?;
    Ok(changes(desired, None, Some(business), facts).err().unwrap_or_default())
}

/// Returns a stored value of a path as a document declares it.
pub(super) fn declared_value(desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Value {
    let Some(name) = attribute_of(path) else { return stored.clone() };
    let live = match facts.observed(&desired.id) {
        Some(ObservedState::Found(live)) => Some(live),
        _ => None,
    };
    let definition = own::known(module::MODEL, own::business(desired, live, facts), facts);
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    definition.get(&*name).map_or_else(|| stored.clone(), |attribute| attribute.declared(stored, time_zone))
}

fn impossible(desired: &Desired, message: &str, hint: &str) -> ObservedState {
    let declared = declared(desired).first().map(|(_, value)| value.name_origin());
    let origin = declared.unwrap_or_else(|| desired.origin.clone());
    let message = format!("`{MODULE_FIELDS}` cannot be managed here: {message}");
    ObservedState::Impossible(Box::new(Diagnostic::error("P127", message, &origin).hint(hint)))
}

/// Adds the fixed values to a live template, by the names of their attributes.
fn with_values(mut live: Live, rows: &[Json], definition: &Definition) -> Live {
    let named = definition.iter().filter_map(|(name, attribute)| {
        let row = rows.iter().find(|row| row["bk_attribute_id"].as_i64() == attribute.id())?;
        Some((path(name), row["bk_property_value"].clone()))
    });
    live.fields.extend(named);
    live
}

/// Adds what a call with all of a template sends back as it was read.
fn with_whole(
    mut live: Live,
    (business, template): (i64, i64),
    rows: &[Json],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Live, LookupError> {
    let arguments = json!({"bk_biz_id": business, "service_template_id": template});
    let request = Request { operation: "list_proc_template", arguments, repeatable: true };
    let processes = read_rows(request, "info", observation, facts)?;
    let processes = processes.iter().map(|row| json!({"id": row["id"], "property": row["property"]}));
    let attributes = rows
        .iter()
        .map(|row| json!({"bk_attribute_id": row["bk_attribute_id"], "bk_property_value": row["bk_property_value"]}));
    let (processes, attributes) = (processes.collect::<Vec<_>>(), attributes.collect::<Vec<_>>());
    live.fields.insert(FieldPath::field(PROCESSES), json!(processes).into());
    live.fields.insert(FieldPath::field(ATTRIBUTES), json!(attributes).into());
    Ok(live)
}

/// Returns true if only a call with all of a template makes it as declared: there is none that adds a fixed value, and
/// one change is one call.
fn needs_whole(desired: &Desired, live: &Live, facts: &Facts) -> bool {
    // What is wrong is told when the two are compared.
    let changes = super::changes(desired, Some(live), facts).unwrap_or_default();
    Sorted::of(&changes).call() == FixedCall::Whole
}

/// The changes of a template by the calls that could make them.
#[derive(Default)]
pub(super) struct Sorted<'c> {
    /// Name and category.
    own: bool,
    /// Values that become fixed.
    added: bool,
    /// Values that are fixed otherwise, and new ones, by the names of their attributes.
    pub(super) set: Vec<(Cow<'c, str>, &'c Value)>,
    /// Attributes that become free.
    pub(super) freed: Vec<Cow<'c, str>>,
}

/// The call that changes a live template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FixedCall {
    /// Name and category alone.
    Own,
    /// Other values for what is fixed.
    Set,
    /// Attributes that become free.
    Free,
    /// All of the template, which replaces what is there.
    Whole,
}

impl<'c> Sorted<'c> {
    pub(super) fn of(changes: &'c [FieldChange]) -> Self {
        let mut sorted = Self::default();
        for change in changes {
            match (attribute_of(&change.path), &change.to) {
                (None, _) => sorted.own = true,
                (Some(name), None) => sorted.freed.push(name),
                (Some(name), Some(to)) => {
                    sorted.added |= change.from.is_none();
                    sorted.set.push((name, to));
                }
            }
        }
        sorted
    }

    pub(super) fn call(&self) -> FixedCall {
        match (self.own, self.set.is_empty(), self.freed.is_empty()) {
            (_, true, true) => FixedCall::Own,
            (false, false, true) if !self.added => FixedCall::Set,
            (false, true, false) => FixedCall::Free,
            _ => FixedCall::Whole,
        }
    }
}

/// Returns what differs in the fixed values. A value that comes to be fixed has no old one, and one that becomes free
/// no new one.
pub(super) fn changes(
    desired: &Desired,
    live: Option<&Live>,
    business: Option<i64>,
    facts: &Facts,
) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
    let declared = declared(desired);
    if declared.is_empty() {
        return Ok(Vec::new());
    }
    let definition = own::known(module::MODEL, business, facts);
    let is_fixed = |name: &str| live.is_some_and(|live| live.fields.get(path(name).as_str()).is_some());
    let problems = problems(&declared, &definition);
    if !problems.is_empty() {
        return Err(problems);
    }
    let (freed, set): (Vec<_>, Vec<_>) =
        declared.iter().map(|(name, value)| (&**name, *value)).partition(|(_, value)| value.value.is_null());
    // An attribute that is not fixed has no value, not even null.
    let (fixed, added): (Vec<_>, Vec<_>) = set.into_iter().partition(|(name, _)| is_fixed(name));
    let as_module = live.map(|live| as_module(live, &fixed));
    let mut changes = attribute_changes(&fixed, as_module.as_ref(), &definition, facts)?;
    changes.extend(attribute_changes(&added, None, &definition, facts)?);
    for change in &mut changes {
        change.path = path(&change.path.root());
    }
    changes.extend(freed.into_iter().filter(|(name, _)| is_fixed(name)).map(|(name, value)| FieldChange {
        path: path(name),
        from: live.map(|live| live.field(path(name).as_str()).to_value()),
        to: None,
        display: None,
        because: value.origin.clone(),
    }));
    Ok(changes)
}

/// Returns the fixed values of a template as if they were those of a module.
fn as_module(live: &Live, fixed: &[(&str, &Located<Json>)]) -> Live {
    let value = |name: &str| (FieldPath::field(name), live.field(path(name).as_str()).clone());
    let fields: LiveFields = fixed.iter().map(|(name, _)| value(name)).collect();
    Live::new(live.handle.clone(), live.label.to_string(), fields)
}

/// Returns what is wrong with the names of the declared values.
fn problems(declared: &[(Cow<'_, str>, &Located<Json>)], definition: &Definition) -> Vec<Diagnostic> {
    let problem = |(name, value): &(Cow<'_, str>, &Located<Json>)| {
        let Some(attribute) = definition.get(&**name) else {
            let unknown = [(&**name, *value)];
            return attribute_changes(&unknown, None, definition, &Facts::default()).err()?.into_iter().next();
        };
        let said = |why: &str| Some(Diagnostic::error("P104", format!("`{name}` {why}"), &value.name_origin()));
        match attribute.is_editable() {
            false => said("is not editable: no service template can fix it"),
            true if attribute.id().is_none() => said("has no id in the definition of the model: it cannot be fixed"),
            true => None,
        }
    };
    declared.iter().filter_map(problem).collect()
}

//! Finding service templates: by name, those that a run is yet to make among them.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    decode_common::nearest,
    refs::{self, Ref, Told},
};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, Json, ObservedState, Request},
    provider::Facts,
};

/// The kind of documents that declare service templates.
pub(super) const KIND: &str = "ServiceTemplate";
/// The field that names a service template; unique within its business.
pub(super) const NAME: &str = "name";

/// Returns the names that a document gives to a service template: the one it has, and the one it is to get.
fn names(desired: &Desired) -> impl Iterator<Item = &str> {
    let given = desired.locate("template").and_then(Json::as_str);
    given.into_iter().chain(desired.field(NAME).and_then(Json::as_str).map(str::trim))
}

/// Returns the name that a service template has once its document is applied.
pub(super) fn last_name(desired: &Desired) -> Option<&str> {
    names(desired).last()
}

/// Why the service template that a document names is not known; nothing while it is still looked for.
pub(super) type Unknown = Option<ObservedState>;

/// Returns the service template that a document names, `None` if it names none.
pub(super) fn template_of(
    desired: &Desired,
    templates: &[&Json],
    declared: &[&Desired],
    facts: &Facts,
) -> Result<Option<Ref>, Unknown> {
    let Some(given) = desired.locator.get("serviceTemplate") else { return Ok(None) };
    let Some(wanted) = given.value.as_str() else { return Ok(given.value.as_i64().map(Ref::Id)) };
    let mut found = templates.iter().filter(|row| row[NAME].as_str() == Some(wanted));
    let said = |message: String| Diagnostic::error("P111", message, &given.origin);
    match (found.next().and_then(|row| row["id"].as_i64()), found.next()) {
        (Some(id), None) => return Ok(Some(Ref::Id(id))),
        (Some(_), Some(_)) => {
            let diagnostic = said(format!("several service templates are named `{wanted}`")).hint("give the id");
            return Err(Some(ObservedState::Ambiguous(Box::new(diagnostic))));
        }
        (None, _) => {}
    }
    // A document of the service template may give it this name, or make it.
    match refs::told(wanted, declared, names, facts) {
        Told::Is(template) => Ok(Some(template)),
        Told::Pending => Err(None),
        Told::Needs(other) => Err(Some(ObservedState::Needs(other))),
        // It cannot go before what rests on it.
        Told::Gone if desired.ensure == Ensure::Absent => Err(Some(ObservedState::absent())),
        Told::Gone | Told::Nothing => {
            let known: Vec<_> = templates.iter().filter_map(|row| row[NAME].as_str().map(str::to_owned)).collect();
            let diagnostic = nearest(said(format!("no service template is named `{wanted}`")), wanted, &known);
            Err(Some(ObservedState::Impossible(Box::new(diagnostic))))
        }
    }
}

/// Returns the documents of service templates that make, or give another name to, those on which some documents rest.
pub(super) fn implicit_dependencies<'d>(some: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
    let wanted: BTreeSet<&str> =
        some.iter().filter_map(|desired| desired.locate("serviceTemplate")?.as_str()).collect();
    let tells = |template: &Desired| template.id.kind == KIND && names(template).any(|name| wanted.contains(name));
    if wanted.is_empty() { Vec::new() } else { all.iter().copied().filter(|desired| tells(desired)).collect() }
}

/// Returns the question for the module attributes that a service template fixes, which only the server itself answers
/// (contract "topology", section 4).
pub(super) fn fixed_attributes(business: i64, template: i64) -> Request {
    let arguments = json!({"bk_biz_id": business, "id": template});
    Request { operation: "list_service_template_attribute", arguments, repeatable: true }
}

/// Returns how people tell a service template apart. Documents of what rests on it call it the same.
pub(super) fn label(id: &Json) -> String {
    format!("service template #{id}")
}

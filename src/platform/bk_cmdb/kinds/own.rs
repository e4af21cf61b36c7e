//! Attributes of sets, modules and hosts that belong to one business: the model's definition lists them only where that
//! business is named (contract section 4.5).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    decode_common::{by_business, fail_all},
    instance::attribute_changes,
};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, FieldPath, Json, Live, ObservedState, ResourceId},
    platform::bk_cmdb::{
        attribute::Definition,
        lookup::{self, Businesses, LookupError},
    },
    provider::{Facts, Observation},
    source::Located,
};

/// Returns true if a document declares an attribute that a definition does not have.
pub(super) fn needs_more(desired: &Desired, definition: &Definition) -> bool {
    desired.fields.keys().any(|path| !definition.contains_key(path.as_str()))
}

/// Returns what documents in businesses rest on: the definition of their model, and the businesses. `None` if one of
/// both could not be read; then the documents are unknown.
pub(super) fn grounds(
    model: &str,
    desired: &[&Desired],
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Option<(Arc<Definition>, Businesses)> {
    match (lookup::definition(model, observation, facts), Businesses::of(all, observation, facts)) {
        (Ok(definition), Ok(businesses)) => Some((definition, businesses)),
        (definition, businesses) => {
            for error in [definition.err(), businesses.err()].into_iter().flatten() {
                fail_all(&error, desired, observation);
            }
            None
        }
    }
}

/// Sorts documents that are to be checked by their businesses. Those whose business is not there are checked as far as
/// they can be.
pub(super) fn to_check<'d>(
    desired: &[&'d Desired],
    businesses: &Businesses,
    common: &Definition,
    observation: &mut Observation,
    facts: &Facts,
) -> BTreeMap<i64, Vec<&'d Desired>> {
    let sorted = by_business(desired, businesses, observation, facts);
    let placed: HashSet<&ResourceId> = sorted.values().flatten().map(|desired| &desired.id).collect();
    for desired in desired.iter().filter(|desired| !placed.contains(&desired.id)) {
        if desired.locate("business").is_some() {
            observation.remarks.extend(problems(desired, None, common, facts));
        }
    }
    sorted
}

/// Returns the definition of a model in a business: the model's own, with that business's attributes where one of the
/// documents declares more than the model has.
pub(super) fn definition(
    model: &str,
    business: i64,
    group: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Arc<Definition>, LookupError> {
    let needs_more = |common: &Definition| group.iter().any(|desired| needs_more(desired, common));
    definition_for(model, business, needs_more, observation, facts)
}

/// Returns the definition of a model in a business: the model's own, with that business's attributes where these do not
/// suffice.
pub(super) fn definition_for(
    model: &str,
    business: i64,
    needs_more: impl FnOnce(&Definition) -> bool,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Arc<Definition>, LookupError> {
    let common = lookup::definition(model, observation, facts)?;
    if !needs_more(&common) {
        return Ok(common);
    }
    let own = lookup::definition_in(model, Some(business), observation, facts)?;
    Ok(both(model, business, &own, &common, facts))
}

/// Returns the definition of a model with the attributes of a business, whatever documents declare.
pub(super) fn whole(
    model: &str,
    business: i64,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Arc<Definition>, LookupError> {
    let common = lookup::definition(model, observation, facts);
    let own = lookup::definition_in(model, Some(business), observation, facts)?;
    Ok(both(model, business, &own, &*common?, facts))
}

fn both(model: &str, business: i64, own: &Definition, common: &Definition, facts: &Facts) -> Arc<Definition> {
    facts.derive(&format!("{model} of {business} and all"), || {
        let mut definition = own.clone();
        definition.extend(common.clone());
        definition
    })
}

/// Takes back what is known of documents that need a definition which could not be read.
pub(super) fn withdraw(
    model: &str,
    error: &LookupError,
    group: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) {
    let common = known(model, None, facts);
    let open: Vec<_> = group.iter().copied().filter(|desired| needs_more(desired, &common)).collect();
    observation.known.retain(|(id, _)| open.iter().all(|desired| desired.id != *id));
    fail_all(error, &open, observation);
}

/// Returns the definition of a model in a business, as far as it was read.
pub(super) fn known(model: &str, business: Option<i64>, facts: &Facts) -> Arc<Definition> {
    let read = |business| lookup::definition_in(model, business, &mut Observation::default(), facts).ok();
    match (business.and_then(|business| Some((business, read(Some(business))?))), read(None)) {
        (Some((business, own)), Some(common)) => both(model, business, &own, &common, facts),
        (own, common) => own.map(|(_, own)| own).or(common).unwrap_or_default(),
    }
}

/// Returns the business of a set or a module: that of the live one, else that in which it would be made.
pub(super) fn business(desired: &Desired, live: Option<&Live>, facts: &Facts) -> Option<i64> {
    match (live, facts.observed(&desired.id)) {
        (Some(live), _) => live.field("bk_biz_id").as_i64(),
        (None, Some(ObservedState::Absent { context, .. })) => context["business"].as_i64(),
        (None, _) => None,
    }
}

/// Returns a stored value of a field as a document would declare it.
pub(super) fn declared(model: &str, desired: &Desired, path: &FieldPath, stored: &Value, facts: &Facts) -> Value {
    let live = match facts.observed(&desired.id) {
        Some(ObservedState::Found(live)) => Some(live),
        _ => None,
    };
    let definition = known(model, business(desired, live, facts), facts);
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    definition.get(path.as_str()).map_or_else(|| stored.clone(), |attribute| attribute.declared(stored, time_zone))
}

/// Returns what is wrong with the fields of a document. Without the definition of its business, nothing is said of
/// those that the model lacks: they may be that business's own.
pub(super) fn problems(
    desired: &Desired,
    definition: Option<&Definition>,
    common: &Definition,
    facts: &Facts,
) -> Vec<Diagnostic> {
    let declared = desired.fields.iter().map(|(path, value)| (path.as_str(), value));
    let declared: Vec<(&str, &Located<Json>)> =
        declared.filter(|(name, _)| definition.is_some() || common.contains_key(*name)).collect();
    attribute_changes(&declared, None, definition.unwrap_or(common), facts).err().unwrap_or_default()
}

//! The reach of fixed values: what they mean for modules, and what else of the run has to wait for them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;

use super::{
    module_fields::{MODULE_FIELDS, attribute_of, declared, path},
    sync,
};
use crate::{
    model::{Desired, Ensure, FieldChange, FieldPath, Json, Live, ObservedState, ResourceId, policy::Policy},
    platform::bk_cmdb::{
        kinds::{impact, templates},
        lookup::{LookupError, modules_by_ids},
    },
    provider::{Facts, Observation, Planned},
};

/// The values that a document has its template fix, for modules of the same run.
pub(in crate::platform::bk_cmdb::kinds) struct DeclaredValues {
    /// The document.
    pub(in crate::platform::bk_cmdb::kinds) document: ResourceId,
    /// The values by the names of their attributes; null for one that becomes free.
    pub(in crate::platform::bk_cmdb::kinds) values: BTreeMap<String, Json>,
}

/// Tells modules what the document of a template has it fix. `key` is the template's id, or the address of the document
/// that makes it.
pub(super) fn declare(desired: &Desired, key: &str, facts: &Facts) {
    let is_enforced = desired.policies.of(&FieldPath::field(MODULE_FIELDS)) == Policy::Enforce;
    let values: BTreeMap<String, Json> =
        declared(desired).into_iter().map(|(name, value)| (name.into_owned(), value.value.clone())).collect();
    if desired.selected && is_enforced && desired.ensure != Ensure::Absent && !values.is_empty() {
        facts.derive(&values_key(key), || DeclaredValues { document: desired.id.clone(), values });
    }
}

fn values_key(key: &str) -> String {
    format!("fixed by {key}")
}

/// Returns what a document of the run has a template fix.
pub(in crate::platform::bk_cmdb::kinds) fn declared_values(key: &str, facts: &Facts) -> Option<Arc<DeclaredValues>> {
    facts.derived(&values_key(key))
}

/// Returns pairs of an object that rests on a service template and the document that changes what this fixes, which comes
/// first: a call with all of a template sends its process templates back as they were read, and a new module has the values
/// of the moment. `template_of` finds the id of the template in a handle or a context.
pub(in crate::platform::bk_cmdb::kinds) fn templates_first(
    some: &[(&Desired, Option<&Live>)],
    all: &[&Desired],
    facts: &Facts,
    template_of: impl Fn(Option<&Live>, &Json) -> Option<i64>,
) -> Vec<(ResourceId, ResourceId)> {
    let documents = all.iter().filter(|document| {
        document.id.kind == templates::KIND && document.ensure != Ensure::Absent && !declared(document).is_empty()
    });
    let live = documents.filter_map(|document| match facts.observed(&document.id) {
        Some(ObservedState::Found(live)) => Some((live.handle.as_i64()?, &document.id)),
        _ => None,
    });
    let documents: BTreeMap<i64, &ResourceId> = live.collect();
    let pair = |(desired, live): &(&Desired, Option<&Live>)| {
        let context = match facts.observed(&desired.id) {
            Some(ObservedState::Absent { context, .. }) => context.handle(),
            _ => const { &Json::NULL },
        };
        let first = documents.get(&template_of(*live, context)?)?;
        Some((desired.id.clone(), (*first).clone()))
    };
    if documents.is_empty() { Vec::new() } else { some.iter().filter_map(pair).collect() }
}

/// Returns true if fixed values change so that a module differs from its template; `part` holds the values of the
/// module, as the server compares them.
pub(super) fn differs(changes: &[FieldChange], part: &Live) -> bool {
    let is_other = |change: &FieldChange, to: &Value| {
        part.fields.get(change.path.as_str()).is_none_or(|value| value.to_value() != *to)
    };
    let set = changes.iter().filter(|change| attribute_of(&change.path).is_some());
    set.filter_map(|change| Some((change, change.to.as_ref()?))).any(|(change, to)| is_other(change, to))
}

/// Returns the names of the attributes that get another fixed value.
pub(super) fn set_names(changes: &[FieldChange]) -> BTreeSet<String> {
    let set = changes.iter().filter(|change| change.to.is_some());
    set.filter_map(|change| attribute_of(&change.path)).map(Cow::into_owned).collect()
}

/// Reads the values of modules, as fields of a part of a roll-out, by the ids of the modules.
pub(super) fn of_modules(
    business: i64,
    modules: &BTreeSet<i64>,
    names: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<BTreeMap<i64, Vec<(FieldPath, Json)>>, LookupError> {
    if names.is_empty() || modules.is_empty() {
        return Ok(BTreeMap::new());
    }
    let fields = names.iter().cloned().chain(["bk_module_id".to_owned()]).collect();
    let rows = modules_by_ids(business, modules, &fields, observation, facts)?;
    let values = |row: &Json| names.iter().map(|name| (path(name), row[name.as_str()].clone())).collect();
    Ok(rows.into_iter().filter_map(|row| Some((row["bk_module_id"].as_i64()?, values(row)))).collect())
}

/// Returns the manual follow-ups of changed values: the modules that differ from them and that no roll-out syncs.
pub(super) fn left_to_people(
    planned: &[Planned<'_>],
    observation: &mut Observation,
    facts: &Facts,
) -> Vec<(ResourceId, String)> {
    let mut notes = Vec::new();
    for item in planned {
        let Some(live) = item.live else { continue };
        let ids = live.field("bk_biz_id").as_i64().zip(live.handle.as_i64());
        let names = set_names(&item.change.fields);
        let Some((business, template)) = ids.filter(|_| names.iter().any(|name| declares(item.desired, name))) else {
            continue;
        };
        let left = match left(item, (business, template), &names, observation, facts) {
            Ok(left) if left.is_empty() => continue,
            Ok(left) => format!("sync the modules of the service template: {}", left.join(", ")),
            Err(LookupError::Pending) => continue,
            Err(LookupError::Failed(_) | LookupError::NoModel) => {
                "sync the modules of the service template; which they are could not be read".to_owned()
            }
        };
        notes.push((item.desired.id.clone(), left));
    }
    notes
}

fn declares(desired: &Desired, name: &str) -> bool {
    desired.fields.contains_key(&path(name))
}

/// Returns the modules of a template that its changed values put out of sync and that no roll-out syncs.
fn left(
    item: &Planned<'_>,
    (business, template): (i64, i64),
    names: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Vec<String>, LookupError> {
    let modules = impact::modules(business, &BTreeSet::from([template]), observation, facts)?;
    let synced = sync::rolled_out(business, template, facts);
    let modules: BTreeMap<i64, &str> = modules.into_values().flatten().filter(|(id, _)| !synced.contains(id)).collect();
    let values = of_modules(business, &modules.keys().copied().collect(), names, observation, facts)?;
    let differs = |id: &i64| {
        let fields = values.get(id).cloned().unwrap_or_default().into_iter().collect();
        differs(&item.change.fields, &Live::new(Json::NULL, "", fields))
    };
    Ok(modules.iter().filter(|(id, _)| differs(id)).map(|(id, name)| format!("{name} (#{id})")).collect())
}

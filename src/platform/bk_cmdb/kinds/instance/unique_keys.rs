//! Values that have to be unique by the model's own rules: which documents want one, and who holds it.
//!
//! A key counts only where each of its fields holds text or a number: rows with `null` never collide (contract section
//! 4.1). The name is no part of it: it always is unique.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{NAME, unique};
use crate::{
    diff::identity::Assigned,
    model::{Desired, Ensure, FieldPath, Json, KeyConflict, Live, ResourceId},
    parallel,
    platform::bk_cmdb::{
        attribute::Definition,
        kinds::{decode_common::matched_field, select_instances::wanted_fields},
        lookup::{self, Key, LookupError, Rows, Selector},
    },
    provider::{Facts, Observation},
    source::Located,
};

/// Types of attributes that a unique rule may name.
const UNIQUE: &[&str] = &["singlechar", "longchar", "enum", "date", "list", "int", "float"];

/// The rules of a model whose keys matter to a plan.
type Rules<'f> = Vec<BTreeSet<&'f str>>;

/// The values of a key by the fields of its rule, in the order of their names.
type Fields = Vec<(Arc<str>, Key)>;

/// Objects that change, each with the live rows that they are to be compared with.
#[derive(Default)]
pub(super) struct Conflicts<'d> {
    /// Keys that documents want and that other instances hold.
    pub(super) key_conflicts: HashMap<&'d ResourceId, Vec<KeyConflict>>,
    /// Fields of unique keys, by instance.
    pub(super) fields: HashMap<i64, BTreeMap<String, Json>>,
}

/// The instances of one model that documents were assigned to.
pub(super) struct Group<'a, 'd, 'f> {
    pub(super) model: &'a str,
    pub(super) business: Option<i64>,
    pub(super) definition: &'a Definition,
    pub(super) documents: &'a [&'d Desired],
    pub(super) assigned: &'a [Assigned<i64>],
    pub(super) rows: &'a Rows<'f>,
}

/// Finds who holds the unique keys that documents want. Where nothing that could be one changes, nothing is asked.
pub(super) fn conflicts<'d>(
    group: &Group<'_, 'd, '_>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Conflicts<'d>, LookupError> {
    let Group { model, business, definition, .. } = group;
    let changing = changing(group, facts);
    let is_candidate = |name: &&str| {
        *name != NAME && definition.get(*name).is_some_and(|attribute| UNIQUE.contains(&attribute.kind()))
    };
    let changed: BTreeSet<&str> =
        changing.iter().flat_map(|(_, _, fields)| fields).copied().filter(is_candidate).collect();
    if changed.is_empty() {
        return Ok(Conflicts::default());
    }
    let rules: Rules<'_> = match unique::rules(model, definition, observation, facts) {
        Ok(rules) => rules.into_iter().filter(|rule| rule.iter().any(|field| changed.contains(field))).collect(),
        Err(LookupError::Pending) => return Err(LookupError::Pending),
        // What is not known to be unique is left to the server.
        Err(LookupError::Failed(_) | LookupError::NoModel) => Rules::new(),
    };
    if rules.is_empty() {
        return Ok(Conflicts::default());
    }
    let fields: BTreeSet<&str> = rules.iter().flatten().copied().collect();
    let ids: BTreeSet<Selector> = changing.iter().filter_map(|(_, own, _)| own.map(Selector::Id)).collect();
    let whole = lookup::instances(model, *business, &ids, fields.iter().copied(), observation, facts)?;
    let mut wanted: Vec<(&'d Desired, Option<i64>, Fields)> = Vec::new();
    for (desired, own, _) in &changing {
        let row = own.and_then(|id| whole.row(id));
        for rule in &rules {
            let held = row.and_then(|row| key(rule, |field| Some(row[field].clone())));
            let key = key(rule, |field| value(desired, field, row.map(|row| &row[field]), definition, facts));
            wanted.extend(key.filter(|key| held.as_ref() != Some(key)).map(|key| (*desired, *own, key)));
        }
    }
    let asked: BTreeSet<Selector> = wanted.iter().map(|(_, _, key)| Selector::fields(key.clone())).collect();
    let holders = lookup::instances(model, *business, &asked, fields.iter().copied(), observation, facts)?;
    let mut conflicts = Conflicts::default();
    for (desired, own, key) in wanted {
        let claim = claim(model, &key);
        let others = holders.find(&Selector::fields(key)).into_iter().filter(|id| Some(*id) != own);
        let key_conflicts = others.map(|id| KeyConflict { claim: claim.clone(), holder: format!("{model} #{id}") });
        conflicts.key_conflicts.entry(&desired.id).or_default().extend(key_conflicts);
    }
    for id in changing.iter().filter_map(|(_, own, _)| *own) {
        let Some(row) = whole.row(id) else { continue };
        let cells = fields.iter().map(|field| ((*field).to_owned(), row[*field].clone()));
        conflicts.fields.insert(id, cells.collect());
    }
    Ok(conflicts)
}

/// A document whose instance changes, that instance, and the fields that differ.
type Changing<'d> = (&'d Desired, Option<i64>, Vec<&'d str>);

/// Returns the documents whose instances change. All instances are compared for that, so it is done on all cores.
fn changing<'d>(group: &Group<'_, 'd, '_>, facts: &Facts) -> Vec<Changing<'d>> {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let pairs: Vec<_> = group.documents.iter().copied().zip(group.assigned).collect();
    let mut changing = Vec::new();
    let look = |(desired, assigned): &(&'d Desired, &Assigned<i64>)| changes(group, desired, assigned, time_zone);
    let chunk = |pairs: &[_]| pairs.iter().filter_map(look).collect::<Vec<_>>();
    parallel::in_chunks(&pairs, chunk, |found| changing.extend(found));
    changing
}

/// Returns what a document changes; `None` if that is nothing, or its instance is not known.
fn changes<'d>(
    group: &Group<'_, 'd, '_>,
    desired: &'d Desired,
    assigned: &Assigned<i64>,
    time_zone: Option<&str>,
) -> Option<Changing<'d>> {
    if !desired.selected || desired.ensure == Ensure::Absent {
        return None;
    }
    let differs = |(path, value): &(&'d FieldPath, &Located<Json>), row: &Json| {
        let name = path.as_str();
        group.definition.get(name).is_some_and(|attribute| {
            attribute.wire(&value.value, time_zone).is_ok_and(|wire| !attribute.same(&wire, &row[name], time_zone))
        })
    };
    let (own, fields): (_, Vec<&str>) = match assigned {
        Assigned::One(id) => {
            let row = group.rows.row(*id)?;
            let fields = desired.fields.iter().filter(|field| differs(field, row));
            (Some(*id), fields.map(|(path, _)| path.as_str()).collect())
        }
        Assigned::Nothing if desired.ensure == Ensure::Present => {
            (None, wanted_fields(desired).filter(|name| *name != NAME).collect())
        }
        _ => return None,
    };
    (!fields.is_empty()).then_some((desired, own, fields))
}

/// Returns the value that a field of an instance will have; `None` if it is not known.
fn value(desired: &Desired, field: &str, live: Option<&Json>, definition: &Definition, facts: &Facts) -> Option<Json> {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let given = desired.fields.get(field).or_else(|| {
        let matched = matched_field(desired, "", field);
        matched.filter(|_| live.is_none())
    });
    match given {
        Some(given) if given.value.is_null() => None,
        Some(given) => definition.get(field)?.key(&given.value, time_zone).ok(),
        None => live.cloned(),
    }
}

/// Returns a key of a rule; `None` if one of its fields holds neither text nor a number.
fn key(rule: &BTreeSet<&str>, value: impl Fn(&str) -> Option<Json>) -> Option<Fields> {
    // The name alone is everybody's key.
    if rule.iter().eq([&NAME]) {
        return None;
    }
    rule.iter()
        .map(|field| {
            let value = value(field).filter(|value| value.is_string() || value.is_number())?;
            Some(((*field).into(), Key::of(&value)))
        })
        .collect()
}

/// Says a key in words.
fn claim(model: &str, key: &[(Arc<str>, Key)]) -> String {
    let parts = key.iter().map(|(field, key)| match key.value().as_str() {
        Some(text) => format!("{field} `{text}`"),
        None => format!("{field} `{}`", key.value()),
    });
    format!("the {} in {model}", parts.collect::<Vec<_>>().join(" with "))
}

/// Returns the unique keys that an instance holds, and those that it will hold, as far as the rules of its model were
/// read.
pub(super) fn unique_keys(
    model: &str,
    desired: &Desired,
    live: Option<&Live>,
    facts: &Facts,
) -> (Vec<String>, Vec<String>) {
    let mut implicit = Observation::default();
    let Ok(definition) = lookup::definition(model, &mut implicit, facts) else { return Default::default() };
    let rules = unique::rules(model, &definition, &mut implicit, facts).unwrap_or_default();
    let said = |key: Fields| claim(model, &key);
    let held = rules.iter().filter_map(|rule| key(rule, |field| live?.fields.get(field).cloned())).map(said);
    let wanted = rules.iter().filter_map(|rule| {
        let live = |field: &str| live.map(|live| live.field(field));
        key(rule, |field| value(desired, field, live(field), &definition, facts))
    });
    (held.collect(), wanted.map(said).collect())
}

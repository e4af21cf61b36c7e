//! Finding sets: by name in one read for all documents of a business, those that a run is yet to make among them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{
    decode_common::nearest,
    refs::{self, Ref, Told},
};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, Json, ObservedState, Request},
    platform::bk_cmdb::{
        attribute::text,
        lookup::{LookupError, read_rows},
    },
    provider::{Facts, Observation},
};

/// The kind of documents that declare sets.
pub(super) const KIND: &str = "Set";
/// The field that names a set; unique below its parent.
pub(super) const NAME: &str = "bk_set_name";
/// The set template that a set is made from; 0 for none.
pub(super) const SET_TEMPLATE: &str = "set_template_id";

/// Names of the set that every business has, in each language, and its `default`. The server shows it by that of the
/// language that it is asked in.
const BUILT_IN: &[(&str, i64)] = &[("idle pool", 1), ("空闲机池", 1)];

/// Sets of a business, as they were listed and by name.
#[derive(Default)]
pub(super) struct Sets<'f> {
    pub(super) rows: Vec<&'f Json>,
    pub(super) by_name: HashMap<&'f str, Vec<&'f Json>>,
}

impl<'f> Sets<'f> {
    /// Returns sets by their names.
    pub(super) fn of(rows: Vec<&'f Json>) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for row in &rows {
            if let Some(name) = row[NAME].as_str() {
                by_name.entry(name).or_default().push(*row);
            }
        }
        Self { rows, by_name }
    }

    /// Returns the sets of a name: those that are shown by it, else the built-in one that some language calls so.
    pub(super) fn named(&self, name: &str) -> Vec<&'f Json> {
        if let Some(found) = self.by_name.get(name) {
            return found.clone();
        }
        let flag = built_in(BUILT_IN, name);
        self.rows.iter().copied().filter(|row| flag.is_some() && row["default"].as_i64() == flag).collect()
    }
}

/// Returns the `default` of what is built in under a name.
pub(super) fn built_in(names: &[(&str, i64)], name: &str) -> Option<i64> {
    names.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag)
}

/// Returns true if the server would not change or remove a set: it is built in (code 1101098).
pub(super) fn is_built_in(row: &Json) -> bool {
    row["default"].as_i64().unwrap_or(0) != 0
}

/// Reads the sets that documents name, or all of a business where one of the names has none.
pub(super) fn sets<'f>(
    business: i64,
    group: &[&Desired],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Sets<'f>, LookupError> {
    let names: BTreeSet<&str> = group.iter().filter_map(|desired| desired.locate("set")?.as_str()).collect();
    if names.is_empty() {
        return Ok(Sets::default());
    }
    let fields = ["bk_set_id", NAME, "default", SET_TEMPLATE].map(str::to_owned).into();
    let condition = json!({NAME: {"$in": names}});
    let found = Sets::of(read(business, &condition, &fields, observation, facts)?);
    if names.iter().all(|name| found.by_name.contains_key(name)) {
        return Ok(found);
    }
    // For the hint: the sets that there are.
    read(business, &json!({}), &fields, observation, facts).map(Sets::of)
}

/// Reads the sets of a business that fit a condition.
pub(super) fn read<'f>(
    business: i64,
    condition: &Value,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    read_rows(request(business, condition, fields), "info", observation, facts)
}

/// Returns the request for sets of a business.
pub(super) fn request(business: i64, condition: &Value, fields: &BTreeSet<String>) -> Request {
    let arguments = json!({"bk_biz_id": business, "condition": condition, "fields": fields,
        "page": {"start": 0, "limit": 0, "sort": "bk_set_id"}});
    Request { operation: "search_set", arguments, repeatable: true }
}

/// How many sets of a business have which names, as far as that was asked for.
pub(super) struct Names<'f> {
    counts: BTreeMap<&'f str, usize>,
    /// The read that told it.
    pub(super) read: Option<Request>,
}

impl<'f> Names<'f> {
    /// Counts the sets that have some names.
    pub(super) fn of(
        business: i64,
        names: &BTreeSet<&str>,
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<Self, LookupError> {
        let mut counts = BTreeMap::new();
        if names.is_empty() {
            return Ok(Self { counts, read: None });
        }
        // The built-in one is shown by a name that it does not have.
        let condition = json!({"$or": [{NAME: {"$in": names}}, {"default": {"$gt": 0}}]});
        let request = request(business, &condition, &["bk_set_id", NAME, "default"].map(str::to_owned).into());
        let rows = read_rows(request.clone(), "info", observation, facts)?;
        rows.iter().filter_map(|row| row[NAME].as_str()).for_each(|name| *counts.entry(name).or_default() += 1);
        Ok(Self { counts, read: Some(request) })
    }

    /// Returns true if only one set has a name.
    pub(super) fn is_unique(&self, name: &str) -> bool {
        self.counts.get(name) == Some(&1)
    }
}

/// Returns the names that a document gives to a set: the one it has, and the one it is to get.
pub(super) fn names(desired: &Desired) -> impl Iterator<Item = &str> {
    let given = desired.locate("set").and_then(Json::as_str);
    given.into_iter().chain(desired.field(NAME).and_then(text).map(str::trim))
}

/// Returns the set that a document names; `None` if there is no telling, or not yet.
pub(super) fn set_of(
    desired: &Desired,
    sets: &Sets<'_>,
    declared: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Option<Ref> {
    let given = desired.locator.get("set")?;
    if let Some(id) = given.value.as_i64() {
        return Some(Ref::Id(id));
    }
    let wanted = given.value.as_str()?;
    let found = sets.named(wanted);
    let mut found = found.iter();
    let said = |message: String| Diagnostic::error("P109", message, &given.origin);
    match (found.next().and_then(|row| row["bk_set_id"].as_i64()), found.next()) {
        (Some(id), None) => return Some(Ref::Id(id)),
        (Some(_), Some(_)) => {
            let diagnostic = said(format!("several sets are named `{wanted}`")).hint("give the set's id");
            observation.know(&desired.id, ObservedState::Ambiguous(Box::new(diagnostic)));
            return None;
        }
        (None, _) => {}
    }
    // A document of the set may give it this name, or make it.
    match refs::told(wanted, declared, names, facts) {
        Told::Is(set) => return Some(set),
        Told::Pending => return None,
        Told::Needs(other) => {
            observation.know(&desired.id, ObservedState::Needs(other));
            return None;
        }
        // It went with the set.
        Told::Gone if desired.ensure == Ensure::Absent => {
            observation.know(&desired.id, ObservedState::absent());
            return None;
        }
        Told::Gone | Told::Nothing => {}
    }
    let names: Vec<_> = sets.rows.iter().filter_map(|row| row[NAME].as_str().map(str::to_owned)).collect();
    let diagnostic = nearest(said(format!("no set is named `{wanted}`")), wanted, &names);
    observation.know(&desired.id, ObservedState::Impossible(Box::new(diagnostic)));
    None
}

/// Returns the documents of sets that make, or give another name to, those in which some documents lie.
pub(super) fn implicit_dependencies<'d>(some: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
    let wanted: BTreeSet<&str> = some.iter().filter_map(|desired| desired.locate("set")?.as_str()).collect();
    let tells = |set: &Desired| set.id.kind == KIND && names(set).any(|name| wanted.contains(name));
    if wanted.is_empty() { Vec::new() } else { all.iter().copied().filter(|set| tells(set)).collect() }
}

/// Returns how people tell a set apart. Documents of modules call it the same.
pub(super) fn label(id: &Json) -> String {
    format!("set #{id}")
}

//! Pieces of `export` that several kinds share.

use std::collections::BTreeMap;

use serde_json::json;

use super::{decode_common::nearest, instance::shown};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Json, Live, ObservedState, Request},
    platform::bk_cmdb::{
        attribute::{self, Attribute, Definition},
        lookup::{LookupError, until_short},
    },
    provider::{Cursor, ExportScope, Facts, Observation, Read, tree_of},
    source::Located,
    yaml::write::{Entry, Tree},
};

/// Most rows of a page.
pub(super) const PAGE: usize = 500;
/// Most businesses of one page.
const BUSINESSES: usize = 200;

/// Why a scope is not listed; nothing while answers are missing.
pub(super) type Unlisted = Option<ObservedState>;

/// Returns what a read that gave nothing means for a scope.
pub(super) fn unread(error: &LookupError, scope: &Desired) -> Unlisted {
    super::decode_common::observed_after(error, scope)
}

/// A business in a scope.
#[derive(Debug, Clone)]
pub(super) struct Business {
    /// Its id.
    pub(super) id: i64,
    /// Its name, for people.
    pub(super) name: String,
    /// How documents name it: by its name, or by its id where that name is not its own.
    pub(super) tree: Tree,
}

/// Returns the businesses of a scope in the order of their ids: the one that it names, else all.
pub(super) fn businesses(
    scope: &Desired,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Vec<Business>, Unlisted> {
    let request = |start: usize| {
        let arguments = json!({"condition": {}, "fields": ["bk_biz_id", "bk_biz_name"],
            "page": {"start": start, "limit": BUSINESSES, "sort": "bk_biz_id"}});
        Request { operation: "search_business", arguments, repeatable: true }
    };
    let rows = until_short(BUSINESSES, request, observation, facts).map_err(|error| unread(&error, scope))?;
    let name = |row: &Json| row["bk_biz_name"].as_str().unwrap_or_default().to_owned();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(name(row)).or_default() += 1);
    let business = |row: &&Json| {
        let (id, name) = (row["bk_biz_id"].as_i64()?, name(row));
        Some(Business { id, tree: name_or_id(&name, id, counts[&name] == 1), name })
    };
    let mut found: Vec<Business> = rows.iter().filter_map(business).collect();
    found.sort_by_key(|business| business.id);
    let Some(given) = scope.locator.get("business") else { return Ok(found) };
    let names: Vec<String> = found.iter().map(|business| business.name.clone()).collect();
    let picked = picked(&given.value, found.iter().map(|business| (business.id, business.name.as_str())));
    found.retain(|business| Some(business.id) == picked);
    if found.is_empty() { Err(Some(missing("P101", "business", given, &names))) } else { Ok(found) }
}

/// Returns the id of the object that the command names: by its id, else by its name, which may be a number too.
pub(super) fn picked<'n>(given: &Json, objects: impl IntoIterator<Item = (i64, &'n str)>) -> Option<i64> {
    let objects: Vec<(i64, &str)> = objects.into_iter().collect();
    let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
    let by_id = given.as_i64().and_then(|wanted| objects.iter().find(|(id, _)| *id == wanted));
    by_id.or_else(|| objects.iter().find(|(_, name)| *name == text)).map(|(id, _)| *id)
}

/// Returns how a document names an object: by its name where only that object has it, else by its id.
pub(super) fn name_or_id(name: &str, id: i64, is_unique: bool) -> Tree {
    if is_unique && is_name(name) { Tree::text(name) } else { Tree::Plain(id.to_string()) }
}

/// Returns true if a document can name an object by a text: without blanks at its ends, which servers cut off.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.trim() == name
}

/// Returns the ways to find an object by its name under a key, and by its id under another one.
pub(super) fn heads(
    common: &[Entry],
    (by_name, name): (&str, Option<&str>),
    (by_id, id): (&str, i64),
) -> Vec<Vec<Entry>> {
    let with = |entry: Entry| common.iter().cloned().chain([entry]).collect();
    let named = name.filter(|name| is_name(name)).map(|name| with(Entry::new(by_name, Tree::text(name))));
    named.into_iter().chain([with(Entry::new(by_id, Tree::Plain(id.to_string())))]).collect()
}

/// Reports fields and conditions of the command that a model has no attributes for.
pub(super) fn check_fields(export: &ExportScope<'_>, definition: &Definition) -> Result<(), Unlisted> {
    let fields = export.fields.into_iter().flatten();
    for name in fields.chain(export.conditions.iter().map(|(name, _)| name)) {
        if !definition.contains_key(name.as_str()) {
            let known: Vec<String> = definition.keys().map(ToString::to_string).collect();
            let message = format!("the model has no attribute `{name}`");
            let diagnostic = nearest(Diagnostic::error("P103", message, &export.scope.origin), name, &known);
            return Err(Some(ObservedState::Impossible(Box::new(diagnostic))));
        }
    }
    Ok(())
}

/// Returns the stored form of a condition's value, or what is wrong with it.
pub(super) fn condition(
    export: &ExportScope<'_>,
    attribute: &Attribute,
    (name, value): &(String, String),
    facts: &Facts,
) -> Result<Json, Unlisted> {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    attribute.key(&attribute::plain(value), time_zone).map_err(|problem| {
        let diagnostic = Diagnostic::error("P104", format!("`{name}` {problem}"), &export.scope.origin);
        Some(ObservedState::Impossible(Box::new(diagnostic)))
    })
}

/// Returns true if a live object has the values that the command asks for.
pub(super) fn fits(
    export: &ExportScope<'_>,
    live: &Live,
    definition: &Definition,
    facts: &Facts,
) -> Result<bool, Unlisted> {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    for asked in export.conditions {
        let Some(attribute) = definition.get(asked.0.as_str()) else { return Ok(false) };
        let stored = live.field(&asked.0);
        // Ids of cloud areas and the like are numbers, and no document declares them.
        let is_number = stored.is_number() && stored.to_string() == asked.1;
        if !is_number && !attribute.same(&condition(export, attribute, asked, facts)?, stored, time_zone) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the fields of a live object that its document is to declare: those that were asked for, else all that a write
/// can set and that have a value. `known` are those that the document names already.
pub(super) fn fields(
    export: &ExportScope<'_>,
    live: &Live,
    definition: &Definition,
    known: &[&str],
    facts: &Facts,
) -> Vec<Entry> {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let is_asked = |name: &str, attribute: &Attribute| match export.fields {
        Some(asked) => asked.iter().any(|asked| asked == name),
        None => attribute.is_editable() && !attribute.is_history() && !known.contains(&name),
    };
    let is_empty = |value: &Json| {
        value.is_null() || value.as_str() == Some("") || value.as_array().is_some_and(<[Json]>::is_empty)
    };
    let asked = definition.iter().filter(|(name, attribute)| is_asked(name, attribute));
    let entry = |(name, attribute): (&std::sync::Arc<str>, &Attribute)| {
        let stored = live.field(name);
        if is_empty(stored) {
            return export.fields.map(|_| Entry::new(&**name, Tree::null()));
        }
        let declared = plain_tree(attribute.declared(&stored.to_value(), time_zone));
        let note = shown(attribute, stored, facts).unwrap_or_default();
        Some(Entry::new(&**name, declared).note(note))
    };
    asked.filter_map(entry).collect()
}

/// Returns a declared value as a manifest spells it.
pub(super) fn plain_tree(declared: serde_json::Value) -> Tree {
    match attribute::plain_text(&declared) {
        Some(text) => Tree::Plain(text.to_owned()),
        None => match declared {
            serde_json::Value::Array(items) => Tree::List(items.into_iter().map(plain_tree).collect()),
            other => tree_of(&other),
        },
    }
}

/// Returns the request for a page of what another one asks for.
pub(super) fn page(mut request: Request) -> Request {
    request.arguments["page"]["limit"] = json!(PAGE);
    request
}

/// Rows of a page by ascending ids.
pub(super) struct Rows<'f> {
    /// The rows.
    pub(super) rows: &'f [Json],
    /// The last id of the page, if there are rows behind it.
    last: Option<i64>,
}

/// Returns the rows behind an id, which the request asks for; `key` holds the ids, and `what` names the rows.
pub(super) fn behind<'f>(
    request: Request,
    (key, what): (&str, &str),
    after: i64,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Rows<'f>, Unlisted> {
    let data = match observation.read(request, facts) {
        Read::Pending => return Err(None),
        Read::Failed(refusal) => return Err(Some(ObservedState::Unknown(refusal.to_string()))),
        Read::Value(data) => data,
    };
    let rows = data["info"].items();
    let last = rows.last().and_then(|row| row[key].as_i64());
    let more = !rows.is_empty() && data["count"].as_u64().is_some_and(|count| (rows.len() as u64) < count);
    if more && last.is_none_or(|last| last <= after) {
        let why = format!("the server sends the same {what} again behind #{after}: the list cannot be read");
        return Err(Some(ObservedState::Unknown(why)));
    }
    Ok(Rows { rows, last: last.filter(|_| more) })
}

impl Rows<'_> {
    /// Returns where the next page begins: behind these rows, else in the next part; `None` behind the last one.
    pub(super) fn next(&self, from: &Cursor, parts: usize) -> Option<Cursor> {
        match self.last {
            Some(after) => Some(Cursor { after, ..from.clone() }),
            None => next_part(from, parts),
        }
    }
}

/// Returns where the next part of a scope begins; `None` behind the last one.
pub(super) fn next_part(from: &Cursor, parts: usize) -> Option<Cursor> {
    (from.part + 1 < parts).then(|| Cursor { part: from.part + 1, ..Cursor::default() })
}

/// Returns the error about something that the command names and that is not there.
pub(super) fn missing(code: &'static str, what: &str, given: &Located<Json>, names: &[String]) -> ObservedState {
    let wanted = given.value.as_str().map_or_else(|| given.value.to_string(), str::to_owned);
    let diagnostic = Diagnostic::error(code, format!("there is no {what} `{wanted}`"), &given.origin);
    ObservedState::Impossible(Box::new(nearest(diagnostic, &wanted, names)))
}

/// Reports fields and conditions of the command that are none of a kind's.
pub(super) fn check_known(export: &ExportScope<'_>, known: &[&str]) -> Result<(), Unlisted> {
    let asked = export.fields.into_iter().flatten().chain(export.conditions.iter().map(|(name, _)| name));
    match asked.into_iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let known: Vec<String> = known.iter().map(ToString::to_string).collect();
            let message = format!("objects of this kind have no field `{name}`");
            let diagnostic = nearest(Diagnostic::error("P103", message, &export.scope.origin), name, &known);
            Err(Some(ObservedState::Impossible(Box::new(diagnostic))))
        }
    }
}

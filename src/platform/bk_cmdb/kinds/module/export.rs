//! Modules of businesses, or of one set, as documents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{MODEL, Module, NAME, live, observe, own, sets};
use crate::{
    model::Json,
    platform::bk_cmdb::{
        kinds::export_common::{self, Unlisted, heads, name_or_id, unread},
        lookup::{LookupError, all_modules, modules_request},
    },
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation},
    yaml::write::Entry,
};

/// Returns the modules of one business; those of the next one are the next page.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    let businesses = export_common::businesses(export.scope, observation, facts)?;
    let Some(business) = businesses.get(from.part) else { return Ok(ExportPage::default()) };
    let in_trouble = |error: LookupError| unread(&error, export.scope);
    let definition = own::whole(MODEL, business.id, observation, facts).map_err(in_trouble)?;
    export_common::check_fields(export, &definition)?;
    let set_fields = ["bk_set_id", sets::NAME, "default"].map(str::to_owned).into();
    let rows = sets::read(business.id, &json!({}), &set_fields, observation, facts).map_err(in_trouble)?;
    let sets = Sets::of(&rows);
    let wanted = sets.wanted(export, businesses.len())?;
    let module_fields: BTreeSet<String> =
        observe::fields(&[]).into_iter().chain(definition.keys().map(ToString::to_string)).collect();
    let rows = all_modules(business.id, &module_fields, observation, facts).map_err(in_trouble)?;
    let mut counts: BTreeMap<(i64, &str), usize> = BTreeMap::new();
    let place = |row: &Json| row["bk_set_id"].as_i64().unwrap_or_default();
    for row in &rows {
        *counts.entry((place(row), row[NAME].as_str().unwrap_or_default())).or_default() += 1;
    }
    let (mut objects, mut declared) = (Vec::new(), Vec::new());
    let is_meant =
        |row: &&&Json| row["default"].as_i64().unwrap_or(0) == 0 && wanted.is_none_or(|set| place(row) == set);
    for row in rows.iter().filter(is_meant) {
        let live = live(export.scope, row);
        let (set, id) = (place(row), row["bk_module_id"].as_i64().unwrap_or_default());
        let set_name = sets.names.get(&set).copied().unwrap_or_default();
        let group = [business.name.clone(), set_name.to_owned(), "modules".to_owned()];
        if export.skips(&Module, &live, &group, &mut declared)
            || !export_common::fits(export, &live, &definition, facts)?
        {
            continue;
        }
        let name = row[NAME].as_str().unwrap_or_default();
        let unique = Some(name).filter(|name| counts.get(&(set, *name)) == Some(&1));
        let known: &[&str] = if unique.is_some_and(export_common::is_name) { &[NAME] } else { &[] };
        let fields = export_common::fields(export, &live, &definition, known, facts);
        let set_tree = name_or_id(set_name, set, sets.counts.get(set_name) == Some(&1));
        let common = [Entry::new("business", business.tree.clone()), Entry::new("set", set_tree)];
        let heads = heads(&common, ("module", unique), ("module", id));
        let (spec, left) = Draft { heads, key: "fields", fields, live: &live }.spec(&Module, facts);
        objects.push(ExportedObject {
            title: name.to_owned(),
            handles: vec![id.to_string()],
            instance: None,
            group: group.to_vec(),
            note: format!("module #{id}"),
            spec,
            left,
        });
    }
    let all = json!({});
    let read = vec![sets::request(business.id, &all, &set_fields), modules_request(business.id, &all, &module_fields)];
    Ok(export_common::part(objects, declared, read, from, businesses.len()))
}

/// The names of the sets of a business.
struct Sets<'f> {
    names: BTreeMap<i64, &'f str>,
    counts: BTreeMap<&'f str, usize>,
}

impl<'f> Sets<'f> {
    fn of(rows: &[&'f Json]) -> Self {
        let name = |row: &&'f Json| Some((row["bk_set_id"].as_i64()?, row[sets::NAME].as_str()?));
        let names: BTreeMap<i64, &str> = rows.iter().filter_map(name).collect();
        let mut counts = BTreeMap::new();
        names.values().for_each(|name| *counts.entry(*name).or_default() += 1);
        Self { names, counts }
    }

    /// Returns the set that the command names; `None` if it names none. In one of several businesses it may be missing.
    fn wanted(&self, export: &ExportScope<'_>, businesses: usize) -> Result<Option<i64>, Unlisted> {
        let Some(given) = export.scope.locator.get("set") else { return Ok(None) };
        match export_common::picked(&given.value, self.names.iter().map(|(id, name)| (*id, *name))) {
            Some(id) => Ok(Some(id)),
            None if businesses > 1 => Ok(Some(0)),
            None => {
                let names: Vec<String> = self.names.values().map(ToString::to_string).collect();
                Err(Some(export_common::missing("P109", "set", given, &names)))
            }
        }
    }
}

//! Sets of businesses as documents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{MODEL, NAME, Set, live, observe, own, sets};
use crate::{
    model::Json,
    platform::bk_cmdb::kinds::export_common::{self, Unlisted, heads, unread},
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation},
    yaml::write::Entry,
};

/// Returns the sets of one business; those of the next one are the next page.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    let businesses = export_common::businesses(export.scope, observation, facts)?;
    let Some(business) = businesses.get(from.part) else { return Ok(ExportPage::default()) };
    let definition =
        own::whole(MODEL, business.id, observation, facts).map_err(|error| unread(&error, export.scope))?;
    export_common::check_fields(export, &definition)?;
    let fields: BTreeSet<String> =
        observe::fields(&[]).into_iter().chain(definition.keys().map(ToString::to_string)).collect();
    let rows = sets::read(business.id, &json!({}), &fields, observation, facts)
        .map_err(|error| unread(&error, export.scope))?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let name = |row: &'_ Json| -> String { row[NAME].as_str().unwrap_or_default().to_owned() };
    rows.iter().filter_map(|row| row[NAME].as_str()).for_each(|name| *counts.entry(name).or_default() += 1);
    let mut objects = Vec::new();
    // Nobody may change the built-in one.
    for row in rows.iter().filter(|row| !sets::is_built_in(row)) {
        let live = live(business.id, row);
        if !export_common::fits(export, &live, &definition, facts)? {
            continue;
        }
        let (id, name) = (row["bk_set_id"].as_i64().unwrap_or_default(), name(row));
        let unique = Some(name.as_str()).filter(|name| counts.get(name) == Some(&1));
        let known: &[&str] = if unique.is_some_and(export_common::is_name) { &[NAME] } else { &[] };
        let fields = export_common::fields(export, &live, &definition, known, facts);
        let heads = heads(&[Entry::new("business", business.tree.clone())], ("set", unique), ("set", id));
        let (spec, left) = Draft { heads, key: "fields", fields, live: &live }.spec(&Set, facts);
        objects.push(ExportedObject {
            title: name,
            handles: vec![live.handle.to_string()],
            instance: None,
            group: vec![business.name.clone(), "sets".to_owned()],
            note: live.label.to_string(),
            spec,
            left,
        });
    }
    Ok(export_common::part(objects, from, businesses.len()))
}

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
    let fields_of_sets: BTreeSet<String> =
        observe::fields(&[]).into_iter().chain(definition.keys().map(ToString::to_string)).collect();
    let rows = sets::read(business.id, &json!({}), &fields_of_sets, observation, facts)
        .map_err(|error| unread(&error, export.scope))?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let name = |row: &'_ Json| -> String { row[NAME].as_str().unwrap_or_default().to_owned() };
    rows.iter().filter_map(|row| row[NAME].as_str()).for_each(|name| *counts.entry(name).or_default() += 1);
    let (mut objects, mut declared) = (Vec::new(), Vec::new());
    let group = [business.name.clone(), "sets".to_owned()];
    // Nobody may change the built-in one.
    for row in rows.iter().filter(|row| !sets::is_built_in(row)) {
        let live = live(business.id, row);
        if export.skips(&Set, &live, &group, &mut declared) || !export_common::fits(export, &live, &definition, facts)?
        {
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
            group: group.to_vec(),
            note: live.label.to_string(),
            spec,
            left,
        });
    }
    let read = vec![sets::request(business.id, &json!({}), &fields_of_sets)];
    Ok(export_common::part(objects, declared, read, from, businesses.len()))
}

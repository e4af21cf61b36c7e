//! Sets of businesses as documents, a page by ascending ids.

use std::collections::BTreeSet;

use serde_json::json;

use super::{MODEL, NAME, Set, live, observe, own, sets};
use crate::{
    model::Json,
    platform::bk_cmdb::kinds::export_common::{self, Unlisted, heads, unread},
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation},
    yaml::write::Entry,
};

/// Returns a page of the sets of a business, and behind the last of them goes on with the next business.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: &Cursor,
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
    let condition = json!({"bk_set_id": {"$gt": from.after}});
    let request = export_common::page(sets::request(business.id, &condition, &fields_of_sets));
    let page = export_common::behind(request.clone(), ("bk_set_id", "sets"), from.after, observation, facts)?;
    // Nobody may change the built-in one.
    let rows: Vec<&Json> = page.rows.iter().filter(|row| !sets::is_built_in(row)).collect();
    let names: BTreeSet<&str> = rows.iter().filter_map(|row| row[NAME].as_str()).collect();
    let names = sets::Names::of(business.id, &names, observation, facts);
    let names = names.map_err(|error| unread(&error, export.scope))?;
    let (mut objects, mut declared) = (Vec::new(), Vec::new());
    let group = [business.name.clone(), "sets".to_owned()];
    for row in rows {
        let live = live(business.id, row);
        if export.skips(&Set, &live, &group, &mut declared) || !export_common::fits(export, &live, &definition, facts)?
        {
            continue;
        }
        let id = row["bk_set_id"].as_i64().unwrap_or_default();
        let name = row[NAME].as_str().unwrap_or_default();
        let unique = Some(name).filter(|name| names.is_unique(name));
        let known: &[&str] = if unique.is_some_and(export_common::is_name) { &[NAME] } else { &[] };
        let fields = export_common::fields(export, &live, &definition, known, facts);
        let heads = heads(&[Entry::new("business", business.tree.clone())], ("set", unique), ("set", id));
        let (spec, left) = Draft { heads, key: "fields", fields, live: &live }.spec(&Set, facts);
        objects.push(ExportedObject {
            title: name.to_owned(),
            handles: vec![live.handle.to_string()],
            instance: None,
            group: group.to_vec(),
            note: live.label.to_string(),
            spec,
            left,
        });
    }
    let read = std::iter::once(request).chain(names.read).collect();
    Ok(ExportPage { objects, declared, next: page.next(from, businesses.len()), read })
}

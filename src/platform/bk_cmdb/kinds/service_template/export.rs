//! Service templates of businesses as documents.

use std::collections::BTreeMap;

use super::{CATEGORY, CATEGORY_ID, NAME, ServiceTemplate, WANTED, category, live, templates};
use crate::{
    model::FieldPath,
    platform::bk_cmdb::{
        kinds::export_common::{self, Unlisted, heads, unread},
        lookup::{LookupError, service_categories, service_templates},
    },
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation},
    yaml::write::Entry,
};

/// The fields of a document.
const FIELDS: &[&str] = &[NAME, CATEGORY];

/// Returns the service templates of one business; those of the next one are the next page.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    export_common::check_known(export, FIELDS)?;
    let businesses = export_common::businesses(export.scope, observation, facts)?;
    let Some(business) = businesses.get(from.part) else { return Ok(ExportPage::default()) };
    let in_trouble = |error: LookupError| unread(&error, export.scope);
    let rows = service_templates(business.id, observation, facts).map_err(in_trouble)?;
    service_categories(business.id, observation, facts).map_err(in_trouble)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    rows.iter().filter_map(|row| row[NAME].as_str()).for_each(|name| *counts.entry(name).or_default() += 1);
    let (mut objects, mut declared) = (Vec::new(), Vec::new());
    let group = [business.name.clone(), "service-templates".to_owned()];
    for row in &rows {
        let id = row["id"].as_i64().unwrap_or_default();
        let name = row[NAME].as_str().unwrap_or_default();
        let mut live = live(business.id, row);
        let category = row[CATEGORY_ID].as_i64().unwrap_or_default();
        live.fields.extend([(FieldPath::field(WANTED), category.into())]);
        let shown = category::shown(business.id, category, facts).unwrap_or_default();
        let fits = export.conditions.iter().all(|(field, value)| match field.as_str() {
            NAME => value == name,
            _ => *value == shown || *value == category.to_string(),
        });
        if export.skips(&ServiceTemplate, &live, &group, &mut declared) || !fits {
            continue;
        }
        let unique = Some(name).filter(|name| counts.get(name) == Some(&1));
        let is_asked = |field: &str| match export.fields {
            Some(asked) => asked.iter().any(|asked| asked == field),
            None => field == CATEGORY || !unique.is_some_and(export_common::is_name),
        };
        let name_entry = Entry::new(NAME, crate::yaml::write::Tree::text(name));
        let category_entry = Entry::new(CATEGORY, category::declared(business.id, category, facts));
        let fields = [name_entry, category_entry].into_iter().filter(|entry| is_asked(&entry.key)).collect();
        let heads = heads(&[Entry::new("business", business.tree.clone())], ("template", unique), ("template", id));
        let (spec, left) = Draft { heads, key: "fields", fields, live: &live }.spec(&ServiceTemplate, facts);
        objects.push(ExportedObject {
            title: name.to_owned(),
            handles: vec![live.handle.to_string()],
            instance: None,
            group: group.to_vec(),
            note: templates::label(&row["id"]),
            spec,
            left,
        });
    }
    Ok(export_common::part(objects, declared, Vec::new(), from, businesses.len()))
}

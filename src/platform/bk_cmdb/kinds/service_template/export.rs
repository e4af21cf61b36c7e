//! Service templates of businesses as documents, a page by ascending ids.

use super::{CATEGORY, CATEGORY_ID, NAME, ServiceTemplate, WANTED, category, live, templates};
use crate::{
    model::FieldPath,
    platform::bk_cmdb::{
        kinds::{
            export_common::{self, Unlisted, heads, unread},
            export_templates::{self, Listed},
        },
        lookup::{LookupError, service_categories},
    },
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation},
    yaml::write::Entry,
};

/// The fields of a document.
const FIELDS: &[&str] = &[NAME, CATEGORY];

/// Returns a page of the service templates of a business, and behind the last of them goes on with the next business.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: &Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    export_common::check_known(export, FIELDS)?;
    let businesses = export_common::businesses(export.scope, observation, facts)?;
    let Some(business) = businesses.get(from.part) else { return Ok(ExportPage::default()) };
    let in_trouble = |error: LookupError| unread(&error, export.scope);
    let templates = match export_templates::listed(business.id, from, export_common::PAGE, None, observation, facts)? {
        Listed::Names(page) => return Ok(page),
        Listed::Templates(templates) => templates,
    };
    service_categories(business.id, observation, facts).map_err(in_trouble)?;
    let (mut objects, mut declared) = (Vec::new(), Vec::new());
    let group = [business.name.clone(), "service-templates".to_owned()];
    for row in &templates.rows {
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
        let unique = Some(name).filter(|name| templates.first.names.is_unique(name));
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
    let next = templates.next.or_else(|| export_common::next_part(from, businesses.len()));
    Ok(ExportPage { objects, declared, next, read: templates.read })
}

//! Rows of associations as documents, one for each source.

use std::collections::BTreeMap;

use serde_json::json;

use super::{InstanceAssociation, links};
use crate::{
    model::{Json, Live, Request},
    platform::bk_cmdb::{
        kinds::export_common::{self, Unlisted, unread},
        lookup::read_rows,
    },
    provider::{Cursor, ExportPage, ExportScope, ExportedObject, Facts, Observation},
    yaml::write::{Entry, Tree},
};

/// Returns rows of one association, a page by ascending sources, and behind the last of them goes on with the next one.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: &Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    export_common::check_known(export, &[])?;
    let given = |key: &str| export.scope.locator.get(key);
    let condition = match (given("association"), given("model")) {
        (Some(name), _) => json!({"bk_obj_asst_id": {"$in": [name.value.to_value()]}}),
        (None, Some(model)) => json!({"bk_obj_id": model.value.to_value()}),
        (None, None) => json!({"id": {"$gt": 0}}),
    };
    let arguments = json!({"condition": condition});
    let request = Request { operation: "find_object_association", arguments, repeatable: true };
    let definitions = read_rows(request, "", observation, facts).map_err(|error| unread(&error, export.scope))?;
    let text = |row: &Json, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    // Those of the topology are written by its own kinds.
    let mut definitions: Vec<&Json> =
        definitions.into_iter().filter(|row| !text(row, "bk_obj_asst_id").contains("_bk_mainline_")).collect();
    definitions.sort_by_key(|row| text(row, "bk_obj_asst_id"));
    if let (Some(name), []) = (given("association"), definitions.as_slice()) {
        return Err(Some(export_common::missing("P122", "association", name, &[])));
    }
    let Some(definition) = definitions.get(from.part) else { return Ok(ExportPage::default()) };
    let links::Sources { rows, last, read } =
        links::behind(definition, from.after, observation, facts).map_err(|error| unread(&error, export.scope))?;
    let name = text(definition, "bk_obj_asst_id");
    let (mut by_source, mut declared): (BTreeMap<i64, Vec<&Live>>, Vec<_>) = (BTreeMap::new(), Vec::new());
    let group = [name.clone()];
    for row in rows.iter().filter(|row| !export.skips(&InstanceAssociation, row, &group, &mut declared)) {
        by_source.entry(row.handle["source"].as_i64().unwrap_or_default()).or_default().push(row);
    }
    let objects = by_source.into_iter().map(|(source, rows)| object(export, &name, source, &rows)).collect();
    let next = match last {
        Some(after) => Some(Cursor { after, ..from.clone() }),
        None => export_common::next_part(from, definitions.len()),
    };
    Ok(ExportPage { objects, declared, next, read })
}

fn object(export: &ExportScope<'_>, association: &str, source: i64, rows: &[&Live]) -> ExportedObject {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.handle["target"].as_i64());
    let model = |key: &str| rows[0].handle[key].as_str().unwrap_or_default();
    let target = |row: &&Live| end(export, model("targetModel"), row.handle["target"].as_i64().unwrap_or_default());
    let spec = vec![
        Entry::new("association", Tree::text(association)),
        Entry::new("source", end(export, model("model"), source)),
        Entry::new("targets", Tree::List(rows.iter().map(target).collect())),
    ];
    let known = (export.name_of)(model("model"), source);
    let ids: Vec<String> = rows.iter().map(|row| format!("#{}", row.handle["id"])).collect();
    ExportedObject {
        title: format!("{}-{association}", known.unwrap_or_else(|| format!("{}-{source}", model("model")))),
        handles: rows.iter().map(|row| row.handle["id"].to_string()).collect(),
        instance: None,
        group: vec![association.to_owned()],
        note: format!("{} #{source}, rows {}", model("model"), ids.join(" ")),
        spec: Tree::Map(spec),
        left: Vec::new(),
    }
}

/// Returns an end: by its document where it has one, else by its id.
fn end(export: &ExportScope<'_>, model: &str, id: i64) -> Tree {
    Tree::Flow(match (export.name_of)(model, id) {
        Some(name) => vec![("ref".to_owned(), Tree::Text(name))],
        None => vec![("model".to_owned(), Tree::text(model)), ("id".to_owned(), Tree::Plain(id.to_string()))],
    })
}

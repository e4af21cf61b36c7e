//! Process templates of businesses, or of one service template, as documents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{NAME, ProcessTemplate, find::live, property, rows, template_label, wording};
use crate::{
    model::{Json, Live, Request},
    platform::bk_cmdb::{
        kinds::{
            export_common::{self, Business, Unlisted, heads, name_or_id, unread},
            export_templates::{self, Listed},
        },
        lookup::{LookupError, read_rows, service_templates},
    },
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation, tree_of},
    yaml::write::{Entry, Tree},
};

/// Service templates whose processes make a page: each is a read of its own.
const TEMPLATES: usize = 20;

/// Returns the process templates of some service templates of a business.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: &Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    let known: Vec<&str> = property::names().collect();
    export_common::check_known(export, &known)?;
    let businesses = export_common::businesses(export.scope, observation, facts)?;
    let Some(business) = businesses.get(from.part) else { return Ok(ExportPage::default()) };
    let in_trouble = |error: LookupError| unread(&error, export.scope);
    let given = export.scope.locator.get("serviceTemplate");
    let templates = match export_templates::listed(business.id, from, TEMPLATES, given, observation, facts)? {
        Listed::Names(page) => return Ok(page),
        Listed::Templates(templates) => templates,
    };
    let picked = templates.first.picked.map(|(id, _)| id);
    if let (Some(given), None, 1) = (given, picked, businesses.len()) {
        let all = service_templates(business.id, observation, facts).map_err(in_trouble)?;
        let names: BTreeSet<String> = all.iter().filter_map(|row| Some(row["name"].as_str()?.to_owned())).collect();
        let names: Vec<String> = names.into_iter().collect();
        return Err(Some(export_common::missing("P111", "service template", given, &names)));
    }
    let id = |row: &Json| row["id"].as_i64().unwrap_or_default();
    let is_asked = |row: &&&Json| given.is_none() || picked == Some(id(row));
    let (mut page, mut trouble) = (ExportPage { read: templates.read, ..ExportPage::default() }, None);
    for template in templates.rows.iter().filter(is_asked) {
        let arguments = json!({"bk_biz_id": business.id, "service_template_id": id(template)});
        let request = Request { operation: "list_proc_template", arguments, repeatable: true };
        page.read.push(request.clone());
        match read_rows(request, "info", observation, facts) {
            Ok(rows) => {
                let name = template["name"].as_str().unwrap_or_default();
                let place = (business, name, name_or_id(name, id(template), templates.first.names.is_unique(name)));
                of_template(export, &place, &rows, facts, &mut page);
            }
            Err(error) => trouble = Some(error),
        }
    }
    if let Some(error) = trouble {
        return Err(in_trouble(error));
    }
    page.next = templates.next.or_else(|| export_common::next_part(from, businesses.len()));
    Ok(page)
}

/// Adds the process templates of a service template to a page.
fn of_template(
    export: &ExportScope<'_>,
    (business, template, tree): &(&Business, &str, Tree),
    rows: &[&Json],
    facts: &Facts,
    page: &mut ExportPage,
) {
    let group = [business.name.clone(), (*template).to_owned(), "processes".to_owned()];
    let name = |row: &Json| row[NAME].as_str().unwrap_or_default().to_owned();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    rows.iter().for_each(|row| *counts.entry(name(row)).or_default() += 1);
    let fits = |live: &Live| {
        export.conditions.iter().all(|(field, value)| match &live.field(field)["value"] {
            stored if stored.as_str().is_some() => stored.as_str() == Some(value),
            stored => stored.to_string() == *value,
        })
    };
    for row in rows {
        let live = live(export.scope, row);
        if export.skips(&ProcessTemplate, &live, &group, &mut page.declared) || !fits(&live) {
            continue;
        }
        let (id, name) = (row["id"].as_i64().unwrap_or_default(), name(row));
        let unique = Some(name.as_str()).filter(|name| counts.get(*name) == Some(&1));
        let in_business = vec![Entry::new("business", business.tree.clone())];
        let in_template = [in_business[0].clone(), Entry::new("serviceTemplate", tree.clone())];
        let by_name = heads(&in_template, ("process", unique), ("process", id));
        let by_id = heads(&in_business, ("id", None), ("id", id));
        let is_named = unique.is_some_and(export_common::is_name);
        let heads = by_name.into_iter().take(usize::from(is_named)).chain(by_id).collect();
        let fields = properties(export, &live, is_named);
        let (spec, left) = Draft { heads, key: "properties", fields, live: &live }.spec(&ProcessTemplate, facts);
        page.objects.push(ExportedObject {
            title: name,
            handles: vec![id.to_string()],
            instance: None,
            group: group.to_vec(),
            note: template_label(id),
            spec,
            left,
        });
    }
}

/// Returns the properties that have a value.
fn properties(export: &ExportScope<'_>, live: &Live, is_named: bool) -> Vec<Entry> {
    let is_asked = |name: &&str| match export.fields {
        Some(asked) => asked.iter().any(|asked| asked == name),
        // No update sets the function's name.
        None => *name != "bk_func_name" && !(is_named && *name == NAME),
    };
    let entry = |name: &'static str| {
        let stored = live.field(name);
        if name == property::BIND_INFO {
            let rows = stored["value"].items();
            return (!rows.is_empty()).then(|| Entry::new(name, Tree::List(rows.iter().map(row).collect())));
        }
        let is_empty = stored["value"].is_null() || stored["value"].as_str() == Some("");
        (!is_empty).then(|| Entry::new(name, envelope(&tree_of(&stored["value"].to_value()), stored)))
    };
    property::names().filter(is_asked).filter_map(entry).collect()
}

/// Returns a value, with its lock where that is open: locked is what a new value is.
fn envelope(value: &Tree, stored: &Json) -> Tree {
    if stored["as_default_value"] != json!(false) {
        return value.clone();
    }
    let open = Tree::Plain("false".to_owned());
    Tree::Flow(vec![("value".to_owned(), value.clone()), ("as_default_value".to_owned(), open)])
}

/// Returns a row of `bind_info` with its id, by which it is kept.
fn row(row: &Json) -> Tree {
    let id = (rows::ROW_ID.to_owned(), tree_of(&row[rows::ROW_ID].to_value()));
    let cell = |name: &&str| {
        let stored = &row[*name];
        let value = wording::words(name, &stored["value"]).to_value();
        (!value.is_null()).then(|| ((*name).to_owned(), envelope(&tree_of(&value), stored)))
    };
    Tree::Flow(std::iter::once(id).chain(rows::CELLS.iter().filter_map(cell)).collect())
}

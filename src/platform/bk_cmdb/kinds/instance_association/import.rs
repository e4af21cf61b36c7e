//! Rows of the sheet with associations as documents. An end is written by display names of attributes with their values:
//! `Name=core-sw-1,Asset number=SW-1` (`src/web_server/service/excel` of the platform).

use std::collections::{BTreeMap, HashMap};

use serde_json::json;

use crate::{
    model::{Json, Request},
    platform::bk_cmdb::{
        attribute::Definition,
        kinds::export_common::{Unlisted, unread},
        lookup::{self, read_rows},
    },
    provider::{CellProblem, ExportedObject, Facts, ImportScope, Imported, Observation},
    yaml::write::{Entry, Tree},
};

pub(super) fn import(
    import: &ImportScope<'_>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Imported, Unlisted> {
    let mut imported = Imported::default();
    if import.links.is_empty() {
        return Ok(imported);
    }
    let arguments = json!({"condition": {"id": {"$gt": 0}}});
    let request = Request { operation: "find_object_association", arguments, repeatable: true };
    let rows = read_rows(request, "", observation, facts).map_err(|error| unread(&error, import.scope))?;
    let text = |row: &Json, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let known: HashMap<String, (String, String)> = rows
        .iter()
        .map(|row| (text(row, "bk_obj_asst_id"), (text(row, "bk_obj_id"), text(row, "bk_asst_obj_id"))))
        .collect();
    let mut targets: BTreeMap<(&str, String), (u32, Tree, Vec<Tree>)> = BTreeMap::new();
    for link in import.links {
        let mut problem = |field: &str, message: String| {
            imported.problems.push(CellProblem { row: link.number, field: field.to_owned(), message });
        };
        let Some((source_model, target_model)) = known.get(&link.association) else {
            problem("association", format!("no association between models is named `{}`", link.association));
            continue;
        };
        let mut end = |column: &str, model: &str, text: &str| -> Result<_, Unlisted> {
            let definition =
                lookup::definition(model, observation, facts).map_err(|error| unread(&error, import.scope))?;
            Ok(found(import, model, text, &definition).map_err(|why| problem(column, why)).ok())
        };
        let source = end("source", source_model, &link.source)?;
        let target = end("target", target_model, &link.target)?;
        let (Some((name, source)), Some((_, target))) = (source, target) else { continue };
        let key = (link.association.as_str(), format!("{name}-{}", link.association));
        let entry = targets.entry(key).or_insert_with(|| (link.number, source, Vec::new()));
        entry.2.push(target);
    }
    for ((association, title), (number, source, targets)) in targets {
        imported.objects.push((number, object(association, title, number, source, targets)));
    }
    Ok(imported)
}

fn object(association: &str, title: String, number: u32, source: Tree, targets: Vec<Tree>) -> ExportedObject {
    let spec = vec![
        Entry::new("association", Tree::text(association)),
        Entry::new("source", source),
        Entry::new("targets", Tree::List(targets)),
    ];
    ExportedObject {
        title,
        handles: vec![number.to_string()],
        instance: None,
        group: vec![association.to_owned()],
        note: format!("row {number} of the associations"),
        spec: Tree::Map(spec),
        left: Vec::new(),
    }
}

/// Returns an end with a name for people: by the document of its row where the file has one, else by its values.
fn found(import: &ImportScope<'_>, model: &str, text: &str, definition: &Definition) -> Result<(String, Tree), String> {
    let mut values: Vec<(String, String)> = Vec::new();
    for part in text.split(',') {
        let Some((name, value)) = part.split_once('=') else {
            return Err(format!("takes NAME=VALUE with commas between them, not `{text}`"));
        };
        let name = name.trim();
        let is_it = |id: &str, display: &str| id == name || display == name;
        let mut found = definition.iter().filter(|(id, attribute)| is_it(id, attribute.display_name()));
        match (found.next(), found.next()) {
            (Some((id, _)), None) => values.push((id.to_string(), value.trim().to_owned())),
            (Some(_), Some(_)) => return Err(format!("several attributes of `{model}` are called `{name}`")),
            (None, _) => return Err(format!("no attribute of `{model}` is called `{name}`")),
        }
    }
    let is_row = |cells: &[(String, String)]| values.iter().all(|value| cells.contains(value));
    let is_own = import.scope.locate("model").and_then(Json::as_str) == Some(model);
    let own = import.rows.iter().filter(|_| is_own).find(|row| is_row(&row.cells));
    let shown = values.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join("-");
    if let Some(name) = own.and_then(|row| (import.name_of)(row.number)) {
        return Ok((name.clone(), Tree::Flow(vec![("ref".to_owned(), Tree::Text(name))])));
    }
    let matched = values.into_iter().map(|(id, value)| (id, Tree::Text(value))).collect();
    let end = vec![("model".to_owned(), Tree::text(model)), ("match".to_owned(), Tree::Flow(matched))];
    Ok((shown, Tree::Flow(end)))
}

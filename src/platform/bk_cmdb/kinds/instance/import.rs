//! Rows of the spreadsheet that the platform's page exports for a model, as documents. The page shows options by their
//! names, several of them in lines, users with their full names, and organizations with their ids in front
//! (`src/web_server/service/excel` of the platform).

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{NAME, model_of};
use crate::{
    platform::bk_cmdb::{
        attribute::{Attribute, plain},
        kinds::export_common::{Unlisted, plain_tree, unread},
        lookup,
    },
    provider::{CellProblem, ExportedObject, Facts, ImportScope, Imported, Observation, SheetRow},
    yaml::write::{Entry, Tree},
};

/// The column with the id of an instance. A template that was filled by hand has none.
const ID: &str = "bk_inst_id";

pub(super) fn import(
    import: &ImportScope<'_>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Imported, Unlisted> {
    let model = model_of(import.scope);
    let definition = lookup::definition(model, observation, facts).map_err(|error| unread(&error, import.scope))?;
    let mut imported = Imported::default();
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for row in import.rows {
        // The rows of a table in a cell take lines of their own.
        let is_table = |(field, _): &(String, String)| {
            definition.get(field.as_str()).is_some_and(|attribute| attribute.kind() == "innertable")
        };
        if row.cells.iter().all(is_table) {
            continue;
        }
        let mut problem = |field: &str, message: String| {
            imported.problems.push(CellProblem { row: row.number, field: field.to_owned(), message });
        };
        let cell = |name: &str| row.cells.iter().find(|(field, _)| field == name).map(|(_, text)| text.as_str());
        let Some(name) = cell(NAME).map(str::trim).filter(|name| !name.is_empty()) else {
            problem(NAME, "the instance has no name".to_owned());
            continue;
        };
        if let Some(first) = seen.insert(name, row.number) {
            problem(NAME, format!("the name `{name}` is in row {first} too"));
            continue;
        }
        let id = match cell(ID).map(str::parse::<i64>) {
            None => None,
            Some(Ok(id)) if id > 0 => Some(id),
            Some(_) => {
                problem(ID, "the id of an instance is a whole number above 0".to_owned());
                continue;
            }
        };
        let (mut fields, mut left) = (Vec::new(), Vec::new());
        for (field, text) in row.cells.iter().filter(|(field, _)| field != ID) {
            match definition.get(field.as_str()) {
                None => problem(field, format!("the model has no attribute `{field}`")),
                Some(attribute) if !attribute.is_editable() => {
                    left.push((field.clone(), "no write can set it".to_owned()));
                }
                // Its name says which new one is meant.
                Some(_) if field == NAME && id.is_none() => {}
                Some(attribute) => match value(attribute, text, facts) {
                    Ok(value) => fields.push(Entry::new(field.as_str(), value)),
                    Err(why) => problem(field, format!("`{field}` {why}")),
                },
            }
        }
        imported.objects.push((row.number, object(model, name, id, (fields, left), row)));
    }
    Ok(imported)
}

fn object(
    model: &str,
    name: &str,
    id: Option<i64>,
    (fields, left): (Vec<Entry>, Vec<(String, String)>),
    row: &SheetRow,
) -> ExportedObject {
    let mut spec = vec![Entry::new("model", Tree::text(model))];
    if let Some(id) = id {
        spec.push(Entry::new("id", Tree::Plain(id.to_string())));
    } else {
        spec.insert(0, Entry::new("ensure", Tree::text("present")));
        spec.push(Entry::new("match", Tree::Flow(vec![(NAME.to_owned(), Tree::text(name))])));
    }
    spec.push(Entry::new("fields", Tree::Map(fields)));
    ExportedObject {
        title: name.to_owned(),
        handles: vec![row.number.to_string()],
        instance: None,
        group: vec![model.to_owned()],
        note: format!("row {}", row.number),
        spec: Tree::Map(spec),
        left,
    }
}

/// Returns the value of a cell as a document declares it, or what is wrong with it.
fn value(attribute: &Attribute, text: &str, facts: &Facts) -> Result<Tree, String> {
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let declared = match attribute.kind() {
        "enummulti" => json!(lines().collect::<Vec<_>>()),
        "enumquote" => return Err("names other instances: give their ids in a document".to_owned()),
        "organization" => organizations(text)?,
        "objuser" => json!(users(text)),
        "bool" => plain(&text.to_lowercase()).to_value(),
        "int" | "float" => plain(text.trim()).to_value(),
        _ => json!(text),
    };
    attribute.wire(&(&declared).into(), time_zone)?;
    Ok(plain_tree(declared))
}

/// Returns the ids in a text such as `[12]Network,[13]Storage`.
fn organizations(text: &str) -> Result<Value, String> {
    let id = |part: &str| part.trim().strip_prefix('[')?.split_once(']')?.0.parse::<i64>().ok();
    let ids: Option<Vec<i64>> = text
        .split(",[")
        .enumerate()
        .map(|(at, part)| if at == 0 { id(part) } else { id(&format!("[{part}")) })
        .collect();
    ids.map(|ids| json!(ids)).ok_or_else(|| format!("takes organizations such as [12]Network, not `{text}`"))
}

/// Returns user names without the full names behind them: `alice(Alice),bob` is `alice,bob`.
fn users(text: &str) -> String {
    let mut depth = 0_u32;
    let mut names = String::new();
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '\n' if depth == 0 => names.push(','),
            letter if depth == 0 => names.push(letter),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_organizations_are_read_as_the_page_writes_them() {
        assert_eq!(users("alice(Alice, A.),bob"), "alice,bob");
        assert_eq!(users("alice"), "alice");
        assert_eq!(organizations("[12]Network,[13]Storage, Berlin"), Ok(json!([12, 13])));
        assert!(organizations("Network").is_err());
    }
}

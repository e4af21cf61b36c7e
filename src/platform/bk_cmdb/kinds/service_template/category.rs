//! Service categories: a template lies in a leaf, which documents name by a path of names, by its own name or by its id.

use super::CATEGORY;
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Json, View},
    platform::bk_cmdb::{
        kinds::decode_common::nearest,
        lookup::{LookupError, service_categories},
    },
    provider::{Facts, Observation},
    yaml::write::Tree,
};

/// The categories that a business can use, as far as documents name any.
pub(super) struct Categories<'f> {
    rows: Vec<&'f Json>,
}

impl<'f> Categories<'f> {
    /// Reads them where a document names one.
    pub(super) fn of(
        business: i64,
        group: &[&Desired],
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<Self, LookupError> {
        let is_named = group.iter().any(|desired| desired.field(CATEGORY).is_some());
        let rows = if is_named { service_categories(business, observation, facts)? } else { Vec::new() };
        Ok(Self { rows })
    }

    /// Returns the id of the category that a document names; `None` if it names none.
    pub(super) fn wanted(&self, desired: &Desired) -> Result<Option<i64>, Box<Diagnostic>> {
        let Some(given) = desired.fields.get(CATEGORY) else { return Ok(None) };
        let path: Vec<&str> = match given.value.view() {
            View::Text(name) => vec![name],
            _ => given.value.items().iter().filter_map(Json::as_str).collect(),
        };
        let fits = |row: &Json| match given.value.as_i64() {
            Some(id) => row["id"].as_i64() == Some(id),
            None => self.ends_with(row, &path),
        };
        let found: Vec<&Json> = self.rows.iter().copied().filter(|row| fits(row)).collect();
        let leaves: Vec<&Json> = found.iter().copied().filter(|row| self.is_leaf(row)).collect();
        let said = |message: String| Diagnostic::error("P111", message, &given.origin);
        let named = given.value.as_i64().map_or_else(|| path.join(" / "), |id| format!("#{id}"));
        Err(Box::new(match (leaves.as_slice(), found.as_slice()) {
            ([leaf], _) => return Ok(leaf["id"].as_i64()),
            ([], [parent, ..]) => {
                let children = self.rows.iter().filter(|row| row["bk_parent_id"] == parent["id"]);
                let names: Vec<_> = children.filter_map(|row| row["name"].as_str().map(str::to_owned)).collect();
                said(format!("the service category {named} has categories below it: a template lies in one of these"))
                    .hint(format!("there are: {}", names.join(", ")))
            }
            ([], []) => {
                let leaves = self.rows.iter().filter(|row| self.is_leaf(row));
                let names: Vec<_> = leaves.map(|row| self.path(row)).collect();
                nearest(said(format!("there is no service category {named}")), &path.join(" / "), &names)
            }
            (several, _) => {
                let paths: Vec<_> = several.iter().map(|row| format!("{} (#{})", self.path(row), row["id"])).collect();
                said(format!("several service categories are named {named}"))
                    .hint(format!("give the path or the id: {}", paths.join(", ")))
            }
        }))
    }

    /// Returns true if a category has this name, below categories of the names before it.
    fn ends_with(&self, row: &Json, path: &[&str]) -> bool {
        let Some((name, above)) = path.split_last() else { return true };
        row["name"].as_str() == Some(name)
            && (above.is_empty() || self.parent(row).is_some_and(|parent| self.ends_with(parent, above)))
    }

    fn parent(&self, row: &Json) -> Option<&'f Json> {
        let id = row["bk_parent_id"].as_i64().filter(|id| *id > 0)?;
        self.rows.iter().copied().find(|row| row["id"].as_i64() == Some(id))
    }

    fn is_leaf(&self, row: &Json) -> bool {
        self.rows.iter().all(|other| other["bk_parent_id"] != row["id"])
    }

    /// Returns the names of a category and of the one above it.
    fn path(&self, row: &Json) -> String {
        let name = row["name"].as_str().unwrap_or_default();
        match self.parent(row).and_then(|parent| parent["name"].as_str()) {
            Some(parent) => format!("{parent} / {name}"),
            None => name.to_owned(),
        }
    }
}

/// Returns a category as a document names it: by its path where that names no other one, else by its id.
pub(super) fn declared(business: i64, id: i64, facts: &Facts) -> Tree {
    let rows = service_categories(business, &mut Observation::default(), facts).unwrap_or_default();
    let categories = Categories { rows };
    let row = categories.rows.iter().find(|row| row["id"].as_i64() == Some(id));
    let name = |row: &Json| row["name"].as_str().map(str::to_owned);
    let path: Option<Vec<String>> =
        row.and_then(|row| [categories.parent(row).map(name), Some(name(row))].into_iter().flatten().collect());
    let path = path.unwrap_or_default();
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let is_it = |row: &&&Json| categories.ends_with(row, &words) && categories.is_leaf(row);
    if !words.is_empty() && categories.rows.iter().filter(is_it).count() == 1 {
        return Tree::List(path.into_iter().map(Tree::Text).collect());
    }
    Tree::Plain(id.to_string())
}

/// Returns a category as people read it; `None` if the categories were not read.
pub(super) fn shown(business: i64, id: i64, facts: &Facts) -> Option<String> {
    let rows = service_categories(business, &mut Observation::default(), facts).ok()?;
    let categories = Categories { rows };
    let row = categories.rows.iter().find(|row| row["id"].as_i64() == Some(id))?;
    Some(categories.path(row))
}

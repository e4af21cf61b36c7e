//! Modules by their names. Those that are built in have a name in each language.

use std::collections::{BTreeMap, HashMap};

use super::{NAME, TEMPLATE};
use crate::{
    model::{CreateContext, Desired, Json, Live},
    platform::bk_cmdb::kinds::sets::built_in,
    provider::NameKeys,
};

/// Names of the modules of the set that every business has, in each language, and their `default`.
const BUILT_IN_MODULES: &[(&str, i64)] =
    &[("idle host", 1), ("fault host", 2), ("recycle host", 3), ("空闲机", 1), ("故障机", 2), ("待回收", 3)];

/// Returns true if a module of the built-in set is called so in some language.
pub(super) fn is_built_in(name: &str) -> bool {
    built_in(BUILT_IN_MODULES, name).is_some()
}

/// Returns how a document means a live module of its set that has another name.
pub(super) fn rename_hint(desired: &Desired, live: &Live, context: &CreateContext) -> Option<String> {
    // A template gives its modules their name.
    let is_free = live.field(TEMPLATE).as_i64().unwrap_or_default() == 0;
    let is_there = live.handle["set"] == context["set"] && is_free && desired.locate("serviceTemplate").is_none();
    let keys = NameKeys { key: "module", fields: "fields", name: NAME };
    keys.hint(desired, live.field(NAME).as_str().filter(|_| is_there))
}

/// Modules of a business that were found, by id, and by set and name.
pub(super) struct Modules<'f> {
    pub(super) rows: BTreeMap<i64, &'f Json>,
    by_name: HashMap<(i64, &'f str), Vec<i64>>,
}

impl<'f> Modules<'f> {
    /// Returns modules by their ids and names.
    pub(super) fn of(found: impl Iterator<Item = &'f Json>) -> Self {
        let rows: BTreeMap<i64, &Json> = found.filter_map(|row| Some((row["bk_module_id"].as_i64()?, row))).collect();
        let mut by_name: HashMap<(i64, &str), Vec<i64>> = HashMap::new();
        for (id, row) in &rows {
            if let Some(key) = row["bk_set_id"].as_i64().zip(row[NAME].as_str()) {
                by_name.entry(key).or_default().push(*id);
            }
        }
        Self { rows, by_name }
    }

    /// Returns the modules of a set by a name: those that are shown by it, else the built-in one that some language
    /// calls so.
    pub(super) fn named(&self, set: i64, name: &str) -> Vec<i64> {
        if let Some(found) = self.by_name.get(&(set, name)) {
            return found.clone();
        }
        let Some(flag) = built_in(BUILT_IN_MODULES, name) else { return Vec::new() };
        let is_meant = |row: &Json| row["bk_set_id"] == set && row["default"] == flag;
        self.rows.iter().filter(|(_, row)| is_meant(row)).map(|(id, _)| *id).collect()
    }
}

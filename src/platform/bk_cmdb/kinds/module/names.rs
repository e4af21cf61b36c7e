//! Sets and modules by their names. Those that are built in have a name in each language.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::NAME;

/// Sets of a business, as they were listed and by name.
#[derive(Default)]
pub(super) struct Sets<'f> {
    pub(super) rows: Vec<&'f Value>,
    pub(super) by_name: HashMap<&'f str, Vec<&'f Value>>,
}

impl<'f> Sets<'f> {
    /// Returns sets by their names.
    pub(super) fn of(rows: Vec<&'f Value>) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for row in &rows {
            if let Some(name) = row["bk_set_name"].as_str() {
                by_name.entry(name).or_default().push(*row);
            }
        }
        Self { rows, by_name }
    }

    /// Returns the sets of a name: those that are shown by it, else the built-in one that some language calls so.
    pub(super) fn named(&self, name: &str) -> Vec<&'f Value> {
        if let Some(found) = self.by_name.get(name) {
            return found.clone();
        }
        let flag = built_in(BUILT_IN_SETS, name);
        self.rows.iter().copied().filter(|row| flag.is_some() && row["default"].as_i64() == flag).collect()
    }
}

/// Names of the set that every business has, in each language, and its `default`. The server shows it by that of the
/// language that it is asked in.
const BUILT_IN_SETS: &[(&str, i64)] = &[("idle pool", 1), ("空闲机池", 1)];
/// Names of the modules of that set.
const BUILT_IN_MODULES: &[(&str, i64)] =
    &[("idle host", 1), ("fault host", 2), ("recycle host", 3), ("空闲机", 1), ("故障机", 2), ("待回收", 3)];

/// Returns the `default` of what is built in under a name.
fn built_in(names: &[(&str, i64)], name: &str) -> Option<i64> {
    names.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag)
}

/// Returns true if a module of the built-in set is called so in some language.
pub(super) fn is_built_in(name: &str) -> bool {
    built_in(BUILT_IN_MODULES, name).is_some()
}

/// Modules of a business that were found, by id, and by set and name.
pub(super) struct Modules<'f> {
    pub(super) rows: BTreeMap<i64, &'f Value>,
    by_name: HashMap<(i64, &'f str), Vec<i64>>,
}

impl<'f> Modules<'f> {
    /// Returns modules by their ids and names.
    pub(super) fn of(found: impl Iterator<Item = &'f Value>) -> Self {
        let rows: BTreeMap<i64, &Value> = found.filter_map(|row| Some((row["bk_module_id"].as_i64()?, row))).collect();
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
        let is_meant = |row: &Value| row["bk_set_id"] == set && row["default"] == flag;
        self.rows.iter().filter(|(_, row)| is_meant(row)).map(|(id, _)| *id).collect()
    }
}

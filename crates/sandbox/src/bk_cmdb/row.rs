//! Rows: the cells of one stored object.

use std::{collections::HashSet, sync::Arc};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::{built_in, call::Language};

/// One stored object. Names are shared among rows, since a model's rows all carry the same ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    cells: Vec<(Arc<str>, Value)>,
}

/// The names of cells seen so far, each kept once.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(HashSet<Arc<str>>);

impl Names {
    /// Returns the shared form of a name if there is one.
    pub(super) fn known(&self, name: &str) -> Arc<str> {
        self.0.get(name).map_or_else(|| Arc::from(name), Arc::clone)
    }

    /// Returns the shared form of a name.
    pub(super) fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let fresh: Arc<str> = Arc::from(name);
        self.0.insert(Arc::clone(&fresh));
        fresh
    }
}

impl Row {
    /// Returns a row of the cells of a JSON object.
    pub(super) fn from_map(map: &Map<String, Value>, names: &mut Names) -> Self {
        Self { cells: map.iter().map(|(name, value)| (names.share(name), value.clone())).collect() }
    }

    /// Returns a row of the given cells.
    pub(super) fn of<const N: usize>(cells: [(&str, Value); N]) -> Self {
        Self { cells: cells.into_iter().map(|(name, value)| (Arc::from(name), value)).collect() }
    }

    /// Returns the value of a cell.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.cells.iter().find(|(key, _)| &**key == name).map(|(_, value)| value)
    }

    /// Returns the integer in a cell, 0 for none.
    pub(super) fn int(&self, name: &str) -> i64 {
        self.get(name).and_then(Value::as_i64).unwrap_or(0)
    }

    /// Returns the text in a cell, empty for none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or("")
    }

    /// Sets a cell.
    pub(super) fn set(&mut self, name: impl AsRef<str> + Into<Arc<str>>, value: impl Into<Value>) {
        match self.cells.iter_mut().find(|(key, _)| &**key == name.as_ref()) {
            Some((_, old)) => *old = value.into(),
            None => self.cells.push((name.into(), value.into())),
        }
    }

    /// Takes a cell away.
    pub(super) fn remove(&mut self, name: &str) {
        self.cells.retain(|(key, _)| &**key != name);
    }

    /// Sets a cell unless it is there.
    pub(super) fn fill(&mut self, name: &str, value: impl Into<Value>) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// Returns all cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.cells.iter().map(|(name, value)| (&**name, value))
    }

    /// Returns the row as a JSON value.
    pub(super) fn to_value(&self) -> Value {
        Value::Object(self.cells().map(|(name, value)| (name.to_owned(), value.clone())).collect())
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.cells.len()))?;
        for (name, value) in self.cells() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Which cells an answer shows.
#[derive(Debug, Clone, Default)]
pub(super) struct Projection {
    /// The names asked for; empty for all.
    pub(super) fields: Vec<String>,
    /// The name cell of set and module rows, which is shown for built-in ones even when not asked for.
    pub(super) name: Option<&'static str>,
    /// True if `default` is shown even when not asked for (section 3).
    pub(super) default: bool,
    /// The language of the names of built-in sets and modules.
    pub(super) language: Language,
}

impl Projection {
    /// A projection on some fields.
    pub(super) fn on(fields: Vec<String>) -> Self {
        Self { fields, ..Self::default() }
    }

    /// Returns true if an answer shows cells of this name.
    pub(super) fn names(&self, name: &str) -> bool {
        self.fields.is_empty() || self.fields.iter().any(|field| field == name)
    }

    /// Returns true if a cell of this row is shown.
    fn shows(&self, row: &Row, name: &str) -> bool {
        self.names(name)
            || (self.default && (name == "default" || (self.name == Some(name) && row.int("default") != 0)))
    }
}

/// A row as an answer shows it.
pub(super) struct Shown<'a>(pub(super) &'a Row, pub(super) &'a Projection);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.0.cells().filter(|(name, _)| self.1.shows(self.0, name)) {
            match built_in::name(name, self.0, self.1.language).filter(|_| self.1.name == Some(name)) {
                Some(translated) => map.serialize_entry(name, translated)?,
                None => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

/// Writes rows as a JSON list.
pub(super) fn list_text<'a>(rows: impl Iterator<Item = &'a Arc<Row>>, projection: &Projection) -> String {
    let mut text = Vec::from(b"[");
    for (position, row) in rows.enumerate() {
        if position > 0 {
            text.push(b',');
        }
        // Writing maps with text keys into memory cannot fail.
        let _ = serde_json::to_writer(&mut text, &Shown(row, projection));
    }
    text.push(b']');
    String::from_utf8(text).unwrap_or_default()
}

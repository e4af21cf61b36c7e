//! Tables of rows by id, with the indexes that spare full scans.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::row::Row;

/// A scalar as a key of an index.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Atom {
    /// A whole number.
    Whole(i64),
    /// Any other number, by its bits.
    Fraction(u64),
    /// A text.
    Text(Box<str>),
    /// A truth value.
    Flag(bool),
}

impl Atom {
    /// Returns the atom of a scalar; `None` for null, lists and objects.
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.as_str().into())),
            Value::Bool(flag) => Some(Self::Flag(*flag)),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Some(Self::Whole(whole)),
                None => number.as_f64().map(Self::of_float),
            },
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn of_float(number: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "only whole numbers that a float holds exactly")]
        if number.fract() == 0.0 && number.abs() < 9e15 {
            Self::Whole(number as i64)
        } else {
            Self::Fraction(number.to_bits())
        }
    }
}

/// The type that a field must have for its row to take part in a unique key (section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Text,
    Number,
}

impl KeyType {
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Number => value.is_number(),
        }
    }
}

/// A unique key: no two rows may have the same values in all its fields.
#[derive(Debug, Clone)]
pub(super) struct Unique {
    fields: Vec<(Arc<str>, KeyType)>,
    entries: HashMap<Box<[Atom]>, i64>,
}

impl Unique {
    /// A unique key on some fields.
    pub(super) fn on(fields: Vec<(Arc<str>, KeyType)>) -> Self {
        Self { fields, entries: HashMap::new() }
    }

    /// Returns the key of a row; `None` when a field has another type, since such rows never collide.
    fn key(&self, row: &Row) -> Option<Box<[Atom]>> {
        self.fields
            .iter()
            .map(|(field, kind)| row.get(field).filter(|value| kind.holds(value)).and_then(Atom::of))
            .collect()
    }

    /// Names the fields with a row's values, as the server's message does.
    pub(super) fn describe(&self, row: &Row) -> String {
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|(field, _)| format!("{field}: {}", row.get(field).unwrap_or(&Value::Null)))
            .collect();
        format!(" {} ", fields.join(", "))
    }
}

/// An index of equal values.
#[derive(Debug, Clone)]
struct Lookup {
    field: Arc<str>,
    entries: HashMap<Atom, BTreeSet<i64>>,
}

/// Rows by id.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The cell that holds the id.
    pub(super) key: &'static str,
    rows: BTreeMap<i64, Arc<Row>>,
    uniques: Vec<Unique>,
    lookups: Vec<Lookup>,
}

impl Table {
    /// An empty table.
    pub(super) fn new(key: &'static str, uniques: Vec<Unique>, lookups: &[&str]) -> Self {
        let lookups =
            lookups.iter().map(|field| Lookup { field: Arc::from(*field), entries: HashMap::new() }).collect();
        Self { key, rows: BTreeMap::new(), uniques, lookups }
    }

    /// Returns a row.
    pub(super) fn get(&self, id: i64) -> Option<&Arc<Row>> {
        self.rows.get(&id)
    }

    /// Returns all rows by ascending id.
    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = (i64, &Arc<Row>)> {
        self.rows.iter().map(|(id, row)| (*id, row))
    }

    /// Returns how many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the id above the highest one.
    pub(super) fn next_id(&self) -> i64 {
        self.rows.last_key_value().map_or(1, |(id, _)| id.saturating_add(1))
    }

    /// Stores a row or, with none, removes it; returns what was there.
    pub(super) fn put(&mut self, id: i64, row: Option<Arc<Row>>) -> Option<Arc<Row>> {
        let old = self.rows.remove(&id);
        if let Some(old) = &old {
            for unique in &mut self.uniques {
                if let Some(key) = unique.key(old)
                    && unique.entries.get(&key) == Some(&id)
                {
                    unique.entries.remove(&key);
                }
            }
            for lookup in &mut self.lookups {
                let Some(atom) = old.get(&lookup.field).and_then(Atom::of) else { continue };
                if let Some(ids) = lookup.entries.get_mut(&atom) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        lookup.entries.remove(&atom);
                    }
                }
            }
        }
        if let Some(row) = row {
            for unique in &mut self.uniques {
                if let Some(key) = unique.key(&row) {
                    unique.entries.entry(key).or_insert(id);
                }
            }
            for lookup in &mut self.lookups {
                if let Some(atom) = row.get(&lookup.field).and_then(Atom::of) {
                    lookup.entries.entry(atom).or_default().insert(id);
                }
            }
            self.rows.insert(id, row);
        }
        old
    }

    /// Returns true if a field takes part in a unique key.
    pub(super) fn is_key(&self, field: &str) -> bool {
        self.uniques.iter().flat_map(|unique| &unique.fields).any(|(name, _)| &**name == field)
    }

    /// Returns the unique key in which a row collides with another than `id`.
    pub(super) fn conflict(&self, id: i64, row: &Row) -> Option<&Unique> {
        self.uniques.iter().find(|unique| {
            unique.key(row).is_some_and(|key| unique.entries.get(&key).is_some_and(|other| *other != id))
        })
    }

    /// Returns the ids of the rows whose field has one of the values, ascending; `None` if no index knows.
    pub(super) fn ids(&self, field: &str, values: &[Value]) -> Option<Vec<i64>> {
        let mut ids: Vec<i64> = if field == self.key {
            let all = values.iter().map(Value::as_i64).collect::<Option<Vec<i64>>>()?;
            all.into_iter().filter(|id| self.rows.contains_key(id)).collect()
        } else if let Some(lookup) = self.lookups.iter().find(|lookup| &*lookup.field == field) {
            let atoms = values.iter().map(Atom::of).collect::<Option<Vec<Atom>>>()?;
            atoms.iter().filter_map(|atom| lookup.entries.get(atom)).flatten().copied().collect()
        } else {
            let unique =
                self.uniques.iter().find(|unique| unique.fields.len() == 1 && &*unique.fields[0].0 == field)?;
            // Values of another type are not in the index although a row may hold them.
            if !values.iter().all(|value| unique.fields[0].1.holds(value)) {
                return None;
            }
            let atoms = values.iter().map(Atom::of).collect::<Option<Vec<Atom>>>()?;
            atoms.into_iter().filter_map(|atom| unique.entries.get(std::slice::from_ref(&atom))).copied().collect()
        };
        ids.sort_unstable();
        ids.dedup();
        Some(ids)
    }

    /// Returns how many ids [`Self::ids`] gives at most; `None` if no index knows.
    pub(super) fn estimate(&self, field: &str, values: &[Value]) -> Option<usize> {
        if let Some(lookup) = self.lookups.iter().find(|lookup| &*lookup.field == field) {
            let length = |value| Atom::of(value).map(|atom| lookup.entries.get(&atom).map_or(0, BTreeSet::len));
            return values.iter().map(length).sum();
        }
        let unique = || self.uniques.iter().any(|unique| unique.fields.len() == 1 && &*unique.fields[0].0 == field);
        (field == self.key || unique()).then_some(values.len())
    }

    /// Returns the id that a composite unique key gives for fields of known values; `None` if no such key applies.
    pub(super) fn composite(&self, known: &[(&str, &Value)]) -> Option<Vec<i64>> {
        self.uniques.iter().filter(|unique| unique.fields.len() > 1).find_map(|unique| {
            let key: Option<Box<[Atom]>> = unique
                .fields
                .iter()
                .map(|(field, kind)| {
                    let (_, value) = known.iter().find(|(name, _)| *name == &**field)?;
                    Some(*value).filter(|value| kind.holds(value)).and_then(Atom::of)
                })
                .collect();
            key.map(|key| unique.entries.get(&key).copied().into_iter().collect())
        })
    }
}

//! Answering a kind's precise reads from whole scopes, which were read once: what a snapshot holds.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use super::{Catalog, Facts, Step};
use crate::model::{Desired, Json, Refusal, Request};

/// How a platform's reads are answered from whole scopes: all instances of a model, all modules of a business. A scope
/// is named by a request without conditions, fields and pages; it is never sent as it is.
pub trait ScopeSchema: Sync {
    /// Names the scopes that a read can be answered from, the one that tells most first; `None` for an unknown read.
    fn scopes(&self, request: &Request) -> Vec<Request>;

    /// Names the scopes that have to be known before one can be read.
    fn needs(&self, _scope: &Request) -> Vec<Request> {
        Vec::new()
    }

    /// Names the scopes that belong to one that manifests touch, so that a new document finds them too.
    fn related(&self, _scope: &Request) -> Vec<Request> {
        Vec::new()
    }

    /// Returns the rows of a scope, with what kinds read of them and nothing else, or asks for them. `needs` holds what
    /// [`ScopeSchema::needs`] names, in that order.
    fn rows(&self, scope: &Request, needs: &[Arc<ScopeRows>], facts: &Facts) -> Result<Step<Vec<Value>>, Refusal>;

    /// Returns true if a refusal is as good as an answer, such as that the server has no such operation.
    fn is_answer(&self, scope: &Request, refusal: &Refusal) -> bool;

    /// Returns true if plans do without a scope: its rows are shown beside changes, and decide none.
    fn is_dispensable(&self, _scope: &Request) -> bool {
        false
    }

    /// Names the reads that tell the fields of the objects that documents declare.
    fn definitions(&self, _desired: &[&Desired]) -> Vec<Request> {
        Vec::new()
    }

    /// Takes in what the rows of a scope, or of such a read, tell of fields and names.
    fn describe(&self, _operation: &str, _arguments: &Value, _scope_rows: &ScopeRows, _catalog: &mut Catalog) {}

    /// Returns the answer that the server would have given; `None` if the scope does not tell.
    fn select(&self, request: &Request, scope: &Request, scope_rows: &ScopeRows) -> Option<Result<Value, Refusal>>;
}

/// The positions of rows by the value of a field, as text.
pub type Index = HashMap<String, Vec<usize>>;

/// All rows of a scope.
#[derive(Debug, Default)]
pub struct ScopeRows {
    rows: Vec<Value>,
    indexes: Mutex<HashMap<String, Arc<Index>>>,
}

impl ScopeRows {
    /// Returns a scope of rows.
    pub fn new(rows: Vec<Value>) -> Self {
        Self { rows, indexes: Mutex::default() }
    }

    /// Returns the rows in the order that they were read in.
    pub fn rows(&self) -> &[Value] {
        &self.rows
    }

    /// Returns the rows of each value of a field, as [`text`] writes it; made once. A list counts as each of its items.
    pub fn index(&self, field: &str) -> Arc<Index> {
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = indexes.get(field) {
            return index.clone();
        }
        let mut index = Index::new();
        for (at, row) in self.rows.iter().enumerate() {
            for text in texts(&row[field]) {
                index.entry(text).or_default().push(at);
            }
        }
        let index = Arc::new(index);
        indexes.insert(field.to_owned(), index.clone());
        index
    }

    /// Returns the rows that have one of some values in a field, in their order.
    pub fn among<'v>(&self, field: &str, values: impl IntoIterator<Item = &'v Value>) -> Vec<&Value> {
        let index = self.index(field);
        let found = values.into_iter().filter_map(|value| index.get(&text(value))).flatten();
        found.copied().collect::<BTreeSet<usize>>().into_iter().filter_map(|at| self.rows.get(at)).collect()
    }
}

/// Returns a value as text that equals another's only if the values are equal: numbers by value.
pub fn text(value: &Value) -> String {
    match value {
        Value::Number(number) if number.as_i64().is_none() => match number.as_f64() {
            // 2.0 is 2. What is larger may be no whole number any more, so its own text has to do.
            Some(float) if float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// Returns the texts by which a value of a row is found: its own, and those of its items.
pub fn texts(value: &Value) -> BTreeSet<String> {
    let items = value.as_array().into_iter().flatten().map(text);
    items.chain([text(value)]).collect()
}

/// Returns a row with some of its keys; with none given, all.
pub fn only(row: &Value, keys: &[&str]) -> Value {
    match row.as_object() {
        Some(object) if !keys.is_empty() => keys
            .iter()
            .filter_map(|key| object.get_key_value(*key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        _ => row.clone(),
    }
}

/// Returns a row of an answer with some of its keys; with none given, all.
pub fn only_read(row: &Json, keys: &[&str]) -> Value {
    match row.as_object() {
        Some(object) if !keys.is_empty() => {
            keys.iter().filter_map(|key| Some(((*key).to_owned(), object.get(key)?.to_value()))).collect()
        }
        _ => row.to_value(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_found_by_equal_values() {
        let rows = json!([{"a": 1, "b": "x"}, {"a": "1"}, {"a": [1, 2]}, {"a": null}, {"a": 2.0}, {"a": 2.5}]);
        let scope_rows = ScopeRows::new(rows.as_array().cloned().unwrap_or_default());
        let check = |values: Value, expected: &[usize]| {
            let values = values.as_array().cloned().unwrap_or_default();
            let found = scope_rows.among("a", &values);
            let expected: Vec<_> = expected.iter().map(|at| &scope_rows.rows()[*at]).collect();
            assert_eq!(found, expected, "{values:?}");
        };
        check(json!([1]), &[0, 2]);
        check(json!(["1"]), &[1]);
        check(json!([2]), &[2, 4]);
        check(json!([2.5]), &[5]);
        check(json!([null]), &[3]);
        check(json!([[1, 2]]), &[2]);
        check(json!([7, "x"]), &[]);
        assert_eq!(only(&scope_rows.rows()[0], &["b", "c"]), json!({"b": "x"}));
        assert_eq!(only(&scope_rows.rows()[0], &[]), scope_rows.rows()[0]);
    }
}

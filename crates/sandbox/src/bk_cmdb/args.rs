//! Arguments of an operation, decoded as the server decodes them: a wrong JSON type anywhere is 1199000.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// A JSON object of arguments. Unknown keys are ignored, null is the same as missing (section 3).
#[derive(Debug, Clone, Default)]
pub(super) struct Args(pub(super) Map<String, Value>);

impl Args {
    /// Returns a value that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Returns an integer, 0 for none.
    pub(super) fn int(&self, name: &str) -> Result<i64, Refusal> {
        Ok(self.maybe_int(name)?.unwrap_or(0))
    }

    /// Returns an integer.
    pub(super) fn maybe_int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name).map(|value| value.as_i64().ok_or_else(Refusal::decode)).transpose()
    }

    /// Returns a text, empty for none.
    pub(super) fn text(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name).map_or(Ok(""), |value| value.as_str().ok_or_else(Refusal::decode))
    }

    /// Returns a truth value, false for none.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        self.get(name).map_or(Ok(false), |value| value.as_bool().ok_or_else(Refusal::decode))
    }

    /// Returns an object, empty for none.
    pub(super) fn object(&self, name: &str) -> Result<Args, Refusal> {
        Ok(self.maybe_object(name)?.unwrap_or_default())
    }

    /// Returns an object.
    pub(super) fn maybe_object(&self, name: &str) -> Result<Option<Args>, Refusal> {
        self.get(name).map(of).transpose()
    }

    /// Returns a list, empty for none.
    pub(super) fn list(&self, name: &str) -> Result<&[Value], Refusal> {
        match self.get(name) {
            None => Ok(&[]),
            Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(Refusal::decode),
        }
    }

    /// Returns a list of objects, empty for none.
    pub(super) fn objects(&self, name: &str) -> Result<Vec<Args>, Refusal> {
        self.list(name)?.iter().map(|item| if item.is_null() { Ok(Self::default()) } else { of(item) }).collect()
    }

    /// Returns a list of integers, empty for none.
    pub(super) fn ints(&self, name: &str) -> Result<Vec<i64>, Refusal> {
        self.list(name)?.iter().map(|item| item.as_i64().ok_or_else(Refusal::decode)).collect()
    }

    /// Returns a list of texts, empty for none.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, Refusal> {
        let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(Refusal::decode);
        self.list(name)?.iter().map(text).collect()
    }
}

fn of(value: &Value) -> Result<Args, Refusal> {
    value.as_object().map(|map| Args(map.clone())).ok_or_else(Refusal::decode)
}

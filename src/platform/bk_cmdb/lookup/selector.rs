//! The selectors of an instance of a model.

use std::collections::BTreeMap;

use serde_json::Value;

/// The selectors of an instance of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::platform::bk_cmdb) enum Selector {
    /// Its id.
    Id(i64),
    /// Values of fields as the server keeps them, by field, as canonical text.
    Fields(BTreeMap<String, Key>),
}

/// A value as text that equals another's only if the values are equal, and the value itself.
#[derive(Debug, Clone)]
pub(in crate::platform::bk_cmdb) struct Key {
    pub(super) text: String,
    pub(super) value: Value,
}

impl Key {
    pub(in crate::platform::bk_cmdb) fn of(value: &Value) -> Self {
        let text = match value {
            Value::Number(number) => number.as_i64().map_or_else(|| number.to_string(), |number| number.to_string()),
            other => other.to_string(),
        };
        Self { text, value: value.clone() }
    }

    /// Returns the value itself.
    pub(in crate::platform::bk_cmdb) fn value(&self) -> &Value {
        &self.value
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

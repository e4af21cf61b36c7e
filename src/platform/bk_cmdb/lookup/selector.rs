//! The selectors of an instance of a model.

use std::{
    cmp::Ordering,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::model::{Json, View};

/// The selectors of an instance of a model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::platform::bk_cmdb) enum Selector {
    /// Its id.
    Id(i64),
    /// Values of fields as the server keeps them, in the order of the fields' names.
    Fields(Arc<[(Arc<str>, Key)]>),
}

impl Selector {
    /// Returns the selector by values of some fields.
    pub(in crate::platform::bk_cmdb) fn fields(fields: impl IntoIterator<Item = (Arc<str>, Key)>) -> Self {
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort();
        Self::Fields(fields.into())
    }
}

/// A value that finds instances: equal to another where the server takes them for the same.
#[derive(Debug, Clone)]
pub(in crate::platform::bk_cmdb) struct Key(Json);

impl Key {
    pub(in crate::platform::bk_cmdb) fn of(value: &Json) -> Self {
        Self(value.clone())
    }

    /// Returns the value itself.
    pub(in crate::platform::bk_cmdb) fn value(&self) -> &Json {
        &self.0
    }

    fn by_ref(&self) -> KeyRef<'_> {
        KeyRef(&self.0)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.by_ref() == other.by_ref()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.by_ref().cmp(&other.by_ref())
    }
}

/// A value of a row, as a [`Key`] that is not copied.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyRef<'v>(pub(super) &'v Json);

impl KeyRef<'_> {
    /// Values of different types differ.
    fn rank(self) -> u8 {
        match self.0.view() {
            View::Null => 0,
            View::Bool(_) => 1,
            View::Number(number) if number.is_i64() => 2,
            View::Number(_) => 3,
            View::Text(_) => 4,
            View::List(_) => 5,
            View::Object(_) => 6,
        }
    }
}

impl Ord for KeyRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.0.view(), other.0.view()) {
            (View::Text(text), View::Text(other)) => text.cmp(other),
            (View::Number(number), View::Number(other)) if number.is_i64() && other.is_i64() => {
                number.as_i64().cmp(&other.as_i64())
            }
            _ => {
                let by_text = || self.0.to_string().cmp(&other.0.to_string());
                self.rank().cmp(&other.rank()).then_with(by_text)
            }
        }
    }
}

impl PartialOrd for KeyRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for KeyRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for KeyRef<'_> {}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0.view() {
            View::Text(text) => text.hash(state),
            View::Number(number) if number.is_i64() => number.as_i64().hash(state),
            _ => self.0.to_string().hash(state),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn keys_are_equal_where_their_values_are() {
        let check = |value: Value, other: Value, expected: Ordering| {
            assert_eq!(Key::of(&(&value).into()).cmp(&Key::of(&(&other).into())), expected, "{value} {other}");
        };
        check(json!("a"), json!("a"), Ordering::Equal);
        check(json!("a"), json!("b"), Ordering::Less);
        check(json!(2), json!(10), Ordering::Less);
        check(json!(1), json!(1u64), Ordering::Equal);
        check(json!(1), json!(1.0), Ordering::Less);
        check(json!(1), json!("1"), Ordering::Less);
        check(json!(null), json!("null"), Ordering::Less);
        check(json!({"a": 1}), json!({"a": 1}), Ordering::Equal);
    }
}

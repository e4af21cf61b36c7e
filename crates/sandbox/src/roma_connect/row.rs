//! Reads single values of a state and notes what is wrong with them.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::clock;
use crate::simulator::StateError;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<StateError>);

impl Errors {
    /// Notes a mistake.
    pub(super) fn add(&mut self, pointer: &str, message: impl Into<String>) {
        self.0.push(StateError { pointer: pointer.to_owned(), message: message.into() });
    }

    /// Returns the value if there is no mistake.
    pub(super) fn or<T>(self, value: T) -> Result<T, Vec<StateError>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

/// Returns the pointer of a member.
pub(super) fn below(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Returns an object.
pub(super) fn object<'a>(value: &'a Value, pointer: &str, errors: &mut Errors) -> Option<&'a Map<String, Value>> {
    let object = value.as_object();
    if object.is_none() {
        errors.add(pointer, "expected an object");
    }
    object
}

/// Returns the objects of a list; null is an empty one.
pub(super) fn list<'a>(value: &'a Value, pointer: &str, errors: &mut Errors) -> Vec<Row<'a>> {
    if value.is_null() {
        return Vec::new();
    }
    let Some(values) = value.as_array() else {
        errors.add(pointer, "expected a list");
        return Vec::new();
    };
    let rows = values.iter().enumerate().filter_map(|(position, value)| {
        let pointer = below(pointer, &position.to_string());
        Some(Row { fields: object(value, &pointer, errors)?, pointer })
    });
    rows.collect()
}

/// An object of a state and its place.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) fields: &'a Map<String, Value>,
    pub(super) pointer: String,
}

impl Row<'_> {
    /// Returns the pointer of a field.
    pub(super) fn place(&self, name: &str) -> String {
        below(&self.pointer, name)
    }

    /// Notes fields with other names than these.
    pub(super) fn only(&self, names: &[&str], errors: &mut Errors) {
        for name in self.fields.keys().filter(|name| !names.contains(&name.as_str())) {
            errors.add(&self.place(name), "no such field");
        }
    }

    /// Returns a field that is not null, as `read` reads it.
    fn field<T>(
        &self,
        name: &str,
        expected: &str,
        errors: &mut Errors,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.fields.get(name).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            errors.add(&self.place(name), format!("expected {expected}"));
        }
        read
    }

    /// Returns a text.
    pub(super) fn text(&self, name: &str, errors: &mut Errors) -> Option<String> {
        self.field(name, "a text", errors, |value| value.as_str().map(str::to_owned))
    }

    /// Returns a text that an id can be: 1 to 64 characters (contract, section 2).
    pub(super) fn short_text(&self, name: &str, errors: &mut Errors) -> Option<String> {
        self.field(name, "a text of 1 to 64 characters", errors, |value| {
            let text = value.as_str()?;
            (1..=64).contains(&text.chars().count()).then(|| text.to_owned())
        })
    }

    /// Returns a text that has to be there.
    pub(super) fn required(&self, name: &str, errors: &mut Errors) -> Option<String> {
        if self.fields.get(name).is_none_or(Value::is_null) {
            errors.add(&self.pointer, format!("{name} is missing"));
        }
        self.text(name, errors)
    }

    /// Returns the id, which has to be there.
    pub(super) fn id(&self, errors: &mut Errors) -> Option<String> {
        if self.fields.get("id").is_none_or(Value::is_null) {
            errors.add(&self.pointer, "id is missing");
        }
        self.short_text("id", errors)
    }

    /// Returns a list of texts; empty where there is none.
    pub(super) fn texts(&self, name: &str, errors: &mut Errors) -> Vec<String> {
        let texts = self.field(name, "a list of texts", errors, |value| {
            value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
        });
        texts.unwrap_or_default()
    }

    /// Returns a truth value.
    pub(super) fn truth(&self, name: &str, errors: &mut Errors) -> Option<bool> {
        self.field(name, "true or false", errors, Value::as_bool)
    }

    /// Returns a number from zero.
    pub(super) fn count(&self, name: &str, errors: &mut Errors) -> Option<u64> {
        self.field(name, "a whole number from 0", errors, Value::as_u64)
    }

    /// Returns a time.
    pub(super) fn time(&self, name: &str, errors: &mut Errors) -> Option<Timestamp> {
        self.field(name, "a time such as 2019-12-06T06:49:04Z", errors, |value| clock::read(value.as_str()?))
    }
}

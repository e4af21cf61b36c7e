//! Keeps secrets out of journals: digests that only the owner of a key can compare stand in their place.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::record::Field;
use crate::model::{Change, FieldChange};

/// The key of a state directory and the secrets that must not reach it.
#[derive(Clone)]
pub struct Redaction {
    key: [u8; 32],
    secrets: Vec<String>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redaction")
    }
}

impl Redaction {
    /// Returns the redaction with a key. Empty secrets are in every text, so they are none.
    pub fn new(key: [u8; 32], secrets: Vec<String>) -> Self {
        Self { key, secrets: secrets.into_iter().filter(|secret| !secret.is_empty()).collect() }
    }

    /// Returns the keyed digest (HMAC-SHA256) of a value, in hexadecimal digits.
    pub fn digest(&self, value: &Value) -> String {
        // A key of any length will do.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        mac.update(value.to_string().as_bytes());
        mac.finalize().into_bytes().iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
    }

    /// Returns a value as a journal may hold it: with its keyed digest in place of a text that holds a secret.
    pub fn value(&self, value: &Value) -> Value {
        if self.is_secret(value) { json!({"keyed_digest": self.digest(value)}) } else { value.clone() }
    }

    /// Returns a text without the secrets.
    pub fn text(&self, text: &str) -> String {
        let masked = |text: String, secret: &String| text.replace(secret.as_str(), "…");
        self.secrets.iter().fold(text.to_owned(), masked)
    }

    fn is_secret(&self, value: &Value) -> bool {
        let holds = |text: &str| self.secrets.iter().any(|secret| text.contains(secret.as_str()));
        match value {
            Value::Null | Value::Bool(_) => false,
            Value::Number(number) => holds(&number.to_string()),
            Value::String(text) => holds(text),
            Value::Array(items) => items.iter().any(|item| self.is_secret(item)),
            Value::Object(fields) => fields.iter().any(|(key, value)| holds(key) || self.is_secret(value)),
        }
    }

    /// Returns the values of a field.
    pub fn field(&self, field: &FieldChange) -> Field {
        let value = |value: &Option<Value>| value.as_ref().map(|value| self.value(value)).unwrap_or_default();
        Field { path: field.path.to_string(), from: value(&field.from), to: value(&field.to) }
    }

    /// Returns the fields of a change, before and after it.
    pub fn fields(&self, change: &Change) -> Vec<Field> {
        let removed = change.before.iter().map(|field| Field {
            path: field.path.to_string(),
            from: self.value(&field.value),
            to: Value::Null,
        });
        removed.chain(change.fields.iter().map(|field| self.field(field))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_secrets_become_keyed_digests() {
        let redaction = Redaction::new([1; 32], vec!["hunter2".to_owned(), String::new()]);
        let check = |value: Value, is_kept: bool| {
            let kept = redaction.value(&value);
            assert!(!kept.to_string().contains("hunter2"));
            assert_eq!(kept == value, is_kept, "{value}");
            assert_eq!(kept, redaction.value(&value), "the same value has the same digest");
        };
        check(json!("x"), true);
        check(json!(7), true);
        check(json!(null), true);
        check(json!("a hunter2 b"), false);
        check(json!([1, {"a": "hunter2"}]), false);
        check(json!({"hunter2": 1}), false);
        let other = Redaction::new([2; 32], vec!["hunter2".to_owned()]);
        assert_ne!(redaction.value(&json!("hunter2")), other.value(&json!("hunter2")));
        assert_eq!(redaction.text("no hunter2 here"), "no … here");
        assert!(!format!("{redaction:?}").contains("hunter2"));
    }
}

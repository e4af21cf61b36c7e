//! Completion: keys, kinds, words, targets, and names for references.

use serde_json::{Value, json};

use super::{
    cursor::Cursor,
    keys::{self, Place},
    position::{self, range_of},
    workspace::Workspace,
};
use crate::{
    manifest::VERSION,
    yaml::{self, Key},
};

/// Kinds of items in the protocol.
const VALUE: u8 = 12;
const FIELD: u8 = 5;
const REFERENCE: u8 = 18;

impl Workspace {
    /// Returns what can be written at a position of a text, counted from 0 in units of UTF-16.
    pub fn complete(&self, path: &str, line: usize, character: usize) -> Vec<Value> {
        let Some(text) = self.text(path) else { return Vec::new() };
        let byte = position::byte(text, line, character);
        let cursor = Cursor::at(text, byte);
        let range = range_of(text, cursor.start..byte);
        let item = |label: &str, written: String, kind: u8, detail: &str| {
            json!({
                "label": label,
                "kind": kind,
                "detail": detail,
                "filterText": label,
                "textEdit": {"range": range, "newText": written},
            })
        };
        if cursor.is_value {
            let values = self.values(&cursor).into_iter();
            return values.map(|(word, kind, detail)| item(&word, yaml::scalar(&word), kind, &detail)).collect();
        }
        let Some(place) = keys::place(&cursor, self.inputs.platforms) else { return Vec::new() };
        let key = |key: &Key| {
            let needed = if key.required && key.unless.is_empty() { "needed. " } else { "" };
            item(key.name, format!("{}: ", key.name), FIELD, &format!("{needed}{}", key.description))
        };
        keys::keys(&place).into_iter().map(key).collect()
    }

    /// Returns the values that can be written, with what they are.
    fn values(&self, cursor: &Cursor) -> Vec<(String, u8, String)> {
        let path: Vec<&str> = cursor.path.iter().map(String::as_str).collect();
        let platforms = self.inputs.platforms;
        let value = |word: String, detail: &str| (word, VALUE, detail.to_owned());
        match path.as_slice() {
            ["apiVersion"] => {
                platforms.iter().map(|platform| value(format!("{}/{VERSION}", platform.name()), "")).collect()
            }
            ["kind"] => {
                let name = cursor.version.as_deref().and_then(|version| version.split('/').next());
                let is_meant = |platform: &str| {
                    name.is_none_or(|name| name == platform || platforms.iter().all(|known| known.name() != name))
                };
                let meant = platforms.iter().filter(|platform| is_meant(platform.name()));
                let kinds =
                    meant.flat_map(|platform| platform.kinds().iter().map(|kind| (kind.name(), platform.name())));
                kinds.map(|(kind, platform)| value(kind.to_owned(), platform)).collect()
            }
            ["metadata", "target"] => {
                self.inputs.targets.names().map(|(name, platform)| value(name.to_string(), platform)).collect()
            }
            [.., "ref"] => {
                let objects = self.set.desired.iter().filter(|object| object.id.kind == "Instance");
                objects.map(|object| (object.id.key.to_string(), REFERENCE, self.declared_at(object))).collect()
            }
            _ => match keys::place(cursor, platforms) {
                Some(Place::Value(shape)) => {
                    keys::words(&shape).into_iter().map(|word| value(word.to_owned(), "")).collect()
                }
                Some(Place::Mapping(_)) | None => Vec::new(),
            },
        }
    }
}

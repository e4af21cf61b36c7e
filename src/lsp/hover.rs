//! Descriptions of keys, values and references.

use serde_json::{Value, json};

use super::{
    cursor::Cursor,
    keys::{self, Place},
    position,
    workspace::Workspace,
};
use crate::{model::Desired, source::Origin};

impl Workspace {
    /// Returns the description of what stands at a position, counted from 0 in units of UTF-16.
    pub fn hover(&self, path: &str, line: usize, character: usize) -> Option<Value> {
        let file = self.file(path)?;
        let text = self.inputs.sources.text(file);
        let byte = position::byte(text, line, character);
        if let Some(id) = self.reference_at(file, byte) {
            let object = self.set.desired.iter().find(|object| object.id == id);
            let place = object.map(|object| self.declared_at(object)).unwrap_or_default();
            return Some(markdown(&format!("**{id}**\n\n{place}")));
        }
        let mut cursor = Cursor::around(text, byte);
        let key = if cursor.is_value { cursor.path.pop()? } else { cursor.typed.clone() };
        let place = keys::place(&cursor, self.inputs.platforms)?;
        let key = keys::keys(&place).into_iter().find(|known| known.name == key)?;
        let words = keys::words(&key.shape);
        let words = if words.is_empty() { String::new() } else { format!("\n\nOne of `{}`.", words.join("`, `")) };
        let needed = match (key.required, key.unless) {
            (true, []) => "\n\nNeeded.".to_owned(),
            (true, unless) => {
                let exception = |(name, value): &(&str, &str)| {
                    if value.is_empty() { format!("`{name}`") } else { format!("`{name}: {value}`") }
                };
                format!("\n\nNeeded without {}.", unless.iter().map(exception).collect::<Vec<_>>().join(" or "))
            }
            (false, _) => String::new(),
        };
        let mut description = key.description.to_owned();
        if let Some(first) = description.get(..1) {
            description.replace_range(..1, &first.to_uppercase());
        }
        let is_mapping = matches!(place, Place::Mapping(_) | Place::Value(_));
        is_mapping.then(|| markdown(&format!("**{}**\n\n{description}.{words}{needed}", key.name)))
    }

    /// Says where an object is declared, with its target.
    pub(super) fn declared_at(&self, object: &Desired) -> String {
        let Origin { file, .. } = object.origin;
        let position = self.inputs.sources.position(&object.origin);
        let path = self.inputs.sources.path(file);
        let name = path.rsplit('/').next().unwrap_or(path);
        format!("{name}:{} on {}", position.line, object.target)
    }
}

fn markdown(text: &str) -> Value {
    json!({"contents": {"kind": "markdown", "value": text}})
}

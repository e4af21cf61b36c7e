//! Descriptions of keys, values and references.

use super::{
    cursor::Cursor,
    keys::{self, Place},
    position,
    workspace::Workspace,
};
use crate::{model::Desired, provider::FieldDefinition, source::Origin};

impl Workspace {
    /// Returns the description of what stands at a position, counted from 0 in units of UTF-16, in Markdown.
    pub fn hover(&self, path: &str, line: usize, character: usize) -> Option<String> {
        let file = self.file(path)?;
        let text = self.inputs.sources.text(file);
        let byte = position::byte(text, line, character);
        if let Some(id) = self.reference_at(file, byte) {
            let object = self.declared.desired().find(|object| object.id == id);
            let place = object.map(|object| self.declared_at(object)).unwrap_or_default();
            return Some(format!("**{id}**\n\n{place}"));
        }
        let mut cursor = Cursor::around(text, byte);
        let key = if cursor.is_value { cursor.path.pop()? } else { cursor.typed.clone() };
        if let Some(field) = self.fields(&cursor, &cursor.path).and_then(|(fields, _)| fields.get(&key)) {
            return Some(described(&key, field));
        }
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
        is_mapping.then(|| format!("**{}**\n\n{description}.{words}{needed}", key.name))
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

/// Describes a field of a model.
fn described(id: &str, field: &FieldDefinition) -> String {
    let options = field.options.iter().map(|option| format!("\n- `{}` {}", option.id, option.name));
    let bounds = match field.bounds {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    };
    let fixed = if field.is_editable { "" } else { ", cannot be changed" };
    let needed = if field.is_required { ", cannot be empty" } else { "" };
    let head = format!("**{id}** {}\n\n`{}`{bounds}{needed}{fixed}", field.name, field.type_name);
    std::iter::once(head).chain(options).collect()
}

//! The fields of a removed object, as people read them.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::{
    plain::{count, cut, line},
    text::{QUIET, REMOVED, Writer},
    value::short,
};
use crate::model::{Change, KnownField};

/// Most fields that are shown of an object.
const MOST: usize = 8;
/// Most characters of a value.
const VALUE: usize = 60;

impl Writer<'_> {
    /// Writes what goes with a removed object; names take at least `width` columns.
    pub(super) fn removed(&mut self, change: &Change, width: usize) {
        let fields = fields(change);
        let width = fields.iter().map(|(name, _)| name.width()).max().unwrap_or_default().max(width);
        for (name, value) in &fields {
            let pad = " ".repeat(width.saturating_sub(name.width()));
            let (sign, value) = (self.styled("-", REMOVED), self.styled(value, REMOVED));
            self.plain(&format!("    {name}{pad} {sign} {value}"));
        }
        if let Some(more) = more(change) {
            let more = self.styled(&format!("    {more}"), QUIET);
            self.plain(&more);
        }
    }
}

/// Returns the fields of a removed object that people are shown, with their values.
pub(super) fn fields(change: &Change) -> Vec<(String, String)> {
    let text = |field: &KnownField| field.display.clone().unwrap_or_else(|| short(Some(&field.value)));
    let shown = set(change).take(MOST);
    shown.map(|field| (line(field.path.as_str()), cut(&line(&text(field)), VALUE).into_owned())).collect()
}

/// Says how many fields are not among those that people are shown; `None` if all are.
pub(super) fn more(change: &Change) -> Option<String> {
    let more = set(change).count().saturating_sub(MOST);
    (more > 0).then(|| format!("and {}: -o json has them all", count(more, "more field")))
}

/// Returns the fields that hold something that the head of the change does not say. Parts of fields are left to JSON.
fn set(change: &Change) -> impl Iterator<Item = &KnownField> {
    let is_own_id = |name: &str, value: &Value| {
        let is_part = change.handle.as_object().is_some_and(|parts| parts.values().any(|part| part == value));
        value.is_number() && name.ends_with("_id") && (change.handle == *value || is_part)
    };
    change.before.iter().filter(move |field| {
        let value = &field.value;
        let is_empty = value.is_null() || *value == "" || value.as_array().is_some_and(Vec::is_empty);
        field.path.rest().is_empty() && !is_empty && !is_own_id(field.path.as_str(), value)
    })
}

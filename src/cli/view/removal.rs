//! What goes with a removed object, as people read it.

use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::{
    plain::{cut, line},
    text::{QUIET, REMOVED, Writer, count},
    value::{row, short},
};
use crate::model::Change;

/// Most fields that are shown of an object.
const MOST: usize = 8;
/// Most characters of a value.
const VALUE: usize = 60;

impl Writer<'_> {
    /// Writes what goes with a removed object; names take `width` columns.
    pub(super) fn removed(&mut self, change: &Change, width: usize) {
        for (name, value) in &fields(change) {
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
    let shown = set(change).take(MOST);
    shown.map(|(name, value)| (line(name), cut(&line(&text(value)), VALUE).into_owned())).collect()
}

/// Says how many fields are not among those that people are shown; none where all are.
pub(super) fn more(change: &Change) -> Option<String> {
    let more = set(change).count().saturating_sub(MOST);
    (more > 0).then(|| format!("and {}: -o json has them all", count(more, "more field")))
}

/// Returns the fields that hold something that the head of the change does not say.
fn set(change: &Change) -> impl Iterator<Item = (&str, &Value)> {
    let is_own_id = |name: &str, value: &Value| {
        let is_part = change.handle.as_object().is_some_and(|parts| parts.values().any(|part| part == value));
        value.is_number() && name.ends_with("_id") && (change.handle == *value || is_part)
    };
    let all = change.before.iter().map(|(path, value)| (path.as_str(), unlocked(value)));
    all.filter(move |(name, value)| {
        let is_empty = value.is_null() || *value == "" || value.as_array().is_some_and(Vec::is_empty);
        !is_empty && !is_own_id(name, value)
    })
}

/// Returns the value of a property that has a lock beside it, any other as it is.
fn unlocked(value: &Value) -> &Value {
    value.get("value").filter(|_| value.get("as_default_value").is_some()).unwrap_or(value)
}

fn text(value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.iter().all(Value::is_object) => {
            rows.iter().map(|cells| row(&plain(cells))).collect::<Vec<_>>().join(", ")
        }
        other => short(Some(other)),
    }
}

/// Returns a row whose cells are without their locks.
fn plain(cells: &Value) -> Value {
    let cells = cells.as_object().into_iter().flatten();
    cells.map(|(name, value)| (name.clone(), unlocked(value).clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_without_their_locks() {
        let check = |value: Value, expected: &str| assert_eq!(text(unlocked(&value)), expected);
        check(json!("a"), "\"a\"");
        check(json!({"value": 5, "as_default_value": true}), "5");
        check(json!({"value": 5}), "{\"value\":5}");
        let cell = |value: Value| json!({"value": value, "as_default_value": false});
        let row = json!({"row_id": 1, "ip": cell(json!("0.0.0.0")), "port": cell(json!("80")),
            "protocol": cell(json!("tcp")), "enable": cell(json!(true))});
        check(json!({"value": [row], "as_default_value": true}), "0.0.0.0:80 tcp");
    }
}

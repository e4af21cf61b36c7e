//! Values as people read them.

use serde_json::Value;

/// Longest value that is shown in one line.
const LONG: usize = 60;

/// Returns a value in one line; none at all is `(none)`.
pub(super) fn short(value: Option<&Value>) -> String {
    match value {
        None => "(none)".to_owned(),
        Some(Value::Array(items)) => {
            let items: Vec<_> = items.iter().map(|item| short(Some(item))).collect();
            format!("[{}]", items.join(", "))
        }
        Some(other) => other.to_string(),
    }
}

/// Says whether a change reads better line by line: a text of several lines, or a long one.
pub(super) fn is_long(value: Option<&Value>) -> bool {
    value.and_then(Value::as_str).is_some_and(|text| text.contains('\n') || text.chars().count() > LONG)
}

/// Returns a row of a list in one line: an address as `[::]:8443 tcp6`, any other as its cells.
pub(super) fn row(row: &Value) -> String {
    let text = |key: &str| row[key].as_str().unwrap_or_default();
    if text("port").is_empty() {
        return short(Some(row));
    }
    let ip = match text("ip") {
        "" => "*".to_owned(),
        ip if ip.contains(':') => format!("[{ip}]"),
        ip => ip.to_owned(),
    };
    let disabled = if row["enable"] == Value::Bool(false) { " disabled" } else { "" };
    format!("{ip}:{} {}{disabled}", text("port"), text("protocol"))
}

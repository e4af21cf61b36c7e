//! The properties of process templates: types, merge, validation, row ids (section 4.4 and its property table).

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{args::Args, refusal::Refusal};

/// The JSON type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Flag,
    Rows,
}

/// All properties in the order in which the server writes them.
pub(super) const PROPERTIES: [(&str, Kind); 18] = [
    ("proc_num", Kind::Whole),
    ("stop_cmd", Kind::Text),
    ("restart_cmd", Kind::Text),
    ("face_stop_cmd", Kind::Text),
    ("bk_func_name", Kind::Text),
    ("work_path", Kind::Text),
    ("priority", Kind::Whole),
    ("reload_cmd", Kind::Text),
    ("bk_process_name", Kind::Text),
    ("pid_file", Kind::Text),
    ("auto_start", Kind::Flag),
    ("bk_start_check_secs", Kind::Whole),
    ("start_cmd", Kind::Text),
    ("user", Kind::Text),
    ("timeout", Kind::Whole),
    ("description", Kind::Text),
    ("bk_start_param_regex", Kind::Text),
    ("bind_info", Kind::Rows),
];

/// The fields of a row of `bind_info` besides its id.
const ROW: [(&str, Kind); 4] =
    [("ip", Kind::Text), ("port", Kind::Text), ("protocol", Kind::Text), ("enable", Kind::Flag)];

/// The ranges of numbers, in the order in which they are checked.
const RANGES: [(&str, i64, i64); 4] =
    [("bk_start_check_secs", 1, 10_000), ("timeout", 1, 10_000), ("proc_num", 1, 10_000), ("priority", -100, 10_000)];

/// A property that was never set.
fn unset() -> Value {
    json!({"value": null, "as_default_value": null})
}

/// Reads an envelope: both parts are replaced, and what is missing becomes null.
fn envelope(value: Option<&Value>, kind: Kind) -> Result<Value, Refusal> {
    let value = match value {
        None | Some(Value::Null) => return Ok(unset()),
        Some(value) => value.as_object().ok_or_else(Refusal::decode)?,
    };
    let locked = value.get("as_default_value").unwrap_or(&Value::Null);
    if !locked.is_null() && !locked.is_boolean() {
        return Err(Refusal::decode());
    }
    let inner = value.get("value").unwrap_or(&Value::Null);
    let inner = match (kind, inner) {
        (_, Value::Null) => Value::Null,
        (Kind::Text, Value::String(_)) | (Kind::Flag, Value::Bool(_)) => inner.clone(),
        (Kind::Whole, _) if inner.is_i64() => inner.clone(),
        (Kind::Rows, Value::Array(items)) => Value::from(rows(items)?),
        _ => return Err(Refusal::decode()),
    };
    Ok(json!({"value": inner, "as_default_value": locked}))
}

/// Reads rows of `bind_info`, without ids for the new ones.
fn rows(items: &[Value]) -> Result<Vec<Value>, Refusal> {
    let empty = Map::new();
    items
        .iter()
        .map(|item| {
            let item = if item.is_null() { &empty } else { item.as_object().ok_or_else(Refusal::decode)? };
            let id = item.get("row_id").unwrap_or(&Value::Null);
            if !id.is_null() && !id.is_i64() {
                return Err(Refusal::decode());
            }
            let mut row = Map::new();
            row.insert("row_id".to_owned(), id.as_i64().unwrap_or(0).into());
            for (name, kind) in ROW {
                row.insert(name.to_owned(), envelope(item.get(name), kind)?);
            }
            Ok(Value::Object(row))
        })
        .collect()
}

/// Reads the properties of a request; unknown keys are ignored.
pub(super) fn decode(sent: &Args) -> Result<Map<String, Value>, Refusal> {
    let mut properties = Map::new();
    for (name, kind) in PROPERTIES {
        if let Some(value) = sent.0.get(name) {
            properties.insert(name.to_owned(), envelope(Some(value), kind)?);
        }
    }
    Ok(properties)
}

/// Adds what is not set, in the shape in which the server shows it.
pub(super) fn complete(properties: &mut Map<String, Value>) {
    for (name, _) in PROPERTIES {
        properties.entry(name).or_insert_with(unset);
    }
}

/// Gives ids to rows without one: the largest of the request and upwards, whatever is stored.
pub(super) fn number_rows(properties: &mut Map<String, Value>) {
    let Some(Value::Array(rows)) = properties.get_mut("bind_info").and_then(|info| info.get_mut("value")) else {
        return;
    };
    let id = |row: &Value| row.get("row_id").and_then(Value::as_i64).unwrap_or(0);
    let mut largest = rows.iter().map(id).max().unwrap_or(0).max(0);
    for row in rows {
        if id(row) == 0 {
            largest = largest.saturating_add(1);
            row["row_id"] = largest.into();
        }
    }
}

/// Returns the value of a property.
pub(super) fn value<'a>(properties: &'a Map<String, Value>, name: &str) -> &'a Value {
    properties.get(name).and_then(|envelope| envelope.get("value")).unwrap_or(&Value::Null)
}

/// Returns the text of a property, empty for none.
pub(super) fn text<'a>(properties: &'a Map<String, Value>, name: &str) -> &'a str {
    value(properties, name).as_str().unwrap_or("")
}

/// The names are locked whatever the request says.
pub(super) fn lock_names(properties: &mut Map<String, Value>) {
    for name in ["bk_func_name", "bk_process_name"] {
        if let Some(envelope) = properties.get_mut(name) {
            envelope["as_default_value"] = true.into();
        }
    }
}

/// Checks whole properties. If `families` is true, ip and protocol must be of one family (3.11 and later).
pub(super) fn check(properties: &Map<String, Value>, families: bool) -> Result<(), Refusal> {
    if let Some(rows) = value(properties, "bind_info").as_array() {
        for (position, row) in rows.iter().enumerate() {
            check_row(row, families).map_err(|field| Refusal::invalid(&format!("bind_info[{position}].{field}")))?;
        }
    }
    for name in ["bk_process_name", "bk_func_name"] {
        if text(properties, name).is_empty() {
            return Err(Refusal::invalid(name));
        }
    }
    for (name, min, max) in RANGES {
        if value(properties, name).as_i64().is_some_and(|number| number < min || number > max) {
            return Err(Refusal::invalid(name));
        }
    }
    Ok(())
}

fn check_row(row: &Value, families: bool) -> Result<(), &'static str> {
    let field = |name: &str| row.get(name).and_then(|envelope| envelope.get("value")).and_then(Value::as_str);
    let member = |text: &str, last: char| {
        let mut letters = text.chars();
        letters.next().is_some_and(|letter| ('1'..=last).contains(&letter)) && letters.next().is_none()
    };
    let ip = field("ip").unwrap_or("");
    if !ip.is_empty() && !member(ip, if families { '8' } else { '4' }) {
        return Err("ip");
    }
    if !is_port(field("port").unwrap_or("")) {
        return Err("port");
    }
    let protocol = field("protocol").unwrap_or("");
    if !member(protocol, if families { '4' } else { '2' }) {
        return Err("protocol");
    }
    if families && !ip.is_empty() && (ip > "4") != (protocol > "2") {
        return Err("(ip and protocol)");
    }
    Ok(())
}

/// `80`, `80-90`, `80,8080-8082`: ascending ranges that do not overlap.
fn is_port(text: &str) -> bool {
    static ITEM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("^([1-9][0-9]{0,4})(-([1-9][0-9]{0,4}))?$").expect("the pattern is a constant of this file")
    });
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for item in text.split(',') {
        let Some(parts) = ITEM.captures(item) else { return false };
        let number = |at: usize| parts.get(at).and_then(|part| part.as_str().parse::<u32>().ok());
        let Some(start) = number(1) else { return false };
        let end = number(3).unwrap_or(start);
        if start > end || end > 65_535 || ranges.iter().any(|(from, to)| start <= *to && end >= *from) {
            return false;
        }
        ranges.push((start, end));
    }
    true
}

/// Finds a text with white space at an end, which 3.14 refuses on create only.
pub(super) fn padded(properties: &Map<String, Value>) -> Option<(&'static str, &str)> {
    let mut names: Vec<&str> =
        PROPERTIES.iter().filter(|(_, kind)| *kind == Kind::Text).map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.into_iter().map(|name| (name, text(properties, name))).find(|(_, text)| text.trim() != *text)
}

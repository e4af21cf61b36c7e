//! Rows of `bind_info`: what a process template gives to the processes made from it.

use serde_json::{Value, json};

use super::row::Row;

/// The fields of a row besides its id.
const FIELDS: [&str; 4] = ["ip", "port", "protocol", "enable"];

/// Returns the rows of a process template; `None` for a `bind_info` of null.
pub(super) fn template_rows(template: &Row) -> Option<&Vec<Value>> {
    template.get("property")?.get("bind_info")?.get("value")?.as_array()
}

/// Returns the first of the addresses that a host joins by comma, empty for none.
fn first_address<'a>(host: Option<&'a Row>, field: &str) -> &'a str {
    let all = host.and_then(|row| row.get(field)).and_then(Value::as_str).unwrap_or("");
    all.split(',').next().unwrap_or("")
}

/// Returns the address that an option of `ip` stands for on a host.
fn address(option: &Value, host: Option<&Row>) -> Value {
    let of_host = |field: &str| Value::from(first_address(host, field));
    match option.as_str() {
        Some("1") => "127.0.0.1".into(),
        Some("2") => "0.0.0.0".into(),
        Some("3") => of_host("bk_host_innerip"),
        Some("4") => of_host("bk_host_outerip"),
        Some("5") => "::1".into(),
        Some("6") => "::".into(),
        Some("7") => of_host("bk_host_innerip_v6"),
        Some("8") => of_host("bk_host_outerip_v6"),
        Some(_) | None => Value::Null,
    }
}

/// Returns the value of a row's field as processes of a host show it.
fn wanted(row: &Value, field: &str, host: Option<&Row>) -> Value {
    let value = row.get(field).and_then(|envelope| envelope.get("value")).unwrap_or(&Value::Null);
    if field == "ip" { address(value, host) } else { value.clone() }
}

fn is_locked(row: &Value, field: &str) -> bool {
    row.get(field).and_then(|envelope| envelope.get("as_default_value")) == Some(&Value::Bool(true))
}

/// Returns the row of a new process: a row without `enable` is disabled.
fn fresh_row(row: &Value, host: Option<&Row>) -> Value {
    let enable = wanted(row, "enable", host).as_bool().unwrap_or(false);
    json!({
        "template_row_id": row.get("row_id"),
        "ip": wanted(row, "ip", host),
        "port": wanted(row, "port", host),
        "protocol": wanted(row, "protocol", host),
        "enable": enable,
    })
}

/// Returns the `bind_info` of a new process of a host.
pub(super) fn fresh(template: &Row, host: Option<&Row>) -> Value {
    template_rows(template).map_or(Value::Null, |rows| rows.iter().map(|row| fresh_row(row, host)).collect())
}

/// Finds the row of a process that belongs to a row of its template.
fn counterpart<'a>(rows: &'a [Value], row: &Value) -> Option<&'a Value> {
    rows.iter().find(|own| own.get("template_row_id") == row.get("row_id"))
}

/// Returns the rows of a process after a sync or an edit: those of the template, with the unlocked values of `rows`.
///
/// `rows` are searched list by list. A row that no list has is new, one that the template has not is dropped.
pub(super) fn merged(template: &Row, host: Option<&Row>, lists: &[&[Value]]) -> Vec<Value> {
    let rows = template_rows(template).map(Vec::as_slice).unwrap_or_default();
    let of_row = |row: &Value| {
        let fresh = fresh_row(row, host);
        let known: Vec<&Value> = lists.iter().filter_map(|list| counterpart(list, row)).collect();
        let mut merged = fresh.clone();
        for field in FIELDS.into_iter().filter(|field| !is_locked(row, field)) {
            if let Some(value) = known.iter().find_map(|own| own.get(field)) {
                merged[field] = value.clone();
            }
        }
        merged
    };
    rows.iter().map(of_row).collect()
}

/// Returns true if the rows of a process differ from those of its template in what is locked.
pub(super) fn differ(template: &Row, host: Option<&Row>, own: &[Value]) -> bool {
    let rows = template_rows(template).map(Vec::as_slice).unwrap_or_default();
    let differs = |row: &Value| {
        let Some(own) = counterpart(own, row) else { return true };
        let mut locked = FIELDS.into_iter().filter(|field| is_locked(row, field));
        locked.any(|field| own.get(field).unwrap_or(&Value::Null) != &wanted(row, field, host))
    };
    rows.len() != own.len() || rows.iter().any(differs)
}

//! Rows of `bind_info` as people write and read them: words for the codes of addresses and protocols.

use serde_json::{Value, json};

use super::rows::CELLS;
use crate::model::{Display, DisplayKind, Json};

/// Words for the codes of addresses.
const IPS: &[(&str, &str)] = &[
    ("1", "127.0.0.1"),
    ("2", "0.0.0.0"),
    ("3", "first_inner_ip"),
    ("4", "first_outer_ip"),
    ("5", "::1"),
    ("6", "::"),
    ("7", "first_inner_ipv6"),
    ("8", "first_outer_ipv6"),
];

/// Words for the codes of protocols.
const PROTOCOLS: &[(&str, &str)] = &[("1", "tcp"), ("2", "udp"), ("3", "tcp6"), ("4", "udp6")];

/// Returns the two values of a changed cell as people write them; `None` if these are the stored ones.
pub(super) fn display(cell: &str, live: &Json, sent: &Json) -> Option<Display> {
    let display = Display { kind: DisplayKind::Word, from: word(cell, live, sent), to: word(cell, sent, live) };
    (display.from.is_some() || display.to.is_some()).then_some(display)
}

/// Returns the word that people write for a cell, with how it is stored where the other side differs in nothing else;
/// `None` if the word is the stored one.
fn word(cell: &str, value: &Json, other: &Json) -> Option<String> {
    let word = words(cell, value);
    let (text, code) = (word.as_str()?, value.as_str()?);
    match (word == words(cell, other), text == code) {
        (true, true) => Some(format!("{text} (stored as text)")),
        (true, false) => Some(format!("{text} (option {code})")),
        (false, true) => None,
        (false, false) => Some(text.to_owned()),
    }
}

/// Returns a row in one line, as `[::]:8443 tcp6`; one without a port as its cells.
pub(super) fn in_one_line(row: &Json) -> String {
    let cells = summary(row);
    let text = |name: &str| cells[name].as_str().unwrap_or_default();
    if text("port").is_empty() {
        return cells.to_string();
    }
    let ip = match text("ip") {
        "" => "*".to_owned(),
        ip if ip.contains(':') => format!("[{ip}]"),
        ip => ip.to_owned(),
    };
    let disabled = if cells["enable"] == json!(false) { " disabled" } else { "" };
    format!("{ip}:{} {}{disabled}", text("port"), text("protocol"))
}

/// The cells of a row without their locks, for people.
fn summary(row: &Json) -> Value {
    CELLS
        .iter()
        .filter(|name| !row[**name]["value"].is_null())
        .map(|name| ((*name).to_owned(), words(name, &row[*name]["value"]).to_value()))
        .collect()
}

/// Returns the codes of a cell with their words.
pub(super) fn table(cell: &str) -> &'static [(&'static str, &'static str)] {
    match cell {
        "ip" => IPS,
        "protocol" => PROTOCOLS,
        _ => &[],
    }
}

/// A code as the word that people write for it.
pub(super) fn words(cell: &str, value: &Json) -> Json {
    table(cell)
        .iter()
        .find(|(code, _)| value.as_str() == Some(code))
        .map_or_else(|| value.clone(), |(_, word)| (*word).into())
}

//! Ports of the rows of `bind_info`: how they are written, and which cannot be bound beside each other.

use super::{rows::list_path, wording::words};
use crate::{diagnostic::Diagnostic, model::Fields, yaml::Node};

/// Checks ports by the server's grammar: items with commas between, each a port or an ascending range, none
/// overlapping.
pub(super) fn check(text: &str) -> Result<(), String> {
    let mut taken: Vec<(u16, u16)> = Vec::new();
    for item in text.split(',') {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let port = |text: &str| {
            let plain = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| plain)
        };
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            return Err(format!("cannot be `{text}`: `{item}` is no port from 1 to 65535"));
        };
        if first > last {
            return Err(format!("cannot be `{text}`: `{item}` runs backwards"));
        }
        if taken.iter().any(|(from, to)| first <= *to && *from <= last) {
            return Err(format!("cannot be `{text}`: `{item}` is named twice"));
        }
        taken.push((first, last));
    }
    Ok(())
}

/// Warns of rows that no process can bind beside each other: the same address and protocol, and a port in common.
pub(super) fn warn_of_clashes(items: &[Node<'_>], fields: &Fields, diagnostics: &mut Vec<Diagnostic>) {
    let text = |at: usize, name: &str| fields.get(&list_path().row_at(at).part(name))?.value.as_str();
    let key = |at: usize| Some((text(at, "ip").filter(|ip| !ip.is_empty())?, text(at, "protocol")?));
    for (at, item) in items.iter().enumerate() {
        let (Some(own), Some(port)) = (key(at), text(at, "port")) else { continue };
        let clash = |first: &usize| {
            let other = text(*first, "port").filter(|_| key(*first) == Some(own));
            other.is_some_and(|other| ranges(port).any(|(from, to)| ranges(other).any(|(a, z)| a <= to && from <= z)))
        };
        if let Some(first) = (0..at).find(clash) {
            let (ip, protocol) = (words("ip", &own.0.into()), words("protocol", &own.1.into()));
            let (ip, protocol) = (ip.as_str().unwrap_or_default(), protocol.as_str().unwrap_or_default());
            let message =
                format!("two rows bind {ip} {protocol} to the same port: a process can bind only one of them");
            let diagnostic = Diagnostic::warning("M335", message, &item.origin);
            diagnostics.push(diagnostic.also(&items[first].origin, "the first of them"));
        }
    }
}

/// The ports of a text that was checked, as ranges.
fn ranges(text: &str) -> impl Iterator<Item = (u16, u16)> {
    text.split(',').filter_map(|item| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        Some((first.parse().ok()?, last.parse().ok()?))
    })
}

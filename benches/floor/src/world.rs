//! The objects of all measurements, by their numbers: no seed, so every run sees the same ones.

use std::fmt::Write as _;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Apps,
    Instances,
}

/// The attributes of an instance. The first is the one that differs where an instance has changed.
pub(crate) const ATTRIBUTES: [&str; 10] =
    ["owner", "room", "rack", "units", "serial", "address", "contact", "asset", "purpose", "system"];

/// What an object has where somebody changed it.
pub(crate) const CHANGED: &str = "changed by somebody else";

pub(crate) fn name(kind: Kind, number: usize) -> String {
    match kind {
        Kind::Apps => format!("app-{number:06}"),
        Kind::Instances => format!("sw-{number:06}"),
    }
}

/// The number of the object that has a name.
pub(crate) fn number(kind: Kind, name: &str) -> Option<usize> {
    let prefix = if kind == Kind::Apps { "app-" } else { "sw-" };
    name.strip_prefix(prefix)?.parse().ok()
}

/// The model that an instance belongs to.
pub(crate) fn model(number: usize, models: usize) -> String {
    format!("m{}", number % models)
}

/// The field that changes, as it is declared: the owner of an instance, the remark of an app.
pub(crate) fn declared(kind: Kind, number: usize) -> String {
    match kind {
        Kind::Instances => format!("team-{:02}", number % 97),
        Kind::Apps => format!("Orders of team {}, see the page of the service.", number % 97),
    }
}

/// An attribute of an instance as it is declared, written as JSON.
pub(crate) fn attribute(number: usize, attribute: &str) -> String {
    let serial = number.wrapping_mul(2_654_435_761) % 4_294_967_296;
    match attribute {
        "owner" => format!("\"{}\"", declared(Kind::Instances, number)),
        "room" => format!("\"room-{:03}\"", number % 331),
        "rack" => format!("\"rack-{:04}\"", number % 4_099),
        "units" => (number % 48 + 1).to_string(),
        "serial" => format!("\"SN-{serial:010}\""),
        "address" => format!("\"10.{}.{}.{}\"", number >> 16 & 255, number >> 8 & 255, number & 255),
        "contact" => format!("\"team-{:02}@example.com\"", number % 97),
        "asset" => format!("\"A-2026-{number:07}\""),
        "purpose" => format!("\"Carries the traffic of pod {} to the core\"", number % 211),
        "system" => format!("\"NOS {}.{}.{}\"", number % 3 + 7, number % 10, number % 7),
        other => unreachable!("there is no attribute {other}"),
    }
}

/// An object as its server answers it.
pub(crate) fn row(kind: Kind, number: usize, id: &str, changing: &str) -> String {
    let mut text = String::with_capacity(400);
    let name = name(kind, number);
    if kind == Kind::Instances {
        let _ = write!(text, r#"{{"bk_inst_id":{id},"bk_inst_name":"{name}","owner":"{changing}""#);
        for field in &ATTRIBUTES[1..] {
            let _ = write!(text, r#","{field}":{}"#, attribute(number, field));
        }
        text.push('}');
    } else {
        let user = r#"{"user_id":"floor","user_name":"floor"}"#;
        let time = "2026-11-28T08:00:00.000Z";
        let _ = write!(
            text,
            r#"{{"create_time":"{time}","created_user":{user},"favorite":false,"id":"{id}","key":"D5F5WWDURRL8JYVQFHMC","last_updated_user":{user},"name":"{name}","owner":true,"remark":"{changing}","roles":["read","access","delete","modify","admin"],"update_time":"{time}"}}"#
        );
    }
    text
}

/// The id of an object that was there from the beginning.
pub(crate) fn id(kind: Kind, number: usize) -> String {
    match kind {
        Kind::Apps => format!("{number:08x}-4f3f-4a80-aa45-f4b8029f95a3"),
        Kind::Instances => (number + 1).to_string(),
    }
}

/// A part of the digest of an end state, which is the sum over all objects: so the order of writes is nothing to it.
pub(crate) fn digest(name: &str, changing: &str) -> u64 {
    let bytes = name.bytes().chain([0]).chain(changing.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

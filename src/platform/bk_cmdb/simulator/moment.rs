//! Times: how the server reads and writes them.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// What an impossible calendar time becomes (section 9, trap 17).
pub(super) const YEAR_ONE: &str = "0001-01-01T00:00:00Z";

/// Writes an instant with up to three digits of fraction, trailing zeros cut, in UTC.
pub(super) fn text(moment: Timestamp) -> String {
    let whole = moment.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let millis = moment.subsec_nanosecond() / 1_000_000;
    if millis == 0 {
        return format!("{whole}Z");
    }
    let digits = format!("{millis:03}");
    format!("{whole}.{}Z", digits.trim_end_matches('0'))
}

/// Writes an instant in the form of definitions.
pub(super) fn plain_text(moment: Timestamp) -> String {
    plain_text_in(moment, &TimeZone::UTC)
}

/// Writes an instant in the form of audit records, by the server's clock.
pub(super) fn plain_text_in(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Reads a stored time, or a plain one as UTC.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    parse_in(text, &TimeZone::UTC)
}

/// Reads a stored time, or a plain one by the server's clock.
pub(super) fn parse_in(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| plain(text, zone))
}

fn plain(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok()?;
    zone.to_timestamp(civil).ok()
}

/// Reads a value of an attribute of type time; returns how it is stored, or none for a wrong shape.
///
/// A time without zone is one of the server's zone. Only the shape is checked (section 4.1).
pub(super) fn stored(text: &str, zone: &TimeZone) -> Option<String> {
    let bytes = text.as_bytes();
    let shape = |from: usize, pattern: &str| {
        bytes.len() >= from + pattern.len()
            && pattern.bytes().zip(&bytes[from..]).all(|(wanted, found)| match wanted {
                b'0' => found.is_ascii_digit(),
                other => other == *found,
            })
    };
    if bytes.len() == 19 && shape(0, "0000-00-00 00:00:00") {
        return Some(plain(text, zone).map_or_else(|| YEAR_ONE.to_owned(), self::text));
    }
    if !shape(0, "0000-00-00T00:00:00") {
        return None;
    }
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        rest = &fraction[digits..];
    }
    let zoned = rest == "Z" || (rest.len() == 6 && rest.starts_with(['+', '-']) && shape(text.len() - 5, "00:00"));
    zoned.then(|| text.parse::<Timestamp>().map_or_else(|_| YEAR_ONE.to_owned(), self::text))
}

/// Says whether a text is a real calendar date written `YYYY-MM-DD`.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
        && text.parse::<jiff::civil::Date>().is_ok()
}

//! Times: how the server reads and writes them.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// The time that an impossible calendar time becomes (section 9, trap 17).
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

/// Reads a stored time, or a plain one by the server's clock.
pub(super) fn parse_in(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok().or_else(|| plain(text, zone))
}

fn plain(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let civil: DateTime = text.parse().ok()?;
    zone.to_timestamp(civil).ok()
}

/// Reads a stored time as one of UTC; a date counts from its first second.
pub(super) fn utc(text: &str) -> Option<DateTime> {
    text.strip_suffix('Z').unwrap_or(text).parse().ok()
}

/// Returns true if a stored time is one that the server cannot write into an answer.
pub(super) fn is_unreadable(text: &str) -> bool {
    text.starts_with(['+', '-'])
}

/// Reads a value of an attribute of type time; returns how it is stored, or `None` for a wrong shape.
///
/// A time without zone is one of the server's zone. Only the shape is checked (section 4.1): what the calendar does not
/// have becomes year one, and what lies outside the years 0 to 9999 of UTC is stored although nothing can read it.
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
        return Some(
            civil(text).map_or_else(|| YEAR_ONE.to_owned(), |civil| stored_at(civil, offset(civil, zone), "")),
        );
    }
    if !shape(0, "0000-00-00T00:00:00") {
        return None;
    }
    let (mut rest, mut fraction) = (&text[19..], "");
    if let Some(after) = rest.strip_prefix('.') {
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        (fraction, rest) = after.split_at(digits);
    }
    let signed = rest.len() == 6 && rest.starts_with(['+', '-']) && shape(text.len() - 5, "00:00");
    if rest != "Z" && !signed {
        return None;
    }
    let number = |range| rest.get(range).and_then(|digits: &str| digits.parse::<i64>().ok()).unwrap_or(0);
    let (hours, minutes) = (number(1..3), number(4..6));
    let seconds = (hours * 60 + minutes) * 60;
    let offset = SignedDuration::from_secs(if rest.starts_with('-') { -seconds } else { seconds });
    let known = civil(text).filter(|_| hours <= 24 && minutes <= 60);
    Some(known.map_or_else(|| YEAR_ONE.to_owned(), |civil| stored_at(civil, offset, fraction)))
}

/// Reads the first nineteen characters, whose shape is known; `None` for what the calendar does not have.
fn civil(text: &str) -> Option<DateTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i8>().ok();
    let year = text.get(..4)?.parse::<i16>().ok()?;
    let (month, day) = (number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    DateTime::new(year, month, day, hour, minute, second, 0).ok()
}

/// The distance of a zone's clock from UTC. Beyond the moments that are known the outermost one counts.
fn offset(civil: DateTime, zone: &TimeZone) -> SignedDuration {
    let outermost = if civil.year() > 5000 { Timestamp::MAX } else { Timestamp::MIN };
    match zone.to_timestamp(civil) {
        // In a gap of the clock this is not the offset of the moment itself.
        Ok(moment) => civil.duration_since(TimeZone::UTC.to_datetime(moment)),
        Err(_) => SignedDuration::from_secs(zone.to_offset(outermost).seconds().into()),
    }
}

/// Writes a time of UTC, its fraction cut to milliseconds.
fn stored_at(civil: DateTime, offset: SignedDuration, fraction: &str) -> String {
    let Ok(utc) = civil.checked_sub(offset) else { return "+010000-01-01T00:00:00Z".to_owned() };
    let year = utc.year();
    let year = if year < 0 { format!("-{:06}", year.unsigned_abs()) } else { format!("{year:04}") };
    let millis = fraction.get(..3).unwrap_or(fraction).trim_end_matches('0');
    let point = if millis.is_empty() { "" } else { "." };
    format!("{year}{}{point}{millis}Z", utc.strftime("-%m-%dT%H:%M:%S"))
}

/// Returns true if a text is a real calendar date written `YYYY-MM-DD`.
pub(super) fn is_date(text: &str) -> bool {
    text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
        && text.parse::<jiff::civil::Date>().is_ok()
}

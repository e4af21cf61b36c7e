//! How times are read and written.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};

/// Returns the time so many seconds later; at the ends of the calendar, the time itself.
pub(super) fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(time)
}

/// Reads a time such as `2019-12-06T06:49:04Z`, with or without a fraction (contract, section 2.2).
pub(super) fn read(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Reads the value of `X-Sdk-Date`, such as `20260102T030405Z` (contract, section 6).
pub(super) fn read_sdk_date(text: &str) -> Option<Timestamp> {
    if text.len() != "20260102T030405Z".len() {
        return None;
    }
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// Writes a time with three digits of a second.
pub(super) fn millis(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// Writes a time with whole seconds.
pub(super) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes a time with six digits of a second, as IAM does (contract, section 5).
pub(super) fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Cuts a time to the resolution in which it is shown, so that a state survives being written and read.
pub(super) fn to_millis(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

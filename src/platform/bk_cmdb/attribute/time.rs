//! Times of attributes: instants of the years 0 to 9999, kept in UTC and to the millisecond.

use std::borrow::Cow;

use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    fmt::temporal::Pieces,
    tz::{AmbiguousOffset, Offset, TimeZone},
};
use serde_json::{Value, json};

use crate::model::Json;

/// Nanoseconds of a millisecond; the server cuts off what is finer.
const MILLISECOND: i32 = 1_000_000;

/// An instant, as the server keeps it: a date and a time of day in UTC.
///
/// A [`Timestamp`] ends a day too early for `9999-12-31`, which people write for "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(DateTime);

/// A problem with a text that is to be a time.
enum Fault {
    Form,
    NoZone,
    UnknownZone,
    Skipped,
    Twice,
    Far,
}

impl Moment {
    /// Reads a declared time; one without an offset is of the target's zone.
    pub(super) fn declared(text: &str, zone: Option<&str>) -> Result<Self, String> {
        let text = text.trim();
        let zone_name = zone.unwrap_or_default();
        parse(text, zone, false).map_err(|fault| match fault {
            Fault::Form => format!("takes a time such as 2024-02-28T10:00:00+08:00, not `{text}`"),
            Fault::NoZone => format!("takes a time with its zone: `{text}` has none, and the target has no `timeZone`"),
            Fault::UnknownZone => format!("takes a time: the zone of `{text}` is not known"),
            Fault::Skipped => {
                format!("takes a time that exists: clocks in {zone_name} skip `{text}`; write it with its offset")
            }
            Fault::Twice => {
                format!("takes one time: clocks in {zone_name} show `{text}` twice; write it with its offset")
            }
            // The server accepts it, and can read neither it nor its whole object any more.
            Fault::Far => format!("takes a time of the years 0 to 9999 in UTC, not `{text}`"),
        })
    }

    /// Reads a live time. One that was stored as text has no offset: it is of the target's zone.
    pub(super) fn live(value: &Json, zone: Option<&str>) -> Option<Self> {
        parse(value.as_str()?.trim(), zone, true).ok()
    }

    /// Returns the value that is sent. The server reads a time without an offset in a zone of its own, and takes
    /// impossible ones as the year 1: so it is a real instant, always in UTC.
    pub(super) fn wire(self) -> Value {
        json!(format!("{}Z", self.0))
    }

    /// Returns the time as people read it, in a zone; in UTC without one.
    pub(super) fn shown(self, zone: Option<&str>) -> String {
        let zone = zone.and_then(|zone| TimeZone::get(zone).ok());
        let local = zone.and_then(|zone| {
            let near = self.0.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp());
            let offset = zone.to_offset(near);
            let local = self.0.checked_add(SignedDuration::from_secs(offset.seconds().into())).ok()?;
            Some(format!("{} {}", written(local), written_offset(offset)))
        });
        local.unwrap_or_else(|| format!("{} UTC", written(self.0)))
    }
}

fn written(time: DateTime) -> String {
    format!("{} {}", time.date(), time.time())
}

fn written_offset(offset: Offset) -> String {
    let (sign, seconds) = (if offset.is_negative() { '-' } else { '+' }, offset.seconds().unsigned_abs());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match seconds % 60 {
        0 => format!("{sign}{hours:02}:{minutes:02}"),
        seconds => format!("{sign}{hours:02}:{minutes:02}:{seconds:02}"),
    }
}

fn parse(text: &str, zone: Option<&str>, lenient: bool) -> Result<Moment, Fault> {
    let text = &*with_short_fraction(text);
    let pieces = Pieces::parse(text).map_err(|_| Fault::Form)?;
    if has_leap_second(text) {
        return Err(Fault::Form);
    }
    let time = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    let offset = if let Some(offset) = pieces.to_numeric_offset() {
        offset
    } else {
        let named = pieces.to_time_zone().map_err(|_| Fault::UnknownZone)?;
        let zone = match (named, zone) {
            (Some(zone), _) => zone,
            (None, Some(zone)) => TimeZone::get(zone).map_err(|_| Fault::UnknownZone)?,
            (None, None) => return Err(Fault::NoZone),
        };
        match zone.to_ambiguous_timestamp(time).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } if lenient => before,
            AmbiguousOffset::Fold { before, .. } if lenient => before,
            AmbiguousOffset::Gap { .. } => return Err(Fault::Skipped),
            AmbiguousOffset::Fold { .. } => return Err(Fault::Twice),
        }
    };
    let utc = time.checked_sub(SignedDuration::from_secs(offset.seconds().into())).map_err(|_| Fault::Far)?;
    if utc.year() < 0 {
        return Err(Fault::Far);
    }
    let cut = utc.subsec_nanosecond() / MILLISECOND * MILLISECOND;
    utc.with().subsec_nanosecond(cut).build().map(Moment).map_err(|_| Fault::Far)
}

/// Returns a time with at most nine digits of a fraction of its second: more are cut by the server, and read by no parser.
fn with_short_fraction(text: &str) -> Cow<'_, str> {
    let Some((whole, fraction)) = text.split_once('.') else { return Cow::Borrowed(text) };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    if digits <= 9 {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(format!("{whole}.{}{}", &fraction[..9], &fraction[digits..]))
    }
}

/// Returns true if the second of a time is 60: the parser takes it for 59, the server for the year 1.
fn has_leap_second(text: &str) -> bool {
    let Some((_, clock)) = text.split_once(['T', 't', ' ']) else { return false };
    let clock = clock.split(['Z', 'z', '+', '-', '[']).next().unwrap_or(clock);
    let digits: String = clock.chars().filter(|letter| *letter != ':').collect();
    digits.get(4..6) == Some("60")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHANGHAI: Option<&str> = Some("Asia/Shanghai");
    const NEW_YORK: Option<&str> = Some("America/New_York");

    #[test]
    fn times_are_sent_in_utc_and_to_the_millisecond() {
        let check = |text: &str, zone: Option<&str>, expected: &str| {
            let sent = Moment::declared(text, zone).map(Moment::wire);
            assert_eq!(
                sent.as_ref().map_or_else(String::as_str, |wire| wire.as_str().unwrap_or("no text")),
                expected,
                "{text}"
            );
        };
        check("2026-11-01T08:00:00.123456Z", SHANGHAI, "2026-11-01T08:00:00.123Z");
        check("2026-11-01T08:00:00.1239999999+08:00", None, "2026-11-01T00:00:00.123Z");
        check("2026-11-01T08:00:00.000999Z", None, "2026-11-01T08:00:00Z");
        check("2026-11-01 08:00:00", SHANGHAI, "2026-11-01T00:00:00Z");
        check("2026-11-01T08:00:00[Europe/Berlin]", SHANGHAI, "2026-11-01T07:00:00Z");
        check("9999-12-31 23:59:59", SHANGHAI, "9999-12-31T15:59:59Z");
        check("9999-12-31T15:59:59Z", SHANGHAI, "9999-12-31T15:59:59Z");
        check("9999-12-31T23:59:59.999999Z", None, "9999-12-31T23:59:59.999Z");
        check("9999-12-31 23:59:59", NEW_YORK, "takes a time of the years 0 to 9999 in UTC, not `9999-12-31 23:59:59`");
        check("0000-01-01T00:00:00Z", None, "0000-01-01T00:00:00Z");
        check("0000-01-01 00:00:00", NEW_YORK, "0000-01-01T04:56:02Z");
        check("0000-01-01 00:00:00", SHANGHAI, "takes a time of the years 0 to 9999 in UTC, not `0000-01-01 00:00:00`");
        check(
            "0000-01-01T00:00:00+00:01",
            None,
            "takes a time of the years 0 to 9999 in UTC, not `0000-01-01T00:00:00+00:01`",
        );
        check(
            "2026-06-30 23:59:60",
            SHANGHAI,
            "takes a time such as 2024-02-28T10:00:00+08:00, not `2026-06-30 23:59:60`",
        );
        check(
            "2026-06-30T235960Z",
            SHANGHAI,
            "takes a time such as 2024-02-28T10:00:00+08:00, not `2026-06-30T235960Z`",
        );
        check(
            "2026-03-08 02:30:00",
            NEW_YORK,
            "takes a time that exists: clocks in America/New_York skip `2026-03-08 02:30:00`; write it with its offset",
        );
        check(
            "2026-11-01 01:30:00",
            NEW_YORK,
            "takes one time: clocks in America/New_York show `2026-11-01 01:30:00` twice; write it with its offset",
        );
        check(
            "2026-11-01 08:00:00",
            None,
            "takes a time with its zone: `2026-11-01 08:00:00` has none, and the target has no `timeZone`",
        );
    }

    #[test]
    fn times_are_shown_in_the_zone_of_the_target() {
        let check = |text: &str, zone: Option<&str>, expected: &str| {
            let shown = Moment::live(&text.into(), zone).map(|moment| moment.shown(zone));
            assert_eq!(shown.as_deref(), Some(expected), "{text}");
        };
        check("2026-11-01T00:00:00Z", SHANGHAI, "2026-11-01 08:00:00 +08:00");
        check("2026-11-01 08:00:00", SHANGHAI, "2026-11-01 08:00:00 +08:00");
        check("2026-11-01T00:00:00.25Z", Some("Asia/Kolkata"), "2026-11-01 05:30:00.25 +05:30");
        check("2026-11-01T00:00:00+08:00", None, "2026-10-31 16:00:00 UTC");
        check("9999-12-31T15:59:59Z", SHANGHAI, "9999-12-31 23:59:59 +08:00");
        check("9999-12-31T23:59:59Z", SHANGHAI, "9999-12-31 23:59:59 UTC");
        check("2026-01-01T00:00:00Z", NEW_YORK, "2025-12-31 19:00:00 -05:00");
    }

    proptest! {
        /// A time that is sent reads back as the same time, and so does the time that is shown.
        #[test]
        fn what_is_sent_reads_back(seconds in -62_167_219_200_i64..253_402_207_200, nanosecond in 0..1_000_000_000_i32) {
            let timestamp = Timestamp::new(seconds, nanosecond).expect("it is in range");
            let moment = Moment::declared(&timestamp.to_string(), None).expect("it is a time");
            prop_assert_eq!(Moment::live(&moment.wire().into(), SHANGHAI), Some(moment));
            let shown = moment.shown(SHANGHAI);
            let shown = shown.replacen(' ', "T", 1).replace(" UTC", "Z").replace(' ', "");
            prop_assert_eq!(Moment::declared(&shown, None), Ok(moment));
        }
    }
}

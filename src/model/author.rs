//! The last change of a live value: who and when, as far as the platform says.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::Value;

use super::{Action, Display};

/// The evidence, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The platform's record of the very change.
    Audit,
    /// The object itself, which names who changed it last, whatever of it.
    Object,
    /// The object itself, which has a time and no name.
    Time,
    /// Nothing.
    Nothing,
}

impl Source {
    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Object => "object",
            Self::Time => "time",
            Self::Nothing => "none",
        }
    }
}

/// The deed of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// The value was set. If the object's own fields are the evidence, it may have been another value of it.
    Changed,
    /// The object was made, and the value has been so since.
    Made,
    /// The object was removed, and another was made in its place, which has had the value since.
    Remade,
    /// Nothing since this time, which is as far as the records go back.
    Kept,
    /// Nothing since this time; the records before it were not read.
    Earlier,
    /// The object was removed.
    Removed,
    /// Nothing: the records know no such object.
    Never,
    /// It is not known.
    Unknown,
}

impl Deed {
    /// Returns its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Made => "made",
            Self::Remade => "remade",
            Self::Kept => "kept",
            Self::Earlier => "earlier",
            Self::Removed => "removed",
            Self::Never => "never",
            Self::Unknown => "unknown",
        }
    }
}

/// Which side of a difference moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The manifest: what is live is as the program's own account, or nobody, left it.
    Edit,
    /// It is not known.
    Unknown,
    /// The live value moved: somebody else changed it.
    Drift,
}

impl Verdict {
    /// Returns its name in reports: `edit`, `unknown` or `drift`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edit => "edit",
            Self::Unknown => "unknown",
            Self::Drift => "drift",
        }
    }
}

/// The last change of a live value.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    /// The deed of a change.
    pub deed: Deed,
    /// By whom, as the platform names people.
    pub by: Option<String>,
    /// When: RFC 3339 where the zone is known, else `YYYY-MM-DD hh:mm:ss` by the server's clock.
    pub at: Option<String>,
    /// The value before.
    pub was: Option<Value>,
    /// The value before as people read it; `None` if that is how it was stored.
    pub was_display: Option<Display>,
    /// The evidence.
    pub source: Source,
    /// True if it was the account that the program itself uses; `None` if that is not known.
    pub ours: Option<bool>,
}

impl Changed {
    /// Returns what is said where nothing is known.
    pub fn unknown() -> Self {
        Self {
            deed: Deed::Unknown,
            by: None,
            at: None,
            was: None,
            was_display: None,
            source: Source::Nothing,
            ours: None,
        }
    }

    /// Says which side moved.
    pub fn verdict(&self, action: Action) -> Verdict {
        match (self.deed, action) {
            // A value that nobody touched since its object was made.
            (Deed::Made, Action::Update | Action::Sync) | (Deed::Kept | Deed::Never, _) => Verdict::Edit,
            (Deed::Unknown | Deed::Earlier, _) => Verdict::Unknown,
            // Somebody else touched the object last, perhaps another field of it.
            (Deed::Changed, _) if self.source != Source::Audit && self.ours == Some(false) => Verdict::Unknown,
            (Deed::Changed | Deed::Made | Deed::Remade | Deed::Removed, _) => match self.ours {
                Some(true) => Verdict::Edit,
                Some(false) => Verdict::Drift,
                None => Verdict::Unknown,
            },
        }
    }
}

/// Returns a time as reports have it: in a zone, where one is given, else in UTC; without an offset and a zone as it is.
pub fn moment(text: &str, zone: Option<&str>) -> String {
    let zone = zone.and_then(|zone| TimeZone::get(zone).ok());
    let written = |moment: jiff::Zoned| moment.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    if let Ok(moment) = text.parse::<Timestamp>() {
        return match zone {
            Some(zone) => written(moment.to_zoned(zone)),
            None => moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        };
    }
    let civil = text.parse::<DateTime>().ok().zip(zone);
    let placed = civil.and_then(|(civil, zone)| civil.to_zoned(zone).ok());
    placed.map_or_else(|| text.to_owned(), written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_zone_of_the_target() {
        let check = |text: &str, zone: Option<&str>, expected: &str| assert_eq!(moment(text, zone), expected);
        check("2026-11-20T06:02:03.5Z", Some("Asia/Shanghai"), "2026-11-20T14:02:03+08:00");
        check("2026-11-20T06:02:03.5Z", None, "2026-11-20T06:02:03Z");
        check("2026-11-20T14:02:03+08:00", None, "2026-11-20T06:02:03Z");
        check("2026-11-20 14:02:03", Some("Asia/Shanghai"), "2026-11-20T14:02:03+08:00");
        check("2026-11-20 14:02:03", None, "2026-11-20 14:02:03");
        check("some day", Some("Asia/Shanghai"), "some day");
    }

    #[test]
    fn who_did_it_tells_which_side_moved() {
        use Action::{Create, Delete, Update};
        let by = |source: Source, deed: Deed, action: Action, ours: Option<bool>, expected: Verdict| {
            let changed = Changed { deed, source, ours, ..Changed::unknown() };
            assert_eq!(changed.verdict(action), expected, "{source:?} {deed:?} {action:?}");
        };
        let check = |deed, action, ours, expected| by(Source::Audit, deed, action, ours, expected);
        for action in [Create, Update, Delete] {
            for ours in [None, Some(true), Some(false)] {
                check(Deed::Unknown, action, ours, Verdict::Unknown);
                check(Deed::Earlier, action, ours, Verdict::Unknown);
                check(Deed::Kept, action, ours, Verdict::Edit);
                check(Deed::Never, action, ours, Verdict::Edit);
            }
            check(Deed::Changed, action, Some(true), Verdict::Edit);
            check(Deed::Changed, action, Some(false), Verdict::Drift);
            check(Deed::Removed, action, None, Verdict::Unknown);
        }
        // An object's own fields name its last editor, whatever was edited.
        for source in [Source::Object, Source::Time] {
            by(source, Deed::Changed, Update, Some(true), Verdict::Edit);
            by(source, Deed::Changed, Update, Some(false), Verdict::Unknown);
            by(source, Deed::Changed, Update, None, Verdict::Unknown);
            by(source, Deed::Made, Delete, Some(false), Verdict::Drift);
        }
        check(Deed::Remade, Update, Some(false), Verdict::Drift);
        check(Deed::Remade, Update, Some(true), Verdict::Edit);
        check(Deed::Remade, Update, None, Verdict::Unknown);
        check(Deed::Made, Update, Some(false), Verdict::Edit);
        check(Deed::Made, Update, None, Verdict::Edit);
        check(Deed::Made, Delete, Some(true), Verdict::Edit);
        check(Deed::Made, Delete, Some(false), Verdict::Drift);
        check(Deed::Made, Delete, None, Verdict::Unknown);
    }
}

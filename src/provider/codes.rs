//! The meanings of the codes and statuses that platforms answer with.

use std::time::Duration;

use crate::model::Retry;

/// The reaction to an answer that is no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It was not carried out, and may be after a moment.
    Retry,
    /// It was not carried out, because too many requests came.
    Wait,
    /// It is open whether it was carried out: a write is looked up, a read is sent again.
    Settle,
    /// It is open whether it was carried out: a write is looked up. The same read gets the same answer.
    SettleOnce,
    /// The credentials were not accepted.
    Renew,
    /// The server does not have the operation: an older one is used where there is one.
    Missing,
    /// The same request gets the same answer.
    Stop,
}

impl Meaning {
    /// All meanings, in the order of the documentation.
    pub const ALL: &[Self] =
        &[Self::Retry, Self::Wait, Self::Settle, Self::SettleOnce, Self::Renew, Self::Missing, Self::Stop];

    /// Returns the word for it in the documentation.
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Wait => "wait",
            Self::Settle => "settle",
            Self::SettleOnce => "settle once",
            Self::Renew => "renew",
            Self::Missing => "missing",
            Self::Stop => "stop",
        }
    }

    /// Returns when a request is sent again; `asked` is the wait that the server asks for.
    pub fn retry(self, asked: Option<Duration>) -> Retry {
        match self {
            Self::Retry | Self::Settle => asked.map_or(Retry::Soon, Retry::After),
            Self::Wait => Retry::Slower(asked),
            Self::SettleOnce | Self::Renew | Self::Missing | Self::Stop => Retry::Never,
        }
    }

    /// Returns true if the request may have been carried out.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Settle | Self::SettleOnce)
    }
}

/// The meaning of one code of a platform, or of one HTTP status.
#[derive(Debug, Clone, Copy)]
pub struct CodeMeaning {
    /// The code as the platform writes it, or `HTTP 429`, or `HTTP 5xx` for all statuses from 500 on.
    pub code: &'static str,
    /// The case that the row is for; empty for every other.
    pub case: &'static str,
    /// The reaction to it.
    pub meaning: Meaning,
    /// The event that the code stands for.
    pub about: &'static str,
    /// True if messages show `about`, because the platform's own text does not say it.
    pub is_hint: bool,
}

impl CodeMeaning {
    /// Returns the row of a code in every case.
    pub const fn new(code: &'static str, meaning: Meaning, about: &'static str) -> Self {
        Self { code, case: "", meaning, about, is_hint: false }
    }

    /// Returns the row for one case of its code.
    #[must_use]
    pub const fn when(self, case: &'static str) -> Self {
        Self { case, ..self }
    }

    /// Returns the row with its text shown in messages.
    #[must_use]
    pub const fn hinted(self) -> Self {
        Self { is_hint: true, ..self }
    }

    fn has_status(&self, status: u16) -> bool {
        match self.code.strip_prefix("HTTP ") {
            Some("5xx") => status >= 500,
            Some(code) => code.parse() == Ok(status),
            None => false,
        }
    }
}

/// Returns the first row of a code whose case `is_case` accepts.
pub fn of_code(
    rows: &'static [CodeMeaning],
    code: &str,
    is_case: impl Fn(&str) -> bool,
) -> Option<&'static CodeMeaning> {
    rows.iter().find(|row| row.code == code && (row.case.is_empty() || is_case(row.case)))
}

/// Returns the first row of an HTTP status whose case `is_case` accepts.
pub fn of_status(
    rows: &'static [CodeMeaning],
    status: u16,
    is_case: impl Fn(&str) -> bool,
) -> Option<&'static CodeMeaning> {
    rows.iter().find(|row| row.has_status(status) && (row.case.is_empty() || is_case(row.case)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[CodeMeaning] = &[
        CodeMeaning::new("7", Meaning::Missing, "to a newer read").when("newer"),
        CodeMeaning::new("7", Meaning::Stop, "else"),
        CodeMeaning::new("HTTP 429", Meaning::Wait, "limiter"),
        CodeMeaning::new("HTTP 503", Meaning::Retry, "busy").when("own"),
        CodeMeaning::new("HTTP 5xx", Meaning::Settle, "broken"),
    ];

    #[test]
    fn the_first_row_that_fits_counts() {
        let code = |code: &str, case: &str| of_code(ROWS, code, |name| name == case).map(|row| row.meaning);
        assert_eq!(code("7", "newer"), Some(Meaning::Missing));
        assert_eq!(code("7", ""), Some(Meaning::Stop));
        assert_eq!(code("8", ""), None);
        assert_eq!(code("HTTP 5xx", ""), Some(Meaning::Settle));
        let status = |status: u16, case: &str| of_status(ROWS, status, |name| name == case).map(|row| row.meaning);
        assert_eq!(status(429, ""), Some(Meaning::Wait));
        assert_eq!(status(503, "own"), Some(Meaning::Retry));
        assert_eq!(status(503, ""), Some(Meaning::Settle));
        assert_eq!(status(599, "own"), Some(Meaning::Settle));
        assert_eq!(status(404, ""), None);
    }

    #[test]
    fn reactions() {
        let check = |meaning: Meaning, retry: Retry, asked: Retry, is_open: bool| {
            let five = Some(Duration::from_secs(5));
            assert_eq!((meaning.retry(None), meaning.retry(five), meaning.is_open()), (retry, asked, is_open));
        };
        let five = Duration::from_secs(5);
        check(Meaning::Retry, Retry::Soon, Retry::After(five), false);
        check(Meaning::Wait, Retry::Slower(None), Retry::Slower(Some(five)), false);
        check(Meaning::Settle, Retry::Soon, Retry::After(five), true);
        check(Meaning::SettleOnce, Retry::Never, Retry::Never, true);
        for meaning in [Meaning::Renew, Meaning::Missing, Meaning::Stop] {
            check(meaning, Retry::Never, Retry::Never, false);
        }
    }
}

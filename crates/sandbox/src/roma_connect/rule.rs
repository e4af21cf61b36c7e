//! The rules for single fields (contract, section 3). Lengths count characters.

use std::sync::LazyLock;

use regex::Regex;

static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\p{Han}A-Za-z0-9\-_. ()（）]{1,256}$"));
static KEY: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[\p{Han}A-Za-z0-9][\p{Han}A-Za-z0-9\-_@.]{2,199}$"));
static SECRET: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9!@#$%+=.\-/]{8,128}$"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant")
}

/// A field with a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Name,
    Remark,
    Key,
    Secret,
}

impl Field {
    /// Returns the field's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Remark => "remark",
            Self::Key => "key",
            Self::Secret => "secret",
        }
    }

    /// Checks a value, or says what is expected of it.
    pub(super) fn check(self, value: &str) -> Result<(), &'static str> {
        let (holds, expected) = match self {
            Self::Name => (
                NAME.is_match(value),
                "expected 1 to 256 of Chinese characters, letters, digits, hyphens, underscores, periods, spaces, parentheses",
            ),
            Self::Remark => (value.chars().count() <= 255, "expected at most 255 characters"),
            Self::Key => (
                KEY.is_match(value),
                "expected 3 to 200 of Chinese characters, letters, digits, and -_@. behind the first",
            ),
            Self::Secret => (SECRET.is_match(value), "expected 8 to 128 of letters, digits and !@#$%+=.-/"),
        };
        if holds { Ok(()) } else { Err(expected) }
    }
}

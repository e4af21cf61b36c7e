//! Tags: those of the core schema say what is meant, all others are refused.

use granit_parser::Tag;

use crate::{
    diagnostic::Diagnostic,
    source::Origin,
    yaml::{Typed, scalar},
};

/// Why a tag cannot stand where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The core schema has no such tag.
    Unknown,
    /// The value is not of its type.
    Unfit,
}

impl Refused {
    /// Returns the message about a tag at a place.
    pub(super) fn diagnostic(self, name: &str, origin: &Origin) -> Diagnostic {
        match self {
            Self::Unfit => Diagnostic::error("Y010", format!("this value is not what its tag `{name}` says"), origin),
            Self::Unknown => Diagnostic::error("Y009", format!("unknown tag `{name}`"), origin)
                .hint("known are !!str, !!int, !!float, !!bool, !!null, !!seq and !!map"),
        }
    }
}

/// Returns whether a scalar with a tag takes part in the core schema, quoted or not; otherwise it is a text.
pub(super) fn of_scalar(tag: &Tag, text: &str) -> Result<bool, Refused> {
    let typed = scalar::resolve(text);
    let fits = match tag.core_suffix() {
        Some("str") => return Ok(false),
        Some("null") => typed == Typed::Null,
        Some("bool") => matches!(typed, Typed::Bool(_)),
        Some("int") => matches!(typed, Typed::Int(_) | Typed::BigInt(_)),
        Some("float") => matches!(typed, Typed::Float(_) | Typed::Int(_)),
        Some(_) => false,
        // A lone `!` means text.
        None if tag.original() == "!" => return Ok(false),
        None => return Err(Refused::Unknown),
    };
    if fits { Ok(true) } else { Err(Refused::Unfit) }
}

/// Checks the tag of a list (`seq`) or a mapping (`map`).
pub(super) fn of_container(tag: &Tag, expected: &str) -> Result<(), Refused> {
    match tag.core_suffix() {
        Some(suffix) if suffix == expected => Ok(()),
        Some(_) => Err(Refused::Unfit),
        None if tag.original() == "!" => Ok(()),
        None => Err(Refused::Unknown),
    }
}

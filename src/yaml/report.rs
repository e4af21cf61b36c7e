//! Messages of the loader about syntax, and about scalars that are easily mistaken.

use granit_parser::{ErrorKind, ScanError};

use crate::{
    diagnostic::Diagnostic,
    source::{FileId, Origin},
    yaml::{
        scalar::{self, Doubt},
        slip,
    },
};

/// How deep lists and mappings may nest. Nobody writes this, and every reader of the tree is recursive.
pub(super) const DEPTH: usize = 100;

/// Returns the message about an error of syntax in a text that was parsed from a byte on.
pub(super) fn syntax(error: &ScanError, from: usize, file: FileId, text: &str) -> Diagnostic {
    let start = (from + error.marker().byte_offset().unwrap_or_default()).min(text.len());
    if let Some(cause) = slip::cause(file, text, start) {
        return cause;
    }
    let (before, rest) = text.split_at_checked(start).unwrap_or((text, ""));
    let length = rest.chars().next().filter(|next| !matches!(next, '\n' | '\r')).map_or(0, char::len_utf8);
    let origin = Origin::new(file, before.len()..before.len() + length);
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return too_deep(&origin);
    }
    let diagnostic = Diagnostic::error("Y001", error.info(), &origin);
    match hint(error.kind(), before, rest) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// Returns the message about lists and mappings that are nested too deeply.
pub(super) fn too_deep(origin: &Origin) -> Diagnostic {
    Diagnostic::error("Y005", format!("lists and mappings are nested more than {DEPTH} deep"), origin)
}

/// Says what is most likely meant, for the mistakes that people make most.
fn hint(kind: &ErrorKind, before: &str, rest: &str) -> Option<&'static str> {
    if before.ends_with('$') && rest.starts_with('{') {
        return Some(
            "within [] and {} a variable has to be quoted: \"${NAME}\"; that makes it a text, so put a number on a line of its own",
        );
    }
    if rest.starts_with('\t') || before.ends_with('\t') {
        return Some("indent with spaces");
    }
    if rest.starts_with(['@', '`', '%']) {
        return Some("put the text in quotes");
    }
    matches!(kind, ErrorKind::MappingValueNotAllowed)
        .then_some("put a text that holds `: ` in quotes; check the indentation")
}

/// Returns the warning about a text that is most likely not what was meant, with quotes or without.
pub(super) fn suspicion(text: &str, origin: &Origin) -> Option<Diagnostic> {
    if text.is_ascii() {
        return slip::is_helm(text).then(|| {
            let message = "this looks like a template that was not rendered: it is taken as a text";
            Diagnostic::warning("Y105", message, origin).hint("variables here are ${NAME}")
        });
    }
    if unicode_normalization::is_nfc(text) {
        return None;
    }
    let composed: String = unicode_normalization::UnicodeNormalization::nfc(text).collect();
    let message = "this text has decomposed characters, as file names on macOS do: servers take it for another than the \
                   composed one, which looks the same";
    let spelt: String = composed
        .chars()
        .map(|letter| {
            if letter.is_ascii() || text.contains(letter) {
                letter.to_string()
            } else {
                letter.escape_unicode().to_string()
            }
        })
        .collect();
    Some(Diagnostic::warning("Y104", message, origin).hint(format!("composed it is \"{spelt}\"")))
}

/// Returns the warning about a scalar without quotes that other readers take otherwise.
pub(super) fn doubt(text: &str, origin: &Origin) -> Option<Diagnostic> {
    let (code, message, hint) = match scalar::doubt(text)? {
        Doubt::Switch => (
            "Y101",
            format!("`{text}` is a text, not a truth value"),
            format!("write true or false, or \"{text}\" to say that the text is meant"),
        ),
        Doubt::LeadingZero => (
            "Y102",
            format!("`{text}` is a decimal number here, and an octal one to older readers"),
            format!("write \"{text}\" for the text, or drop the zero"),
        ),
        Doubt::Sexagesimal => (
            "Y103",
            format!("`{text}` is a text here, and a number to the base of 60 to older readers"),
            format!("write \"{text}\""),
        ),
    };
    Some(Diagnostic::warning(code, message, origin).hint(hint))
}

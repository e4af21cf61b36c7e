//! What the loader says about syntax, and about scalars that are easily mistaken.

use granit_parser::{ErrorKind, ScanError};

use crate::{
    diagnostic::Diagnostic,
    source::{FileId, Origin},
    yaml::scalar::{self, Doubt},
};

/// Returns the message about an error of syntax.
pub(super) fn syntax(error: &ScanError, file: FileId, text: &str) -> Diagnostic {
    let start = error.marker().byte_offset().unwrap_or_default().min(text.len());
    let (before, rest) = text.split_at_checked(start).unwrap_or((text, ""));
    let length = rest.chars().next().filter(|next| !matches!(next, '\n' | '\r')).map_or(0, char::len_utf8);
    let diagnostic = Diagnostic::error("Y001", error.info(), &Origin::new(file, before.len()..before.len() + length));
    match hint(error.kind(), before, rest) {
        Some(hint) => diagnostic.hint(hint),
        None => diagnostic,
    }
}

/// Says what is most likely meant, for the mistakes that people make most.
fn hint(kind: &ErrorKind, before: &str, rest: &str) -> Option<&'static str> {
    if before.ends_with('$') && rest.starts_with('{') {
        return Some("within [] and {} a variable has to be quoted: \"${NAME}\"");
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

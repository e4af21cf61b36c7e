//! Files of people that are written again.

use std::path::{Path, PathBuf};

/// The mark at the beginning of some texts, which is no part of them.
const MARK: &str = "\u{feff}";

/// Returns where a file lies, through links that lead to it, and its bytes, as long as it is as it was read.
pub(super) fn as_it_was(path: &Path, text: &str) -> Result<(PathBuf, Vec<u8>), String> {
    let shown = path.display();
    let place = path.canonicalize().map_err(|error| format!("cannot find {shown}: {error}"))?;
    let now = std::fs::read(&place).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let body = now.strip_prefix(MARK.as_bytes()).unwrap_or(&now);
    if body == text.trim_start_matches(MARK).as_bytes() {
        Ok((place, now))
    } else {
        Err(format!("{shown} was changed meanwhile: it is left as it is"))
    }
}

/// Returns another text with the mark of the one before it.
pub(super) fn with_mark(before: &[u8], text: &str) -> String {
    let mark = if before.starts_with(MARK.as_bytes()) { MARK } else { "" };
    format!("{mark}{}", text.trim_start_matches(MARK))
}

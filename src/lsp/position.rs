//! Places in the form of the protocol: lines from 0, characters in units of UTF-16.

use serde_json::{Value, json};

use super::shift::Shift;
use crate::source::{Origin, Sources};

/// Returns the byte of a position; the end of the line if it has fewer characters, the end of the text behind its lines.
pub fn byte(text: &str, line: usize, character: usize) -> usize {
    let start = if line == 0 { Some(0) } else { text.match_indices('\n').nth(line - 1).map(|(at, _)| at + 1) };
    let Some(start) = start else { return text.len() };
    let mut units = 0;
    for (at, letter) in text[start..].char_indices() {
        if units >= character || letter == '\n' {
            return start + at;
        }
        units += letter.len_utf16();
    }
    text.len()
}

/// Returns the position of a byte.
pub(super) fn position(text: &str, byte: usize) -> Value {
    let before = text.get(..byte.min(text.len())).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    json!({"line": line, "character": before[start..].encode_utf16().count()})
}

/// Returns the range of bytes of a text.
pub(super) fn range_of(text: &str, bytes: std::ops::Range<usize>) -> Value {
    json!({"start": position(text, bytes.start), "end": position(text, bytes.end)})
}

/// Returns the range of a place.
pub(super) fn range(origin: &Origin, sources: &Sources) -> Value {
    range_of(sources.text(origin.file), origin.range())
}

/// Returns the edit that makes one text of another: the smallest stretch in which they differ.
pub fn text_edit(old: &str, new: &str) -> Value {
    let (before, after) = Shift::between(old, new).replaced();
    json!({"range": range_of(old, before), "newText": new[after]})
}

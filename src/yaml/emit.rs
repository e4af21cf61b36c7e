//! A tree as text, with scalars as they were written and a note behind each.

use std::fmt::Write as _;

use crate::yaml::{Content, Node, Scalar, Typed};

/// Columns of one level.
const INDENT: usize = 2;

/// Returns a tree as a document in block style. Numbers and the like stay as they were written. `note` returns the
/// comment behind a scalar, without its `#`.
pub fn emit(root: &Node<'_>, note: &dyn Fn(&Node<'_>) -> Option<String>) -> String {
    let mut writer = Writer { text: String::new(), note };
    match &root.content {
        Content::Mapping(entries) if !entries.is_empty() => writer.mapping(entries, 0),
        Content::Sequence(items) if !items.is_empty() => writer.sequence(items, 0),
        Content::Scalar(_) | Content::Mapping(_) | Content::Sequence(_) => writer.inline(root, 0),
    }
    writer.text
}

/// Returns a text as a scalar on one line: plain where that means the same, otherwise in double quotes.
pub fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

struct Writer<'a> {
    text: String,
    note: &'a dyn Fn(&Node<'_>) -> Option<String>,
}

impl Writer<'_> {
    /// Writes the entries of a mapping. The first of them begins where the text ends, so that it can follow a dash.
    fn mapping(&mut self, entries: &[(Node<'_>, Node<'_>)], indent: usize) {
        for (number, (key, value)) in entries.iter().enumerate() {
            self.pad(number, indent);
            let key = key.as_scalar().map(|scalar| single_line(scalar)).unwrap_or_default();
            self.text.push_str(&key);
            self.text.push(':');
            self.value(value, indent + INDENT);
        }
    }

    /// Writes the items of a list, as [`Writer::mapping`] writes entries.
    fn sequence(&mut self, items: &[Node<'_>], indent: usize) {
        for (number, item) in items.iter().enumerate() {
            self.pad(number, indent);
            self.text.push('-');
            match &item.content {
                Content::Mapping(entries) if !entries.is_empty() => {
                    self.text.push(' ');
                    self.mapping(entries, indent + INDENT);
                }
                Content::Sequence(items) if !items.is_empty() => {
                    self.text.push(' ');
                    self.sequence(items, indent + INDENT);
                }
                Content::Scalar(_) | Content::Mapping(_) | Content::Sequence(_) => {
                    self.text.push(' ');
                    self.inline(item, indent + INDENT);
                }
            }
        }
    }

    /// Writes a value behind the colon of its key.
    fn value(&mut self, value: &Node<'_>, indent: usize) {
        match &value.content {
            Content::Mapping(entries) if !entries.is_empty() => {
                self.text.push('\n');
                let _ = write!(self.text, "{:indent$}", "");
                self.mapping(entries, indent);
            }
            Content::Sequence(items) if !items.is_empty() => {
                self.text.push('\n');
                let _ = write!(self.text, "{:indent$}", "");
                self.sequence(items, indent);
            }
            Content::Scalar(_) | Content::Mapping(_) | Content::Sequence(_) => {
                self.text.push(' ');
                self.inline(value, indent);
            }
        }
    }

    /// Writes a scalar, or what is empty, and ends the line.
    fn inline(&mut self, node: &Node<'_>, indent: usize) {
        let note = (self.note)(node).map(|note| format!("  # {note}")).unwrap_or_default();
        let Some(scalar) = node.as_scalar() else {
            let empty = if matches!(node.content, Content::Mapping(_)) { "{}" } else { "[]" };
            let _ = writeln!(self.text, "{empty}{note}");
            return;
        };
        if !is_literal(scalar) {
            let _ = writeln!(self.text, "{}{note}", single_line(scalar));
            return;
        }
        let strip = if scalar.text.ends_with('\n') { "" } else { "-" };
        let _ = writeln!(self.text, "|{strip}{note}");
        for line in scalar.text.lines() {
            let _ = if line.is_empty() { writeln!(self.text) } else { writeln!(self.text, "{:indent$}{line}", "") };
        }
    }

    fn pad(&mut self, number: usize, indent: usize) {
        if number > 0 {
            let _ = write!(self.text, "{:indent$}", "");
        }
    }
}

/// Returns a scalar on one line: plain where that means the same, otherwise in double quotes.
fn single_line(scalar: &Scalar<'_>) -> String {
    let text = &*scalar.text;
    if scalar.plain {
        match scalar.typed() {
            Typed::Null => return "null".to_owned(),
            Typed::Text(_) => {}
            Typed::Bool(_) | Typed::Int(_) | Typed::BigInt(_) | Typed::Float(_) => return text.to_owned(),
        }
    }
    self::scalar(text)
}

/// Returns true if a text without quotes is still this text, and no indicator of YAML is in it.
fn is_plain(text: &str) -> bool {
    let is_word = |letter: char| letter.is_alphanumeric() || "_./$".contains(letter);
    let is_inner = |letter: char| is_word(letter) || " -+@()%=^~*!<>;|".contains(letter);
    let is_text = matches!(Scalar { text: text.into(), plain: true }.typed(), Typed::Text(_));
    // Older readers take these for truth values.
    let is_old = ["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    // Other readers take a time for a number of base 60, and a date for a date.
    let is_number_like = text.starts_with(|letter: char| letter.is_ascii_digit())
        && text.chars().all(|letter| letter.is_ascii_digit() || "-._ /".contains(letter));
    text.starts_with(is_word)
        && text.chars().all(is_inner)
        && !text.ends_with(' ')
        && is_text
        && !is_old
        && !is_number_like
}

/// Returns true if a text is best written line by line.
fn is_literal(scalar: &Scalar<'_>) -> bool {
    let text = &*scalar.text;
    let is_shown = |letter: char| letter == '\n' || (!letter.is_control() && !is_break(letter) && letter != '\u{feff}');
    let is_text = matches!(scalar.typed(), Typed::Text(_));
    is_text
        && text.trim_end_matches('\n').contains('\n')
        && !text.ends_with("\n\n")
        && !text.starts_with([' ', '\n'])
        && text.chars().all(is_shown)
}

/// Returns true for the line breaks of Unicode that YAML 1.1 knows.
fn is_break(letter: char) -> bool {
    matches!(letter, '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Returns a text in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            letter if letter.is_control() || is_break(letter) || letter == '\u{feff}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;

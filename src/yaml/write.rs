//! Writing YAML for people: block style, quotes only where a text would be read otherwise without them.

use std::fmt::Write as _;

use super::{
    Typed,
    scalar::{doubt, resolve},
};

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    /// A scalar that is written as it is: a number, a truth value or null.
    Plain(String),
    /// A text, quoted where that is needed.
    Text(String),
    /// A list, in one line where it holds scalars alone.
    List(Vec<Tree>),
    /// A list, one line an item.
    Lines(Vec<Item>),
    /// A mapping, one line a key.
    Map(Vec<Entry>),
    /// A mapping in one line.
    Flow(Vec<(String, Tree)>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Tree,
    /// A comment behind the value, such as the name of an option; empty for none.
    pub note: String,
}

impl Entry {
    /// Returns a key with its value and no comment.
    pub fn new(key: impl Into<String>, value: Tree) -> Self {
        Self { key: key.into(), value, note: String::new() }
    }

    /// Adds a comment.
    #[must_use]
    pub fn note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

/// An item of a list that has a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The value.
    pub value: Tree,
    /// A comment behind the value; empty for none.
    pub note: String,
}

impl Tree {
    /// Returns a text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Returns null.
    pub fn null() -> Self {
        Self::Plain("null".to_owned())
    }

    /// Changes all texts in it, keys aside.
    #[must_use]
    pub fn map_texts(self, change: &dyn Fn(String) -> String) -> Self {
        let value = |value: Self| value.map_texts(change);
        match self {
            Self::Plain(text) => Self::Plain(text),
            Self::Text(text) => Self::Text(change(text)),
            Self::List(items) => Self::List(items.into_iter().map(value).collect()),
            Self::Lines(items) => Self::Lines(
                items.into_iter().map(|item| Item { value: item.value.map_texts(change), ..item }).collect(),
            ),
            Self::Map(entries) => Self::Map(
                entries.into_iter().map(|entry| Entry { value: entry.value.map_texts(change), ..entry }).collect(),
            ),
            Self::Flow(entries) => {
                Self::Flow(entries.into_iter().map(|(key, value)| (key, value.map_texts(change))).collect())
            }
        }
    }

    fn is_scalar(&self) -> bool {
        matches!(self, Self::Plain(_) | Self::Text(_))
    }
}

/// Writes a mapping as a document or a part of one, with a line break at its end. `indent` is the number of blanks before
/// each key.
pub fn write(entries: &[Entry], indent: usize) -> String {
    let mut text = " ".repeat(indent);
    mapping(&mut text, entries, indent);
    if entries.is_empty() { String::new() } else { text }
}

/// Writes a value as a document. `note` is the comment behind one that has no line of its own in it.
pub fn document(value: &Tree, note: &str) -> String {
    let mut text = String::new();
    inner(&mut text, value, note, 0);
    text
}

/// Returns a text as a scalar in one line. `is_flow` is true for one inside of `[]` or `{}`.
pub fn scalar(text: &str, is_flow: bool) -> String {
    if is_plain(text, is_flow) { text.to_owned() } else { quoted(text) }
}

/// Returns a text in double quotes, with all that does not show spelled out.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            letter if !is_shown(letter) => {
                let code = u32::from(letter);
                let _ = match code {
                    0..=0xff => write!(quoted, "\\x{code:02x}"),
                    0x100..=0xffff => write!(quoted, "\\u{code:04x}"),
                    _ => write!(quoted, "\\U{code:08x}"),
                };
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns true for a letter that people see and that all readers of YAML take as it is.
fn is_shown(letter: char) -> bool {
    letter == ' ' || matches!(letter, '"' | '\'' | '\\') || letter.escape_debug().len() == 1
}

/// Returns true if a text means itself without quotes.
fn is_plain(text: &str, is_flow: bool) -> bool {
    let starts_well =
        text.starts_with(|first: char| first.is_alphanumeric() || matches!(first, '/' | '_' | '.' | '(' | '（'));
    let is_safe = |letter: char| {
        is_shown(letter)
            && !matches!(letter, '#' | ':' | '"' | '\'' | '\\' | '[' | ']' | '{' | '}')
            && !(is_flow && letter == ',')
    };
    let has_mark = text.starts_with("...");
    let is_text = matches!(resolve(text), Typed::Text(_)) && doubt(text).is_none();
    // Readers of YAML 1.1 take a date for more than a text. An address is none.
    let is_number = text.starts_with(|first: char| first.is_ascii_digit())
        && !text.contains(char::is_alphabetic)
        && text.matches('.').count() < 2;
    starts_well && text.chars().all(is_safe) && !text.ends_with(' ') && !has_mark && is_text && !is_number
}

/// Writes the entries of a mapping. The first of them begins where the text ends, so that it can follow a dash.
fn mapping(text: &mut String, entries: &[Entry], indent: usize) {
    for (number, Entry { key, value, note }) in entries.iter().enumerate() {
        pad(text, number, indent);
        let _ = write!(text, "{}:", scalar(key, false));
        below(text, value, note, indent);
    }
}

/// Writes the items of a list, as [`mapping`] writes entries.
fn lines(text: &mut String, items: &[Item], indent: usize) {
    for (number, Item { value, note }) in items.iter().enumerate() {
        pad(text, number, indent);
        text.push_str("- ");
        inner(text, value, note, indent + 2);
    }
}

fn pad(text: &mut String, number: usize, indent: usize) {
    if number > 0 {
        let _ = write!(text, "{:indent$}", "");
    }
}

fn comment(text: &mut String, note: &str) {
    if !note.is_empty() {
        let shown = |letter: char| if is_shown(letter) { letter } else { ' ' };
        let _ = write!(text, "  # {}", note.chars().map(shown).collect::<String>());
    }
    text.push('\n');
}

/// Writes a value behind its key, with the line break.
fn below(text: &mut String, value: &Tree, note: &str, indent: usize) {
    let is_below = match value {
        Tree::Map(entries) => !entries.is_empty(),
        Tree::Lines(items) => !items.is_empty(),
        Tree::List(items) => items.iter().any(|item| !item.is_scalar()),
        Tree::Plain(_) | Tree::Text(_) | Tree::Flow(_) => false,
    };
    if is_below {
        comment(text, note);
        pad(text, 1, indent + 2);
    } else {
        text.push(' ');
    }
    inner(text, value, note, indent + 2);
}

/// Writes a value where the text ends, with the line break. `indent` is that of its lines but the first.
fn inner(text: &mut String, value: &Tree, note: &str, indent: usize) {
    match value {
        Tree::Map(entries) if !entries.is_empty() => mapping(text, entries, indent),
        Tree::Lines(items) if !items.is_empty() => lines(text, items, indent),
        Tree::List(items) if items.iter().any(|item| !item.is_scalar()) => {
            for (number, item) in items.iter().enumerate() {
                pad(text, number, indent);
                let _ = writeln!(text, "- {}", in_one_line(item));
            }
        }
        Tree::Text(value) if is_block(value) => {
            text.push_str(if value.ends_with('\n') { "|" } else { "|-" });
            comment(text, note);
            // Lines of a block have to be indented, even where nothing is around them.
            let indent = indent.max(2);
            for line in value.trim_end_matches('\n').split('\n') {
                if line.is_empty() {
                    text.push('\n');
                } else {
                    let _ = writeln!(text, "{:indent$}{line}", "");
                }
            }
        }
        Tree::Text(value) => {
            text.push_str(&scalar(value, false));
            comment(text, note);
        }
        value => {
            text.push_str(&in_one_line(value));
            comment(text, note);
        }
    }
}

/// Returns true for a text of several lines that a block shows as it is.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body.split('\n').all(|line| !line.ends_with(' ') && line.chars().all(is_shown))
}

/// Returns a value in one line.
pub fn in_one_line(value: &Tree) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    let pairs = |entries: &mut dyn Iterator<Item = (&str, &Tree)>| {
        let parts = entries.map(|(key, value)| format!("{}: {}", scalar(key, true), in_one_line(value)));
        format!("{{{}}}", joined(parts.collect()))
    };
    match value {
        Tree::Plain(text) => text.clone(),
        Tree::Text(text) => scalar(text, true),
        Tree::List(items) => format!("[{}]", joined(items.iter().map(in_one_line).collect())),
        Tree::Lines(items) => format!("[{}]", joined(items.iter().map(|item| in_one_line(&item.value)).collect())),
        Tree::Map(entries) => pairs(&mut entries.iter().map(|entry| (entry.key.as_str(), &entry.value))),
        Tree::Flow(entries) => pairs(&mut entries.iter().map(|(key, value)| (key.as_str(), value))),
    }
}

#[cfg(test)]
mod tests;

//! What is being written at a place. A text that is being typed is rarely valid YAML, so that this reads lines.

/// The surroundings of a place in a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Cursor {
    /// The keys from the root to what is written; items of lists have none.
    pub(super) path: Vec<String>,
    /// A value is written, and the last key of `path` is its key; otherwise a key is written.
    pub(super) is_value: bool,
    /// The text from the start of the key or value up to the place.
    pub(super) typed: String,
    /// The byte at which `typed` begins.
    pub(super) start: usize,
    /// The `kind` of the document.
    pub(super) kind: Option<String>,
    /// The `apiVersion` of the document.
    pub(super) version: Option<String>,
    /// The nearest `model` before the place, else the first one behind it.
    pub(super) model: Option<String>,
}

impl Cursor {
    /// Returns the surroundings of a byte of a text.
    pub(super) fn at(text: &str, byte: usize) -> Self {
        let before = &text[..byte];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let document = before[..line_start].rfind("\n---").map_or(0, |at| at + 1);
        let rest = text[line_start..].find("\n---").map_or(text.len(), |at| line_start + at);
        let word = |key: &str| {
            let value = text[document..rest].lines().find_map(|line| line.strip_prefix(key));
            value.map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
        };
        let (mut indent, content) = dashes(&text[line_start..byte]);
        let flow = Flow::of(content);
        let mut path: Vec<String> = Vec::new();
        for line in text[document..line_start].lines().rev() {
            if indent == 0 {
                break;
            }
            let (inner, content) = dashes(line);
            if content.trim().is_empty() || content.starts_with('#') || content.starts_with("---") {
                continue;
            }
            let dash = line.len() - line.trim_start().len();
            if inner < indent
                && let Some((key, _)) = key_of(content)
            {
                path.push(key.to_owned());
                indent = inner;
            }
            // The list's key may stand as far right as its dashes.
            if inner == indent && dash < inner {
                indent = dash + 1;
            }
        }
        path.reverse();
        path.extend(flow.path);
        let start = byte - flow.typed.len();
        let (kind, version) = (word("kind:"), word("apiVersion:"));
        let model = model(&text[document..rest], start - document);
        Self { path, is_value: flow.is_value, typed: flow.typed.to_owned(), start, kind, version, model }
    }

    /// Returns the surroundings of the whole key or value in which a byte lies.
    pub(super) fn around(text: &str, byte: usize) -> Self {
        let rest = &text[byte..];
        let end = rest.find([':', ',', '{', '}', '[', ']', '\n', '#']).unwrap_or(rest.len());
        let mut cursor = Self::at(text, byte + rest[..end].trim_end().len());
        cursor.typed = cursor.typed.trim_matches(['"', '\'']).to_owned();
        cursor
    }
}

/// Returns the `model` that a document names before a byte, else behind it.
fn model(document: &str, byte: usize) -> Option<String> {
    const KEY: &str = "model: ";
    let named = document.match_indices(KEY).filter_map(|(at, _)| {
        let is_key = document[..at].ends_with([' ', '{', '\n', ',']);
        let value = document[at + KEY.len()..].split([',', '}', '\n', '#']).next()?;
        let value = value.trim().trim_matches(['"', '\'']);
        (is_key && !value.is_empty()).then_some((at, value))
    });
    let all: Vec<(usize, &str)> = named.collect();
    let before = all.iter().rev().find(|(at, _)| *at < byte);
    before.or(all.first()).map(|(_, value)| (*value).to_owned())
}

/// Returns the column at which a line says something, behind blanks and dashes of lists, and what it says.
fn dashes(line: &str) -> (usize, &str) {
    let mut rest = line.trim_start_matches(' ');
    while let Some(behind) = rest.strip_prefix("- ") {
        rest = behind.trim_start_matches(' ');
    }
    if rest == "-" {
        rest = "";
    }
    (line.len() - rest.len(), rest)
}

/// Returns the key that a line begins with, and what follows its colon.
fn key_of(content: &str) -> Option<(&str, &str)> {
    let (key, rest) = content.split_once(':')?;
    let is_key = rest.is_empty() || rest.starts_with(' ');
    is_key.then(|| (key.trim().trim_matches(['"', '\'']), rest))
}

/// What is written at the end of a line, which may open mappings and lists with brackets.
#[derive(Debug, Default)]
struct Flow<'a> {
    path: Vec<String>,
    is_value: bool,
    typed: &'a str,
}

impl<'a> Flow<'a> {
    fn of(content: &'a str) -> Self {
        // The keys of the brackets that are open, and true for those of lists.
        let mut open: Vec<(Option<String>, bool)> = Vec::new();
        let mut key: Option<String> = None;
        let (mut start, mut quote) = (0, None);
        for (at, letter) in content.char_indices() {
            match (quote, letter) {
                (Some(end), letter) if letter == end => quote = None,
                (None, '"' | '\'') if content[start..at].trim().is_empty() => quote = Some(letter),
                (None, '{' | '[') if content[start..at].trim().is_empty() => {
                    open.push((key.take(), letter == '['));
                    start = at + 1;
                }
                (None, '}' | ']') => {
                    key = open.pop().and_then(|(key, _)| key);
                    start = at + 1;
                }
                (None, ',') if !open.is_empty() => {
                    key = None;
                    start = at + 1;
                }
                (None, ':') if key.is_none() && content[at + 1..].starts_with(' ') => {
                    key = Some(content[start..at].trim().trim_matches(['"', '\'']).to_owned());
                    start = at + 1;
                }
                (Some(_) | None, _) => {}
            }
        }
        let is_item = open.last().is_some_and(|(_, is_list)| *is_list);
        let is_value = key.is_some() || is_item;
        let path = open.into_iter().filter_map(|(key, _)| key).chain(key).collect();
        Self { path, is_value, typed: content[start..].trim_start() }
    }
}

//! The values at a place of a file, or why there are none.

use std::{ops::Range, path::Path};

use crate::{
    cli::args::Place,
    source::{FileId, Origin, Sources},
    yaml::{self, Content, Document, Node},
};

/// Returns the file that is meant, by its path as it was read or by what the path leads to.
pub(in crate::cli) fn find_file(file: &str, sources: &Sources) -> Option<FileId> {
    let wanted = file.strip_prefix("./").unwrap_or(file);
    let real = |path: &str| Path::new(path).canonicalize().ok();
    let by_name = sources.files().find(|file| **sources.path(*file) == *wanted);
    by_name.or_else(|| {
        let wanted = real(wanted)?;
        sources.files().find(|file| real(sources.path(*file)).as_ref() == Some(&wanted))
    })
}

/// The values at a place.
#[derive(Debug, Default, PartialEq)]
pub(in crate::cli) struct Values {
    /// Values without parts that are written there: scalars, empty lists, aliases.
    pub(in crate::cli) leaves: Vec<Origin>,
    /// The list or mapping that begins there, where the place names one as a whole.
    pub(in crate::cli) whole: Option<Origin>,
}

/// Returns the values at a place of a file, or why there are none.
pub(in crate::cli) fn values(asked: &Place, file: FileId, sources: &Sources) -> Result<Values, String> {
    let text = sources.text(file);
    let Some(line) = line(text, asked.line) else {
        return Err(format!("{} has no line {}", asked.file, asked.line));
    };
    let column = match asked.column {
        None => None,
        Some(column) => match text[line.clone()].char_indices().nth(column - 1) {
            Some((at, letter)) => Some(line.start + at..line.start + at + letter.len_utf8()),
            None => return Err(format!("line {} has no column {column}", asked.line)),
        },
    };
    let documents = yaml::load(file, text, &mut Vec::new());
    // The text of a block begins at its indicator and may go on for lines.
    let meant = column.clone().unwrap_or_else(|| line.clone());
    let Some(Document { root, .. }) = documents.iter().find(|document| meets(&document.root.origin, &meant)) else {
        return Err(nothing(&text[line], None));
    };
    if is_ours(root) {
        return Err("this is no manifest: it declares no object".to_owned());
    }
    let mut values = Values::default();
    leaves(root, &meant, &mut values.leaves);
    if values.leaves.is_empty() {
        let node = named(root, &meant).or_else(|| column.and_then(|at| innermost(root, &at)));
        if let Some(node) = node {
            leaves(node, &node.origin.range(), &mut values.leaves);
            values.whole = Some(node.origin.clone());
        }
    }
    // In a values file these are names like any other.
    let is_document = root.get("metadata").is_some();
    match head(root, &meant) {
        Some(key) if is_document && matches!(key, "apiVersion" | "kind") => Err(nothing(&text[line], Some(key))),
        _ if values.leaves.is_empty() => Err(nothing(&text[line], None)),
        _ => Ok(values),
    }
}

/// Says why a place that decides nothing decides nothing.
pub(super) fn undecided(asked: &Place, file: FileId, sources: &Sources) -> String {
    let text = sources.text(file);
    let Some(line) = line(text, asked.line) else { return String::new() };
    let documents = yaml::load(file, text, &mut Vec::new());
    let root = documents.iter().map(|document| &document.root).find(|root| meets(&root.origin, &line));
    if root.is_some_and(|root| head(root, &line) == Some("spec") && is_ignored(root)) {
        return "its object is ignored (policy: ignore)".to_owned();
    }
    nothing(&text[line.clone()], root.and_then(|root| head(root, &line)))
}

fn nothing(line: &str, key: Option<&str>) -> String {
    let line = line.trim();
    let what = match key {
        Some("apiVersion" | "kind") => "it says what the document is, and decides no value",
        Some("metadata") => "it names and labels the object, and reaches no platform",
        _ if line.starts_with('#') => "this line is a comment",
        _ if line.is_empty() => "this line is empty",
        _ if line.starts_with("---") || line == "..." => "here one document ends and the next begins",
        _ => "no value that is declared stands here",
    };
    what.to_owned()
}

/// Returns true if a document declares that nothing of its object is looked at.
fn is_ignored(root: &Node<'_>) -> bool {
    root.get("spec").is_some_and(|spec| {
        spec.get("policy").and_then(Node::as_text) == Some("ignore") && spec.get("fieldPolicy").is_none()
    })
}

fn is_ours(root: &Node<'_>) -> bool {
    root.get("apiVersion").and_then(Node::as_text).is_some_and(|version| version.starts_with("reconcile/"))
}

/// Returns the bytes of a line without its end.
fn line(text: &str, number: usize) -> Option<Range<usize>> {
    let mut start = 0;
    for (at, line) in text.split_inclusive('\n').enumerate() {
        if at + 1 == number {
            let mark = if line.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
            return Some(start + mark..start + line.trim_end_matches(['\n', '\r']).len());
        }
        start += line.len();
    }
    None
}

fn meets(origin: &Origin, range: &Range<usize>) -> bool {
    origin.range().start < range.end && range.start < origin.range().end
}

/// Collects the values without parts, in their own document, that meet a range.
fn leaves(node: &Node<'_>, range: &Range<usize>, found: &mut Vec<Origin>) {
    let parts = children(node).filter(|child| node.origin.contains(&child.origin));
    let mut is_leaf = true;
    for part in parts {
        is_leaf = false;
        leaves(part, range, found);
    }
    if is_leaf && meets(&node.origin, range) && !found.contains(&node.origin) {
        found.push(node.origin.clone());
    }
}

fn children<'a, 's>(node: &'a Node<'s>) -> impl Iterator<Item = &'a Node<'s>> {
    node.items().iter().chain(node.entries().iter().map(|(_, value)| value))
}

/// Returns the value of the first key that meets a range.
fn named<'a, 's>(node: &'a Node<'s>, range: &Range<usize>) -> Option<&'a Node<'s>> {
    if let Content::Mapping(entries) = &node.content
        && let Some((_, value)) = entries.iter().find(|(key, _)| meets(&key.origin, range))
    {
        return Some(value);
    }
    children(node).find_map(|child| named(child, range))
}

/// Returns the smallest list or mapping that a range lies in.
fn innermost<'a, 's>(node: &'a Node<'s>, range: &Range<usize>) -> Option<&'a Node<'s>> {
    meets(&node.origin, range).then(|| children(node).find_map(|child| innermost(child, range)).unwrap_or(node))
}

/// Returns the key of the document that a range belongs to.
fn head<'a>(root: &'a Node<'_>, range: &Range<usize>) -> Option<&'a str> {
    let meant = |(key, value): &&(Node<'_>, Node<'_>)| meets(&key.origin, range) || meets(&value.origin, range);
    root.entries().iter().find(meant).map(|(key, _)| key.key())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "apiVersion: x/v1
kind: Y
metadata: {name: 名, labels: {a: b}}
spec:
  # a comment
  one: {k: 1, l: [2, 3]}

  block: |
    first
    second
  list:
    - a
    - []
  left:
  alias: &x {deep: 1}
  other: *x
---
apiVersion: reconcile/v1
x: 1
";

    #[test]
    fn places_are_read() {
        let check = |text: &str, expected: Option<(&str, usize, Option<usize>)>| {
            let asked = text.parse::<Place>().ok();
            assert_eq!(asked.as_ref().map(|place| (place.file.as_str(), place.line, place.column)), expected, "{text}");
        };
        check("a.yaml:3", Some(("a.yaml", 3, None)));
        check("a.yaml:3:7", Some(("a.yaml", 3, Some(7))));
        check("c:a.yaml:3", Some(("c:a.yaml", 3, None)));
        check("a.yaml", None);
        check("a.yaml:0", None);
        check(":3", None);
    }

    #[test]
    fn values_are_found_by_line_and_column() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", TEXT);
        let check = |line: usize, column: Option<usize>, expected: &[&str]| {
            let asked = Place { file: "a.yaml".to_owned(), line, column };
            let found = values(&asked, file, &sources);
            let shown: Vec<&str> = match &found {
                Ok(values) => values.leaves.iter().map(|leaf| &sources.text(file)[leaf.range()]).collect(),
                Err(why) => vec![why.as_str()],
            };
            assert_eq!(shown, expected, "{line}:{column:?}");
        };
        check(1, None, &["it says what the document is, and decides no value"]);
        check(3, None, &["名", "b"]);
        check(3, Some(18), &["名"]);
        check(5, None, &["this line is a comment"]);
        check(6, None, &["1", "2", "3"]);
        check(6, Some(12), &["1"]);
        check(6, Some(15), &["2", "3"]);
        check(6, Some(9), &["1"]);
        check(7, None, &["this line is empty"]);
        check(9, None, &["first\n    second"]);
        check(11, None, &["a", "[]"]);
        check(13, None, &["[]"]);
        check(14, None, &["left"]);
        check(16, None, &["*x"]);
        check(17, None, &["here one document ends and the next begins"]);
        check(19, None, &["this is no manifest: it declares no object"]);
        check(99, None, &["a.yaml has no line 99"]);
        check(13, Some(99), &["line 13 has no column 99"]);
    }
}

//! Adding documents behind the last one of a text: what stands there stays as it is, byte by byte.

use std::collections::HashMap;

use super::edit;
use crate::{
    diagnostic::Diagnostic,
    source::Sources,
    yaml::{self, Document},
};

/// A document that is put behind a text to see whether one can be.
const PROBE: &str = "probe: probe\n";

/// The text between the last document of a text and the first one behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// The text: the end of an unfinished line, and `---` where that is needed.
    pub text: String,
    /// How lines of the text end.
    pub line_end: &'static str,
}

impl Joint {
    /// Returns the line between two documents.
    pub fn mark(line_end: &str) -> String {
        format!("---{line_end}")
    }
}

/// Returns what has to stand between a text and a document behind it; `None` where no document can be added without
/// changing another one, such as behind a list that does not end.
pub fn joint(text: &str) -> Option<Joint> {
    let line_end = if text.split_once('\n').is_some_and(|(line, _)| line.ends_with('\r')) { "\r\n" } else { "\n" };
    let body = text.trim_start_matches('\u{feff}');
    let line_break = if body.is_empty() || body.ends_with('\n') { "" } else { line_end };
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let last = body.lines().rev().map(str::trim).find(is_said);
    let is_begun = last.is_none_or(|line| line == "---" || line.starts_with("--- #"));
    let mark = if is_begun { String::new() } else { Joint::mark(line_end) };
    let joint = format!("{line_break}{mark}");
    is_harmless(text, &joint).then_some(Joint { text: joint, line_end })
}

/// Returns true if a document behind a joint leaves all others as they are.
fn is_harmless(text: &str, joint: &str) -> bool {
    let longer = format!("{text}{joint}{PROBE}");
    let (mut sources, mut problems) = (Sources::default(), [Vec::new(), Vec::new()]);
    let [before, after] = &mut problems;
    let before = documents(text, &mut sources, before);
    let mut after = documents(&longer, &mut sources, after);
    let errors = problems.map(|problems| problems.iter().filter(|problem| problem.is_error()).count());
    let is_probe = after.pop().is_some_and(|document| document.root.get("probe").is_some());
    is_probe
        && errors[0] == errors[1]
        && before.len() == after.len()
        && before.iter().zip(&after).all(|(before, after)| edit::same(&before.root, &after.root, &mut HashMap::new()))
}

/// Reads the documents of a text that say something.
fn documents<'t>(text: &'t str, sources: &mut Sources, problems: &mut Vec<Diagnostic>) -> Vec<Document<'t>> {
    let file = sources.add("text", text);
    let documents = yaml::load(file, text, problems);
    documents.into_iter().filter(|document| !document.root.is_null()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_added_behind_any_end() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(joint(text).map(|joint| joint.text).as_deref(), expected, "{text:?}");
        };
        check("", Some(""));
        check("\u{feff}", Some(""));
        check("# nothing yet\n", Some(""));
        check("# nothing yet", Some("\n"));
        check("a: b\n", Some("---\n"));
        check("a: b", Some("\n---\n"));
        check("a: b\n\n# the end\n", Some("---\n"));
        check("a: b\n---\n", Some(""));
        check("a: b\n---", Some("\n"));
        check("a: b\n--- # more\n\n", Some(""));
        check("a: b\n...\n", Some("---\n"));
        check("%YAML 1.2\n---\na: b\n", Some("---\n"));
        check("a: b\r\nc: d\r\n", Some("---\r\n"));
        check("a: b\r\nc: d", Some("\r\n---\r\n"));
        check("{\"a\": 1}", Some("\n---\n"));
        check("a: |\n  b\n", Some("---\n"));
        // A text that ends without a line break reads as if it had one.
        check("a: |\n  b", Some("\n---\n"));
    }
}

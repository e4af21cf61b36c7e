//! Mistakes that the parser meets too late, or takes for something else: full-width punctuation, unrendered templates.

use std::ops::Range;

use crate::{
    diagnostic::Diagnostic,
    source::{FileId, Origin},
};

/// The colon of Chinese input methods.
pub(super) const WIDE_COLON: char = '：';

/// The first words of the values of a Helm chart. Other braces may be meant, such as those of `docker ps --format`.
const HELM: [&str; 6] = [".Values", ".Release", ".Chart", ".Capabilities", "include ", "template "];

/// Returns the error that explains an error of syntax at a byte of a text; `None` if nothing is known.
pub(super) fn cause(file: FileId, text: &str, at: usize) -> Option<Diagnostic> {
    let lines = lines_up_to(text, at);
    let (last, _) = lines.split_last()?;
    if let Some(separator) = indented_separator(file, text, last) {
        return Some(separator);
    }
    if let Some(start) = template_in(&text[last.clone()]) {
        return Some(unrendered(file, text, last.start + start));
    }
    // A key with such a colon is a text, which goes on until a line has a colon of the other sort.
    let mut blamed = None;
    for line in lines.iter().rev() {
        let content = &text[line.clone()];
        if let Some(found) = misplaced(content) {
            blamed = Some(found.diagnostic(file, line.start));
        } else if template_in(content).is_some_and(|start| content[..start].trim().is_empty()) {
            blamed = Some(unrendered(file, text, line.start + content.find("{{").unwrap_or_default()));
        } else if line != last && !is_blank(content) {
            break;
        }
    }
    blamed
}

/// Returns the lines of the document up to the one that holds a byte, that one included.
fn lines_up_to(text: &str, at: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end_matches(['\n', '\r']).len();
        if line.starts_with("---") && start < at {
            lines.clear();
        }
        lines.push(start..end);
        start += line.len();
        if start > at {
            break;
        }
    }
    lines
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#') || line == "---"
}

/// A character of an input method where YAML takes another.
struct Misplaced {
    at: usize,
    character: char,
    instead: &'static str,
}

impl Misplaced {
    fn diagnostic(&self, file: FileId, line: usize) -> Diagnostic {
        let Self { at, character, instead } = self;
        let place = Origin::new(file, line + at..line + at + character.len_utf8());
        let what = if *character == WIDE_COLON { "a full-width colon" } else { "a full-width dash" };
        Diagnostic::error("Y014", format!("`{character}` is {what}"), &place).hint(format!("write {instead}"))
    }
}

/// Finds a full-width dash of an item or a full-width colon behind a key.
fn misplaced(line: &str) -> Option<Misplaced> {
    let content = line.trim_start_matches(' ');
    if let Some(dash) = content.chars().next().filter(|first| matches!(first, '－' | '—')) {
        let instead = "`- ` before an item of a list";
        return Some(Misplaced { at: line.len() - content.len(), character: dash, instead });
    }
    let rest = content.trim_start_matches("- ");
    let colon = rest.find(WIDE_COLON)?;
    let key = &rest[..colon];
    let is_key = !key.is_empty() && !key.contains([' ', '\'', '"', '#', '{', '[', ':', '，', '。']);
    is_key.then(|| Misplaced { at: line.len() - rest.len() + colon, character: WIDE_COLON, instead: "`:` and a blank" })
}

/// Returns the error about a `---` that YAML does not take for the border of two documents.
fn indented_separator(file: FileId, text: &str, line: &Range<usize>) -> Option<Diagnostic> {
    let content = &text[line.clone()];
    let dashes = content.trim_start();
    (dashes.trim_end() == "---" && dashes.len() < content.len()).then(|| {
        let start = line.end - dashes.len();
        Diagnostic::error(
            "Y001",
            "`---` is indented, so it does not begin a document",
            &Origin::new(file, start..start + 3),
        )
        .hint("write it at the start of the line")
    })
}

/// Returns where a template begins in a line, outside of quotes and comments.
fn template_in(line: &str) -> Option<usize> {
    let start = line.find("{{")?;
    let before = &line[..start];
    let is_open = |quote: char| before.matches(quote).count() % 2 == 1;
    (!before.contains('#') && !is_open('"') && !is_open('\'')).then_some(start)
}

/// Returns the error about a template of another program that begins at a byte.
pub(super) fn unrendered(file: FileId, text: &str, start: usize) -> Diagnostic {
    let line = text[start..].lines().next().unwrap_or_default();
    let end = start + line.find("}}").map_or(line.len(), |end| end + 2);
    let message = "`{{ … }}` is a template that was not rendered";
    Diagnostic::error("Y015", message, &Origin::new(file, start..end))
        .hint("render it first, such as with `helm template`; variables here are ${NAME}")
}

/// Returns true if a text holds what only a Helm chart says.
pub(super) fn is_helm(text: &str) -> bool {
    // Every text is asked, and few have a brace.
    let is_template = |(at, _): (usize, &str)| {
        let inside = text[at + 2..].trim_start_matches('-').trim_start();
        HELM.iter().any(|word| inside.starts_with(word)) && inside.contains("}}")
    };
    text.as_bytes().contains(&b'{') && text.match_indices("{{").any(is_template)
}

#[cfg(test)]
mod tests {
    use crate::{diagnostic::Diagnostic, source::Sources, yaml};

    /// Shows the code, the place and the marked text of all that is said about a text.
    fn check(text: &str, expected: &[&str]) {
        let mut sources = Sources::default();
        let file = sources.add("a", text);
        let mut found: Vec<Diagnostic> = Vec::new();
        yaml::load(file, text, &mut found);
        let shown: Vec<String> = found
            .iter()
            .map(|diagnostic| {
                let origin = diagnostic.origin().expect("it has a place");
                let position = sources.position(origin);
                format!("{} {}:{} {}", diagnostic.code, position.line, position.column, &text[origin.range()])
            })
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn a_full_width_colon_is_found_where_it_stands() {
        check("fields:\n  remark： 机柜\n  ports: 24\n", &["Y014 2:9 ："]);
        check("apiVersion：bk-cmdb/v1\nkind：Instance\nmetadata: {}\n", &["Y014 1:11 ："]);
        check("a: 1\nremark： x\n", &["Y014 2:7 ："]);
        check("a: 1\nremark： x\n\n# end\nb: 2\n", &["Y014 2:7 ："]);
        check("l:\n- name： x\n  b: 1\n", &["Y014 2:7 ："]);
        check("a: 1\n---\nremark： x\nb: 1\n---\nc: 2\n", &["Y014 3:7 ："]);
        check("l:\n－ a\nb: 1\n", &["Y014 2:1 －"]);
        // Nothing of it is a mistake in a text.
        check("a: 说明：x\nb: |\n  说明：y\n", &[]);
        check("a: 说明：x\nb: c: d\n", &["Y001 2:5 :"]);
    }

    #[test]
    fn an_indented_border_of_documents_is_found() {
        check("a:\n  b: 1\n  ---\nc: 1\n", &["Y001 3:3 ---"]);
        check("a: [1]\n ---  \nc: 1\n", &["Y001 2:2 ---"]);
        // In a text it is no mistake.
        check("a: |\n  x\n  ---\nc: 1\n", &[]);
    }

    #[test]
    fn an_unrendered_template_is_one_error_a_place() {
        check("a: {{ .Values.a }}\nb: {{ .Values.b }}\n", &["Y015 1:4 {{ .Values.a }}", "Y015 2:4 {{ .Values.b }}"]);
        check("m: {a: {{ .Values.a }}}\n", &["Y015 1:8 {{ .Values.a }}"]);
        check("{{- if .Values.x }}\na: 1\n{{- end }}\n", &["Y015 1:1 {{- if .Values.x }}"]);
        check("a: x-{{ .Values.env }}\n", &["Y105 1:4 x-{{ .Values.env }}"]);
        check("a: '{{ .Release.Name }}'\n", &["Y105 1:4 '{{ .Release.Name }}'"]);
        // Braces may be meant.
        check("a: docker ps --format '{{.Names}}'\n", &[]);
        check("a: {b: {c: 1}}\n", &[]);
    }

    #[test]
    fn decomposed_characters_are_told() {
        check("a: cafe\u{301}\n", &["Y104 1:4 cafe\u{301}"]);
        check("a: \"cafe\\u0301\"\n", &["Y104 1:4 \"cafe\\u0301\""]);
        check("a: café 交换机\n", &[]);
    }
}

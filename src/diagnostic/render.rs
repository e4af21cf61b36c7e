//! Diagnostics as terminal text and as JSON.

use std::fmt::Write as _;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin as Location, Renderer, Snippet};
use serde_json::{Value, json};

use crate::{
    diagnostic::{Diagnostic, Label, Severity},
    plain::line,
    source::{Origin, Position, Sources},
};

/// Labels further apart than this are shown apart: what lies between is read by nobody, but costs time.
const APART: usize = 100;

/// Diagnostics that are shown at most: nobody reads more.
const MOST: usize = 100;

/// A line longer than this many bytes is not shown, only named.
const LONG: usize = 4096;

/// Renders diagnostics for a terminal of some width, in the order of files and places.
pub fn text(diagnostics: &[Diagnostic], sources: &Sources, colour: bool, width: usize) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.term_width(width);
    let mut shown = String::new();
    for diagnostic in sorted(diagnostics).into_iter().take(MOST) {
        if !shown.is_empty() {
            shown.push('\n');
        }
        shown.push_str(&renderer.render(&[report(&harmless(diagnostic), sources)]));
        shown.push('\n');
    }
    let rest = diagnostics.len().saturating_sub(MOST);
    if rest > 0 {
        let _ = writeln!(shown, "\n… and {rest} more: `-o json` lists them all");
    }
    shown
}

/// Returns a diagnostic whose texts quote nothing that breaks a line or does not show.
fn harmless(diagnostic: &Diagnostic) -> Diagnostic {
    let mut shown = diagnostic.clone();
    shown.message = line(&shown.message);
    shown.labels.iter_mut().for_each(|label| label.text = line(&label.text));
    shown.hint = shown.hint.map(|hint| line(&hint));
    shown
}

/// Returns a diagnostic as reports hold it. Without a place or a hint these are null.
pub fn json(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let at = diagnostic.origin().map(|origin| {
        let Position { file, line, column } = sources.position(origin);
        json!({"file": &*file, "line": line, "column": column})
    });
    json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "at": at,
        "hint": diagnostic.hint,
    })
}

/// Returns diagnostics in the order of files and places; those without a place come first.
pub fn sorted<'d>(diagnostics: impl IntoIterator<Item = &'d Diagnostic>) -> Vec<&'d Diagnostic> {
    let mut sorted: Vec<&Diagnostic> = diagnostics.into_iter().collect();
    sorted.sort_by_key(|diagnostic| diagnostic.origin().map(|origin| (origin.file, origin.bytes.start)));
    sorted
}

fn report<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(&diagnostic.message).id(&*diagnostic.code));
    for labels in clusters(&diagnostic.labels, sources) {
        let first = diagnostic.labels.first();
        let primary = |label: &Label| first.is_some_and(|first| std::ptr::eq(first, label));
        let snippet = if diagnostic.hidden { None } else { snippet(&labels, primary, sources) };
        group = match snippet {
            Some(snippet) => group.element(snippet),
            None => group.element(location(&labels[0].origin, sources)),
        };
    }
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(hint)),
        None => group,
    }
}

/// Puts labels together that lie near each other in one file, the cluster of the first label first.
fn clusters<'a>(labels: &'a [Label], sources: &Sources) -> Vec<Vec<&'a Label>> {
    let mut clusters: Vec<Vec<&Label>> = Vec::new();
    for label in labels {
        let line = sources.position(&label.origin).line;
        let near = clusters.iter_mut().find(|cluster| {
            cluster.iter().any(|other| {
                other.origin.file == label.origin.file && sources.position(&other.origin).line.abs_diff(line) <= APART
            })
        });
        match near {
            Some(cluster) => cluster.push(label),
            None => clusters.push(vec![label]),
        }
    }
    clusters
}

/// Returns the lines that hold the labels; `None` if one of them is too long to be shown.
fn snippet<'a>(
    labels: &[&'a Label],
    primary: impl Fn(&Label) -> bool,
    sources: &'a Sources,
) -> Option<Snippet<'a, Annotation<'a>>> {
    let file = labels.first()?.origin.file;
    let start = labels.iter().map(|label| label.origin.bytes.start).min()?;
    let end = labels.iter().map(|label| label.origin.bytes.start).max()?;
    let (lines, first) = sources.lines(&Origin::new(file, start as usize..end as usize + 1));
    let text = sources.text(file).get(lines.clone())?;
    if text.lines().any(|line| line.len() > LONG) {
        return None;
    }
    let shown = text.trim_start_matches('\u{feff}');
    let base = lines.start + text.len() - shown.len();
    // Blanks at the end stay: a label may point behind them, where something is missing.
    let shown = shown.strip_suffix('\n').unwrap_or(shown);
    let shown = shown.strip_suffix('\r').unwrap_or(shown);
    let annotations = labels.iter().map(|label| {
        let range = label.origin.range();
        let start = range.start.saturating_sub(base).min(shown.len());
        // Several lines underlined are hard to read; the first says where it is.
        let rest = shown.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default().trim_end().len();
        let kind = if primary(label) { AnnotationKind::Primary } else { AnnotationKind::Context };
        let annotation = kind.span(start..start + line.min(range.len()));
        if label.text.is_empty() { annotation } else { annotation.label(label.text.as_str()) }
    });
    let path = line(sources.path(file));
    Some(Snippet::source(shown).line_start(first).path(path).annotations(annotations))
}

fn location<'a>(origin: &Origin, sources: &'a Sources) -> Location<'a> {
    let position = sources.position(origin);
    let path = line(sources.path(origin.file));
    Location::path(path).line(position.line).char_column(position.column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileId;

    fn find(sources: &Sources, file: FileId, word: &str) -> Origin {
        let start = sources.text(file).find(word).expect("the word is in the text");
        Origin::new(file, start..start + word.len())
    }

    #[test]
    fn a_report_points_at_the_characters() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "\u{feff}名称: 交换机一 # 名\r\nmodle: bk_switch\r\n");
        let diagnostics = [
            Diagnostic::error("Y202", "unknown key `modle`", &find(&sources, file, "modle"))
                .hint("did you mean `model`?"),
            Diagnostic::warning("M001", "a name", &find(&sources, file, "交换机一")).label("this one"),
            Diagnostic::error("M002", "nothing to blame", &find(&sources, file, "名")),
        ];
        insta::assert_snapshot!(text(&diagnostics, &sources, false, 100), @r"
        error[M002]: nothing to blame
         --> a.yaml:1:1
          |
        1 | 名称: 交换机一 # 名
          | ^^

        warning[M001]: a name
         --> a.yaml:1:5
          |
        1 | 名称: 交换机一 # 名
          |       ^^^^^^^^ this one

        error[Y202]: unknown key `modle`
         --> a.yaml:2:1
          |
        2 | modle: bk_switch
          | ^^^^^
          |
          = help: did you mean `model`?
        ");
        insta::assert_snapshot!(json(&diagnostics[1], &sources), @r#"{"at":{"column":5,"file":"a.yaml","line":1},"code":"M001","hint":null,"message":"a name","severity":"warning"}"#);
    }

    #[test]
    fn a_report_shows_several_places() {
        let mut sources = Sources::default();
        let filler = "# -\n".repeat(1000);
        let file_id = sources.add("a.yaml", format!("name: one\nother:\n  name: two\n{filler}name: three\n"));
        let two = sources.add("b/b.yaml", "x: y\nname: one\n");
        let mut diagnostic =
            Diagnostic::error("M014", "two documents are called `one`", &find(&sources, two, "name: one"))
                .label("again");
        for word in ["name: one", "other:\n  name: two", "name: three"] {
            diagnostic = diagnostic.also(&find(&sources, file_id, word), "first");
        }
        insta::assert_snapshot!(text(&[diagnostic], &sources, false, 100), @r"
        error[M014]: two documents are called `one`
            --> b/b.yaml:2:1
             |
           2 | name: one
             | ^^^^^^^^^ again
             |
            ::: a.yaml:1:1
             |
           1 | name: one
             | --------- first
           2 | other:
             | ------ first
             |
            ::: a.yaml:1004:1
             |
        1004 | name: three
             | ----------- first
        ");
    }

    #[test]
    fn a_report_may_have_no_place_or_a_long_line() {
        let mut sources = Sources::default();
        let file = sources.add("a.json", format!("[{}, no]", "0,".repeat(5000)));
        let mut nowhere = Diagnostic::error("C001", "no target", &find(&sources, file, "no"));
        nowhere.labels.clear();
        let diagnostics = [Diagnostic::error("Y101", "long", &find(&sources, file, "no")), nowhere];
        insta::assert_snapshot!(text(&diagnostics, &sources, false, 100), @r"
        error[C001]: no target

        error[Y101]: long
        --> a.json:1:10004
        ");
        insta::assert_snapshot!(json(&diagnostics[1], &sources), @r#"{"at":null,"code":"C001","hint":null,"message":"no target","severity":"error"}"#);
    }

    #[test]
    fn what_strangers_wrote_breaks_no_line() {
        let mut sources = Sources::default();
        let file = sources.add("x\n::error::pwned\u{9b}.yaml", "a: b\u{200b}\n");
        let place = find(&sources, file, "b");
        let wrong = Diagnostic::error("Y1", "`a\n::stop::\u{202e}`", &place).label("c\r").hint("d\n::e");
        let shown = text(&[wrong], &sources, false, 100);
        assert!(shown.lines().all(|line| !line.trim_start().starts_with("::")), "{shown}");
        for expected in ["a\\n::stop::\\u{202e}", "x\\n::error::pwned\\u{9b}.yaml:1:4", "c\\u{d}", "d\\n::e"] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
    }

    #[test]
    fn more_than_a_hundred_end_with_a_count() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "a: b\n".repeat(3000));
        let all: Vec<_> =
            (0..3000).map(|at| Diagnostic::error("Y1", "wrong", &Origin::new(file, at * 5..at * 5 + 1))).collect();
        let shown = text(&all, &sources, false, 100);
        assert_eq!(shown.matches("error[Y1]").count(), MOST);
        assert!(shown.ends_with("\n… and 2900 more: `-o json` lists them all\n"), "{shown}");
        assert!(!text(&all[..MOST], &sources, false, 100).contains("more"));
    }

    #[test]
    fn empty_places_at_the_end_are_shown() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "a: [\n");
        let empty = sources.add("b.yaml", "");
        let diagnostics = [
            Diagnostic::error("Y001", "unclosed", &Origin::new(file, 5..5)),
            Diagnostic::error("Y001", "nothing", &Origin::new(empty, 0..0)),
        ];
        insta::assert_snapshot!(text(&diagnostics, &sources, false, 100), @r"
        error[Y001]: unclosed
         --> a.yaml:2:1
          |
        2 |
          | ^

        error[Y001]: nothing
         --> b.yaml:1:1
          |
        1 |
          | ^
        ");
        assert!(text(&diagnostics, &sources, true, 100).contains('\u{1b}'));
    }
}

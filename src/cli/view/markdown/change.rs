//! One object in a comment: what differs as a diff behind its name.

use std::fmt::Write as _;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{VALUE, code, fenced};
use crate::{
    cli::view::{
        drift::{self, attributed_changes},
        finding::{Finder, UNASKED, sides},
        plain::{count, cut, line},
        removal,
        report::Report,
        text::{impact, trouble},
        value::{Sides, distinct_line, is_long},
    },
    engine::author::Trace,
    model::{Action, Change, FieldChange, Outcome, author::Verdict},
};

/// Most characters of one object.
const OBJECT: usize = 12_000;
/// Most lines of the difference of two texts, and most bytes of each of them.
const LINES: usize = 60;
const BYTES: usize = 64 * 1024;

/// Writes objects of one report.
pub(super) struct Writer<'a> {
    report: &'a Report<'a>,
    finder: &'a Finder<'a>,
    /// Objects are shown unfolded.
    open: bool,
}

impl<'a> Writer<'a> {
    /// Returns a writer of the objects of a report; open ones are shown unfolded.
    pub(super) fn new(report: &'a Report<'a>, finder: &'a Finder<'a>, open: bool) -> Self {
        Self { report, finder, open }
    }

    /// Returns an object behind its name.
    pub(super) fn change(&self, change: &Change, outcome: Option<&Outcome>) -> String {
        let place = self.finder.words(&change.origin);
        let label = if change.label.is_empty() { String::new() } else { format!(", {}", code(&change.label)) };
        let mark = match (self.report.trace, outcome) {
            (Some(trace), _) => format!("{} ", sides(drift::verdict(change, trace))),
            (None, None) => String::new(),
            (None, Some(outcome)) if outcome.converged() => "✓ ".to_owned(),
            (None, Some(_)) => "✗ ".to_owned(),
        };
        let implicit = if change.implicit { format!(" ({UNASKED})") } else { String::new() };
        let open = if self.open { " open" } else { "" };
        format!(
            "<details{open}><summary>{mark}<code>{}</code> {} {} on {}{label}{implicit} – {}</summary>\n\n{}</details>\n",
            change.action.sign(),
            change.id.kind,
            code(&change.id.name()),
            code(&change.target),
            code(&place),
            fenced("diff", self.body(change, outcome).trim_end_matches('\n')),
        )
    }

    fn body(&self, change: &Change, outcome: Option<&Outcome>) -> String {
        let mut body = String::new();
        match outcome {
            Some(Outcome::AlreadyTrue) => body.push_str("# it already was as planned\n"),
            Some(outcome) => {
                if let Some(what) = trouble(outcome) {
                    let _ = writeln!(body, "! {}", cut(&line(&what), 4 * VALUE));
                }
            }
            None => {}
        }
        if let Some(impact) = impact(change) {
            let _ = writeln!(body, "# impact: {impact}");
        }
        match self.report.trace {
            Some(trace) => self.authors(&mut body, change, trace),
            None => self.fields(&mut body, change),
        }
        if change.fields.is_empty() && change.action != Action::Update {
            let about = if change.label.is_empty() { change.id.to_string() } else { change.label.clone() };
            let _ = writeln!(body, "{} {}", change.action.sign(), cut(&line(&about), VALUE));
        }
        for (name, value) in removal::fields(change) {
            let _ = writeln!(body, "- {name}: {value}");
        }
        if let Some(more) = removal::more(change) {
            let _ = writeln!(body, "# {more}");
        }
        for note in &change.notes {
            let _ = writeln!(body, "! manual follow-up: {}", cut(&line(note), VALUE));
        }
        body
    }

    fn fields(&self, body: &mut String, change: &Change) {
        for (number, field) in change.fields.iter().enumerate() {
            if is_full(body, change.fields.len() - number) {
                break;
            }
            self.field(body, change, field);
        }
    }

    /// Writes what differs, and who did that. What is the same for several fields in a row is said once, behind them.
    fn authors(&self, body: &mut String, change: &Change, trace: &Trace) {
        let all = attributed_changes(change, trace);
        for (number, attributed) in all.iter().enumerate() {
            if is_full(body, all.len() - number) {
                break;
            }
            if let Some(field) = attributed.field {
                self.field(body, change, field);
            }
            let is_last = all
                .get(number + 1)
                .is_none_or(|next| (next.verdict, &next.sentence) != (attributed.verdict, &attributed.sentence));
            if is_last {
                let sign = if attributed.verdict == Verdict::Drift { '!' } else { '#' };
                let said = format!("{}: {}", sides(attributed.verdict), attributed.sentence);
                let _ = writeln!(body, "{sign} {}", cut(&line(&said), 2 * VALUE));
            }
        }
    }

    /// Writes a field: the live side and the desired one, and at the one that is written where that is and how it came
    /// about.
    fn field(&self, body: &mut String, change: &Change, field: &FieldChange) {
        self.values(body, change, field);
        if let Some(note) = change.field_notes.get(&field.path) {
            let _ = writeln!(body, "! {}: {}", cut(&line(field.path.as_str()), VALUE), cut(&line(note), VALUE));
        }
    }

    fn values(&self, body: &mut String, change: &Change, field: &FieldChange) {
        let path = line(field.path.as_str());
        let path = cut(&path, VALUE);
        let mut place = self.finder.words(&field.because);
        let note = self.report.note(change, field);
        if !note.is_empty() {
            let _ = write!(place, "  ({})", cut(&line(&note), VALUE));
        }
        let (from, to) = (field.from.as_ref(), field.to.as_ref());
        if (is_long(from) || is_long(to))
            && let (Some(from), Some(to)) = (as_text(from), as_text(to))
        {
            let _ = writeln!(body, "# {path}  {place}");
            lines(body, from, to);
            return;
        }
        let sides = Sides::of(field).bounded(VALUE);
        if from.is_some() {
            let place = if to.is_none() { format!("  # {place}") } else { String::new() };
            let _ = writeln!(body, "- {path}: {}{place}", sides.named_from());
        }
        if to.is_some() {
            let _ = writeln!(body, "+ {path}: {}  # {place}", sides.named_to());
        }
    }
}

/// Says how many fields are not shown where there is no room for them.
fn is_full(body: &mut String, left: usize) -> bool {
    let is_full = body.encode_utf16().count() > OBJECT;
    if is_full {
        let _ = writeln!(body, "# {} not shown", count(left, "more field"));
    }
    is_full
}

/// Returns a value as a text that can be compared line by line.
fn as_text(value: Option<&Value>) -> Option<&str> {
    match value {
        None | Some(Value::Null) => Some(""),
        Some(value) => value.as_str().filter(|text| text.len() <= BYTES),
    }
}

/// Writes the difference of two texts, with three lines around each.
fn lines(body: &mut String, from: &str, to: &str) {
    // A last line without an end is no other line for that.
    let open = !from.ends_with('\n') && !to.ends_with('\n');
    let end = if open { "\n" } else { "" };
    let (from, to) = (format!("{from}{end}"), format!("{to}{end}"));
    let diff = TextDiff::from_lines(&from, &to);
    let groups = diff.grouped_ops(3);
    let others = |tag: ChangeTag| match tag {
        ChangeTag::Delete => to.lines(),
        ChangeTag::Insert => from.lines(),
        ChangeTag::Equal => "".lines(),
    };
    let all = groups.iter().enumerate().flat_map(|(number, group)| {
        let gap = (number > 0).then(|| "  …".to_owned());
        let lines = group.iter().flat_map(|part| diff.iter_changes(part)).map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            let text = distinct_line(change.value().trim_end_matches('\n'), others(change.tag()));
            format!("{sign} {}", cut(&line(&text), VALUE))
        });
        gap.into_iter().chain(lines.collect::<Vec<_>>())
    });
    let all: Vec<String> = all.collect();
    all.iter().take(LINES).for_each(|line| {
        let _ = writeln!(body, "{line}");
    });
    if all.len() > LINES {
        let _ = writeln!(body, "# {} not shown", count(all.len() - LINES, "more line"));
    }
}

//! Lines with who changed last what they declare.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use crate::{
    model::author::{Changed, Deed, Source},
    plan::file::FORMAT_VERSION,
    source::Position,
    version::VERSION,
};

/// A line of a file and a field that it decides.
pub(in crate::cli) struct Line {
    /// Where the value stands.
    pub(in crate::cli) position: Position,
    /// The object.
    pub(in crate::cli) object: String,
    /// Its target.
    pub(in crate::cli) target: String,
    /// The field.
    pub(in crate::cli) path: String,
    /// The last change that somebody else made.
    pub(in crate::cli) foreign: Foreign,
    /// The last own change; `None` if none is known.
    pub(in crate::cli) own: Option<Own>,
}

/// What is known of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Known {
    /// It was found.
    Found,
    /// It is not there.
    Missing,
    /// It could not be read.
    Unread,
}

impl Known {
    fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Missing => "absent",
            Self::Unread => "unknown",
        }
    }
}

/// The last change of a field that somebody else made.
pub(in crate::cli) struct Foreign {
    known: Known,
    /// The change; `None` if the platform keeps none.
    changed: Option<Changed>,
}

impl Foreign {
    /// Returns the last foreign change from the last one that the platform tells.
    pub(in crate::cli) fn of(known: Known, changed: Option<&Changed>) -> Self {
        // The platform may keep the last change of an object alone, and that was another one.
        let is_foreign = |changed: &&Changed| match changed.ours {
            Some(ours) => !ours,
            None => changed.by.is_some() || is_nobody(changed),
        };
        Self { known, changed: changed.filter(is_foreign).cloned() }
    }

    fn json(&self) -> Value {
        let Some(changed) = &self.changed else { return Value::Null };
        json!({
            "by": changed.by,
            "at": changed.at,
            "deed": changed.deed.name(),
            "source": changed.source.name(),
            "certain": changed.ours.is_some() || is_nobody(changed),
        })
    }
}

/// Returns true if all records of an object are known, and none is a change by somebody else.
fn is_nobody(changed: &Changed) -> bool {
    changed.deed == Deed::Kept && changed.source == Source::Audit
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(changed) = self.changed.as_ref().filter(|_| self.known == Known::Found) else {
            return f.write_str(match self.known {
                Known::Found => "unknown",
                Known::Missing => "it is not there",
                Known::Unread => "unknown: it could not be read",
            });
        };
        let at = changed.at.as_deref().unwrap_or_default();
        if is_nobody(changed) {
            return write!(f, "nobody since {at}");
        }
        let perhaps = if changed.ours.is_none() { "perhaps " } else { "" };
        let by = changed.by.as_deref().unwrap_or("somebody");
        let at = changed.at.as_deref().map(|at| format!(", {at}")).unwrap_or_default();
        let deed = if changed.deed == Deed::Made { ", made it" } else { "" };
        // Only an audit record names fields: the columns of an object tell who touched it, whichever field it was.
        let whole = if changed.source == Source::Audit { "" } else { " (the object)" };
        write!(f, "{perhaps}{by}{deed}{at}{whole}")
    }
}

/// A change of one's own.
#[derive(Clone)]
pub(in crate::cli) struct Own {
    /// When it was made.
    pub(in crate::cli) at: String,
    /// The user of the run; `None` where no journal tells.
    pub(in crate::cli) user: Option<String>,
    /// The run; `None` where no journal tells.
    pub(in crate::cli) run: Option<String>,
}

/// Returns the lines as one document.
pub(in crate::cli) fn json(file: &str, lines: &[Line]) -> Value {
    let line = |line: &Line| {
        let Position { file, line: number, column } = &line.position;
        json!({
            "at": {"file": **file, "line": number, "column": column},
            "address": line.object,
            "target": line.target,
            "path": line.path,
            "state": line.foreign.known.name(),
            "foreign": line.foreign.json(),
            "own": line.own.as_ref().map(|own| json!({"at": own.at, "user": own.user, "run": own.run})),
        })
    };
    json!({
        "apiVersion": "reconcile/v1",
        "kind": "Blame",
        "format_version": FORMAT_VERSION,
        "reconcile": VERSION,
        "file": file,
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
    })
}

/// Returns a change of one's own in words.
pub(in crate::cli) fn own(own: Option<&Own>) -> String {
    let Some(Own { at, user, run }) = own else { return "unknown".to_owned() };
    match (user, run) {
        (Some(user), Some(run)) => format!("{user}, {at}, run {run}"),
        (None, Some(run)) => format!("{at}, run {run}"),
        (_, None) => format!("this account, {at} (the object)"),
    }
}

/// Returns the lines in columns.
pub(in crate::cli) fn text(lines: &[Line]) -> String {
    let rows: Vec<[String; 4]> = lines
        .iter()
        .map(|line| {
            let place = format!("{}", line.position);
            let what = format!("{}: {}", line.object, line.path);
            [place, what, line.foreign.to_string(), own(line.own.as_ref())].map(|cell| crate::plain::line(&cell))
        })
        .collect();
    let head = ["PLACE", "FIELD", "LAST FOREIGN CHANGE", "LAST OWN CHANGE"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows.iter().chain([&head]).map(|row| unicode_width::UnicodeWidthStr::width(row[column].as_str()));
        cells.max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for row in std::iter::once(&head).chain(&rows) {
        for (cell, width) in row.iter().zip(widths) {
            let blanks = width.saturating_sub(unicode_width::UnicodeWidthStr::width(cell.as_str()));
            let _ = write!(text, "{cell}{:blanks$}  ", "");
        }
        let _ = writeln!(text, "{}", row[3]);
    }
    text
}

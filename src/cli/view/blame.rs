//! Lines with who changed last what they declare.

use std::fmt::Write as _;

use crate::{
    model::author::{Changed, Deed, Source},
    source::Position,
};

/// A line of a file and a field that it decides.
pub(in crate::cli) struct Line {
    /// Where the value stands.
    pub(in crate::cli) position: Position,
    /// The object.
    pub(in crate::cli) object: String,
    /// The field.
    pub(in crate::cli) path: String,
    /// The last change that somebody else made, in words.
    pub(in crate::cli) foreign: String,
    /// The last own change; `None` if none is known.
    pub(in crate::cli) own: Option<Own>,
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

/// Returns a change by somebody else in words.
pub(in crate::cli) fn foreign(changed: &Changed) -> String {
    let by = changed.by.as_deref().unwrap_or("somebody");
    let at = changed.at.as_deref().map(|at| format!(", {at}")).unwrap_or_default();
    let deed = if changed.deed == Deed::Made { ", made it" } else { "" };
    // What an object says of itself is about all of its fields.
    let whole = if changed.source == Source::Audit { "" } else { " (the object)" };
    format!("{by}{deed}{at}{whole}")
}

fn own(own: Option<&Own>) -> String {
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
            [place, what, line.foreign.clone(), own(line.own.as_ref())].map(|cell| crate::plain::line(&cell))
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

//! What `export` says of what it wrote.

use std::path::Path;

use super::plain::{count, line};

/// Most files that are listed.
const LISTED: usize = 20;

/// What became of exported documents.
pub(in crate::cli) enum Written {
    /// They were shown.
    Shown,
    /// So many files are new.
    New(usize),
    /// These files got some of them.
    Added(Vec<AddedTo>),
}

/// A file that got documents.
pub(in crate::cli) struct AddedTo {
    /// Its path.
    pub(in crate::cli) path: String,
    /// The number of the documents.
    pub(in crate::cli) documents: usize,
    /// True if it was not there before.
    pub(in crate::cli) is_new: bool,
}

/// Returns the files that got documents, a line each.
pub(in crate::cli) fn added(files: &[AddedTo]) -> String {
    let row = |file: &AddedTo| {
        let note = if file.is_new { ", a new file" } else { "" };
        format!("{}: {} added{note}\n", line(&file.path), file.documents)
    };
    let more = files.len().saturating_sub(LISTED);
    let more = if more > 0 { format!("and {}\n", count(more, "other file")) } else { String::new() };
    files.iter().take(LISTED).map(row).collect::<String>() + &more
}

/// Returns what was done, in a line.
pub(in crate::cli) fn summary(objects: usize, left: usize, written: &Written, out: Option<&Path>) -> String {
    let place = match (written, out) {
        (Written::Added(files), _) if files.is_empty() => {
            return "nothing to add: what was chosen is declared already, or not there".to_owned();
        }
        (Written::Added(files), _) => format!(" into {}", count(files.len(), "file")),
        (Written::New(files), Some(out)) => format!(" into {} in {}", count(*files, "new file"), out.display()),
        (Written::New(_) | Written::Shown, _) => String::new(),
    };
    let left = match left {
        0 => String::new(),
        1 => "; 1 field is left out, with the reason in a comment".to_owned(),
        left => format!("; {left} fields are left out, with the reason in a comment"),
    };
    format!("{} exported{place}{left}", count(objects, "object"))
}

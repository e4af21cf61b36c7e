//! What `adopt` says of its patch: the subject and the trailers of a commit message.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::plain::count;
use crate::model::{FieldPath, ResourceId, author::Changed};

/// A field whose live value was adopted.
pub(in crate::cli) struct Adopted {
    object: String,
    path: String,
    by: String,
    at: String,
}

impl Adopted {
    pub(in crate::cli) fn new(object: &ResourceId, path: &FieldPath, changed: &Changed) -> Self {
        Self {
            object: crate::plain::line(&object.to_string()),
            path: crate::plain::line(path.as_str()),
            by: crate::plain::line(changed.by.as_deref().unwrap_or("unknown")),
            at: changed.at.clone().unwrap_or_default(),
        }
    }
}

/// Returns a commit message: what is adopted, and in trailers who set each value and when.
pub(in crate::cli) fn message(adopted: &[Adopted]) -> String {
    if adopted.is_empty() {
        return String::new();
    }
    let objects: BTreeSet<&str> = adopted.iter().map(|one| one.object.as_str()).collect();
    let mut text = format!("Adopt {} of {}\n\n", count(adopted.len(), "live value"), count(objects.len(), "object"));
    let mut trailers: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for one in adopted {
        trailers.entry((&one.object, &one.by, &one.at)).or_default().push(&one.path);
    }
    for ((object, by, at), paths) in trailers {
        let at = if at.is_empty() { String::new() } else { format!(" {at}") };
        let _ = writeln!(text, "Drifted-by: {by}{at} ({object}: {})", paths.join(", "));
    }
    text
}

/// Returns what was done, in a line.
pub(in crate::cli) fn summary(adopted: usize, refused: usize, files: usize, is_written: bool) -> String {
    let refused = if refused == 0 { String::new() } else { format!(", {refused} not adopted") };
    if adopted == 0 {
        return format!("nothing to adopt{refused}");
    }
    let (values, files) = (count(adopted, "live value"), count(files, "file"));
    let place = if is_written { format!("written into {files}") } else { format!("in a patch of {files}") };
    format!("{values} {place}{refused}")
}

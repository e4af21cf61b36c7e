//! What an editor shows of live objects.

use jiff::Timestamp;

use super::{
    blame::{self, Foreign, Own},
    plain::count,
    value::Sides,
};
use crate::model::{FieldChange, FieldPath, ResourceId};

/// Most characters of a value in a hint.
const LONG: usize = 40;

/// Returns what stands behind a value that is not as it is live.
pub(in crate::cli) fn hint(field: &FieldChange) -> String {
    format!("live: {}", Sides::of(field).bounded(LONG).named_from())
}

/// Returns the title of the action that writes a live value into its line.
pub(in crate::cli) fn adoption(field: &FieldChange) -> String {
    format!("Adopt the live value {} of `{}`", Sides::of(field).bounded(LONG).named_from(), field.path)
}

/// Returns who changed a field last.
pub(in crate::cli) fn who(id: &ResourceId, path: &FieldPath, foreign: &Foreign, own: Option<&Own>) -> String {
    format!("`{path}` of {id}: last foreign change {foreign}; last own change {}", blame::own(own))
}

/// Returns an explanation with who set it, in Markdown.
pub(in crate::cli) fn hover(explained: &str, who: &[String], snapshot: &str, taken: Timestamp) -> String {
    let who: Vec<String> = who.iter().map(|line| format!("- {line}")).collect();
    format!("```text\n{explained}```\n\n{}\n\n*from {snapshot}, taken {taken}*", who.join("\n"))
}

/// Returns how the live objects were found, in one line.
pub(in crate::cli) fn summary(snapshot: &str, taken: Timestamp, objects: usize, differing: usize) -> String {
    let differ = if differing == 1 { "differs" } else { "differ" };
    format!("live values from {snapshot}, taken {taken}: {}, {differing} {differ}", count(objects, "object"))
}

//! `suspend: {reason: …, until: …}`, at targets and in manifests.

use jiff::Timestamp;

use crate::{
    diagnostic::Diagnostic,
    model::Suspension,
    yaml::{self, Form, Key, Node, Section, Shape},
};

/// The keys of a suspension.
pub static SUSPENSION: Form = Form::new(&[
    Key::new("reason", Shape::Text, "why, for those who ask").required(),
    Key::new("until", Shape::Text, "its end, a time with its offset from UTC").required(),
]);

/// Reads a suspension. `what` names it in messages.
pub fn suspension(node: &Node<'_>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Suspension> {
    let section = Section::of(node, what, &SUSPENSION, diagnostics)?;
    let reason = section.require("reason", diagnostics);
    let reason = reason.and_then(|node| yaml::text(node, "reason", diagnostics));
    let until = section.require("until", diagnostics);
    let until = until.and_then(|node| {
        let text = yaml::text(node, "until", diagnostics)?;
        let time = text.parse::<Timestamp>();
        if time.is_err() {
            let message = format!("until cannot be `{text}`");
            let hint = "write a time with its offset from UTC, such as 2026-12-01T06:00:00+08:00";
            diagnostics.push(Diagnostic::error("Y210", message, &node.origin).hint(hint));
        }
        time.ok()
    });
    section.finish(diagnostics);
    Some(Suspension { reason: reason?.into(), until: until? })
}

//! `windows`: times at which changes are made, or are not.

use super::{read::duration_above_zero, target::Target};
use crate::{
    diagnostic::Diagnostic,
    model::selector::{Selector, SelectorError, wildcard},
    plan::hold::{Schedule, ScheduleError, Scope, Window},
    yaml::{self, Form, Key, Node, Section, Shape},
};

/// The keys of a window.
pub(super) static WINDOW: Form = Form::new(&[
    Key::new(
        "allow",
        Shape::Text,
        "when it opens: a cron expression of five fields (minute, hour, day of the month, month, day of the week)",
    ),
    Key::new("deny", Shape::Text, "the same, instead of `allow`"),
    Key::new("duration", Shape::Duration, "how long it stays open; openings that overlap are one").required(),
    Key::new("timeZone", Shape::Text, "the zone of the expression, such as `Asia/Shanghai`; `UTC` by default"),
    Key::new(
        "target",
        Shape::AnyOf(&[Shape::Text, Shape::List(&Shape::Text, 1)]),
        "a target or an object such as `Instance/core-*`, or a list of them; all by default",
    ),
    Key::new("selector", Shape::Text, "labels, as in `-l`; all by default"),
])
.exactly_one(&["allow", "deny"]);

/// Reads the windows.
pub(super) fn windows(node: &Node<'_>, targets: &[Target], diagnostics: &mut Vec<Diagnostic>) -> Vec<Window> {
    let Some(section) = Section::open(node, "windows", diagnostics) else { return Vec::new() };
    let entries = section.node().entries().iter();
    entries.filter_map(|(key, node)| window(key.key(), node, targets, diagnostics)).collect()
}

fn window(name: &str, node: &Node<'_>, targets: &[Target], diagnostics: &mut Vec<Diagnostic>) -> Option<Window> {
    let section = Section::of(node, &format!("window {name}"), &WINDOW, diagnostics)?;
    let (allow, deny) = (section.get("allow"), section.get("deny"));
    let start = match (allow, deny) {
        (Some(start), None) | (None, Some(start)) => Some(start),
        (None, None) => {
            let message = format!("the window `{name}` has neither `allow` nor `deny`");
            let hint = "write `allow: \"0 22 * * *\"` or `deny: \"0 22 * * *\"`: when it opens";
            diagnostics.push(Diagnostic::error("C014", message, &node.origin).hint(hint));
            None
        }
        (Some(_), Some(deny)) => {
            let message = format!("the window `{name}` has both `allow` and `deny`");
            diagnostics.push(Diagnostic::error("C014", message, &deny.origin).hint("make two windows of it"));
            None
        }
    };
    let zone = section.get("timeZone");
    let zone_name = zone.map_or(Some("UTC"), |node| yaml::text(node, "timeZone", diagnostics));
    let key = if allow.is_some() { "allow" } else { "deny" };
    let expression = start.and_then(|node| yaml::text(node, key, diagnostics));
    let schedule = expression.zip(zone_name).zip(start).and_then(|((expression, zone_name), start)| {
        Schedule::new(expression, zone_name).map_err(|error| refuse(&error, start, zone, diagnostics)).ok()
    });
    let duration = section.require("duration", diagnostics);
    let duration = duration.and_then(|node| {
        let text = yaml::text(node, "duration", diagnostics)?;
        duration_above_zero("duration", text, &node.origin, diagnostics)
    });
    let scope = scope(&section, targets, diagnostics);
    section.finish(diagnostics);
    Some(Window { name: name.into(), allows: allow.is_some(), schedule: schedule?, duration: duration?, scope })
}

fn refuse(error: &ScheduleError, start: &Node<'_>, zone: Option<&Node<'_>>, diagnostics: &mut Vec<Diagnostic>) {
    let (node, hint) = match error {
        ScheduleError::TimeZone(_) => {
            (zone.unwrap_or(start), "write a name of the IANA database, such as Asia/Shanghai")
        }
        ScheduleError::Expression(_) | ScheduleError::Never(_) => (
            start,
            "write minute, hour, day of the month, month and day of the week, such as \"0 22 * * 1-5\" for 22:00 on \
             Monday to Friday",
        ),
    };
    diagnostics.push(Diagnostic::error("C014", error.to_string(), &node.origin).hint(hint));
}

/// Reads the keys `target` and `selector` of a section: the objects that it concerns.
pub(super) fn scope(section: &Section<'_, '_>, targets: &[Target], diagnostics: &mut Vec<Diagnostic>) -> Scope {
    let mut scope = Scope::default();
    if let Some(node) = section.get("target") {
        let items = if node.items().is_empty() { std::slice::from_ref(node) } else { node.items() };
        for item in items {
            let Some(address) = yaml::text(item, "target", diagnostics) else { continue };
            // A slip would make a freeze hold nothing.
            if !address.contains('/') && !targets.iter().any(|target| wildcard(address, &target.name)) {
                let diagnostic = Diagnostic::error("C014", format!("no target fits `{address}`"), &item.origin);
                let near = yaml::nearest(address, targets.iter().map(|target| &*target.name));
                diagnostics.push(match near {
                    Some(near) => diagnostic.hint(format!("did you mean `{near}`?")),
                    None => diagnostic.hint("name a target, or objects as KIND/NAME"),
                });
            }
            scope.addresses.push(address.to_owned());
        }
    }
    if let Some(node) = section.get("selector")
        && let Some(text) = yaml::text(node, "selector", diagnostics)
    {
        match text.parse::<Selector>() {
            Ok(selector) => scope.selector = Some(selector),
            Err(error @ SelectorError { .. }) => {
                diagnostics.push(Diagnostic::error("C014", error.to_string(), &node.origin));
            }
        }
    }
    scope
}

#[cfg(test)]
mod tests;

//! Explanations of a line of YAML, for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    json as plan_json,
    origin::{note, via},
    value::Sides,
};
use crate::{
    cli::{
        args::Place,
        explain::decided::{Decided, Explained, Part, Role, State},
    },
    manifest::Provenance,
    model::{Action, Change, FieldChange, policy::Policy},
    plan::{
        Cause,
        file::{FORMAT_VERSION, location as at},
    },
    source::{Origin, Sources},
    version::VERSION,
};

/// Column where places begin, if what stands before them is short enough.
const PLACES: usize = 68;

/// Characters of a value that are shown.
const LONG: usize = 40;

/// Returns a place as it was asked for.
pub(in crate::cli) fn name(asked: &Place) -> String {
    let column = asked.column.map(|column| format!(":{column}")).unwrap_or_default();
    format!("{}:{}{column}", asked.file, asked.line)
}

/// Returns the document about a place that decides nothing.
pub(in crate::cli) fn nothing(asked: &Place, why: &str) -> Value {
    document(asked, why, &[], &[])
}

fn document(asked: &Place, message: &str, replaced: &[Value], objects: &[Value]) -> Value {
    json!({
        "apiVersion": "reconcile/v1",
        "kind": "Explanation",
        "format_version": FORMAT_VERSION,
        "reconcile": VERSION,
        "place": {"file": asked.file, "line": asked.line, "column": asked.column},
        "message": message,
        "replaced": replaced,
        "objects": objects,
    })
}

/// Writes explanations.
pub(in crate::cli) struct Writer<'a> {
    /// The texts that places lie in.
    pub(in crate::cli) sources: &'a Sources,
    /// How values came about.
    pub(in crate::cli) provenance: &'a Provenance,
}

impl Writer<'_> {
    /// Returns an explanation for people.
    pub(in crate::cli) fn text(&self, decided: &Decided<'_>, explained: &[Explained<'_>]) -> String {
        let mut text = String::new();
        // A replaced list is said once, not for each of its parts.
        let news = |at: usize| at == 0 || decided.replaced[at - 1].1 != decided.replaced[at].1;
        for (_, (value, by)) in decided.replaced.iter().enumerate().filter(|(at, _)| news(*at)) {
            let by: Vec<_> = by.iter().map(|origin| self.location(origin)).collect();
            let _ = writeln!(text, "{} is replaced by {}", self.location(value), by.join(", "));
        }
        for object in explained {
            self.object(object, &mut text);
        }
        text
    }

    fn object(&self, explained: &Explained<'_>, text: &mut String) {
        let desired = explained.object.desired;
        let mut about = vec![desired.target.to_string()];
        about.extend(explained.live.map(|live| live.label.to_string()).filter(|label| !label.is_empty()));
        let head = format!("{} {}  ({})", desired.id.kind, desired.id.name(), about.join(", "));
        line(text, &head, &self.location(&desired.origin));
        let width =
            explained.object.parts.iter().map(|part| part.path.chars().count()).max().unwrap_or(0).clamp(12, 40);
        for part in &explained.object.parts {
            let place = part.value.map(|value| {
                let note = note(&value.origin, self.provenance, self.sources);
                let note = if note.is_empty() { note } else { format!("  ({note})") };
                format!("{}{note}", self.location(&value.origin))
            });
            line(text, &format!("    {:width$} {}", part.path, self.what(explained, part)), &place.unwrap_or_default());
        }
        if explained.calls.is_empty() {
            let _ = writeln!(text, "    no call: {}", reason(explained));
        }
        for call in &explained.calls {
            let _ = writeln!(text, "    call: {} {}", call.request.operation, call.request.arguments);
        }
    }

    fn location(&self, origin: &Origin) -> String {
        self.sources.position(origin).to_string()
    }

    /// Returns an explanation as one document.
    pub(in crate::cli) fn json(&self, asked: &Place, decided: &Decided<'_>, explained: &[Explained<'_>]) -> Value {
        let location = |origin: &Origin| at(origin, self.sources);
        let replaced = decided
            .replaced
            .iter()
            .map(|(value, by)| json!({"at": location(value), "by": by.iter().map(location).collect::<Vec<_>>()}));
        let objects = explained.iter().map(|explained| {
            let desired = explained.object.desired;
            json!({
                "address": desired.id.to_string(),
                "target": *desired.target,
                "label": explained.live.map(|live| live.label.as_str()),
                "at": location(&desired.origin),
                "state": state(explained),
                "message": if explained.calls.is_empty() { reason(explained) } else { String::new() },
                "parts": explained.object.parts.iter().map(|part| self.part(explained, part)).collect::<Vec<_>>(),
                "calls": explained.calls.iter().map(|call| json!({
                    "operation": call.request.operation,
                    "arguments": call.request.arguments,
                })).collect::<Vec<_>>(),
            })
        });
        document(asked, "", &replaced.collect::<Vec<_>>(), &objects.collect::<Vec<_>>())
    }

    fn part(&self, explained: &Explained<'_>, part: &Part<'_>) -> Value {
        let changes = explained.changes(part);
        let mut document = json!({
            "path": part.path,
            "role": role(part.role),
            "differs": !changes.is_empty(),
            "changes": changes.iter().map(|field| plan_json::values(field)).collect::<Vec<_>>(),
        });
        if let Some(value) = part.value {
            document["written"] = json!(self.loaded(&value.origin));
            document["at"] = at(&value.origin, self.sources);
            let steps = via(&value.origin, self.provenance, self.sources);
            if !steps.is_empty() {
                document["via"] = Value::Array(steps);
            }
        }
        if let Role::Field(path) = part.role
            && let Some(live) = explained.live_value(path)
        {
            document["live"] = live;
        }
        if let Some(policy) = explained.leniency(part) {
            document["policy"] = json!(word(policy));
        }
        if let Role::Reference(to) = part.role {
            document["to"] = json!(to.to_string());
        }
        document
    }

    /// Returns a value as people wrote it. What it means depends on the type of its field, which only a server may know.
    fn loaded(&self, value: &Origin) -> &str {
        &self.sources.text(value.file)[value.range()]
    }

    /// Says in a few words what a part does.
    fn what(&self, explained: &Explained<'_>, part: &Part<'_>) -> String {
        let declared = part.value.map(|value| in_one_line(self.loaded(&value.origin))).unwrap_or_default();
        let changes = explained.changes(part);
        if let State::Changes(Change { action: Action::Sync, wave, .. }) = &explained.state {
            let label = explained.live.map(|live| live.label.as_str()).unwrap_or_default();
            let wave = wave.map(|wave| format!(" in wave {} of {}", wave.number, wave.of)).unwrap_or_default();
            return format!("syncs {label}{wave}");
        }
        match part.role {
            Role::Finder if changes.is_empty() => match explained.live {
                Some(live) if !live.label.is_empty() => format!("{declared} finds {}", live.label),
                _ => format!("{declared} says which object is meant"),
            },
            Role::Setting => "holds for the object as a whole".to_owned(),
            Role::Reference(to) => format!("finds {to}, which it refers to"),
            Role::Field(_) | Role::Finder if !changes.is_empty() => {
                let changes = changes.iter().map(|field| arrow(field, part.path)).collect::<Vec<_>>().join("; ");
                if explained.leniency(part).is_some() { format!("{changes}, only reported") } else { changes }
            }
            Role::Field(_) if explained.leniency(part) == Some(Policy::Ignore) => {
                format!("{declared}, ignored, whatever is live")
            }
            Role::Field(_) | Role::Finder => match explained.state {
                State::Blocked(_) | State::Outside | State::Ignored => declared,
                State::Changes(change) | State::Reported(change) if change.action != Action::Update => declared,
                State::Changes(_) | State::Reported(_) | State::AsDeclared => format!("{declared}, as it is live"),
            },
        }
    }
}

/// Writes a change; where it is not one of the very field, with its path.
fn arrow(field: &FieldChange, path: &str) -> String {
    let sides = Sides::of(field);
    let values = match field.from {
        None => format!("comes to be {}", sides.named_to()),
        Some(_) => format!("live {}", sides.arrow()),
    };
    if field.path == path { values } else { format!("{} {values}", field.path) }
}

fn in_one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= LONG {
        return line;
    }
    line.chars().take(LONG).chain(['…']).collect()
}

fn role(role: Role<'_>) -> &'static str {
    match role {
        Role::Field(_) => "field",
        Role::Finder => "finder",
        Role::Setting => "setting",
        Role::Reference(_) => "reference",
    }
}

fn word(policy: Policy) -> &'static str {
    match policy {
        Policy::Enforce => "enforce",
        Policy::Report => "report",
        Policy::Ignore => "ignore",
    }
}

fn state(explained: &Explained<'_>) -> &'static str {
    match explained.state {
        State::Changes(change) => change.action.name(),
        State::AsDeclared => "unchanged",
        State::Blocked(_) => "blocked",
        State::Reported(_) => "reported",
        State::Ignored => "ignored",
        State::Outside => "outside",
    }
}

/// Says why an object gets no call.
fn reason(explained: &Explained<'_>) -> String {
    match explained.state {
        State::Changes(_) => "another object's call does it".to_owned(),
        State::AsDeclared => "it is as declared".to_owned(),
        State::Blocked(Cause::Wrong(problems)) => {
            let why = problems.first().map(|problem| problem.message.as_str()).unwrap_or_default();
            format!("it is blocked: {why}")
        }
        State::Blocked(Cause::Unread(why)) => format!("it could not be read: {why}"),
        State::Blocked(Cause::Needs(other)) => format!("it is blocked: it needs {other}"),
        State::Reported(_) => "what differs is only reported (policy: report)".to_owned(),
        State::Ignored => "it is ignored (policy: ignore)".to_owned(),
        State::Outside => "the selection leaves it out".to_owned(),
    }
}

fn line(out: &mut String, text: &str, place: &str) {
    let pad = PLACES.saturating_sub(text.chars().count()).max(2);
    let _ = writeln!(out, "{}", format!("{text}{}{place}", " ".repeat(pad)).trim_end());
}

//! A plan and its outcome as one JSON document. Keys are added, never renamed, within a major `format_version`.

use serde_json::{Value, json};

use super::{
    follow_up, origin,
    report::{Record, Report},
    text::{needed, trouble},
};
use crate::{
    diagnostic::{Diagnostic, render},
    engine::connection::RequestCounters,
    model::{Action, Change, FieldChange, KnownField, Outcome, ResourceId},
    plan::{
        Cause, Plan,
        file::{self, FORMAT_VERSION, location},
        guard,
    },
    source::Sources,
    version::VERSION,
};

/// Returns the document of a run.
pub(in crate::cli) fn report(report: &Report<'_>) -> Value {
    let Some(plan) = report.plan else { return problems(report) };
    let mut document = match report.document {
        Some(saved) => saved.clone(),
        None => self::plan(plan, report),
    };
    if report.document.is_some() && report.outcomes.is_none() && report.errors.is_empty() && report.excesses.is_empty()
    {
        return document;
    }
    document["limits"] = report.excesses.iter().map(ToString::to_string).collect();
    if !report.excesses.is_empty() {
        document["acknowledgement"] = json!(guard::acknowledgement(plan, report.excesses));
        document["acknowledged"] = json!(report.acknowledged);
    }
    if !report.errors.is_empty() {
        document["errors"] = json!(report.errors);
    }
    if let Some(origins) = report.origins {
        origin::explain(&mut document, plan, origins, report.sources);
    }
    if let Some(record) = report.record {
        add_record(&mut document, record, report.sources);
    }
    if let Some(outcomes) = report.outcomes {
        document["follow_ups"] = follow_up::json(&follow_up::follow_ups(plan, report.outcomes));
        add_outcomes(&mut document, outcomes, report.counters);
    }
    file::add_digest(&mut document);
    document
}

/// Adds what the calls of a plan rest on.
fn add_record(document: &mut Value, record: &Record, sources: &Sources) {
    let manifests = record.manifests.iter().map(|(path, digest)| json!({"file": path, "sha256": digest}));
    document["manifests"] = manifests.collect();
    document["config"] = json!(record.config);
    let targets = record
        .setups
        .iter()
        .map(|setup| json!({"name": *setup.target, "platform": *setup.platform, "settings": setup.settings}));
    document["targets"] = targets.collect();
    document["objects"] = record.objects.iter().map(|desired| file::object(desired, sources)).collect();
}

/// Returns a document over several lines, with what a run cost in one of them: less that line, the same plan has the
/// same text.
pub(in crate::cli) fn pretty(document: &Value) -> String {
    let mut text = String::new();
    let mut lines = format!("{document:#}").lines().map(str::to_owned).collect::<Vec<_>>().into_iter();
    while let Some(mut line) = lines.next() {
        if line == "  \"cost\": {" {
            for part in lines.by_ref() {
                let part = part.trim_start();
                line.push_str(part);
                if part.starts_with('}') {
                    break;
                }
                line.push_str(if part.ends_with(',') { " " } else { "" });
            }
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn plan(plan: &Plan, report: &Report<'_>) -> Value {
    let sources = report.sources;
    json!({
        "apiVersion": "reconcile/v1",
        "kind": "Plan",
        "format_version": FORMAT_VERSION,
        "reconcile": VERSION,
        "summary": {
            "create": plan.count(Action::Create),
            "update": plan.count(Action::Update),
            "delete": plan.count(Action::Delete),
            "unchanged": plan.unchanged,
            "blocked": plan.blocked.len(),
            "reported": plan.reported.len(),
        },
        "impact": plan.impact.iter().map(|total| json!({
            "target": *total.target,
            "kind": total.kind,
            "unit": total.unit,
            "count": total.count,
        })).collect::<Vec<_>>(),
        "changes": plan.changes.iter().map(|change| self::change(change, sources)).collect::<Vec<_>>(),
        "reported": plan.reported.iter().map(|change| self::change(change, sources)).collect::<Vec<_>>(),
        "follow_ups": follow_up::json(&follow_up::follow_ups(plan, None)),
        "calls": plan.calls.iter().map(|call| json!({
            "operation": call.request.operation,
            "target": *call.target,
            "arguments": call.request.arguments,
            "repeatable": call.request.repeatable,
            "serves": call.serves.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "blocked": plan.blocked.iter().map(|blocked| json!({
            "address": blocked.id.to_string(),
            "target": *blocked.target,
            "cause": match &blocked.cause {
                Cause::Wrong(_) => "wrong",
                Cause::Unread(_) => "unread",
                Cause::Needs(_) => "needs",
            },
            "message": match &blocked.cause {
                Cause::Wrong(problems) => problems.first().map(|problem| problem.message.clone()).unwrap_or_default(),
                Cause::Unread(why) => why.clone(),
                Cause::Needs(other) => format!("it needs {}", needed(plan, other)),
            },
            "needs": match &blocked.cause {
                Cause::Needs(other) => Some(other.to_string()),
                Cause::Wrong(_) | Cause::Unread(_) => None,
            },
            "at": location(&blocked.origin, sources),
        })).collect::<Vec<_>>(),
        "live": plan.live.iter().map(|((target, kind), count)| json!({
            "target": **target, "kind": kind, "count": count,
        })).collect::<Vec<_>>(),
        "cost": {
            "reads": report.counters.map_or(0, |counters| counters.total(false)),
            "writes": plan.calls.len(),
            "lower_bound": plan.changes.len(),
            "seconds": report.took.as_secs_f64(),
        },
        "diagnostics": self::diagnostics(report.diagnostics, plan, sources),
    })
}

fn add_outcomes(document: &mut Value, outcomes: &[(ResourceId, Outcome)], counters: Option<&RequestCounters>) {
    document["outcomes"] = outcomes
        .iter()
        .map(|(id, outcome)| json!({"address": id.to_string(), "outcome": outcome.name(), "message": trouble(outcome)}))
        .collect();
    let sent = |write: bool| {
        let sent = counters.map(|counters| counters.by_operation(write)).unwrap_or_default();
        sent.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect::<Value>()
    };
    document["sent"] = json!({"writes": sent(true), "reads": sent(false)});
}

/// Returns the document of a run that ended before a plan.
fn problems(report: &Report<'_>) -> Value {
    let (diagnostics, sources, unread) = (report.diagnostics, report.sources, report.errors);
    json!({
        "apiVersion": "reconcile/v1",
        "kind": "Validation",
        "format_version": FORMAT_VERSION,
        "reconcile": VERSION,
        "command": report.command,
        "valid": unread.is_empty() && diagnostics.iter().all(|diagnostic| !diagnostic.is_error()),
        "errors": unread,
        "diagnostics": render::sorted(diagnostics).into_iter().map(|diagnostic| render::json(diagnostic, sources)).collect::<Vec<_>>(),
    })
}

pub(super) fn change(change: &Change, sources: &Sources) -> Value {
    json!({
        "address": change.id.to_string(),
        "target": *change.target,
        "id": change.handle,
        "label": change.label,
        "action": change.action.name(),
        "reason": match change.action {
            Action::Create => "it does not exist",
            Action::Update => "declared fields differ",
            Action::Delete if change.implicit => "no document declares it",
            Action::Delete => "it is not to be there",
        },
        "fields": change.fields.iter().map(|field_change| field(field_change, change, sources)).collect::<Vec<_>>(),
        "before": change.before.iter().map(known).collect::<Vec<_>>(),
        "implicit": change.implicit,
        "impact": change.impact,
        "notes": change.notes,
        "after": change.after.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "precondition": *change.precondition,
        "at": location(&change.origin, sources),
    })
}

fn known(field: &KnownField) -> Value {
    let mut known = json!({"path": field.path.as_str(), "value": field.value});
    if let Some(display) = &field.display {
        known["display"] = json!(display);
    }
    known
}

fn field(field: &FieldChange, change: &Change, sources: &Sources) -> Value {
    let mut shown = values(field);
    if let Some(note) = change.field_notes.get(&field.path) {
        shown["note"] = json!(note);
    }
    shown["owner"] = json!("manifest");
    shown["at"] = location(&field.because, sources);
    shown
}

/// Returns the path and the two values of a field, with what people read in their place.
pub(super) fn values(field: &FieldChange) -> Value {
    let mut values = json!({"path": field.path.as_str(), "before": field.from, "after": field.to});
    if let Some(display) = &field.display {
        values["display"] = json!({"kind": display.kind.name(), "before": display.from, "after": display.to});
    }
    values
}

fn diagnostics(diagnostics: &[Diagnostic], plan: &Plan, sources: &Sources) -> Vec<Value> {
    let all: Vec<_> = diagnostics.iter().chain(plan.diagnostics()).cloned().collect();
    render::sorted(&all).into_iter().map(|diagnostic| render::json(diagnostic, sources)).collect()
}

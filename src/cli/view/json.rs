//! A plan and its outcome as one JSON document. Keys are added, never renamed, within a major `format_version`.

use std::time::Duration;

use serde_json::{Value, json};

use super::text::trouble;
use crate::{
    diagnostic::{Diagnostic, render},
    engine::connection::Tally,
    model::{Action, Change, FieldChange, Outcome, ResourceId},
    plan::{
        Cause, Plan,
        guard::{self, Excess},
    },
    source::{Origin, Sources},
};

/// Version of the documents: the number before the dot changes when a key goes or changes its meaning.
const FORMAT_VERSION: &str = "1.0";

/// Returns the document of a plan.
pub(in crate::cli) fn plan(
    plan: &Plan,
    diagnostics: &[Diagnostic],
    sources: &Sources,
    tally: &Tally,
    took: Duration,
) -> Value {
    json!({
        "apiVersion": "reconcile/v1",
        "kind": "Plan",
        "format_version": FORMAT_VERSION,
        "summary": {
            "create": plan.count(Action::Create),
            "update": plan.count(Action::Update),
            "delete": plan.count(Action::Delete),
            "unchanged": plan.unchanged,
            "blocked": plan.blocked.len(),
        },
        "changes": plan.changes.iter().map(|change| self::change(change, sources)).collect::<Vec<_>>(),
        "calls": plan.calls.iter().map(|call| json!({
            "operation": call.request.operation,
            "target": *call.target,
            "arguments": call.request.arguments,
            "serves": call.serves.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "blocked": plan.blocked.iter().map(|one| json!({
            "address": one.id.to_string(),
            "target": *one.target,
            "cause": match &one.cause {
                Cause::Wrong(_) => "wrong",
                Cause::Unread(_) => "unread",
                Cause::Needs(_) => "needs",
            },
            "message": match &one.cause {
                Cause::Wrong(problems) => problems.first().map(|problem| problem.message.clone()).unwrap_or_default(),
                Cause::Unread(why) => why.clone(),
                Cause::Needs(other) => format!("it needs {other}"),
            },
            "at": at(&one.origin, sources),
        })).collect::<Vec<_>>(),
        "cost": {
            "reads": tally.total(false),
            "writes": plan.calls.len(),
            "lower_bound": plan.changes.len(),
            "seconds": took.as_secs_f64(),
        },
        "diagnostics": self::diagnostics(diagnostics, plan, sources),
    })
}

/// Returns the text of a plan's document. What differs from run to run, its costs, takes one line.
pub(in crate::cli) fn text(document: &Value) -> String {
    let cost = &document["cost"];
    let long = format!("\n  \"cost\": {}", format!("{cost:#}").replace('\n', "\n  "));
    format!("{document:#}\n").replacen(&long, &format!("\n  \"cost\": {cost}"), 1)
}

/// Adds the limits that a plan exceeds to its document, and what lets it pass all the same.
pub(in crate::cli) fn limits(mut document: Value, plan: &Plan, excesses: &[Excess]) -> Value {
    document["limits"] = excesses.iter().map(ToString::to_string).collect();
    if !excesses.is_empty() {
        document["acknowledgement"] = json!(guard::acknowledgement(plan));
    }
    document
}

/// Adds the outcomes to the document of a plan.
pub(in crate::cli) fn outcomes(mut plan: Value, outcomes: &[(ResourceId, Outcome)], tally: &Tally) -> Value {
    plan["outcomes"] = outcomes
        .iter()
        .map(|(id, outcome)| json!({"address": id.to_string(), "outcome": outcome.name(), "message": trouble(outcome)}))
        .collect();
    let sent = |write: bool| tally.by_operation(write).into_iter().map(|(name, count)| (name.to_owned(), json!(count)));
    plan["sent"] = json!({"writes": sent(true).collect::<Value>(), "reads": sent(false).collect::<Value>()});
    plan
}

/// Returns the document of a run that ended before a plan.
pub(in crate::cli) fn problems(diagnostics: &[Diagnostic], sources: &Sources, unread: &[String]) -> Value {
    json!({
        "apiVersion": "reconcile/v1",
        "kind": "Validation",
        "format_version": FORMAT_VERSION,
        "valid": unread.is_empty() && diagnostics.iter().all(|one| !one.is_error()),
        "errors": unread,
        "diagnostics": render::sorted(diagnostics).into_iter().map(|one| render::json(one, sources)).collect::<Vec<_>>(),
    })
}

fn change(change: &Change, sources: &Sources) -> Value {
    json!({
        "address": change.id.to_string(),
        "target": *change.target,
        "id": change.handle,
        "label": change.label,
        "action": change.action.name(),
        "reason": match change.action {
            Action::Create => "it does not exist",
            Action::Update => "declared fields differ",
            Action::Delete => "it is not to be there",
        },
        "fields": change.fields.iter().map(|one| field(one, sources)).collect::<Vec<_>>(),
        "notes": change.notes,
        "at": at(&change.origin, sources),
    })
}

fn field(field: &FieldChange, sources: &Sources) -> Value {
    json!({
        "path": field.path,
        "before": field.from,
        "after": field.to,
        "owner": "manifest",
        "at": at(&field.because, sources),
    })
}

fn at(origin: &Origin, sources: &Sources) -> Value {
    let position = sources.position(origin);
    json!({"file": *position.file, "line": position.line, "column": position.column})
}

fn diagnostics(diagnostics: &[Diagnostic], plan: &Plan, sources: &Sources) -> Vec<Value> {
    let own = plan.blocked.iter().flat_map(|one| match &one.cause {
        Cause::Wrong(problems) => problems.as_slice(),
        Cause::Unread(_) | Cause::Needs(_) => &[],
    });
    let all: Vec<_> = diagnostics.iter().chain(own).chain(&plan.remarks).cloned().collect();
    render::sorted(&all).into_iter().map(|one| render::json(one, sources)).collect()
}

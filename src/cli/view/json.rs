//! A plan and its outcome as one JSON document. Keys are added, never renamed, within a major `format_version`.

use serde_json::{Value, json};

use super::{origin, report::Report, text::trouble};
use crate::{
    diagnostic::render,
    engine::connection::RequestCounters,
    model::{Outcome, ResourceId},
    plan::{
        file::{self, FORMAT_VERSION, write},
        follow_up::{follow_ups, follow_ups_json},
        guard,
    },
    version::VERSION,
};

pub(in crate::cli) use write::pretty;
pub(super) use write::{change_document as change, values};

/// Returns the document of a run.
pub(in crate::cli) fn report(report: &Report<'_>) -> Value {
    let Some(plan) = report.plan else { return problems(report) };
    let mut document = report.document.cloned().unwrap_or_else(|| {
        let context = write::Context {
            version: VERSION,
            reads: report.counters.map_or(0, |counters| counters.total(false)),
            took: report.took,
            diagnostics: report.diagnostics,
        };
        write::document(plan, &context, report.sources)
    });
    let is_sendable = report.excesses.is_empty() && report.held.is_empty();
    if report.document.is_some() && report.outcomes.is_none() && report.errors.is_empty() && is_sendable {
        return document;
    }
    document["limits"] = report.excesses.iter().map(ToString::to_string).collect();
    if !report.excesses.is_empty() {
        document["acknowledgement"] = json!(guard::acknowledgement(plan, report.excesses));
        document["acknowledged"] = json!(report.acknowledged);
    }
    if !report.held.is_empty() {
        document["held"] = report.held.iter().map(ToString::to_string).collect();
    }
    if !report.errors.is_empty() {
        document["errors"] = json!(report.errors);
    }
    if let Some(origins) = report.origins {
        origin::explain(&mut document, plan, origins, report.sources);
    }
    if let Some(record) = report.record {
        write::add_record(&mut document, record, report.sources);
    }
    if let Some(outcomes) = report.outcomes {
        document["follow_ups"] = follow_ups_json(&follow_ups(plan, report.outcomes));
        add_outcomes(&mut document, outcomes, report.counters);
    }
    file::add_digest(&mut document);
    document
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

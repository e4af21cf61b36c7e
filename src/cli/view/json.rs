//! A plan and its outcome as one JSON document. Keys are added, never renamed, within a major `format_version`.

use serde_json::{Value, json};

use super::{origin, report::Report, text::trouble};
use crate::{
    diagnostic::render,
    engine::connection::RequestCounters,
    model::{Outcome, ResourceId},
    plan::{
        file::{Document, FORMAT_VERSION, write},
        follow_up::{follow_ups, follow_ups_json},
        guard,
    },
    version::VERSION,
};

pub(super) use write::{change_document as change, values};

/// Returns the document of a run.
pub(in crate::cli) fn report<'a>(report: &Report<'a>) -> Document<'a> {
    let Some(plan) = report.plan else { return problems(report) };
    let mut document = if let Some(saved) = report.saved {
        saved.document()
    } else {
        let context = write::Context {
            version: VERSION,
            reads: report.counters.map_or(0, |counters| counters.total(false)),
            took: report.took,
            diagnostics: report.diagnostics,
        };
        write::document(plan, &context, report.sources)
    };
    let is_sendable = report.excesses.is_empty() && report.held.is_empty();
    if report.saved.is_some() && report.outcomes.is_none() && report.errors.is_empty() && is_sendable {
        return document;
    }
    document.set("limits", report.excesses.iter().map(ToString::to_string).collect());
    if !report.excesses.is_empty() {
        document.set("acknowledgement", json!(guard::acknowledgement(plan, report.excesses)));
        document.set("acknowledged", json!(report.acknowledged));
    }
    if !report.held.is_empty() {
        document.set("held", report.held.iter().map(ToString::to_string).collect());
    }
    if !report.errors.is_empty() {
        document.set("errors", json!(report.errors));
    }
    if let Some(origins) = report.origins {
        origin::explain(&mut document, plan, origins, report.sources);
    }
    if let Some(record) = report.record {
        write::add_record(&mut document, record, report.sources);
    }
    if let Some(outcomes) = report.outcomes {
        document.set("follow_ups", follow_ups_json(&follow_ups(plan, report.outcomes)));
        add_outcomes(&mut document, outcomes, report.counters);
    }
    document.add_digest();
    document
}

fn add_outcomes<'a>(
    document: &mut Document<'a>,
    outcomes: &'a [(ResourceId, Outcome)],
    counters: Option<&RequestCounters>,
) {
    document.set_list("outcomes", outcomes.len(), |at| {
        let (id, outcome) = &outcomes[at];
        json!({"address": id.to_string(), "outcome": outcome.name(), "message": trouble(outcome)})
    });
    let sent = |write: bool| {
        let sent = counters.map(|counters| counters.by_operation(write)).unwrap_or_default();
        sent.into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect::<Value>()
    };
    document.set("sent", json!({"writes": sent(true), "reads": sent(false)}));
}

/// Returns the document of a run that ended before a plan.
fn problems<'a>(report: &Report<'a>) -> Document<'a> {
    let (diagnostics, sources, unread) = (report.diagnostics, report.sources, report.errors);
    let mut document = Document::default();
    document.set("apiVersion", json!("reconcile/v1"));
    document.set("kind", json!("Validation"));
    document.set("format_version", json!(FORMAT_VERSION));
    document.set("reconcile", json!(VERSION));
    document.set("command", json!(report.command));
    document.set("valid", json!(unread.is_empty() && diagnostics.iter().all(|diagnostic| !diagnostic.is_error())));
    document.set("errors", json!(unread));
    let sorted = render::sorted(diagnostics);
    document.set_list("diagnostics", sorted.len(), move |at| render::json(sorted[at], sources));
    document
}

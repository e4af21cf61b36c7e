//! Writes the document of a plan.

use std::{cell::OnceCell, fmt::Write, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Document, FORMAT_VERSION, Setup, location, object};
use crate::{
    diagnostic::{Diagnostic, render},
    model::{Action, Call, Change, Desired, FieldChange, KnownField, ResourceId},
    plan::{
        Blocked, Cause, Plan,
        follow_up::{follow_ups, follow_ups_json},
    },
    source::{FileId, Sources},
};

/// The inputs of a plan, as far as a saved plan has to know them.
#[derive(Debug, Default)]
pub struct Record {
    /// The objects that are to be changed, and what has to be known of others for that.
    pub objects: Vec<Desired>,
    /// The files that were read, manifests and what decides about them.
    pub manifests: ManifestFiles,
    /// Where the targets lead to.
    pub setups: Vec<Setup>,
    /// The configuration.
    pub config: Option<String>,
}

/// The files that a plan was made from. Their digests are worked out once, and only if they are asked for: most plans are
/// neither saved nor carried out.
#[derive(Debug, Default)]
pub struct ManifestFiles {
    files: Vec<FileId>,
    digests: OnceCell<Vec<(String, String)>>,
}

impl ManifestFiles {
    /// Returns files by their names in the sources.
    pub fn new(files: impl IntoIterator<Item = FileId>) -> Self {
        Self { files: files.into_iter().collect(), digests: OnceCell::new() }
    }

    /// Returns the paths with the SHA-256 of each text, in hexadecimal digits.
    pub fn digests(&self, sources: &Sources) -> &[(String, String)] {
        self.digests.get_or_init(|| {
            let digest = |file: &FileId| {
                let sum = Sha256::digest(sources.text(*file).as_bytes());
                sum.iter().fold(String::new(), |mut digits, byte| {
                    let _ = write!(digits, "{byte:02x}");
                    digits
                })
            };
            self.files.iter().map(|file| (sources.path(*file).to_string(), digest(file))).collect()
        })
    }
}

/// The circumstances in which a plan was made.
#[derive(Debug)]
pub struct Context<'a> {
    /// The version of the program.
    pub version: &'a str,
    /// The number of requests that read.
    pub reads: usize,
    /// How long it took.
    pub took: Duration,
    /// Diagnostics of documents, beside those of the plan.
    pub diagnostics: &'a [Diagnostic],
}

/// Returns the document of a plan, without its digest.
pub fn document<'a>(plan: &'a Plan, context: &Context<'_>, sources: &'a Sources) -> Document<'a> {
    let mut document = Document::default();
    document.set("apiVersion", json!("reconcile/v1"));
    document.set("kind", json!("Plan"));
    document.set("format_version", json!(FORMAT_VERSION));
    document.set("reconcile", json!(context.version));
    let summary = json!({
        "create": plan.count(Action::Create),
        "update": plan.count(Action::Update),
        "delete": plan.count(Action::Delete),
        "sync": plan.count(Action::Sync),
        "unchanged": plan.unchanged,
        "blocked": plan.blocked.len(),
        "reported": plan.reported.len(),
    });
    document.set("summary", summary);
    let impact = plan
        .impact
        .iter()
        .map(|total| json!({"target": *total.target, "kind": total.kind, "unit": total.unit, "count": total.count}));
    document.set("impact", impact.collect());
    for (key, changes) in [("changes", &plan.changes), ("reported", &plan.reported)] {
        document.set_list(key, changes.len(), |at| change_document(&changes[at], sources));
    }
    document.set("follow_ups", follow_ups_json(&follow_ups(plan, None)));
    document.set_list("calls", plan.calls.len(), |at| call_document(&plan.calls[at]));
    document.set_list("blocked", plan.blocked.len(), |at| blocked_document(&plan.blocked[at], plan, sources));
    let live =
        plan.live.iter().map(|((target, kind), count)| json!({"target": **target, "kind": kind, "count": count}));
    document.set("live", live.collect());
    let cost = json!({
        "reads": context.reads,
        "writes": plan.calls.len(),
        "lower_bound": plan.changes.len(),
        "seconds": context.took.as_secs_f64(),
    });
    document.set("cost", cost);
    document.set("diagnostics", diagnostics(context.diagnostics, plan, sources).into());
    document
}

fn call_document(call: &Call) -> Value {
    json!({
        "operation": call.request.operation,
        "target": *call.target,
        "arguments": call.request.arguments,
        "repeatable": call.request.repeatable,
        "serves": call.serves.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn blocked_document(blocked: &Blocked, plan: &Plan, sources: &Sources) -> Value {
    json!({
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
    })
}

/// Adds to a document what the calls of its plan rest on.
pub fn add_record<'a>(document: &mut Document<'a>, record: &'a Record, sources: &'a Sources) {
    let manifests = record.manifests.digests(sources);
    document.set_list("manifests", manifests.len(), |at| {
        let (path, digest) = &manifests[at];
        json!({"file": path, "sha256": digest})
    });
    document.set("config", json!(record.config));
    let targets = record
        .setups
        .iter()
        .map(|setup| json!({"name": *setup.target, "platform": *setup.platform, "settings": setup.settings}));
    document.set("targets", targets.collect());
    document.set_list("objects", record.objects.len(), |at| object(&record.objects[at], sources));
}

/// Returns a change as documents hold it.
pub fn change_document(change: &Change, sources: &Sources) -> Value {
    let mut document = json!({
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
            Action::Sync => "it does not follow its template",
        },
        "fields": change.fields.iter().map(|field_change| field(field_change, change, sources)).collect::<Vec<_>>(),
        "before": change.before.iter().map(known).collect::<Vec<_>>(),
        "implicit": change.implicit,
        "impact": change.impact,
        "notes": change.notes,
        "after": change.after.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "precondition": *change.precondition,
        "at": location(&change.origin, sources),
    });
    if let Some(wave) = change.wave {
        document["wave"] = json!({"number": wave.number, "of": wave.of});
    }
    document
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
pub fn values(field: &FieldChange) -> Value {
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

/// Returns an object that is needed, as messages name it.
pub fn needed(plan: &Plan, id: &ResourceId) -> String {
    let is_reported = plan.reported.iter().any(|change| change.id == *id);
    if is_reported { format!("{id}, which is only reported (policy: report)") } else { id.to_string() }
}

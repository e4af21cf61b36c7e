//! The stream of a run, one JSON document a line, written while it goes.
//!
//! Programs that watch a run read it; `docs/schema/events.json` describes it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::File,
    io::Write as _,
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Map, Value, json};

use super::{
    drift,
    finding::{authors, summary},
    follow_up::follow_ups,
    report::Report,
    text::trouble,
};
use crate::{
    cli::exit::ExitStatus,
    diagnostic::{Diagnostic, render},
    engine::{apply::Event, connection::RequestCounters},
    files::write,
    model::{Action, Change, Outcome, ResourceId},
    plan::{
        Plan,
        file::{FORMAT_VERSION, location},
    },
    source::Sources,
    version::VERSION,
};

/// The maximum number of progress events of an apply.
const STEPS: usize = 20;

/// A stream of events, or none.
#[derive(Default)]
pub(in crate::cli) struct Events {
    sink: Option<Mutex<Sink>>,
}

/// Where events go, and what was counted on the way.
struct Sink {
    file: File,
    command: &'static str,
    start: Instant,
    reading: Option<Instant>,
    total: usize,
    outcomes: BTreeMap<&'static str, usize>,
    /// The steps that are left to people.
    steps: BTreeSet<String>,
    failure: Option<String>,
}

impl Events {
    /// Starts a stream into a file, which is emptied.
    pub(in crate::cli) fn create(path: &Path, command: &'static str) -> Result<Self, String> {
        let file = write::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        let start = Instant::now();
        let (outcomes, steps) = (BTreeMap::new(), BTreeSet::new());
        let sink = Sink { file, command, start, reading: None, total: 0, outcomes, steps, failure: None };
        let events = Self { sink: Some(Mutex::new(sink)) };
        events.with(|sink| {
            sink.put("version", &json!({"reconcile": VERSION, "format_version": FORMAT_VERSION, "command": command}));
        });
        Ok(events)
    }

    fn with(&self, tell: impl FnOnce(&mut Sink)) {
        if let Some(sink) = &self.sink {
            tell(&mut sink.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Tells what is wrong beside the documents.
    pub(super) fn error(&self, message: &str) {
        self.with(|sink| {
            let (code, at, hint) = (Value::Null, Value::Null, Value::Null);
            sink.put(
                "diagnostic",
                &json!({"code": code, "severity": "error", "message": message, "at": at, "hint": hint}),
            );
        });
    }

    /// Tells what is to be said about documents.
    pub(super) fn diagnostics(&self, diagnostics: &[Diagnostic], sources: &Sources) {
        self.with(|sink| {
            render::sorted(diagnostics)
                .into_iter()
                .for_each(|diagnostic| sink.put("diagnostic", &render::json(diagnostic, sources)));
        });
    }

    /// Tells that so many objects of targets are about to be read.
    pub(in crate::cli) fn reading<'t>(&self, targets: impl IntoIterator<Item = &'t str>, objects: usize) {
        self.with(|sink| {
            sink.reading = Some(Instant::now());
            let targets: Vec<&str> = targets.into_iter().collect();
            sink.put("read_start", &json!({"targets": targets, "objects": objects}));
        });
    }

    /// Tells that all was read that could be read.
    pub(in crate::cli) fn read(&self, counters: &RequestCounters) {
        self.with(|sink| {
            let seconds = sink.reading.map(|start| start.elapsed().as_secs_f64()).unwrap_or_default();
            sink.put("read_complete", &json!({"reads": counters.total(false), "seconds": seconds}));
        });
    }

    /// Tells that all was read, and what is to be done.
    pub(in crate::cli) fn planned(&self, report: &Report<'_>) {
        let Some(plan) = report.plan else { return };
        report.counters.into_iter().for_each(|counters| self.read(counters));
        self.with(|sink| {
            for (change, is_reported) in report.differences() {
                let mut more = vec![
                    ("summary", json!(summary(change))),
                    ("policy", json!(if is_reported { "report" } else { "enforce" })),
                    ("implicit", json!(change.implicit)),
                    ("impact", json!(change.impact)),
                    ("notes", json!(change.notes)),
                ];
                if let Some(trace) = report.trace {
                    more.push(("verdict", json!(drift::verdict(change, trace).name())));
                    more.push(("authors", json!(authors(change, trace))));
                }
                sink.put("planned_change", &about(change, report.sources, &more));
            }
            sink.total = plan.changes.len();
            sink.put(
                "change_summary",
                &json!({
                    "create": plan.count(Action::Create),
                    "update": plan.count(Action::Update),
                    "delete": plan.count(Action::Delete),
                    "sync": plan.count(Action::Sync),
                    "unchanged": plan.unchanged,
                    "blocked": plan.blocked.len(),
                    "reported": plan.reported.len(),
                    "calls": plan.calls.len(),
                    "follow_ups": follow_ups(plan, None).iter().map(|step| step.text).collect::<Vec<_>>(),
                }),
            );
        });
    }

    /// Tells how one change goes.
    pub(super) fn applying(&self, event: &Event<'_>, sources: &Sources) {
        self.with(|sink| match event {
            Event::Started(change) => sink.put("apply_start", &about(change, sources, &[])),
            Event::Finished(change, outcome, took) => sink.finished(change, outcome, *took, sources),
        });
    }

    /// Tells of changes whose outcomes are known though nothing was sent.
    pub(in crate::cli) fn settled(&self, plan: &Plan, settled: &[(ResourceId, Outcome)], sources: &Sources) {
        self.with(|sink| {
            let settled: HashMap<&ResourceId, &Outcome> = settled.iter().map(|(id, outcome)| (id, outcome)).collect();
            for change in &plan.changes {
                if let Some(outcome) = settled.get(&change.id) {
                    sink.finished(change, outcome, Duration::ZERO, sources);
                }
            }
        });
    }

    /// Ends the stream with the exit code of the run; the error says why some of it could not be written.
    pub(in crate::cli) fn end(&self, status: ExitStatus) -> Result<(), String> {
        let mut failure = None;
        self.with(|sink| {
            let outcomes: Map<String, Value> =
                sink.outcomes.iter().map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
            let seconds = sink.start.elapsed().as_secs_f64();
            let command = sink.command;
            sink.put(
                "run_summary",
                &json!({
                    "command": command, "exit_code": status.code(), "outcomes": outcomes, "seconds": seconds,
                    "follow_ups": sink.steps,
                }),
            );
            failure = sink.failure.take();
        });
        failure.map_or(Ok(()), Err)
    }
}

impl Sink {
    /// Writes one event, which others can read at once.
    fn put(&mut self, kind: &'static str, event: &Value) {
        let event = event.to_string();
        let rest = event.trim_start_matches('{');
        let line = format!("{{\"type\":\"{kind}\",\"@timestamp\":\"{}\",{rest}\n", jiff::Timestamp::now());
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            self.failure.get_or_insert_with(|| format!("the events could not be written: {error}"));
        }
    }

    fn finished(&mut self, change: &Change, outcome: &Outcome, took: Duration, sources: &Sources) {
        let trouble = trouble(outcome);
        let kind = if trouble.is_none() { "apply_complete" } else { "apply_errored" };
        let more =
            [("outcome", json!(outcome.name())), ("message", json!(trouble)), ("seconds", json!(took.as_secs_f64()))];
        self.put(kind, &about(change, sources, &more));
        if outcome.converged() {
            self.steps.extend(change.notes.iter().cloned());
        }
        let step = |done: usize| done * STEPS / self.total.max(1);
        let done = self.outcomes.values().sum::<usize>() + 1;
        let is_step = step(done) > step(done - 1);
        *self.outcomes.entry(outcome.name()).or_default() += 1;
        if is_step {
            self.put("apply_progress", &json!({"done": done, "total": self.total}));
        }
    }
}

/// Returns what every event about a change tells, and more.
fn about(change: &Change, sources: &Sources, more: &[(&str, Value)]) -> Value {
    let mut event = json!({
        "address": change.id.to_string(),
        "target": *change.target,
        "label": change.label,
        "action": change.action.name(),
        "at": location(&change.origin, sources),
    });
    for (key, value) in more {
        event[*key] = value.clone();
    }
    event
}

//! The record of the engine's work in the journal of a run.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::run_log::{IntendedCall, RunLog},
    journal::{
        Record, Writer,
        lease::Guard,
        record::{IntendedChange, Intent, OutcomeRecord},
        secret::Redaction,
    },
    model::{Change, FieldChange, Outcome, ResourceId},
};

/// Records what the engine is about to do and what became of it. A run whose record fails, or whose lock is lost, stops
/// as if it was interrupted.
pub(super) struct Recorded<'a> {
    state: Mutex<State>,
    redaction: Redaction,
    /// The place of the journal, for messages.
    place: String,
    stop: CancellationToken,
    guard: &'a Guard,
    /// Changes whose outcome is in the journal already.
    known: HashSet<ResourceId>,
    /// How often each call was sent before, by its number.
    attempts: HashMap<usize, usize>,
}

struct State {
    writer: Writer,
    /// Why the run stops.
    problem: Option<String>,
    /// An outcome could not be recorded: only reading can tell what became of its change.
    is_incomplete: bool,
}

impl<'a> Recorded<'a> {
    pub(super) fn new(
        writer: Writer,
        redaction: Redaction,
        place: String,
        stop: CancellationToken,
        guard: &'a Guard,
    ) -> Self {
        let state = Mutex::new(State { writer, problem: None, is_incomplete: false });
        Self { state, redaction, place, stop, guard, known: HashSet::new(), attempts: HashMap::new() }
    }

    /// Continues the record of an earlier process.
    pub(super) fn continuing(self, known: HashSet<ResourceId>, attempts: HashMap<usize, usize>) -> Self {
        Self { known, attempts, ..self }
    }

    /// Returns the redaction of the records.
    pub(super) fn redaction(&self) -> &Redaction {
        &self.redaction
    }

    /// Adds records of the run itself. When this returns they are on the disk.
    pub(super) fn note(&self, records: Vec<Record>) -> Result<(), String> {
        let mut state = self.state();
        let written = state.writer.append(records).and_then(|()| state.writer.sync());
        written.map_err(|error| self.fail(&mut state, &error.to_string(), true))
    }

    /// Adds the last record, unless an outcome is missing. Returns what went wrong in the run or here, and true if the
    /// run has its end.
    pub(super) fn end(self, record: Record) -> (Option<String>, bool) {
        let mut state = self.state();
        if !state.is_incomplete {
            let written = state.writer.append(vec![record]).and_then(|()| state.writer.sync());
            if let Err(error) = written {
                self.fail(&mut state, &error.to_string(), true);
            }
        }
        (state.problem.clone(), !state.is_incomplete)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops the run for a record that could not be written.
    fn fail(&self, state: &mut State, reason: &str, is_incomplete: bool) -> String {
        let way_out = if is_incomplete {
            "make room there, then `reconcile resume` settles and finishes the run"
        } else {
            "nothing more was sent; make room there, or name another directory by `--state-dir`"
        };
        let message = format!("the run stops: cannot write {}: {reason}; {way_out}", self.place);
        state.is_incomplete |= is_incomplete;
        // What is missing afterwards matters more than what was not sent before.
        if state.problem.is_none() || is_incomplete {
            state.problem = Some(message.clone());
        }
        self.stop.cancel();
        message
    }

    fn intent(&self, call: &IntendedCall<'_>) -> Record {
        let attempt = call.attempt + self.attempts.get(&call.number).copied().unwrap_or_default();
        let change = |change: &&Change| IntendedChange {
            address: change.id.to_string(),
            precondition: change.precondition.to_string(),
            fields: if attempt == 1 { self.redaction.fields(change) } else { Vec::new() },
        };
        Record::Intent(Intent {
            call: call.number,
            attempt,
            target: call.target.to_owned(),
            operation: call.request.operation.to_owned(),
            body: self.redaction.digest(&call.request.arguments),
            objects: call.changes.iter().map(change).collect(),
        })
    }
}

impl RunLog for Recorded<'_> {
    fn intend(&self, calls: &[IntendedCall<'_>]) -> Result<(), String> {
        if let Err(lost) = self.guard.check() {
            let message = format!("the run stops: {lost}: nothing more was sent");
            self.state().problem.get_or_insert(message.clone());
            self.stop.cancel();
            return Err(message);
        }
        let records: Vec<_> = calls.iter().map(|call| self.intent(call)).collect();
        let mut state = self.state();
        if let Some(problem) = &state.problem {
            return Err(problem.clone());
        }
        let written = state.writer.append(records).and_then(|()| state.writer.sync());
        written.map_err(|error| self.fail(&mut state, &error.to_string(), false))
    }

    fn finish(&self, change: &Change, outcome: &Outcome, handle: Option<&Value>, took: Duration) {
        if self.known.contains(&change.id) {
            return;
        }
        let record = Record::Outcome(outcome_record(change, outcome, handle, took, &self.redaction));
        let mut state = self.state();
        if let Err(error) = state.writer.append(vec![record]) {
            self.fail(&mut state, &error.to_string(), true);
        }
    }

    fn sync(&self) {
        let mut state = self.state();
        if !state.is_incomplete
            && let Err(error) = state.writer.sync()
        {
            self.fail(&mut state, &error.to_string(), true);
        }
    }
}

/// Returns the record of an outcome.
fn outcome_record(
    change: &Change,
    outcome: &Outcome,
    handle: Option<&Value>,
    took: Duration,
    redaction: &Redaction,
) -> OutcomeRecord {
    let (detail, fields): (Option<String>, &[FieldChange]) = match outcome {
        Outcome::Refused(refusal) => (Some(refusal.to_string()), &[]),
        Outcome::NotApplied(why) | Outcome::Unknown(why) | Outcome::Unsent(why) | Outcome::Manual(why) => {
            (Some(why.clone()), &[])
        }
        Outcome::Skipped(needed) => (Some(needed.to_string()), &[]),
        Outcome::Normalised(fields) | Outcome::Dropped(fields) | Outcome::Overtaken(fields) => (None, fields),
        Outcome::Applied | Outcome::AlreadyTrue | Outcome::Stale | Outcome::Interrupted => (None, &[]),
    };
    OutcomeRecord {
        address: change.id.to_string(),
        outcome: outcome.name().to_owned(),
        detail: detail.map(|detail| redaction.text(&detail)),
        fields: fields.iter().map(|field| redaction.field(field)).collect(),
        handle: handle.cloned(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

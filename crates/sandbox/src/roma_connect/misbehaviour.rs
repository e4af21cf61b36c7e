//! Calls that are handled otherwise than they say, for faults.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    option::Options,
    reply::{Failure, Success},
    service::{self, Call},
    store::{App, Store},
};
use crate::simulator::Misbehaviour;

/// How many changes are kept.
const KEPT: usize = 10_000;

/// How applications were before they were changed.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Past>);

#[derive(Debug)]
struct Past {
    time: Timestamp,
    id: String,
    /// `None` for an application that was created.
    before: Option<App>,
}

impl History {
    fn note(&mut self, time: Timestamp, id: String, before: Option<App>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Past { time, id, before });
    }

    /// Returns a store as it was some time ago, as far back as changes are kept.
    fn past(&self, store: &Store, now: Timestamp, ms: u64) -> Store {
        let mut past = store.clone();
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        let is_recent = |change: &&Past| now.as_millisecond().saturating_sub(change.time.as_millisecond()) < ms;
        for Past { id, before, .. } in self.0.iter().rev().take_while(is_recent) {
            match (past.apps.iter().position(|app| app.id == *id), before) {
                (Some(position), Some(before)) => past.apps[position] = before.clone(),
                (Some(position), None) => drop(past.apps.remove(position)),
                (None, Some(before)) => past.apps.push(before.clone()),
                (None, None) => {}
            }
        }
        past
    }
}

/// Carries out a call, otherwise than it says where a fault wants that.
pub(super) fn perform(
    store: &mut Store,
    history: &mut History,
    options: &Options,
    mut call: Call,
    misbehaviour: Option<&Misbehaviour>,
) -> Result<Success, Failure> {
    if !call.route.operation.writes() {
        return match misbehaviour {
            Some(Misbehaviour::Lag { ms }) => {
                service::perform(&mut history.past(store, options.now(), *ms), options, &call)
            }
            Some(Misbehaviour::PageShift { skip }) => {
                call.query.shift("offset", *skip);
                service::perform(store, options, &call)
            }
            // No call starts tasks here, and no list has been seen to lose rows.
            Some(
                Misbehaviour::LostRow
                | Misbehaviour::Drop
                | Misbehaviour::Normalise
                | Misbehaviour::TaskFails { .. }
                | Misbehaviour::TaskHangs { .. },
            )
            | None => service::perform(store, options, &call),
        };
    }
    let before = store.apps.iter().find(|app| app.id == call.route.app).cloned();
    let undone = (misbehaviour == Some(&Misbehaviour::Drop)).then(|| store.apps.clone());
    let mut success = service::perform(store, options, &call)?;
    if let Some(apps) = undone {
        // Ids and secrets that were given out never come back.
        store.apps = apps;
        // An update answers with what is stored (contract, section 2.4).
        if let (Some(stored), Some(body)) = (&before, success.body.as_mut()) {
            for (key, value) in [
                ("name", Value::from(stored.name.as_str())),
                ("remark", stored.remark.as_str().into()),
                ("favorite", stored.favorite.into()),
            ] {
                body.get_mut(key).into_iter().for_each(|field| *field = value.clone());
            }
        }
        return Ok(success);
    }
    let created = success.body.as_ref().and_then(|body| body["id"].as_str());
    let id = created.filter(|_| before.is_none()).unwrap_or(&call.route.app).to_owned();
    if misbehaviour == Some(&Misbehaviour::Normalise) {
        normalise(store, &id, before.as_ref(), success.body.as_mut());
    }
    history.note(options.now(), id, before);
    Ok(success)
}

/// Stores an equivalent of a text that was written: with a blank behind it.
fn normalise(store: &mut Store, id: &str, before: Option<&App>, body: Option<&mut Value>) {
    let Some(app) = store.apps.iter_mut().find(|app| app.id == id) else { return };
    let is_new = before.is_none_or(|before| before.remark != app.remark);
    if app.remark.is_empty() || !is_new || app.remark.chars().count() >= 255 {
        return;
    }
    app.remark.push(' ');
    if let Some(remark) = body.and_then(|body| body.get_mut("remark")) {
        *remark = app.remark.as_str().into();
    }
}

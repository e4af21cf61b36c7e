//! The state of each object, for those who look at the agent: nothing is computed before somebody asks.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    held::Held,
    log::author,
    looked::Looked,
    manifests::Manifests,
    notices::Notices,
    report::{cause, outcome_detail},
};
use crate::{
    engine::author::Trace,
    model::{Action, Change, Outcome, ResourceId},
    plan::Plan,
    source::Sources,
};

/// Most objects of which the differences are kept, so that a broken import does not fill the memory.
const DETAILS: usize = 5_000;

/// Most characters of a value that are kept.
const LONG: usize = 2_000;

/// A field that differs or was changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldDifference {
    /// The path of the field.
    pub path: String,
    /// The live value when it was read; `None` where there was none.
    pub from: Option<Value>,
    /// The declared value; `None` where the field or its object is to go.
    pub to: Option<Value>,
    /// The same values as people read them, where these are other than the stored ones.
    pub display: [Option<String>; 2],
    /// Where it is declared, as `file:line:column`.
    pub at: String,
    /// The one who changed the live value, and when, in words; `None` where that is not known.
    pub author: Option<String>,
}

/// The differences of an object, and what became of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Detail {
    /// What is to be done: `create`, `update` or `delete`; `None` for an object that is blocked.
    pub action: Option<&'static str>,
    /// The fields that differ.
    pub fields: Vec<FieldDifference>,
    /// The outcome; `None` where nothing was sent.
    pub outcome: Option<&'static str>,
    /// The reason, where it is not as declared; otherwise empty.
    pub reason: String,
    /// The run in the journal; `None` where nothing was recorded.
    pub run: Option<String>,
    /// The ids of the live object; null for one that is to be created.
    pub id: Value,
    /// When these differences were first found.
    pub since: Timestamp,
}

/// A row of the table of objects.
#[derive(Debug, Clone)]
pub struct Row {
    /// The object.
    pub id: ResourceId,
    /// Its target.
    pub target: Arc<str>,
    /// Its state, as metrics name it, or `pending` before it was looked at.
    pub state: &'static str,
    /// The text that a search looks through, in lower case.
    haystack: Box<str>,
    /// The number of its document in the manifests; `None` where none declares it.
    declared: Option<usize>,
}

/// All objects at one moment, sorted by target, kind and name.
#[derive(Debug, Default)]
pub struct Table {
    /// The number of the version; a higher one is newer.
    pub generation: u64,
    /// The objects.
    pub rows: Vec<Row>,
    manifests: Option<Arc<Manifests>>,
}

impl Table {
    /// Returns where a row's object is declared, as `file:line:column`; nothing where no document declares it.
    pub fn position(&self, row: &Row) -> Option<String> {
        let manifests = self.manifests.as_ref()?;
        let desired = manifests.desired.get(row.declared?)?;
        Some(manifests.sources.position(&desired.origin).to_string())
    }
}

impl Row {
    /// Returns true if a text in lower case is part of its name, kind, target or state.
    pub fn contains(&self, text: &str) -> bool {
        self.haystack.contains(text)
    }
}

/// What a pass found, for [`Inventory::record`].
pub(super) struct Found<'a> {
    pub(super) plan: &'a Plan,
    pub(super) outcomes: &'a [(ResourceId, Outcome)],
    pub(super) trace: &'a Trace,
    pub(super) sources: &'a Sources,
    pub(super) run: Option<&'a str>,
    /// The limit that the plan is over, so that nothing was sent.
    pub(super) refusal: Option<String>,
    /// Why objects are held back.
    pub(super) held: &'a Held,
    /// Texts that nobody may see.
    pub(super) secrets: &'a [String],
    /// The target that was looked at.
    pub(super) target: &'a Arc<str>,
    /// The objects that were looked at; `None` for all of the target.
    pub(super) part: Option<&'a [ResourceId]>,
}

/// The objects of an agent; clones show the same ones.
#[derive(Debug, Clone)]
pub struct Inventory(Arc<Inner>);

/// What is known of an object, with its target.
type OfTarget<T> = (Arc<str>, Arc<T>);

#[derive(Debug)]
struct Inner {
    /// The number of the version, which wakes those who wait for a newer one.
    generation: watch::Sender<u64>,
    manifests: Mutex<Option<Arc<Manifests>>>,
    looked: Mutex<BTreeMap<Arc<str>, Arc<Mutex<Looked>>>>,
    /// With their targets.
    details: Mutex<HashMap<ResourceId, OfTarget<Detail>>>,
    table: Mutex<Arc<Table>>,
    notices: Notices,
}

impl Default for Inventory {
    fn default() -> Self {
        Self(Arc::new(Inner {
            generation: watch::Sender::new(0),
            manifests: Mutex::default(),
            looked: Mutex::default(),
            details: Mutex::default(),
            table: Mutex::default(),
            notices: Notices::default(),
        }))
    }
}

impl Inventory {
    /// Returns the number of the newest version.
    pub fn generation(&self) -> u64 {
        *self.0.generation.borrow()
    }

    /// Returns all objects. Building the table takes a moment where there are many; it is kept until something changes.
    pub fn table(&self) -> Arc<Table> {
        let mut table = lock(&self.0.table);
        let generation = self.generation();
        if table.generation != generation {
            *table = Arc::new(self.build(generation));
        }
        table.clone()
    }

    /// Returns the differences of an object; nothing where there are none, or too many objects differ.
    pub fn detail(&self, id: &ResourceId) -> Option<Arc<Detail>> {
        lock(&self.0.details).get(id).map(|(_, detail)| detail.clone())
    }

    /// Returns the row and the differences of the object with an address.
    pub fn find(&self, address: &str) -> Option<(Row, Option<String>, Option<Arc<Detail>>)> {
        let table = self.table();
        let row = table.rows.iter().find(|row| row.id.to_string() == address)?;
        Some((row.clone(), table.position(row), self.detail(&row.id)))
    }

    /// Returns the messages that are worth sending.
    pub fn notices(&self) -> &Notices {
        &self.0.notices
    }

    /// Returns where it is kept what was found on a target.
    pub(super) fn looked(&self, target: &Arc<str>) -> Arc<Mutex<Looked>> {
        lock(&self.0.looked).entry(target.clone()).or_default().clone()
    }

    /// Notes the manifests that are in force.
    pub(super) fn adopt(&self, manifests: &Arc<Manifests>) {
        *lock(&self.0.manifests) = Some(manifests.clone());
        self.0.notices.manifests(manifests.errors(), &manifests.digest);
        self.changed();
    }

    /// Forgets what was found of objects.
    pub(super) fn forget(&self) {
        lock(&self.0.looked).values().for_each(|looked| *lock(looked) = Looked::default());
        lock(&self.0.details).clear();
        self.changed();
    }

    /// Notes that the states of objects changed.
    fn changed(&self) {
        self.0.generation.send_modify(|generation| *generation += 1);
    }

    /// Notes what a pass found.
    pub(super) fn record(&self, found: &Found<'_>) {
        self.0.notices.pass(found);
        let mut details = lock(&self.0.details);
        let mut old = HashMap::new();
        match found.part {
            Some(part) => part.iter().for_each(|id| old.extend(details.remove_entry(id))),
            None => old.extend(details.extract_if(|_, (target, _)| target == found.target)),
        }
        let outcomes: HashMap<&ResourceId, &Outcome> =
            found.outcomes.iter().map(|(id, outcome)| (id, outcome)).collect();
        for change in found.plan.reported.iter().chain(&found.plan.changes) {
            if details.len() >= DETAILS && !details.contains_key(&change.id) {
                continue;
            }
            let mut detail = found.detail(change, outcomes.get(&change.id).copied());
            if let Some((_, known)) = details.remove(&change.id) {
                // One object may differ in what is enforced and in what is only reported.
                detail.fields.extend(known.fields.iter().cloned());
            }
            if let Some((_, old)) = old.get(&change.id) {
                detail.keep(old);
            }
            details.insert(change.id.clone(), (found.target.clone(), Arc::new(detail)));
        }
        for blocked in &found.plan.blocked {
            if details.len() < DETAILS {
                let mut detail = Detail::blocked(found.hide(&cause(blocked)));
                if let Some((_, old)) = old.get(&blocked.id) {
                    detail.keep(old);
                }
                details.insert(blocked.id.clone(), (found.target.clone(), Arc::new(detail)));
            }
        }
        drop(details);
        self.changed();
    }

    fn build(&self, generation: u64) -> Table {
        let manifests = lock(&self.0.manifests).clone();
        let looked: Vec<Arc<Mutex<Looked>>> = lock(&self.0.looked).values().cloned().collect();
        let mut states: HashMap<ResourceId, (Arc<str>, &'static str)> = HashMap::new();
        for looked in looked {
            let found = lock(&looked);
            states.extend(found.objects().map(|(id, found)| (id.clone(), (found.target.clone(), found.state.name()))));
        }
        let desired = manifests.iter().flat_map(|manifests| manifests.desired.iter().enumerate());
        let mut rows: Vec<Row> = desired
            .filter(|(_, object)| object.selected)
            .map(|(index, object)| {
                let state = states.remove(&object.id).map_or("pending", |(_, state)| state);
                Row::new(&object.id, &object.target, state, Some(index))
            })
            .collect();
        rows.extend(states.iter().map(|(id, (target, state))| Row::new(id, target, state, None)));
        rows.sort_by(|one, other| (&one.target, &one.id).cmp(&(&other.target, &other.id)));
        Table { generation, rows, manifests }
    }
}

impl Row {
    fn new(id: &ResourceId, target: &Arc<str>, state: &'static str, declared: Option<usize>) -> Self {
        let haystack = format!("{id} {target} {state}").to_lowercase().into_boxed_str();
        Self { id: id.clone(), target: target.clone(), state, haystack, declared }
    }
}

impl Detail {
    fn blocked(reason: String) -> Self {
        let since = Timestamp::now();
        Self { action: None, fields: Vec::new(), outcome: None, reason, run: None, id: Value::Null, since }
    }

    /// Keeps what was known before of the same differences: their authors are asked for once.
    fn keep(&mut self, old: &Self) {
        let same = |one: &FieldDifference, other: &FieldDifference| {
            (&one.path, &one.from, &one.to) == (&other.path, &other.from, &other.to)
        };
        for field in &mut self.fields {
            if field.author.is_none() {
                let known = old.fields.iter().find(|known| same(known, field));
                field.author = known.and_then(|known| known.author.clone());
            }
        }
        let is_same = self.fields.len() == old.fields.len()
            && self.fields.iter().all(|field| old.fields.iter().any(|known| same(known, field)));
        if is_same && (self.action, &self.reason) == (old.action, &old.reason) {
            self.since = old.since;
            self.run = self.run.take().or_else(|| old.run.clone());
        }
    }
}

impl Found<'_> {
    pub(super) fn detail(&self, change: &Change, outcome: Option<&Outcome>) -> Detail {
        let authors = self.trace.all(change);
        let of_object = authors.iter().find(|(path, _)| path.is_none());
        let author = |path: &crate::model::FieldPath| {
            let found = authors.iter().find(|(known, _)| *known == Some(path)).or(of_object)?;
            author(&found.1).map(|author| self.hide(&author))
        };
        let at = || self.sources.position(&change.origin).to_string();
        let fields = if change.action == Action::Delete {
            let removed = change.before.iter().filter(|field| field.path.rest().is_empty());
            let difference = |field: &crate::model::KnownField| FieldDifference {
                path: field.path.to_string(),
                from: Some(self.shown(&field.value)),
                to: None,
                display: [field.display.as_deref().map(|text| self.hide(text)), None],
                at: at(),
                author: author(&field.path),
            };
            removed.map(difference).collect()
        } else {
            let difference = |field: &crate::model::FieldChange| {
                let display = field.display.as_ref();
                let (from, to) = (
                    display.and_then(|display| display.from.as_deref()),
                    display.and_then(|display| display.to.as_deref()),
                );
                FieldDifference {
                    path: field.path.to_string(),
                    from: field.from.as_ref().map(|value| self.shown(value)),
                    to: field.to.as_ref().map(|value| self.shown(value)),
                    display: [from, to].map(|text| text.map(|text| self.hide(text))),
                    at: self.sources.position(&field.because).to_string(),
                    author: author(&field.path),
                }
            };
            change.fields.iter().map(difference).collect()
        };
        Detail {
            action: Some(change.action.name()),
            fields,
            outcome: outcome.map(Outcome::name),
            reason: outcome
                .map(outcome_detail)
                .or_else(|| self.held.get(&change.id).map(ToString::to_string))
                .map(|text| self.hide(&text))
                .unwrap_or_default(),
            run: outcome.and(self.run).map(str::to_owned),
            id: change.handle.clone(),
            since: Timestamp::now(),
        }
    }

    /// Returns a value without secrets, its long texts cut.
    fn shown(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.hide(text)),
            Value::Array(items) => items.iter().map(|item| self.shown(item)).collect(),
            Value::Object(entries) => {
                Value::Object(entries.iter().map(|(key, value)| (key.clone(), self.shown(value))).collect())
            }
            other => other.clone(),
        }
    }

    pub(super) fn hide(&self, text: &str) -> String {
        if self.secrets.iter().any(|secret| !secret.is_empty() && text.contains(&**secret)) {
            return "(secret)".to_owned();
        }
        match text.char_indices().nth(LONG) {
            Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
            None => text.to_owned(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

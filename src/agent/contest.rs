//! Fields that somebody else sets to another value again and again, and objects that somebody else removes or makes. After
//! a few times they are left alone for a while: two that undo each other's work without end help nobody.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use serde_json::Value;
use tokio::time::Instant;

use crate::{
    config::Ceasefire,
    engine::author::Trace,
    model::{Action, Change, Desired, FieldPath, ResourceId, policy::Policy},
};

/// A field of an object, or [`PRESENCE`].
type Field = (ResourceId, Arc<str>);

/// Stands for whether an object is there, in the place of a field. No field has this name.
const PRESENCE: &str = "";

/// A write that took back what somebody else wrote.
#[derive(Debug, Clone)]
struct Setback {
    at: Instant,
    /// The other party, as far as the platform tells.
    by: Option<String>,
    /// The declared value.
    to: Option<Value>,
}

/// A field that is left alone.
#[derive(Debug)]
struct Paused {
    /// When the live value changed last.
    moved: Instant,
    /// The live value; `None` if it is as declared.
    live: Option<Value>,
}

#[derive(Debug, Default)]
struct Contest {
    setbacks: VecDeque<Setback>,
    paused: Option<Paused>,
    /// It was paused before, and is set once more.
    is_on_trial: bool,
}

/// The fields that were taken back lately.
#[derive(Debug, Default)]
pub(super) struct Contests(HashMap<Field, Contest>);

impl Contests {
    /// Lets the fields that are left alone be reported only.
    pub(super) fn soften(&self, desired: &mut [Desired]) {
        let mut paused: HashMap<&ResourceId, Vec<&Arc<str>>> = HashMap::new();
        for ((id, field), _) in self.0.iter().filter(|(_, contest)| contest.paused.is_some()) {
            paused.entry(id).or_default().push(field);
        }
        if paused.is_empty() {
            return;
        }
        for object in desired {
            for field in paused.get(&object.id).into_iter().flatten() {
                let of_object = object.policies.object;
                if ***field == *PRESENCE {
                    // Where the object is there all the same, its fields stay as they are declared.
                    for path in object.fields.keys() {
                        object.policies.fields.entry(Arc::from(&*path.root())).or_insert(of_object);
                    }
                    object.policies.object = of_object.max(Policy::Report);
                    continue;
                }
                let policy = object.policies.fields.entry((*field).clone()).or_insert(of_object);
                *policy = (*policy).max(Policy::Report);
            }
        }
    }

    /// Notes that a change was made whose values somebody else had changed, and leaves alone what was taken back too often.
    pub(super) fn wrote(&mut self, change: &Change, trace: &Trace, limits: &Ceasefire) {
        let values: Vec<(Option<&FieldPath>, Option<Value>)> = match change.action {
            Action::Update => change.fields.iter().map(|field| (Some(&field.path), field.to.clone())).collect(),
            Action::Create | Action::Delete if !change.implicit => vec![(None, Some(change.action.name().into()))],
            Action::Create | Action::Delete | Action::Sync => return,
        };
        for (path, to) in values {
            let author = trace.of(&change.id, path);
            // Our own earlier value gave way to a newer one of the manifests.
            if author.ours == Some(true) {
                continue;
            }
            // The first time that an object is made or removed nobody has done the contrary, unless the platform says who.
            let after = limits.after.saturating_add(usize::from(path.is_none() && author.by.is_none()));
            let root: Arc<str> = path.map_or_else(|| PRESENCE.into(), |path| Arc::from(&*path.root()));
            let contest = self.0.entry((change.id.clone(), root)).or_default();
            let now = Instant::now();
            contest.setbacks.retain(|setback| now - setback.at < limits.within && setback.to == to);
            if contest.setbacks.back().is_some_and(|last| last.by != author.by) {
                contest.setbacks.clear();
            }
            contest.setbacks.push_back(Setback { at: now, by: author.by, to });
            let is_on_trial = std::mem::take(&mut contest.is_on_trial);
            if is_on_trial || contest.setbacks.len() >= after {
                contest.paused = Some(Paused { moved: now, live: None });
                if !is_on_trial {
                    warn(change, path, contest, limits);
                }
            }
        }
    }

    /// Notes the live values of fields that are left alone, and lets those be enforced again that have come to rest.
    pub(super) fn observe(&mut self, looked_at: &HashSet<&ResourceId>, reported: &[Change], limits: &Ceasefire) {
        let now = Instant::now();
        let mut live: HashMap<(&ResourceId, String), Value> = HashMap::new();
        for change in reported {
            if change.action != Action::Update {
                live.insert((&change.id, PRESENCE.to_owned()), change.action.name().into());
            }
            let fields = change.fields.iter();
            live.extend(
                fields
                    .map(|field| ((&change.id, field.path.root().to_string()), field.from.clone().unwrap_or_default())),
            );
        }
        for ((id, root), contest) in self.0.iter_mut().filter(|((id, _), _)| looked_at.contains(id)) {
            let Some(paused) = &mut contest.paused else { continue };
            let found = live.get(&(id, root.to_string())).cloned();
            if paused.live != found {
                *paused = Paused { moved: now, live: found };
            }
            if now - paused.moved < limits.quiet {
                continue;
            }
            let (kind, key, field) = (id.kind, &*id.key, Some(&**root).filter(|root| *root != PRESENCE));
            if paused.live.is_none() {
                tracing::info!(kind, key, field, "has stayed as declared, and is enforced as before");
                *contest = Contest::default();
            } else {
                tracing::warn!(kind, key, field, "has come to rest, and is set once more");
                contest.paused = None;
                contest.is_on_trial = true;
            }
        }
        self.0.retain(|_, contest| {
            contest.paused.is_some()
                || contest.is_on_trial
                || contest.setbacks.iter().any(|setback| now - setback.at < limits.within)
        });
    }
}

/// Says that a field, or whether an object is there, is only reported from now on.
fn warn(change: &Change, path: Option<&FieldPath>, contest: &Contest, limits: &Ceasefire) {
    let by = contest.setbacks.back().and_then(|setback| setback.by.clone());
    let (kind, key, target, path) = (change.id.kind, &*change.id.key, &*change.target, path.map(FieldPath::as_str));
    let party = by.as_deref().unwrap_or("somebody else");
    let did = match (path, change.action) {
        (Some(path), _) => format!("changed {path} again each time it was set"),
        (None, Action::Delete) => "made it again each time it was removed".to_owned(),
        (None, _) => "removed it again each time it was made".to_owned(),
    };
    let rest = if path.is_some() { "its value has rested" } else { "nobody has touched it" };
    let quiet = limits.quiet.as_secs();
    tracing::error!(
        target,
        kind,
        key,
        field = path,
        by,
        "{party} {did}, {} times: it is only reported until {rest} for {quiet} s",
        limits.after
    );
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use serde_json::json;

    use super::*;
    use crate::{
        model::FieldChange,
        source::{Origin, Sources},
    };

    const LIMITS: Ceasefire = Ceasefire { after: 3, within: Duration::from_hours(1), quiet: Duration::from_mins(10) };

    fn change(from: i64) -> Change {
        let nowhere = || Origin::new(Sources::default().add("m.yaml", ""), 0..0);
        let field = FieldChange {
            path: FieldPath::field("value"),
            from: Some(json!(from)),
            to: Some(json!(1)),
            display: None,
            because: nowhere(),
        };
        Change {
            id: ResourceId::new("Thing", "a"),
            target: "here".into(),
            label: String::new(),
            handle: Value::Null,
            action: Action::Update,
            implicit: false,
            fields: vec![field],
            before: Vec::new(),
            impact: BTreeMap::new(),
            notes: Vec::new(),
            field_notes: BTreeMap::new(),
            wave: None,
            after: Vec::new(),
            precondition: Arc::from(""),
            origin: nowhere(),
        }
    }

    fn is_paused(contests: &Contests) -> bool {
        contests.0.values().any(|contest| contest.paused.is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn a_field_that_is_taken_back_too_often_is_left_alone_until_it_rests() {
        let id = ResourceId::new("Thing", "a");
        let looked_at = HashSet::from([&id]);
        let (mut contests, trace) = (Contests::default(), Trace::default());
        let wrote = |contests: &mut Contests| contests.wrote(&change(7), &trace, &LIMITS);
        let seen = |contests: &mut Contests, value: i64| contests.observe(&looked_at, &[change(value)], &LIMITS);
        wrote(&mut contests);
        wrote(&mut contests);
        // Two of them are too old by now.
        tokio::time::advance(LIMITS.within).await;
        wrote(&mut contests);
        wrote(&mut contests);
        assert!(!is_paused(&contests));
        wrote(&mut contests);
        assert!(is_paused(&contests));
        for value in [7, 8, 9] {
            seen(&mut contests, value);
            tokio::time::advance(Duration::from_secs(599)).await;
        }
        assert!(is_paused(&contests), "it moved all the time");
        tokio::time::advance(Duration::from_secs(1)).await;
        seen(&mut contests, 9);
        assert!(!is_paused(&contests));
        wrote(&mut contests);
        contests.observe(&looked_at, &[], &LIMITS);
        assert!(is_paused(&contests), "it is on trial");
        tokio::time::advance(LIMITS.quiet).await;
        contests.observe(&looked_at, &[], &LIMITS);
        assert!(!is_paused(&contests), "the other party gave way");
        wrote(&mut contests);
        assert!(!is_paused(&contests));
    }
}

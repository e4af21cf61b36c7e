//! The differences that the log already tells of: a pass repeats none of them, however many passes find the same.

use std::collections::{HashMap, HashSet};

use super::{held::Held, report::cause};
use crate::{
    model::{Change, ResourceId},
    plain::without_request,
    plan::{Blocked, Plan},
};

/// The last log line of each object that differs or is blocked.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// By object, each sentence apart: one object may differ in what is enforced and in what is only reported.
    drift: HashMap<ResourceId, HashSet<String>>,
    blocked: HashMap<ResourceId, String>,
}

/// The lines that the log needs about a pass.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News<'p> {
    /// Differences that are new, or have other values than before.
    pub(super) drift: Vec<&'p Change>,
    /// Objects that are blocked now, or for another reason than before.
    pub(super) blocked: Vec<&'p Blocked>,
    /// Objects that differed and do not any more.
    pub(super) resolved: Vec<ResourceId>,
    /// Objects that were blocked and are not any more.
    pub(super) unblocked: Vec<ResourceId>,
}

impl Said {
    /// Notes what a pass found and returns what of it is news. `differing` are the changes that it leaves undone, and
    /// `is_known` is false for an object that it could not look at: nothing new is known of that.
    pub(super) fn news<'p>(
        &mut self,
        differing: &[&'p Change],
        plan: &'p Plan,
        held: &Held,
        is_known: impl Fn(&ResourceId) -> bool,
    ) -> News<'p> {
        let mut news = News::default();
        let blocked: HashSet<&ResourceId> = plan.blocked.iter().map(|blocked| &blocked.id).collect();
        let mut drift: HashMap<ResourceId, HashSet<String>> = HashMap::new();
        for change in differing {
            let sentence = difference(change, held);
            if !self.drift.get(&change.id).is_some_and(|said| said.contains(&sentence)) {
                news.drift.push(change);
            }
            drift.entry(change.id.clone()).or_default().insert(sentence);
        }
        for (id, sentences) in self.drift.drain() {
            if drift.contains_key(&id) {
                continue;
            }
            if blocked.contains(&id) || !is_known(&id) {
                drift.insert(id, sentences);
            } else {
                news.resolved.push(id);
            }
        }
        let mut reasons: HashMap<ResourceId, String> = HashMap::new();
        for object in &plan.blocked {
            let reason = without_request(&cause(object));
            if self.blocked.get(&object.id) != Some(&reason) {
                news.blocked.push(object);
            }
            reasons.insert(object.id.clone(), reason);
        }
        for (id, reason) in self.blocked.drain() {
            if reasons.contains_key(&id) {
                continue;
            }
            if is_known(&id) {
                news.unblocked.push(id);
            } else {
                reasons.insert(id, reason);
            }
        }
        (self.drift, self.blocked) = (drift, reasons);
        news.resolved.sort();
        news.unblocked.sort();
        news
    }
}

/// Returns a text that is the same for the same difference that is left for the same reason. It holds the whole values: what
/// a line of the log shows is cut.
fn difference(change: &Change, held: &Held) -> String {
    let fields = change.fields.iter().map(|field| field.fingerprint(&change.id));
    let before = change.before.iter().map(|field| format!("{} {:?}", field.path, field.value));
    let all: Vec<String> = fields.chain(before).collect();
    let reason = held.get(&change.id).map_or("", |hold| hold.reason.as_str());
    format!("{} {} {} {reason}", change.action.name(), change.handle, all.join("\n"))
}

#[cfg(test)]
pub(super) mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{Action, FieldChange, FieldPath},
        plan::Cause,
        source::{Origin, Sources},
    };

    fn nowhere() -> Origin {
        Origin::new(Sources::default().add("m.yaml", ""), 0..0)
    }

    fn id() -> ResourceId {
        ResourceId::new("Thing", "a")
    }

    /// Returns a change of one object.
    pub(in crate::agent) fn change(from: u32) -> Change {
        let field = FieldChange {
            path: FieldPath::field("value"),
            from: Some(json!(from)),
            to: Some(json!(1)),
            display: None,
            because: nowhere(),
        };
        Change {
            id: id(),
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

    fn unread(why: &str) -> Plan {
        let cause = Cause::Unread(why.to_owned());
        let blocked = Blocked { id: id(), target: "here".into(), origin: nowhere(), cause };
        Plan { blocked: vec![blocked], ..Plan::default() }
    }

    #[test]
    fn only_what_changes_is_news() {
        let mut said = Said::default();
        // How many of each sort are news: differences, blocked objects, and the ends of both.
        let mut check = |differing: &[Change], plan: &Plan, is_known: bool, expected: [usize; 4]| {
            let differing: Vec<&Change> = differing.iter().collect();
            let news = said.news(&differing, plan, &Held::new(), |_| is_known);
            let counts = [news.drift.len(), news.blocked.len(), news.resolved.len(), news.unblocked.len()];
            assert_eq!(counts, expected, "{news:?}");
        };
        let nothing = Plan::default();
        check(&[change(7)], &nothing, true, [1, 0, 0, 0]);
        check(&[change(7)], &nothing, true, [0, 0, 0, 0]);
        check(&[change(8)], &nothing, true, [1, 0, 0, 0]);
        // As long as it cannot be looked at, it differs as it did.
        check(&[], &nothing, false, [0, 0, 0, 0]);
        check(&[], &unread("no (request rec1)"), true, [0, 1, 0, 0]);
        check(&[], &unread("no (request rec2)"), true, [0, 0, 0, 0]);
        check(&[], &unread("gone (request rec3)"), true, [0, 1, 0, 0]);
        check(&[change(8)], &nothing, true, [0, 0, 0, 1]);
        check(&[], &nothing, true, [0, 0, 1, 0]);
        check(&[], &nothing, true, [0, 0, 0, 0]);
        check(&[change(8)], &nothing, true, [1, 0, 0, 0]);
    }
}

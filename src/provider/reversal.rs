//! Putting back what a run changed: the part that is the same for all kinds.

use serde_json::Value;

use super::{Facts, Kind};
use crate::{
    model::{Desired, Ensure, FieldChange, FieldPath, Fields, Live, policy::Policies},
    source::Located,
};

/// A document that puts a live object back as it was before a run changed it.
#[derive(Debug, Clone)]
pub struct Reversal {
    /// The document: it declares the fields that are put back.
    pub desired: Desired,
    /// True if it puts anything back.
    pub is_needed: bool,
    /// The fields that are left as they are, each with the reason.
    pub left: Vec<(FieldPath, String)>,
}

impl Reversal {
    /// Returns the reversal of nothing.
    pub fn none(desired: &Desired) -> Self {
        let policies = Policies::default();
        let desired = Desired { ensure: Ensure::Existing, fields: Fields::new(), policies, ..desired.clone() };
        Self { desired, is_needed: false, left: Vec::new() }
    }

    /// Notes that a field is left, because it has another value than the run wrote.
    pub fn leave_overtaken(&mut self, change: &FieldChange, now: Option<&Value>) {
        let shown = now.map_or_else(|| "gone".to_owned(), Value::to_string);
        self.left.push((change.path.clone(), format!("it was changed since: it is {shown}")));
    }
}

/// Returns the id to declare again for a field that holds one, compared as it is stored: what documents call it by is
/// known to no comparison. `None` where nothing is to be put back.
pub fn id(reversal: &mut Reversal, change: &FieldChange, now: &Value) -> Option<Value> {
    let before = change.from.clone().unwrap_or_default();
    if *now == before {
        return None;
    }
    if change.to.as_ref() != Some(now) {
        reversal.leave_overtaken(change, Some(now));
        return None;
    }
    reversal.is_needed = true;
    Some(before)
}

/// Returns the reversal of fields that are compared one by one, each by its path.
pub fn fields<'c, K: Kind + ?Sized>(
    kind: &K,
    desired: &Desired,
    live: &Live,
    changes: impl IntoIterator<Item = &'c FieldChange>,
    facts: &Facts,
) -> Reversal {
    let mut reversal = Reversal::none(desired);
    for change in changes {
        let declared = |stored: &Option<Value>| {
            let stored = stored.as_ref().unwrap_or(&Value::Null);
            Located::new(kind.declared(desired, &change.path, stored, facts), change.because.clone())
        };
        // The values that people declare are compared as in any plan: order, blanks and forms may differ.
        let differs = |stored: &Option<Value>| {
            let mut probe = Reversal::none(desired).desired;
            probe.fields.insert(change.path.clone(), declared(stored));
            match kind.compare(&probe, Some(live), facts) {
                Ok(changes) => Ok(changes.iter().any(|found| found.path == change.path)),
                Err(problems) => Err(problems.first().map(|problem| problem.message.clone()).unwrap_or_default()),
            }
        };
        let now = kind.live_value(live, &change.path);
        let is_now = |stored: &Option<Value>| {
            now.as_ref() == Some(stored.as_ref().unwrap_or(&Value::Null)) || differs(stored) == Ok(false)
        };
        if is_now(&change.from) {
            continue;
        }
        if !is_now(&change.to) {
            reversal.leave_overtaken(change, now.as_ref());
            continue;
        }
        match differs(&change.from) {
            Ok(_) => {
                reversal.desired.fields.insert(change.path.clone(), declared(&change.from));
                reversal.is_needed = true;
            }
            Err(why) => reversal.left.push((change.path.clone(), format!("it cannot be put back: {why}"))),
        }
    }
    reversal
}

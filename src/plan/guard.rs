//! Limits on what one run may change: a mistake in a manifest must not empty a platform.
//!
//! They hold for each kind and target apart. What a document spells out with `ensure: absent` is a change like any
//! other; what goes only because no document declares it (`mode: exact`, pruning) counts against the limit on deletes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::Plan;
use crate::model::Action;

/// A number of objects, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// So many objects.
    Count(usize),
    /// So many of a hundred.
    Percent(f64),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a number nor a share such as 30%");
        match text.strip_suffix('%') {
            Some(share) => {
                let share: f64 = share.trim().parse().map_err(|_| wrong())?;
                if (0.0..=100.0).contains(&share) { Ok(Self::Percent(share)) } else { Err(wrong()) }
            }
            None => text.parse().map(Self::Count).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

/// Limits on one kind.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// On changes. A share counts updates and deletes among what is live, a number counts creates too.
    pub changes: Option<Limit>,
    /// On deletes that no document spells out.
    pub deletes: Option<Limit>,
    /// The number of objects from which on a share of changes counts.
    pub min_objects: Option<usize>,
}

/// The number of objects from which on shares count, where nothing else is said.
const MIN_OBJECTS: usize = 10;

/// Limits on all kinds, and those on single ones that win over them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Safety {
    /// On every kind.
    pub all: Limits,
    /// On kinds by their names.
    pub kinds: BTreeMap<String, Limits>,
}

impl Safety {
    /// Returns the limits on a kind; without any word no delete may go unspelled.
    pub fn of(&self, kind: &str) -> Limits {
        let own = self.kinds.get(kind).copied().unwrap_or_default();
        Limits {
            changes: own.changes.or(self.all.changes),
            deletes: own.deletes.or(self.all.deletes).or(Some(Limit::Count(0))),
            min_objects: own.min_objects.or(self.all.min_objects),
        }
    }
}

/// A limit that a plan exceeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Excess {
    /// The kind.
    pub kind: &'static str,
    /// The target.
    pub target: Arc<str>,
    /// `changes` or `deletes`.
    pub what: &'static str,
    /// How many there are.
    pub count: usize,
    /// Among how many.
    pub among: usize,
    /// How many there may be.
    pub limit: Limit,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, target, what, count, among, limit } = self;
        let unasked = if *what == "deletes" { " that no document spells out" } else { "" };
        write!(f, "{what}{unasked} on {target}: {count} of {among} {kind}, over the limit of {limit}")
    }
}

/// Returns the limits that a plan exceeds. Reaching one is fine.
pub fn excesses(plan: &Plan, safety: &Safety) -> Vec<Excess> {
    let mut excesses = Vec::new();
    let groups: BTreeSet<_> = plan.changes.iter().map(|one| (one.target.clone(), one.id.kind)).collect();
    for (target, kind) in groups {
        let changes = || plan.changes.iter().filter(|one| one.target == target && one.id.kind == kind);
        let unasked = changes().filter(|one| one.unasked).count();
        let among = plan.live.get(&(target.clone(), kind)).copied().unwrap_or_default() + unasked;
        let limits = safety.of(kind);
        let mut check = |what: &'static str, count: usize, limit: Option<Limit>| {
            if let Some(limit) = limit.filter(|limit| exceeds(count, among, *limit)) {
                excesses.push(Excess { kind, target: target.clone(), what, count, among, limit });
            }
        };
        let share = matches!(limits.changes, Some(Limit::Percent(_)));
        let counted = changes().filter(|one| !share || one.action != Action::Create).count();
        let few = share && among < limits.min_objects.unwrap_or(MIN_OBJECTS);
        check("changes", counted, limits.changes.filter(|_| !few));
        check("deletes", unasked, limits.deletes);
    }
    excesses
}

#[expect(clippy::cast_precision_loss, reason = "numbers of objects are far below 2^52")]
fn exceeds(count: usize, among: usize, limit: Limit) -> bool {
    match limit {
        Limit::Count(most) => count > most,
        Limit::Percent(share) => count as f64 * 100.0 > share * among as f64,
    }
}

/// Returns what acknowledges a plan, and no other one: a digest of its effects.
pub fn acknowledgement(plan: &Plan) -> String {
    let mut hasher = Sha256::new();
    for change in &plan.changes {
        let fields: Vec<_> = change.fields.iter().map(|field| json!([field.path, field.from, field.to])).collect();
        let effect =
            json!([change.id.to_string(), *change.target, change.action.name(), change.handle, change.label, fields]);
        hasher.update(effect.to_string());
        hasher.update([0]);
    }
    for call in &plan.calls {
        hasher.update(json!([call.request.operation, *call.target, call.request.arguments]).to_string());
        hasher.update([0]);
    }
    let digest = hasher.finalize();
    let digest = digest.iter().take(12).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("changes:{},deletes:{}@{digest}", plan.changes.len(), plan.count(Action::Delete))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaching_a_limit_is_fine() {
        let check = |count: usize, among: usize, limit: &str, expected: bool| {
            assert_eq!(exceeds(count, among, limit.parse().expect("a limit")), expected, "{count} of {among}, {limit}");
        };
        check(0, 0, "0", false);
        check(1, 9, "0", true);
        check(3, 10, "30%", false);
        check(4, 10, "30%", true);
        check(0, 0, "0%", false);
        assert!("x".parse::<Limit>().is_err() && "101%".parse::<Limit>().is_err() && "-1".parse::<Limit>().is_err());
    }
}

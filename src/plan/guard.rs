//! Limits on what one run may change: a mistake in a manifest must not empty a platform.
//!
//! They hold for each kind and target apart. A deletion that a document declares with `ensure: absent` is a change like
//! any other; an implicit deletion (`mode: exact`, pruning) counts against the limit on deletes. The impact of all
//! changes of a kind on a target counts against the limits on units, such as `hosts`; an unknown impact passes none of
//! them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{ImpactTotal, Plan};
use crate::model::{Action, Change};

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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// On changes. A share counts updates and deletes among what is live, a number counts creates too.
    pub changes: Option<Limit>,
    /// On deletes that no document spells out.
    pub deletes: Option<Limit>,
    /// The number of objects from which on a share of changes counts.
    pub min_objects: Option<usize>,
    /// Limits on the impact of the changes, by units.
    pub max_impact: BTreeMap<String, u64>,
}

/// The share of changes that passes where nothing else is said.
const SHARE: Limit = Limit::Percent(30.0);

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
    /// Returns the limits on a kind. Without any word 30% of the live objects may change, and no delete may go
    /// unspelled.
    pub fn of(&self, kind: &str) -> Limits {
        let own = self.kinds.get(kind).cloned().unwrap_or_default();
        let mut max = self.all.max_impact.clone();
        max.extend(own.max_impact);
        Limits {
            changes: own.changes.or(self.all.changes).or(Some(SHARE)),
            deletes: own.deletes.or(self.all.deletes).or(Some(Limit::Count(0))),
            min_objects: own.min_objects.or(self.all.min_objects),
            max_impact: max,
        }
    }

    /// Returns true if there are limits on impact, so that it has to be read.
    pub fn needs_impact(&self) -> bool {
        std::iter::once(&self.all).chain(self.kinds.values()).any(|limits| !limits.max_impact.is_empty())
    }
}

/// A limit that a plan exceeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Excess {
    /// The kind.
    pub kind: &'static str,
    /// The target.
    pub target: Arc<str>,
    /// `changes`, `deletes`, or the noun of what hangs below the changes.
    pub what: &'static str,
    /// How many there are; `None` if that is unknown.
    pub count: Option<u64>,
    /// The number of objects that a share counts among; `None` for impact.
    pub among: Option<usize>,
    /// How many there may be.
    pub limit: Limit,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, target, what, count, among, limit } = self;
        let implicit = if *what == "deletes" { "implicit " } else { "" };
        match (count, among) {
            (Some(count), Some(among)) => {
                write!(f, "{implicit}{what} on {target}: {count} of {among} {kind}, over the limit of {limit}")
            }
            (Some(count), None) => {
                write!(f, "{what} affected by the changes of {kind} on {target}: {count}, over the limit of {limit}")
            }
            (None, _) => {
                write!(f, "{what} affected by the changes of {kind} on {target}: unknown, and so not within {limit}")
            }
        }
    }
}

impl Excess {
    /// Returns the least whole share that would let it pass.
    fn share(&self) -> Option<Limit> {
        let (count, among) = (usize::try_from(self.count?).ok()?, self.among?.max(1));
        let share = (count * 100).div_ceil(among).min(100);
        Some(Limit::Percent(f64::from(u8::try_from(share).ok()?)))
    }

    /// Returns the flag that would let it pass and its value; `None` if no limit does.
    fn remedy(&self) -> Option<(String, Limit)> {
        let count = Limit::Count(usize::try_from(self.count?).ok()?);
        Some(match self.what {
            "changes" if matches!(self.limit, Limit::Percent(_)) => ("--max-changes ".into(), self.share()?),
            "changes" => ("--max-changes ".into(), count),
            "deletes" => ("--max-deletes ".into(), count),
            unit => (format!("--max-impact {unit}="), count),
        })
    }
}

/// Returns the flags that would let a plan pass that exceeds limits; `None` if no flag does.
pub fn remedies(excesses: &[Excess]) -> Vec<String> {
    let Some(remedies) = excesses.iter().map(Excess::remedy).collect::<Option<Vec<_>>>() else { return Vec::new() };
    let mut widest: BTreeMap<String, Limit> = BTreeMap::new();
    for (flag, limit) in remedies {
        let wider = match (widest.get(&flag), limit) {
            (Some(Limit::Percent(share)), Limit::Percent(other)) => Limit::Percent(other.max(*share)),
            (Some(share @ Limit::Percent(_)), _) => *share,
            (Some(Limit::Count(number)), Limit::Count(other)) => Limit::Count(other.max(*number)),
            (_, limit) => limit,
        };
        widest.insert(flag, wider);
    }
    widest.into_iter().map(|(flag, limit)| format!("{flag}{limit}")).collect()
}

/// Returns the limits that a plan exceeds. Reaching one is fine.
pub fn excesses(plan: &Plan, safety: &Safety) -> Vec<Excess> {
    let mut excesses = Vec::new();
    let groups: BTreeSet<_> = plan.changes.iter().map(|change| (change.target.clone(), change.id.kind)).collect();
    for (target, kind) in groups {
        let changes = || plan.changes.iter().filter(|change| change.target == target && change.id.kind == kind);
        let implicit = changes().filter(|change| change.implicit).count();
        let among = plan.live.get(&(target.clone(), kind)).copied().unwrap_or_default() + implicit;
        let limits = safety.of(kind);
        let excess = |what, count, among, limit| Excess { kind, target: target.clone(), what, count, among, limit };
        let mut check = |what: &'static str, count: usize, limit: Option<Limit>| {
            if let Some(limit) = limit.filter(|limit| exceeds(count, among, *limit)) {
                excesses.push(excess(what, Some(count as u64), Some(among), limit));
            }
        };
        let share = matches!(limits.changes, Some(Limit::Percent(_)));
        // A sync changes no object that a document declares: limits on impact count what feels it.
        let is_counted = |change: &&Change| match change.action {
            Action::Create => !share,
            Action::Update | Action::Delete => true,
            Action::Sync => false,
        };
        let counted = changes().filter(is_counted).count();
        let few = share && among < limits.min_objects.unwrap_or(MIN_OBJECTS);
        check("changes", counted, limits.changes.filter(|_| !few));
        check("deletes", implicit, limits.deletes);
        for ImpactTotal { unit, count, .. } in
            plan.impact.iter().filter(|total| total.target == target && total.kind == kind)
        {
            // What nobody looked at is unknown too.
            if let Some(limit) = limits.max_impact.get(*unit)
                && count.is_none_or(|count| count > *limit)
            {
                let limit = Limit::Count(usize::try_from(*limit).unwrap_or(usize::MAX));
                excesses.push(excess(unit, *count, None, limit));
            }
        }
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

/// Returns the acknowledgement of a plan that exceeds limits: a digest of its effects that fits no other plan. The
/// effects are its changes with their targets, handles, and values before and after, its calls with their arguments,
/// and the impact where that is over a limit. Source files and positions are not part of the digest.
pub fn acknowledgement(plan: &Plan, excesses: &[Excess]) -> String {
    let mut hasher = Sha256::new();
    let mut take = |effect: Value| {
        hasher.update(effect.to_string());
        hasher.update([0]);
    };
    for change in &plan.changes {
        let mut fields: Vec<_> = change.fields.iter().collect();
        fields.sort_by(|field, other| field.path.cmp(&other.path));
        let fields: Vec<_> = fields.iter().map(|field| json!([field.path.as_str(), field.from, field.to])).collect();
        let id = change.id.to_string();
        take(json!([id, *change.target, change.action.name(), change.implicit, change.handle, fields]));
    }
    for call in &plan.calls {
        take(json!([call.request.operation, *call.target, call.request.arguments]));
    }
    for excess in excesses.iter().filter(|excess| excess.among.is_none()) {
        take(json!(["impact", excess.kind, *excess.target, excess.what, excess.count]));
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

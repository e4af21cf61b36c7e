//! The things that feel a change of an object.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::ResourceId;

/// Things of one noun. Each is there once, by a name that tells it from others of its target; things of which only the
/// number is known stand under the name of what holds them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImpactSet(BTreeMap<String, u64>);

impl ImpactSet {
    /// Adds one thing.
    pub fn add(&mut self, name: String) {
        self.0.insert(name, 1);
    }

    /// Adds all that something holds, known by their number alone.
    pub fn add_all_of(&mut self, holder: String, count: u64) {
        self.0.insert(holder, count);
    }

    /// Adds what is among others.
    pub fn join(&mut self, others: &Self) {
        self.0.extend(others.0.iter().map(|(name, count)| (name.clone(), *count)));
    }

    /// Returns how many there are. Of things known by their number alone some may be counted more than once.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }
}

/// The impact of a kind's changes.
#[derive(Debug, Default)]
pub struct Impact {
    told: BTreeMap<ResourceId, BTreeMap<&'static str, Option<Arc<ImpactSet>>>>,
}

impl Impact {
    /// Notes that a change has no impact in a unit.
    pub fn set_none(&mut self, id: &ResourceId, unit: &'static str) {
        self.note(id, unit, Some(Arc::default()));
    }

    /// Notes the impact of a change in a unit; `None` if that is unknown.
    pub fn note(&mut self, id: &ResourceId, unit: &'static str, things: Option<Arc<ImpactSet>>) {
        self.told.entry(id.clone()).or_default().insert(unit, things);
    }

    /// Returns the number of things below each object by their nouns; `None` if it is unknown.
    pub fn counts(&self) -> impl Iterator<Item = (&ResourceId, BTreeMap<&'static str, Option<u64>>)> {
        let count = |things: &Option<Arc<ImpactSet>>| things.as_ref().map(|things| things.count());
        self.told.iter().map(move |(id, impact_units)| {
            (id, impact_units.iter().map(|(unit, impact_unit)| (*unit, count(impact_unit))).collect())
        })
    }

    /// Returns the impact of all these objects in a unit, where things that several share count once; `None` if it is
    /// unknown for one of them, or for a live one of which nothing was noted.
    pub fn total<'i>(&self, unit: &str, live: impl IntoIterator<Item = &'i ResourceId>) -> Option<u64> {
        if !live.into_iter().all(|id| self.told.get(id).is_some_and(|impact_units| impact_units.contains_key(unit))) {
            return None;
        }
        let mut all = ImpactSet::default();
        let mut seen: Option<&Arc<ImpactSet>> = None;
        for things in self.told.values().filter_map(|impact_units| impact_units.get(unit)) {
            let things = things.as_ref()?;
            // Objects of one place share all of it.
            if !seen.is_some_and(|last| Arc::ptr_eq(last, things)) {
                all.join(things);
            }
            seen = Some(things);
        }
        Some(all.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_share_counts_once() {
        let id = |key: &str| ResourceId::new("K", key);
        let things = |names: &[&str], of: &[(&str, u64)]| {
            let mut things = ImpactSet::default();
            names.iter().for_each(|name| things.add((*name).to_owned()));
            of.iter().for_each(|(holder, count)| things.add_all_of((*holder).to_owned(), *count));
            Some(Arc::new(things))
        };
        let mut impact = Impact::default();
        impact.note(&id("a"), "hosts", things(&["1", "2"], &[]));
        impact.note(&id("b"), "hosts", things(&["2", "3"], &[]));
        impact.note(&id("c"), "hosts", things(&[], &[("module 1", 340)]));
        impact.note(&id("d"), "hosts", things(&[], &[("module 1", 340), ("module 2", 1)]));
        assert_eq!(impact.total("hosts", []), Some(344));
        assert_eq!(impact.total("hosts", &["a", "b", "c", "d"].map(id)), Some(344));
        assert_eq!(impact.total("modules", []), Some(0));
        // Silence is no zero.
        assert_eq!(impact.total("hosts", &[id("e")]), None);
        assert_eq!(impact.total("modules", &[id("a")]), None);
        impact.note(&id("d"), "modules", things(&["1"], &[]));
        impact.note(&id("e"), "modules", None);
        assert_eq!(impact.total("modules", []), None);
        let counts: Vec<_> = impact.counts().map(|(id, counts)| format!("{id} {counts:?}")).collect();
        assert_eq!(
            counts,
            [
                r#"K/a {"hosts": Some(2)}"#,
                r#"K/b {"hosts": Some(2)}"#,
                r#"K/c {"hosts": Some(340)}"#,
                r#"K/d {"hosts": Some(341), "modules": Some(1)}"#,
                r#"K/e {"modules": None}"#
            ]
        );
    }
}

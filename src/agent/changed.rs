//! Which objects a save changed: only they, and those that refer to them, have to be looked at at once. Everything is
//! looked at from time to time anyway.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    model::{Desired, Json, ResourceId, SharedMap},
    source::Located,
};

/// The differences between two versions of the manifests.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The objects to look at, with their targets: those that are declared otherwise than before or refer to one that is,
    /// and those of which everything has to be known because something is declared no longer.
    pub(super) touched: HashMap<ResourceId, Arc<str>>,
    /// The objects that were declared otherwise, or are declared no longer.
    pub(super) before: Vec<Arc<Desired>>,
    /// The objects that are declared otherwise now, or for the first time.
    pub(super) after: Vec<Arc<Desired>>,
}

impl Changes {
    /// Returns the objects that are declared no longer.
    pub(super) fn gone(&self) -> impl Iterator<Item = &Arc<Desired>> {
        let now: HashSet<&ResourceId> = self.after.iter().map(|object| &object.id).collect();
        self.before.iter().filter(move |object| !now.contains(&object.id))
    }

    /// Returns true if the same objects are declared as before, found in the same way, and nothing but their fields and
    /// what is done about them differs.
    pub(super) fn are_of_fields(&self) -> bool {
        let now: HashMap<&ResourceId, &Arc<Desired>> = self.after.iter().map(|object| (&object.id, object)).collect();
        let is_found_alike = |old: &Arc<Desired>| {
            now.get(&old.id).is_some_and(|new| is_found_alike(old, new) && old.target == new.target)
        };
        self.before.len() == self.after.len() && self.before.iter().all(is_found_alike)
    }
}

/// Returns how many objects at the start and at the end of two versions are the same ones, not read anew.
pub(super) fn unchanged(before: &[Arc<Desired>], now: &[Arc<Desired>]) -> (usize, usize) {
    let is_same_one = |(one, other): &(&Arc<Desired>, &Arc<Desired>)| Arc::ptr_eq(one, other);
    let start = before.iter().zip(now).take_while(is_same_one).count();
    let end = before[start..].iter().rev().zip(now[start..].iter().rev()).take_while(is_same_one).count();
    (start, end)
}

/// Returns what differs between two versions. Objects that were not read anew are the same ones in both, which costs no
/// look at them.
pub(super) fn changes(before: &[Arc<Desired>], now: &[Arc<Desired>]) -> Changes {
    let (start, end) = unchanged(before, now);
    let (old, new) = (&before[start..before.len() - end], &now[start..now.len() - end]);
    let by_id: HashMap<&ResourceId, &Arc<Desired>> = old.iter().map(|object| (&object.id, object)).collect();
    let is_other = |object: &&Arc<Desired>| {
        by_id.get(&object.id).is_none_or(|old| !Arc::ptr_eq(old, object) && !is_same(old, object))
    };
    let after: Vec<Arc<Desired>> = new.iter().filter(is_other).cloned().collect();
    let changed: HashSet<&ResourceId> = after.iter().map(|object| &object.id).collect();
    let left: HashSet<&ResourceId> = new.iter().map(|object| &object.id).collect();
    let is_gone = |object: &&Arc<Desired>| !left.contains(&object.id);
    let gone: HashSet<(&str, &Arc<str>)> =
        old.iter().filter(is_gone).map(|object| (object.id.kind, &object.target)).collect();
    // An object that is declared no longer may go where a document says that nothing else is to be.
    let is_touched = |object: &&Arc<Desired>| {
        object.references.iter().any(|to| changed.contains(&to.to))
            || (object.exclusive && gone.contains(&(object.id.kind, &object.target)))
    };
    let touched = after.iter().chain(now.iter().filter(is_touched));
    Changes {
        touched: touched.map(|object| (object.id.clone(), object.target.clone())).collect(),
        before: old.iter().filter(|object| is_gone(object) || changed.contains(&object.id)).cloned().collect(),
        after,
    }
}

fn values<K>(map: &SharedMap<K, Located<Json>>) -> impl Iterator<Item = (&K, &Json)> {
    map.iter().map(|(key, located)| (key, &located.value))
}

/// Returns true if two documents mean the same object and refer to the same ones.
fn is_found_alike(one: &Desired, other: &Desired) -> bool {
    values(&one.locator).eq(values(&other.locator))
        && one.references.iter().map(|to| &to.to).eq(other.references.iter().map(|to| &to.to))
}

/// Returns true if two documents declare the same, wherever they stand.
fn is_same(one: &Desired, other: &Desired) -> bool {
    one.target == other.target
        && one.ensure == other.ensure
        && one.protect == other.protect
        && one.exclusive == other.exclusive
        && one.policies == other.policies
        && one.suspended == other.suspended
        && one.labels == other.labels
        && values(&one.fields).eq(values(&other.fields))
        && is_found_alike(one, other)
}

//! Which objects a save changed: only they, and those that refer to them, have to be looked at at once. Everything is
//! looked at from time to time anyway.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{
    model::{Desired, Json, ResourceId, SharedMap},
    source::{Located, Sources},
};

/// The objects of one version of the manifests, with the texts that they were read from.
pub(super) type Version<'a> = (&'a [Desired], &'a Sources);

/// Returns the objects that are declared otherwise than before or refer to one that is, and those of which everything
/// has to be known because something is declared no longer.
pub(super) fn changed(before: Version<'_>, now: Version<'_>) -> HashSet<ResourceId> {
    let (before, was) = before;
    let (now, is) = now;
    let texts: HashMap<&Arc<str>, &Arc<str>> = was.files().map(|file| (was.path(file), was.text(file))).collect();
    let edited: HashSet<_> = is.files().filter(|file| texts.get(is.path(*file)) != Some(&is.text(*file))).collect();
    let old: HashMap<&ResourceId, &Desired> = before.iter().map(|object| (&object.id, object)).collect();
    let is_other = |object: &&Desired| match old.get(&object.id) {
        Some(old) => edited.contains(&object.origin.file) && !is_same(old, object),
        None => true,
    };
    let mut changed: HashSet<ResourceId> = now.iter().filter(is_other).map(|object| object.id.clone()).collect();
    let referring = now.iter().filter(|object| object.references.iter().any(|to| changed.contains(&to.to)));
    let referring: Vec<ResourceId> = referring.map(|object| object.id.clone()).collect();
    changed.extend(referring);
    // An object that is declared no longer may go where a document says that nothing else is to be.
    let declared: HashSet<&ResourceId> = now.iter().map(|object| &object.id).collect();
    let gone = before.iter().filter(|object| !declared.contains(&object.id));
    let gone: HashSet<(&str, &Arc<str>)> = gone.map(|object| (object.id.kind, &object.target)).collect();
    let exclusive = now.iter().filter(|object| object.exclusive && gone.contains(&(object.id.kind, &object.target)));
    changed.extend(exclusive.map(|object| object.id.clone()));
    changed
}

/// Returns true if two documents declare the same, wherever they stand.
fn is_same(one: &Desired, other: &Desired) -> bool {
    fn values<K>(map: &SharedMap<K, Located<Json>>) -> impl Iterator<Item = (&K, &Json)> {
        map.iter().map(|(key, located)| (key, &located.value))
    }
    one.target == other.target
        && one.ensure == other.ensure
        && one.protect == other.protect
        && one.exclusive == other.exclusive
        && one.policies == other.policies
        && one.suspended == other.suspended
        && one.labels == other.labels
        && values(&one.locator).eq(values(&other.locator))
        && values(&one.fields).eq(values(&other.fields))
        && one.references.iter().map(|to| &to.to).eq(other.references.iter().map(|to| &to.to))
}

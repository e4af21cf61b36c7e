//! Which documents share something, and which refer to none.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::Hash,
    sync::Arc,
};

use crate::{
    manifest::{check::Declared, decode::Decoded},
    model::ResourceId,
    source::FileId,
};

/// A document of a file, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) file: FileId,
    pub(super) document: usize,
}

/// The documents by all that two of them can share.
#[derive(Debug, Default)]
pub(super) struct Index {
    names: Groups<ResourceId>,
    addresses: Groups<ResourceId>,
    locators: Groups<(&'static str, Arc<str>, Arc<str>)>,
    /// The documents that refer to a name.
    referring: Groups<ResourceId>,
    /// Names that documents refer to, and that none has.
    missing: HashSet<ResourceId>,
}

impl Index {
    /// Adds a document.
    pub(super) fn add(&mut self, place: Place, document: &Decoded) {
        self.each(document, |index, change| match change {
            Shared::Name(id) => index.names.add(id, place),
            Shared::Address(id) => index.addresses.add(id, place),
            Shared::Locator(locator) => index.locators.add(locator, place),
            Shared::Reference(to) => index.referring.add(to, place),
        });
    }

    /// Removes a document.
    pub(super) fn remove(&mut self, place: Place, document: &Decoded) {
        self.each(document, |index, change| match change {
            Shared::Name(id) => index.names.remove(&id, place),
            Shared::Address(id) => index.addresses.remove(&id, place),
            Shared::Locator(locator) => index.locators.remove(&locator, place),
            Shared::Reference(to) => index.referring.remove(&to, place),
        });
    }

    /// Returns the documents that have to be checked together, in their order.
    pub(super) fn together(&self) -> BTreeSet<Place> {
        let shared = self.names.shared().chain(self.addresses.shared()).chain(self.locators.shared());
        let referring = self.missing.iter().flat_map(|id| self.referring.of(id));
        shared.chain(referring).copied().collect()
    }

    fn each(&mut self, document: &Decoded, mut apply: impl FnMut(&mut Self, Shared)) {
        let mut touched: HashSet<ResourceId> = HashSet::new();
        if let Some((id, _)) = &document.id {
            apply(self, Shared::Name(id.clone()));
            touched.insert(id.clone());
        }
        for object in document.objects.iter().filter(|_| document.sound) {
            let desired = &object.desired;
            apply(self, Shared::Address(desired.id.clone()));
            if desired.id.part.is_some() {
                touched.insert(desired.id.clone());
            }
            if let Some(locator) = &object.locator {
                apply(self, Shared::Locator((desired.id.kind, desired.target.clone(), locator.clone())));
            }
            for reference in &desired.references {
                apply(self, Shared::Reference(reference.to.clone()));
                touched.insert(reference.to.clone());
            }
        }
        for id in touched {
            if self.has(&id) || self.referring.of(&id).next().is_none() {
                self.missing.remove(&id);
            } else {
                self.missing.insert(id);
            }
        }
    }
}

impl Declared for Index {
    fn has(&self, id: &ResourceId) -> bool {
        self.names.of(id).next().is_some() || (id.part.is_some() && self.addresses.of(id).next().is_some())
    }

    fn names(&self) -> Box<dyn Iterator<Item = &ResourceId> + '_> {
        Box::new(self.names.members.keys())
    }
}

/// Something of a document that another one can have too.
enum Shared {
    Name(ResourceId),
    Address(ResourceId),
    Locator((&'static str, Arc<str>, Arc<str>)),
    Reference(ResourceId),
}

/// Documents by a key.
#[derive(Debug)]
struct Groups<K> {
    members: HashMap<K, Vec<Place>>,
    /// Keys that several documents have, or one document twice.
    crowded: HashSet<K>,
}

impl<K> Default for Groups<K> {
    fn default() -> Self {
        Self { members: HashMap::new(), crowded: HashSet::new() }
    }
}

impl<K: Hash + Eq + Clone> Groups<K> {
    fn add(&mut self, key: K, place: Place) {
        let members = self.members.entry(key.clone()).or_default();
        members.push(place);
        if members.len() > 1 {
            self.crowded.insert(key);
        }
    }

    fn remove(&mut self, key: &K, place: Place) {
        let Some(members) = self.members.get_mut(key) else { return };
        if let Some(at) = members.iter().position(|member| *member == place) {
            members.swap_remove(at);
        }
        let left = members.len();
        if left <= 1 {
            self.crowded.remove(key);
        }
        if left == 0 {
            self.members.remove(key);
        }
    }

    /// Returns the documents of a key.
    fn of(&self, key: &K) -> impl Iterator<Item = &Place> {
        self.members.get(key).into_iter().flatten()
    }

    /// Returns the documents of all keys that are there more than once.
    fn shared(&self) -> impl Iterator<Item = &Place> {
        self.crowded.iter().flat_map(|key| self.of(key))
    }
}

//! Sorted maps that share their keys: many objects have the same fields, and there are many objects.

use std::{borrow::Borrow, collections::HashSet, fmt, hash::Hash, iter::Zip, ops::Index, slice, sync::Arc};

use foldhash::fast::RandomState;

/// A map in the order of its keys, as two lists. Maps with the same keys can share the list of these; a map that is
/// changed gets a list of its own.
#[derive(Clone)]
pub struct SharedMap<K, V> {
    /// `None` for a new map, which then takes no memory.
    keys: Option<Arc<Vec<K>>>,
    values: Vec<V>,
}

impl<K: PartialEq, V: PartialEq> PartialEq for SharedMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values && self.keys().as_slice() == other.keys().as_slice()
    }
}

impl<K: Eq, V: Eq> Eq for SharedMap<K, V> {}

impl<K, V> SharedMap<K, V> {
    /// Returns an empty map.
    pub const fn new() -> Self {
        Self { keys: None, values: Vec::new() }
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns true if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the keys in their order.
    pub fn keys(&self) -> slice::Iter<'_, K> {
        self.keys.as_deref().map(Vec::as_slice).unwrap_or_default().iter()
    }

    /// Returns the values in the order of their keys.
    pub fn values(&self) -> slice::Iter<'_, V> {
        self.values.iter()
    }

    /// Returns the entries in the order of their keys.
    pub fn iter(&self) -> Zip<slice::Iter<'_, K>, slice::Iter<'_, V>> {
        self.keys().zip(self.values())
    }

    /// Returns the entries in the order of their keys, with values that can be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let keys = self.keys.as_deref().map(Vec::as_slice).unwrap_or_default();
        keys.iter().zip(&mut self.values)
    }
}

impl<K: Ord + Clone, V> SharedMap<K, V> {
    /// Returns an empty map with room for so many entries.
    pub fn with_capacity(entries: usize) -> Self {
        let keys = (entries > 0).then(|| Arc::new(Vec::with_capacity(entries)));
        Self { keys, values: Vec::with_capacity(entries) }
    }

    fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        let keys = self.keys.as_deref().map(Vec::as_slice).unwrap_or_default();
        keys.binary_search_by(|known| known.borrow().cmp(key))
    }

    /// Returns the value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.position(key).ok().map(|at| &self.values[at])
    }

    /// Returns true if there is an entry of a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.position(key).is_ok()
    }

    /// Sets the value of a key. Returns the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.position(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.values[at], value)),
            Err(at) => {
                Arc::make_mut(self.keys.get_or_insert_default()).insert(at, key);
                self.values.insert(at, value);
                None
            }
        }
    }

    /// Removes the entry of a key. Returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.position(key).ok()?;
        Arc::make_mut(self.keys.get_or_insert_default()).remove(at);
        Some(self.values.remove(at))
    }

    /// Keeps the entries for which `is_kept` returns true.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&K, &V) -> bool) {
        let kept: Vec<bool> = self.iter().map(|(key, value)| is_kept(key, value)).collect();
        if kept.iter().all(|kept| *kept) {
            return;
        }
        let mut of_keys = kept.iter();
        let keys = self.keys().zip(&kept).filter(|(_, kept)| **kept).map(|(key, _)| key.clone()).collect();
        self.keys = Some(Arc::new(keys));
        self.values.retain(|_| of_keys.next().is_some_and(|kept| *kept));
    }
}

impl<K: Ord + Clone + Hash, V> SharedMap<K, V> {
    /// Shares the keys with other maps that were given the same `known` keys, and gives back spare memory.
    pub fn share(&mut self, known: &mut SharedKeys<K>) {
        self.values.shrink_to_fit();
        if let Some(keys) = &mut self.keys {
            known.share(keys);
        }
    }
}

/// Lists of keys that maps have in common.
#[derive(Debug)]
pub struct SharedKeys<K> {
    lists: HashSet<Arc<Vec<K>>, RandomState>,
    keys: HashSet<K, RandomState>,
}

impl<K> Default for SharedKeys<K> {
    fn default() -> Self {
        Self { lists: HashSet::default(), keys: HashSet::default() }
    }
}

impl<K: Clone + Eq + Hash> SharedKeys<K> {
    /// Puts the known list with the same keys in place of a list.
    fn share(&mut self, keys: &mut Arc<Vec<K>>) {
        if let Some(known) = self.lists.get(&**keys) {
            *keys = known.clone();
            return;
        }
        // Other lists may have some of these keys.
        let own = keys.iter().map(|key| {
            if let Some(known) = self.keys.get(key) {
                return known.clone();
            }
            self.keys.insert(key.clone());
            key.clone()
        });
        *keys = Arc::new(own.collect());
        self.lists.insert(keys.clone());
    }
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SharedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Clone, V> Extend<(K, V)> for SharedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(key, value)| drop(self.insert(key, value)));
    }
}

impl<K: Ord + Clone, V> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<'m, K, V> IntoIterator for &'m SharedMap<K, V> {
    type Item = (&'m K, &'m V);
    type IntoIter = Zip<slice::Iter<'m, K>, slice::Iter<'m, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K: Ord + Clone + Borrow<Q>, Q: Ord + ?Sized, V> Index<&Q> for SharedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is in the map")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_shared_map_behaves_like_a_tree(
            steps in prop::collection::vec((any::<bool>(), 0..12_u8, any::<u8>()), 0..40),
            odd in any::<bool>(),
        ) {
            let (mut map, mut tree) = (SharedMap::new(), BTreeMap::new());
            let mut known = SharedKeys::default();
            for (is_insert, key, value) in steps {
                // A list that others have must not change under them.
                let before = map.clone();
                let entries: Vec<(u8, u8)> = before.iter().map(|(key, value)| (*key, *value)).collect();
                if is_insert {
                    prop_assert_eq!(map.insert(key, value), tree.insert(key, value));
                } else {
                    prop_assert_eq!(map.remove(&key), tree.remove(&key));
                }
                prop_assert!(before.iter().map(|(key, value)| (*key, *value)).eq(entries));
                map.share(&mut known);
                prop_assert!(map.iter().eq(tree.iter()));
                prop_assert_eq!((map.len(), map.is_empty(), map.get(&key)), (tree.len(), tree.is_empty(), tree.get(&key)));
            }
            map.retain(|key, _| (key % 2 == 1) == odd);
            tree.retain(|key, _| (key % 2 == 1) == odd);
            prop_assert!(map.iter().eq(tree.iter()));
            prop_assert!(map.keys().all(|key| map.contains_key(key)));
        }
    }

    #[test]
    fn maps_with_the_same_keys_hold_them_once() {
        let mut known = SharedKeys::default();
        let map = |keys: [&str; 2], known: &mut SharedKeys<Arc<str>>| {
            let mut map: SharedMap<Arc<str>, u8> = keys.into_iter().map(|key| (key.into(), 0)).collect();
            map.share(known);
            map
        };
        let (one, same, other) =
            (map(["a", "b"], &mut known), map(["b", "a"], &mut known), map(["b", "c"], &mut known));
        let key =
            |map: &SharedMap<Arc<str>, u8>, at: usize| map.keys().nth(at).map(|key| Arc::as_ptr(key).cast::<u8>());
        assert!(Arc::ptr_eq(one.keys.as_ref().expect("it has keys"), same.keys.as_ref().expect("it has keys")));
        assert_eq!(key(&one, 1), key(&other, 0));
        assert_eq!(one, same);
        assert_ne!(one, other);
        assert_eq!(SharedMap::<u8, u8>::with_capacity(3), SharedMap::new());
    }
}

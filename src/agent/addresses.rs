//! Finds a few objects among many by their addresses, at the cost of eight bytes for each.

use std::{collections::HashSet, sync::Arc};

use super::changed::unchanged;
use crate::model::{Desired, ResourceId, stable_hash};

/// The hashes of the addresses of objects, in the order of these.
#[derive(Debug, Default)]
pub(super) struct Addresses(Vec<u64>);

impl Addresses {
    /// Returns the addresses of objects. Those of the version before are taken over where the objects are the same ones.
    pub(super) fn of(desired: &[Arc<Desired>], before: Option<(&[Arc<Desired>], &Self)>) -> Self {
        let (old, start, end) = match before {
            Some((objects, Self(hashes))) => {
                let (start, end) = unchanged(objects, desired);
                (&**hashes, start, end)
            }
            None => (&[][..], 0, 0),
        };
        let new = desired[start..desired.len() - end].iter().map(|object| stable_hash(&object.id));
        Self(old[..start].iter().copied().chain(new).chain(old[old.len() - end..].iter().copied()).collect())
    }

    /// Returns the numbers of the objects with some addresses, in ascending order.
    pub(super) fn find<'i>(
        &self,
        desired: &[Arc<Desired>],
        ids: impl IntoIterator<Item = &'i ResourceId>,
    ) -> Vec<usize> {
        let ids: HashSet<&ResourceId> = ids.into_iter().collect();
        let hashes: HashSet<u64, foldhash::fast::FixedState> = ids.iter().map(stable_hash).collect();
        let is_one = |(number, hash): &(usize, &u64)| hashes.contains(hash) && ids.contains(&desired[*number].id);
        if ids.is_empty() {
            Vec::new()
        } else {
            self.0.iter().enumerate().filter(is_one).map(|(number, _)| number).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Ensure,
        provider::Envelope,
        source::{Origin, Sources},
    };

    fn objects(names: &str) -> Vec<Arc<Desired>> {
        let object = |name: char| {
            let origin = Origin::new(Sources::default().add("a.yaml", ""), 0..0);
            let envelope =
                Envelope { name: name.to_string().into(), target: "here".into(), labels: Arc::default(), origin };
            Arc::new(envelope.desired("Thing", Ensure::Present))
        };
        names.chars().map(object).collect()
    }

    #[test]
    fn objects_are_found_in_each_version() {
        let ids =
            |names: &str| names.chars().map(|name| ResourceId::new("Thing", name.to_string())).collect::<Vec<_>>();
        let mut before: Option<(Vec<Arc<Desired>>, Addresses)> = None;
        // Objects of the version before stay the same ones where their names stay.
        let mut check = |names: &str, sought: &str, expected: &[usize]| {
            let old = before.take();
            let known = old.as_ref().map(|(objects, _)| objects.clone()).unwrap_or_default();
            let kept = |new: Arc<Desired>| known.iter().find(|old| old.id == new.id).cloned().unwrap_or(new);
            let now: Vec<Arc<Desired>> = objects(names).into_iter().map(kept).collect();
            let addresses = Addresses::of(&now, old.as_ref().map(|(objects, addresses)| (&**objects, addresses)));
            assert_eq!(addresses.find(&now, &ids(sought)), expected, "{names}");
            before = Some((now, addresses));
        };
        check("", "a", &[]);
        check("abc", "ca", &[0, 2]);
        check("abxc", "xcz", &[2, 3]);
        check("bxc", "abc", &[0, 2]);
        check("cxb", "b", &[2]);
        check("cxb", "", &[]);
    }
}

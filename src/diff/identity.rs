//! The assignment of live objects to documents: each document gets one, and each object is given to one.
//!
//! A document's candidates are what its old key and its new key find. A document with one candidate takes it, which may
//! leave another document with one, and so on. So chains of renames (a→b, b→c) are resolved however often they are
//! applied. A swap stays open and is left to people.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::Hash,
};

/// The result for a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned<T> {
    /// Nothing fits.
    Nothing,
    /// It means this object.
    One(T),
    /// It could mean any of these.
    Several(Vec<T>),
    /// Its object is claimed by these documents too (positions in the list given).
    Shared(Vec<usize>),
}

/// Assigns candidates to documents. The result does not depend on the order of the documents.
pub fn assign<T: Ord + Hash + Clone, C: AsRef<[T]>>(candidates: &[C]) -> Vec<Assigned<T>> {
    if let Some(assigned) = without_choice(candidates) {
        return assigned;
    }
    let original: Vec<BTreeSet<T>> = candidates.iter().map(|list| list.as_ref().iter().cloned().collect()).collect();
    let mut open = original.clone();
    let mut assigned: Vec<Option<Assigned<T>>> =
        original.iter().map(|set| set.is_empty().then_some(Assigned::Nothing)).collect();
    let mut takers: HashMap<T, Vec<usize>> = HashMap::new();
    // Documents of each object, so that taking one touches only those that could have meant it.
    let mut fits: HashMap<T, Vec<usize>> = HashMap::new();
    for (document, set) in original.iter().enumerate() {
        for candidate in set {
            fits.entry(candidate.clone()).or_default().push(document);
        }
    }
    let mut ready: Vec<usize> = (0..open.len()).filter(|at| open[*at].len() == 1).collect();
    while !ready.is_empty() {
        let mut round: HashMap<T, Vec<usize>> = HashMap::new();
        for document in ready.drain(..) {
            if let Some(only) = open[document].first() {
                round.entry(only.clone()).or_default().push(document);
            }
        }
        let mut touched = BTreeSet::new();
        for (object, documents) in round {
            for document in &documents {
                assigned[*document] = Some(match documents.as_slice() {
                    [_] => Assigned::One(object.clone()),
                    _ => Assigned::Shared(documents.iter().copied().filter(|other| other != document).collect()),
                });
                open[*document].clear();
            }
            for other in &fits[&object] {
                if open[*other].remove(&object) {
                    touched.insert(*other);
                }
            }
            takers.insert(object, documents);
        }
        ready.extend(touched.into_iter().filter(|at| assigned[*at].is_none() && open[*at].len() == 1));
    }
    assigned
        .into_iter()
        .enumerate()
        .map(|(document, known)| {
            known.unwrap_or_else(|| {
                if open[document].is_empty() {
                    let others: BTreeSet<_> =
                        original[document].iter().flat_map(|object| takers.get(object).into_iter().flatten()).collect();
                    Assigned::Shared(others.into_iter().copied().collect())
                } else {
                    Assigned::Several(open[document].iter().cloned().collect())
                }
            })
        })
        .collect()
}

/// Returns the result where each document has at most one candidate and no two have the same, as where nothing is renamed.
fn without_choice<T: Hash + Eq + Clone, C: AsRef<[T]>>(candidates: &[C]) -> Option<Vec<Assigned<T>>> {
    let mut taken = HashSet::with_capacity(candidates.len());
    let mut assigned = Vec::with_capacity(candidates.len());
    for list in candidates {
        let list = list.as_ref();
        let Some(first) = list.first() else {
            assigned.push(Assigned::Nothing);
            continue;
        };
        if list.iter().any(|other| other != first) || !taken.insert(first.clone()) {
            return None;
        }
        assigned.push(Assigned::One(first.clone()));
    }
    Some(assigned)
}

#[cfg(test)]
mod tests {
    use super::{
        Assigned::{Nothing, One, Several, Shared},
        *,
    };

    #[test]
    fn each_takes_one() {
        let check = |candidates: &[&[u8]], expected: &[Assigned<u8>]| {
            assert_eq!(assign(candidates), expected, "{candidates:?}");
        };
        check(&[&[], &[7]], &[Nothing, One(7)]);
        // A chain before it is applied, and after.
        check(&[&[1, 2], &[2]], &[One(1), One(2)]);
        check(&[&[1], &[1, 2]], &[One(1), One(2)]);
        check(&[&[1, 2], &[2, 3], &[3]], &[One(1), One(2), One(3)]);
        // A swap stays open; two documents that mean one object are told.
        check(&[&[1, 2], &[1, 2]], &[Several(vec![1, 2]), Several(vec![1, 2])]);
        check(&[&[1], &[1]], &[Shared(vec![1]), Shared(vec![0])]);
        check(&[&[1], &[2], &[1, 2]], &[One(1), One(2), Shared(vec![0, 1])]);
    }
}

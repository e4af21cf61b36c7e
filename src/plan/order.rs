//! The order among changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ResourceId;

/// Returns the changes in levels: what is in one needs only what is in earlier ones. Where there is no such order,
/// returns the objects of one cycle, each needing the next.
pub fn levels(after: &BTreeMap<ResourceId, BTreeSet<ResourceId>>) -> Result<Vec<Vec<ResourceId>>, Vec<ResourceId>> {
    let mut waits: BTreeMap<&ResourceId, usize> = BTreeMap::new();
    let mut frees: BTreeMap<&ResourceId, Vec<&ResourceId>> = BTreeMap::new();
    for (id, needs) in after {
        let known = needs.iter().filter(|other| after.contains_key(*other));
        waits.insert(id, known.clone().count());
        known.for_each(|other| frees.entry(other).or_default().push(id));
    }
    let mut levels = Vec::new();
    let mut ready: Vec<&ResourceId> = waits.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
    let mut done = 0;
    while !ready.is_empty() {
        done += ready.len();
        let mut next = BTreeSet::new();
        for id in &ready {
            for other in frees.get(id).into_iter().flatten() {
                if let Some(count) = waits.get_mut(other) {
                    *count -= 1;
                    if *count == 0 {
                        next.insert(*other);
                    }
                }
            }
        }
        levels.push(ready.into_iter().cloned().collect());
        ready = next.into_iter().collect();
    }
    if done == after.len() { Ok(levels) } else { Err(cycle(after, &waits)) }
}

/// Walks along what is still waited for until an object comes up again.
fn cycle(after: &BTreeMap<ResourceId, BTreeSet<ResourceId>>, waits: &BTreeMap<&ResourceId, usize>) -> Vec<ResourceId> {
    let waiting = |id: &ResourceId| waits.get(id).is_some_and(|count| *count > 0);
    let mut path: Vec<&ResourceId> =
        waits.iter().find(|(_, count)| **count > 0).map(|(id, _)| *id).into_iter().collect();
    while let Some(next) = path.last().and_then(|last| after[*last].iter().find(|other| waiting(other))) {
        if let Some(start) = path.iter().position(|id| *id == next) {
            return path[start..].iter().map(|id| (*id).clone()).collect();
        }
        path.push(next);
    }
    path.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(name: usize) -> ResourceId {
        ResourceId { kind: "K", key: name.to_string().into() }
    }

    fn graph(edges: &[(usize, usize)], count: usize) -> BTreeMap<ResourceId, BTreeSet<ResourceId>> {
        let needs = |name: usize| edges.iter().filter(|(from, _)| *from == name).map(|(_, to)| id(*to)).collect();
        (0..count).map(|name| (id(name), needs(name))).collect()
    }

    #[test]
    fn a_cycle_is_named() {
        assert_eq!(levels(&graph(&[(0, 1), (1, 2)], 3)), Ok(vec![vec![id(2)], vec![id(1)], vec![id(0)]]));
        assert_eq!(levels(&graph(&[(0, 1), (1, 2), (2, 1)], 3)), Err(vec![id(1), id(2)]));
    }

    proptest! {
        #[test]
        fn order_respects_needs(edges in prop::collection::vec((0..8_usize, 0..8_usize), 0..12)) {
            let graph = graph(&edges, 8);
            match levels(&graph) {
                Ok(levels) => {
                    let level = |wanted: &ResourceId| levels.iter().position(|level| level.contains(wanted));
                    for (id, needs) in &graph {
                        for other in needs {
                            prop_assert!(level(other) < level(id));
                        }
                    }
                    prop_assert_eq!(levels.iter().map(Vec::len).sum::<usize>(), 8);
                }
                Err(cycle) => {
                    for (at, id) in cycle.iter().enumerate() {
                        prop_assert!(graph[id].contains(&cycle[(at + 1) % cycle.len()]));
                    }
                }
            }
        }
    }
}

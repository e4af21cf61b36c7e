//! The order among changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::ResourceId;

/// The objects that each object needs.
type Needs = BTreeMap<ResourceId, BTreeSet<ResourceId>>;

/// Returns the changes in levels, each sorted: what is in one needs only what is in earlier ones. Where there is no such
/// order, returns the cycles that are in the way, none needing another: the objects of each, each needing the next.
pub fn levels(after: &Needs) -> Result<Vec<Vec<ResourceId>>, Vec<Vec<ResourceId>>> {
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
    if done == after.len() {
        return Ok(levels);
    }
    let mut open: BTreeSet<&ResourceId> = waits.iter().filter(|(_, count)| **count > 0).map(|(id, _)| *id).collect();
    let mut cycles = Vec::new();
    while let Some(cycle) = cycle(after, &open) {
        let mut gone: Vec<&ResourceId> = cycle.clone();
        // What waits for a cycle is in none that could be reported beside it.
        while let Some(id) = gone.pop() {
            if open.remove(id) {
                gone.extend(frees.get(id).into_iter().flatten());
            }
        }
        cycles.push(cycle.into_iter().cloned().collect());
    }
    Err(cycles)
}

/// Walks from the first of those that are open along what is still waited for until an object comes up again.
fn cycle<'a>(after: &'a Needs, open: &BTreeSet<&'a ResourceId>) -> Option<Vec<&'a ResourceId>> {
    let mut path: Vec<&ResourceId> = vec![open.first()?];
    let mut places: HashMap<&ResourceId, usize> = HashMap::new();
    while let Some((last, next)) =
        path.last().and_then(|last| Some((*last, after[*last].iter().find(|other| open.contains(other))?)))
    {
        places.insert(last, path.len() - 1);
        if let Some(start) = places.get(next) {
            return Some(path.split_off(*start));
        }
        path.push(next);
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(name: usize) -> ResourceId {
        ResourceId::new("K", name.to_string())
    }

    fn graph(edges: &[(usize, usize)], count: usize) -> BTreeMap<ResourceId, BTreeSet<ResourceId>> {
        let needs = |name: usize| edges.iter().filter(|(from, _)| *from == name).map(|(_, to)| id(*to)).collect();
        (0..count).map(|name| (id(name), needs(name))).collect()
    }

    #[test]
    fn cycles_are_named() {
        assert_eq!(levels(&graph(&[(0, 1), (1, 2)], 3)), Ok(vec![vec![id(2)], vec![id(1)], vec![id(0)]]));
        assert_eq!(levels(&graph(&[(0, 1), (1, 2), (2, 1)], 3)), Err(vec![vec![id(1), id(2)]]));
        let two = levels(&graph(&[(0, 1), (1, 0), (2, 1), (3, 2), (4, 5), (5, 4)], 6));
        assert_eq!(two, Err(vec![vec![id(0), id(1)], vec![id(4), id(5)]]));
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
                Err(cycles) => {
                    // Each is the first that is left once those before it, and what waits for them, are gone.
                    let mut rest = graph.clone();
                    for cycle in &cycles {
                        prop_assert_eq!(levels(&rest).map_err(|left| left[0].clone()), Err(cycle.clone()));
                        for (at, id) in cycle.iter().enumerate() {
                            prop_assert!(graph[id].contains(&cycle[(at + 1) % cycle.len()]));
                        }
                        let mut gone: BTreeSet<ResourceId> = cycle.iter().cloned().collect();
                        while !gone.is_empty() {
                            rest.retain(|id, _| !gone.contains(id));
                            let lost = rest.iter().filter(|(_, needs)| needs.intersection(&gone).next().is_some());
                            gone = lost.map(|(id, _)| id.clone()).collect();
                        }
                    }
                    prop_assert!(levels(&rest).is_ok());
                }
            }
        }
    }
}

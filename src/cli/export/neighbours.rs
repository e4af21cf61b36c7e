//! The files beside whose documents new ones belong.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Range},
    sync::Arc,
};

/// The kind of objects and their target.
pub(super) type Sort = (Arc<str>, &'static str);

/// Files with the number of the objects that each declares.
type Counts = BTreeMap<Arc<str>, usize>;

/// The files that declare objects, by the groups of these, such as a model, or a business and a set.
#[derive(Default)]
pub(in crate::cli) struct Neighbours {
    sorts: HashMap<Sort, BTreeMap<Vec<String>, Counts>>,
    /// The files of objects of several groups, by what these have in common, as far as they were looked for.
    wide: HashMap<(Sort, Vec<String>), Option<Arc<str>>>,
}

impl Neighbours {
    /// Notes that a file declares an object of a group.
    pub(in crate::cli) fn note(&mut self, sort: &Sort, group: &[String], file: &Arc<str>) {
        let groups = self.sorts.entry(sort.clone()).or_default();
        let counts = match groups.get_mut(group) {
            Some(counts) => counts,
            None => groups.entry(group.to_vec()).or_default(),
        };
        *counts.entry(file.clone()).or_default() += 1;
    }

    /// Returns the file that declares most objects of a group; of several the first. Where none does, it is the file that
    /// declares most objects of several groups that have as much as possible in common with this one: a file for all
    /// modules of a business takes those of another set too, a file for the modules of one set does not.
    pub(in crate::cli) fn file(&mut self, sort: &Sort, group: &[String]) -> Option<Arc<str>> {
        let groups = self.sorts.get(sort)?;
        if let Some(counts) = groups.get(group) {
            return most(counts);
        }
        for length in (0..group.len()).rev() {
            let common = &group[..length];
            let key = (sort.clone(), common.to_vec());
            let found = self.wide.entry(key).or_insert_with(|| wide(groups.range(common.to_vec()..), common));
            if found.is_some() {
                return found.clone();
            }
        }
        None
    }
}

/// Returns the file with most objects among those whose objects have the beginning of their groups in common and nothing
/// behind it.
fn wide(groups: Range<'_, Vec<String>, Counts>, common: &[String]) -> Option<Arc<str>> {
    let mut objects = Counts::new();
    let mut steps: BTreeMap<&Arc<str>, BTreeSet<Option<&String>>> = BTreeMap::new();
    for (group, counts) in groups.take_while(|(group, _)| group.starts_with(common)) {
        for (file, count) in counts {
            *objects.entry(file.clone()).or_default() += count;
            steps.entry(file).or_default().insert(group.get(common.len()));
        }
    }
    objects.retain(|file, _| steps[file].len() > 1);
    most(&objects)
}

fn most(counts: &Counts) -> Option<Arc<str>> {
    let most = counts.values().max()?;
    counts.iter().find(|(_, count)| *count == most).map(|(file, _)| file.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_objects_lie_beside_those_that_are_most_like_them() {
        let sort = |kind: &'static str| ("cmdb".into(), kind);
        let mut neighbours = Neighbours::default();
        for (kind, group, file, count) in [
            ("Module", "shop/public", "b.yaml", 2),
            ("Module", "shop/public", "a.yaml", 2),
            ("Module", "shop/public", "c.yaml", 1),
            ("Module", "shop/inner", "all.yaml", 1),
            ("Module", "shop/outer", "all.yaml", 1),
            ("Module", "bank/inner", "bank.yaml", 9),
            ("Instance", "bk_switch", "switches.yaml", 1),
        ] {
            let group: Vec<String> = group.split('/').map(str::to_owned).collect();
            (0..count).for_each(|_| neighbours.note(&sort(kind), &group, &file.into()));
        }
        let mut check = |kind: &'static str, group: &str, expected: Option<&str>| {
            let group: Vec<String> = group.split('/').map(str::to_owned).collect();
            assert_eq!(neighbours.file(&sort(kind), &group).as_deref(), expected, "{kind} {group:?}");
        };
        check("Module", "shop/public", Some("a.yaml"));
        check("Module", "shop/outer", Some("all.yaml"));
        // One file holds modules of several sets.
        check("Module", "shop/new", Some("all.yaml"));
        // A file for a single set or business does not take those of others.
        check("Module", "bank/new", None);
        check("Instance", "bk_switch", Some("switches.yaml"));
        check("Instance", "bk_rack", None);
        check("Set", "shop/sets", None);
    }
}

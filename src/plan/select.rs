//! Which objects a run is about.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use super::TargetState;
use crate::{
    model::{Desired, ResourceId},
    provider::Platform,
};

/// Marks the objects that are part of a run, and leaves out those that nobody needs to know.
///
/// What is ignored is no part. Objects that a part refers to stay, to be read, and documents of the platforms that tell
/// which objects a part means. Where a part removes what no document declares, or one of the scopes to prune does, all
/// documents of its kind stay: what they declare is not to be removed.
pub fn select(
    desired: &mut Vec<Desired>,
    scopes: &[Desired],
    platforms: &[&dyn Platform],
    is_selected: &dyn Fn(&Desired) -> bool,
) {
    desired.iter_mut().for_each(|desired| desired.selected = !desired.policies.ignore_all() && is_selected(desired));
    if desired.iter().all(|desired| desired.selected) {
        return;
    }
    let parts = || desired.iter().filter(|desired| desired.selected);
    let needs = Needs::of(parts(), parts().filter(|desired| desired.exclusive).chain(scopes));
    let (some, all): (Vec<_>, Vec<_>) = (parts().collect(), desired.iter().collect());
    let telling = platforms.iter().flat_map(|platform| implicit_dependencies(*platform, &some, &all));
    let telling: BTreeSet<ResourceId> = telling.map(|desired| desired.id.clone()).collect();
    desired.retain(|desired| desired.selected || needs.has(desired) || telling.contains(&desired.id));
}

/// Returns copies of the objects that [`select`] would leave if it picked those of some numbers, so that a small part of many
/// costs little, and beside them the documents of a platform that tell which objects these mean. `find` returns the
/// numbers of the objects with some addresses.
pub fn select_some(
    desired: &[Arc<Desired>],
    picked: &[usize],
    platforms: &[&dyn Platform],
    find: &dyn Fn(&BTreeSet<&ResourceId>) -> Vec<usize>,
) -> Vec<Desired> {
    let picked = || picked.iter().copied().filter(|number| !desired[*number].policies.ignore_all());
    let some: Vec<&Desired> = picked().map(|number| &*desired[number]).collect();
    let needs = Needs::of(some.iter().copied(), some.iter().copied().filter(|desired| desired.exclusive));
    let all: Vec<&Desired> = desired.iter().map(|desired| &**desired).collect();
    let telling = platforms.iter().flat_map(|platform| implicit_dependencies(*platform, &some, &all));
    let needed: BTreeSet<&ResourceId> = telling.map(|desired| &desired.id).chain(&needs.referred).collect();
    let mut kept: BTreeSet<usize> = picked().collect();
    if !needed.is_empty() {
        kept.extend(find(&needed));
    }
    if !needs.whole.is_empty() {
        kept.extend((0..desired.len()).filter(|number| needs.has(&desired[*number])));
    }
    let selected: HashSet<usize> = picked().collect();
    let copy = |number| Desired { selected: selected.contains(&number), ..(*desired[number]).clone() };
    kept.into_iter().map(copy).collect()
}

/// Returns those of the objects that are selected, what [`select`] would leave beside them, and what tells which objects
/// they mean.
pub fn part(states: &[TargetState<'_>], is_selected: &dyn Fn(&Desired) -> bool) -> Vec<Desired> {
    let desired: Vec<&Desired> = states.iter().flat_map(TargetState::objects).collect();
    let parts = || desired.iter().copied().filter(|desired| is_selected(desired));
    let needs = Needs::of(parts(), parts().filter(|desired| desired.exclusive));
    let mut telling = BTreeSet::new();
    for state in states {
        let all: Vec<&Desired> = state.objects().collect();
        let some: Vec<&Desired> = all.iter().copied().filter(|desired| is_selected(desired)).collect();
        telling.extend(implicit_dependencies(state.platform, &some, &all).into_iter().map(|desired| &desired.id));
    }
    let kept =
        desired.iter().filter(|desired| is_selected(desired) || needs.has(desired) || telling.contains(&desired.id));
    kept.map(|desired| Desired { selected: is_selected(desired), ..(*desired).clone() }).collect()
}

/// Returns those documents of all that tell which objects some of them mean, by no reference.
pub fn implicit_dependencies<'d>(platform: &dyn Platform, some: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
    let of = |name: &str| some.iter().copied().filter(|desired| desired.id.kind == name).collect::<Vec<_>>();
    let groups = platform.kinds().iter().map(|kind| (kind, of(kind.name())));
    groups
        .filter(|(_, some)| !some.is_empty())
        .flat_map(|(kind, some)| kind.implicit_dependencies(&some, all))
        .collect()
}

/// The objects that have to be known for the sake of others.
struct Needs {
    referred: BTreeSet<ResourceId>,
    whole: BTreeSet<(&'static str, Arc<str>)>,
}

impl Needs {
    fn of<'d>(parts: impl Iterator<Item = &'d Desired>, exclusive: impl Iterator<Item = &'d Desired>) -> Self {
        Self {
            referred: parts
                .flat_map(|desired| desired.references.iter().map(|reference| reference.to.clone()))
                .collect(),
            whole: exclusive.map(|desired| (desired.id.kind, desired.target.clone())).collect(),
        }
    }

    fn has(&self, desired: &Desired) -> bool {
        self.referred.contains(&desired.id) || self.whole.contains(&(desired.id.kind, desired.target.clone()))
    }
}

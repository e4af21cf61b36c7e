//! Which objects a run is about.

use std::collections::BTreeSet;

use super::TargetState;
use crate::{
    model::{Desired, ResourceId},
    provider::Platform,
};

/// Marks the objects that are part of a run, and leaves out those that nobody needs to know.
///
/// What is ignored is no part. Objects that a part refers to stay, to be read. Where a part removes what no document
/// declares, or one of the scopes to prune does, all documents of its kind stay: what they declare is not to be removed.
pub fn select(desired: &mut Vec<Desired>, scopes: &[Desired], is_selected: &dyn Fn(&Desired) -> bool) {
    desired.iter_mut().for_each(|one| one.selected = !one.policies.ignore_all() && is_selected(one));
    let parts = || desired.iter().filter(|one| one.selected);
    let needs = Needs::of(parts(), parts().filter(|one| one.exclusive).chain(scopes));
    desired.retain(|one| one.selected || needs.has(one));
}

/// Returns those of the objects that are selected, what [`select`] would leave beside them, and what tells which objects
/// they mean.
pub fn part(states: &[TargetState<'_>], is_selected: &dyn Fn(&Desired) -> bool) -> Vec<Desired> {
    let desired: Vec<&Desired> = states.iter().flat_map(TargetState::objects).collect();
    let parts = || desired.iter().copied().filter(|one| is_selected(one));
    let needs = Needs::of(parts(), parts().filter(|one| one.exclusive));
    let mut telling = BTreeSet::new();
    for state in states {
        let all: Vec<&Desired> = state.objects().collect();
        let some: Vec<&Desired> = all.iter().copied().filter(|one| is_selected(one)).collect();
        telling.extend(implicit_dependencies(state.platform, &some, &all).into_iter().map(|one| &one.id));
    }
    let kept = desired.iter().filter(|one| is_selected(one) || needs.has(one) || telling.contains(&one.id));
    kept.map(|one| Desired { selected: is_selected(one), ..(*one).clone() }).collect()
}

/// Returns those documents of all that tell which objects some of them mean, by no reference.
pub fn implicit_dependencies<'d>(platform: &dyn Platform, some: &[&Desired], all: &[&'d Desired]) -> Vec<&'d Desired> {
    let of = |name: &str| some.iter().copied().filter(|one| one.id.kind == name).collect::<Vec<_>>();
    let groups = platform.kinds().iter().map(|kind| (kind, of(kind.name())));
    groups
        .filter(|(_, some)| !some.is_empty())
        .flat_map(|(kind, some)| kind.implicit_dependencies(&some, all))
        .collect()
}

/// The objects that have to be known for the sake of others.
struct Needs {
    referred: BTreeSet<ResourceId>,
    whole: BTreeSet<(&'static str, std::sync::Arc<str>)>,
}

impl Needs {
    fn of<'d>(parts: impl Iterator<Item = &'d Desired>, exclusive: impl Iterator<Item = &'d Desired>) -> Self {
        Self {
            referred: parts.flat_map(|one| one.references.iter().map(|reference| reference.to.clone())).collect(),
            whole: exclusive.map(|one| (one.id.kind, one.target.clone())).collect(),
        }
    }

    fn has(&self, one: &Desired) -> bool {
        self.referred.contains(&one.id) || self.whole.contains(&(one.id.kind, one.target.clone()))
    }
}

//! Which objects a run is about.

use std::collections::BTreeSet;

use crate::model::{Desired, ResourceId};

/// Marks the objects that are part of a run, and leaves out those that nobody needs to know.
///
/// What is ignored is no part. Objects that a part refers to stay, to be read. Where a part removes what no document
/// declares, or one of the scopes to prune does, all documents of its kind stay: what they declare is not to be removed.
pub fn select(desired: &mut Vec<Desired>, scopes: &[Desired], is_selected: &dyn Fn(&Desired) -> bool) {
    desired.iter_mut().for_each(|one| one.selected = !one.policies.ignore_all() && is_selected(one));
    let parts = || desired.iter().filter(|one| one.selected);
    let needed: BTreeSet<ResourceId> =
        parts().flat_map(|one| one.references.iter().map(|reference| reference.to.clone())).collect();
    let exclusive = parts().filter(|one| one.exclusive).chain(scopes);
    let whole: BTreeSet<_> = exclusive.map(|one| (one.id.kind, one.target.clone())).collect();
    desired
        .retain(|one| one.selected || needed.contains(&one.id) || whole.contains(&(one.id.kind, one.target.clone())));
}

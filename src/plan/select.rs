//! Which objects a run is about.

use std::collections::BTreeSet;

use crate::model::{Desired, ResourceId};

/// Marks the objects that are part of a run, and leaves out those that nobody needs to know.
///
/// Objects that a part refers to stay, to be read. Where a part removes what no document declares, all documents of
/// its kind stay: what they declare is not to be removed.
pub fn select(desired: &mut Vec<Desired>, is_selected: &dyn Fn(&Desired) -> bool) {
    desired.iter_mut().for_each(|one| one.selected = is_selected(one));
    let parts = || desired.iter().filter(|one| one.selected);
    let needed: BTreeSet<ResourceId> =
        parts().flat_map(|one| one.references.iter().map(|reference| reference.to.clone())).collect();
    let whole: BTreeSet<_> = parts().filter(|one| one.exclusive).map(|one| (one.id.kind, one.target.clone())).collect();
    desired
        .retain(|one| one.selected || needed.contains(&one.id) || whole.contains(&(one.id.kind, one.target.clone())));
}

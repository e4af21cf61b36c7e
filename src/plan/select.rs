//! Which objects a run is about.

use std::collections::BTreeSet;

use crate::model::{Desired, ResourceId};

/// Marks the objects that are part of a run, and leaves out those that nobody needs to know.
///
/// Objects that a part refers to stay, to be read. Where a part removes what no document declares, all documents of
/// its kind stay: what they declare is not to be removed.
pub fn select(desired: &mut Vec<Desired>, is_selected: &dyn Fn(&Desired) -> bool) {
    desired.iter_mut().for_each(|one| one.selected = is_selected(one));
    let needs = Needs::of(desired.iter().filter(|one| one.selected));
    desired.retain(|one| one.selected || needs.has(one));
}

/// Returns the objects that [`select`] would leave.
pub fn part(desired: &[Desired], is_selected: &dyn Fn(&Desired) -> bool) -> Vec<Desired> {
    let needs = Needs::of(desired.iter().filter(|one| is_selected(one)));
    let kept = desired.iter().filter(|one| is_selected(one) || needs.has(one));
    kept.map(|one| Desired { selected: is_selected(one), ..one.clone() }).collect()
}

/// What has to be known for the sake of other objects.
struct Needs {
    referred: BTreeSet<ResourceId>,
    whole: BTreeSet<(&'static str, std::sync::Arc<str>)>,
}

impl Needs {
    fn of<'d>(parts: impl Iterator<Item = &'d Desired>) -> Self {
        let mut needs = Self { referred: BTreeSet::new(), whole: BTreeSet::new() };
        for one in parts {
            needs.referred.extend(one.references.iter().map(|reference| reference.to.clone()));
            if one.exclusive {
                needs.whole.insert((one.id.kind, one.target.clone()));
            }
        }
        needs
    }

    fn has(&self, one: &Desired) -> bool {
        self.referred.contains(&one.id) || self.whole.contains(&(one.id.kind, one.target.clone()))
    }
}

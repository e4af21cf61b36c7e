//! The places in manifests, overlays and values files that decide the calls of a plan.

use std::collections::HashMap;

use crate::{
    manifest::Provenance,
    model::{Action, Call, Change, Desired, ObservedState, ResourceId},
    plan::{Plan, TargetState},
    source::Origin,
};

/// The objects of a plan by their addresses.
pub(super) struct CallProvenance<'a> {
    provenance: &'a Provenance,
    objects: HashMap<&'a ResourceId, (&'a Desired, Option<&'a ObservedState>)>,
    changes: HashMap<&'a ResourceId, &'a Change>,
}

impl<'a> CallProvenance<'a> {
    /// Returns what the calls of `plan` may rest on.
    pub(super) fn new(plan: &'a Plan, states: &'a [TargetState<'_>], provenance: &'a Provenance) -> Self {
        let objects = states
            .iter()
            .flat_map(|state| state.objects().map(|object| (&object.id, (object, state.facts.observed(&object.id)))));
        Self {
            provenance,
            objects: objects.collect(),
            changes: plan.changes.iter().map(|change| (&change.id, change)).collect(),
        }
    }

    /// Returns the places of the scalars that decide a call, each once: what finds its objects and those that they
    /// refer to, what is declared of them, and the values of variables. Where a value of an overlay replaced another,
    /// only the former decides.
    pub(super) fn of(&self, call: &Call) -> Vec<Origin> {
        let mut values: Vec<&Origin> = Vec::new();
        let mut places: Vec<Origin> = Vec::new();
        for id in &call.serves {
            let (Some(change), Some((desired, _))) = (self.changes.get(id), self.objects.get(id)) else { continue };
            if change.implicit {
                // No document declares it, so only its cause has a place.
                places.push(change.origin.clone());
                continue;
            }
            values.extend(finders(desired));
            if change.action != Action::Delete {
                values.extend(desired.fields.values().map(|field| &field.origin));
            }
            places.extend(self.provenance.settled_by(id, change.action));
            for reference in &desired.references {
                let found = match self.objects.get(&reference.to) {
                    Some((other, Some(ObservedState::Found(_)))) => {
                        values.extend(finders(other));
                        true
                    }
                    // Of one that the run makes the call knows the address only.
                    _ => false,
                };
                let action = if found { Action::Update } else { Action::Create };
                places.extend(self.provenance.settled_by(&reference.to, action));
                values.push(&reference.origin);
            }
        }
        places.extend(values.into_iter().flat_map(|value| self.provenance.places(value)));
        self.provenance.with_sources(&mut places);
        places
    }
}

/// The places of what finds an object.
fn finders(desired: &Desired) -> impl Iterator<Item = &Origin> {
    desired.locator.values().map(|located| &located.origin)
}

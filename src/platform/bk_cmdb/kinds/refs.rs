//! Objects that documents name and that other documents of the run make, or give the name.

use serde_json::json;

use crate::{
    model::{CreateContext, Desired, Ensure, Json, ObservedState, ResourceId},
    platform::bk_cmdb::lookup::{Businesses, Place},
    provider::{Facts, Observation},
};

/// An object that a document names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ref {
    /// One that is there.
    Id(i64),
    /// One that the run is yet to make.
    Made(ResourceId),
}

impl Ref {
    /// Returns the id of an object that is there.
    pub(super) fn id(&self) -> Option<i64> {
        match self {
            Self::Id(id) => Some(*id),
            Self::Made(_) => None,
        }
    }

    /// Puts the id into the context of what is made on the object, or what stands for it.
    pub(super) fn put(&self, key: &str, context: &mut CreateContext) {
        match self {
            Self::Id(id) => context.set(key, json!(id)),
            Self::Made(id) => context.set_made(key, id),
        }
    }
}

/// What documents tell of a name that no live object has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// The object of one of them, which has or gets the name.
    Is(Ref),
    /// Nothing yet: the object of one of them is still looked for.
    Pending,
    /// One of them cannot be read or is wrong.
    Needs(ResourceId),
    /// One of them wants it to be gone, and it is.
    Gone,
    /// None of them has the name.
    Nothing,
}

/// Returns the documents that declare objects of a kind in a business.
pub(super) fn declared<'d>(
    kind: &str,
    business: i64,
    all: &[&'d Desired],
    businesses: &Businesses,
    observation: &mut Observation,
    facts: &Facts,
) -> Vec<&'d Desired> {
    let mut is_there = |desired: &Desired| {
        let given = desired.locate("business")?;
        Some(matches!(businesses.find(given, observation, facts)?, Place::Id(id) if id == business))
    };
    let of_kind = all.iter().copied().filter(|desired| desired.id.kind == kind);
    of_kind.filter(|desired| is_there(desired) == Some(true)).collect()
}

/// Returns the id in a handle, which for a module has others beside it.
fn id_of(handle: &Json) -> Option<i64> {
    handle.as_i64().or_else(|| handle["module"].as_i64())
}

/// Asks documents for the object of a name; `names` returns those that a document gives it.
pub(super) fn told<'d, N: Iterator<Item = &'d str>>(
    wanted: &str,
    documents: &[&'d Desired],
    names: impl Fn(&'d Desired) -> N,
    facts: &Facts,
) -> Told {
    let Some(document) = documents.iter().find(|document| names(document).any(|name| name == wanted)) else {
        return Told::Nothing;
    };
    match facts.observed(&document.id) {
        None => Told::Pending,
        Some(ObservedState::Found(live)) => id_of(&live.handle).map_or(Told::Nothing, |id| Told::Is(Ref::Id(id))),
        Some(ObservedState::Absent { .. }) => match document.ensure {
            Ensure::Present => Told::Is(Ref::Made(document.id.clone())),
            Ensure::Absent => Told::Gone,
            Ensure::Existing => Told::Nothing,
        },
        Some(_) => Told::Needs(document.id.clone()),
    }
}

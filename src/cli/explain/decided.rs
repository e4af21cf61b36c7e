//! The objects, fields and calls that the values at a place decide.

use crate::{
    manifest::Provenance,
    model::{Call, Change, Desired, FieldChange, FieldPath, Json, Live, ObservedState, ResourceId, policy::Policy},
    plan::{Cause, Plan, TargetState},
    provider::Kind,
    source::{Located, Origin},
};

/// The objects and fields that the values at a place decide, before anything is read.
pub(in crate::cli) struct Decided<'a> {
    /// Values at the place that an overlay replaced, with the places of what stands there instead.
    pub(in crate::cli) replaced: Vec<(Origin, Vec<Origin>)>,
    /// The objects, each once.
    pub(in crate::cli) objects: Vec<Object<'a>>,
}

/// An object and what of it is decided.
pub(in crate::cli) struct Object<'a> {
    /// The object.
    pub(in crate::cli) desired: &'a Desired,
    /// Each part once.
    pub(in crate::cli) parts: Vec<Part<'a>>,
}

/// One thing that is decided about an object.
#[derive(PartialEq)]
pub(in crate::cli) struct Part<'a> {
    /// Its role for the object.
    pub(in crate::cli) role: Role<'a>,
    /// The path of a field or a key, or the name of a setting.
    pub(in crate::cli) path: &'a str,
    /// The value and where it was written; `None` if the value is not one of the object itself.
    pub(in crate::cli) value: Option<&'a Located<Json>>,
}

/// The role of a value for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Role<'a> {
    /// A field that is declared.
    Field(&'a FieldPath),
    /// Something that finds the object.
    Finder,
    /// Something that holds for the object as a whole, such as `ensure`.
    Setting,
    /// It finds another object that this one refers to.
    Reference(&'a ResourceId),
}

impl<'a> Decided<'a> {
    pub(in crate::cli) fn new(
        values: &super::place::Values,
        desired: &'a [Desired],
        provenance: &'a Provenance,
    ) -> Self {
        let (mut replaced, mut leaves) = (Vec::new(), Vec::new());
        for leaf in &values.leaves {
            let by = in_force(leaf, provenance);
            if !by.is_empty() {
                leaves.extend(by.iter().flat_map(|origin| provenance.places(origin)));
                replaced.push((leaf.clone(), by));
            }
            // The value behind an alias may be in force where the alias itself no longer stands.
            leaves.extend(provenance.used_at(leaf));
            leaves.push(leaf.clone());
        }
        leaves.extend(values.whole.clone());
        let objects = desired.iter().filter_map(|object| {
            let mut parts: Vec<Part<'_>> = Vec::new();
            let found = leaves.iter().flat_map(|leaf| parts_at(leaf, object, desired, provenance));
            for part in found {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            (!parts.is_empty()).then_some(Object { desired: object, parts })
        });
        Self { objects: objects.collect(), replaced }
    }

    /// Returns the parts of roll-outs that the values at the place sync.
    pub(in crate::cli) fn synced<'s>(&'s self, states: &'s [TargetState<'_>]) -> Vec<Object<'s>> {
        let of = |object: &'s Object<'a>, part: &'s Part<'a>| {
            let at = part.value.map(|value| &value.origin);
            let all = states.iter().flat_map(|state| &state.parts);
            all.filter(move |synced| synced.id.document() == object.desired.id && at == Some(&synced.origin))
                .map(|desired| Object { desired, parts: vec![Part { role: Role::Finder, ..*part }] })
        };
        self.objects.iter().flat_map(|object| object.parts.iter().flat_map(move |part| of(object, part))).collect()
    }

    /// Says why nothing is decided, with a better reason where there is one.
    pub(in crate::cli) fn nothing(&self, otherwise: String) -> String {
        if self.replaced.is_empty() {
            otherwise
        } else {
            "an overlay replaced it, and that declares nothing".to_owned()
        }
    }
}

/// Returns what stands instead of a value after all overlays; nothing where it was not replaced.
fn in_force(value: &Origin, provenance: &Provenance) -> Vec<Origin> {
    let by = provenance.replaced_by(value);
    let outer = by.iter().filter(|origin| !by.iter().any(|other| other != *origin && other.contains(origin)));
    let last = outer.flat_map(|origin| {
        let later = in_force(origin, provenance);
        if later.is_empty() { vec![origin.clone()] } else { later }
    });
    last.collect()
}

/// Returns what a scalar, or a list as a whole, decides about an object.
fn parts_at<'a>(leaf: &Origin, object: &'a Desired, all: &'a [Desired], provenance: &'a Provenance) -> Vec<Part<'a>> {
    let fields = object.fields.iter().map(|(path, value)| (Role::Field(path), path.as_str(), value));
    let finders = object.locator.iter().map(|(name, value)| (Role::Finder, &**name, value));
    let holds = |located: &Located<Json>| {
        let places = provenance.places(&located.origin);
        (located.origin == *leaf || places.contains(leaf)).then_some(places.len())
    };
    // A cell lies in its row and in the list too: the smallest is what is meant.
    let own = fields.chain(finders).filter_map(|(role, path, value)| Some((holds(value)?, role, path, value)));
    let own = own.min_by_key(|(size, _, _, value)| (*size, value.origin.bytes.len()));
    let mut parts: Vec<Part<'_>> =
        own.map(|(_, role, path, value)| Part { role, path, value: Some(value) }).into_iter().collect();
    let setting = provenance.setting(&object.id, leaf);
    parts.extend(setting.map(|path| Part { role: Role::Setting, path, value: None }));
    for reference in &object.references {
        let Some(other) = all.iter().find(|other| other.id == reference.to) else { continue };
        let found = other.locator.iter().find(|(_, value)| holds(value).is_some());
        parts.extend(found.map(|(path, _)| Part { role: Role::Reference(&other.id), path, value: None }));
    }
    parts
}

/// An object with what is live and what will be sent.
pub(in crate::cli) struct Explained<'a> {
    /// The object and what of it is decided.
    pub(in crate::cli) object: &'a Object<'a>,
    /// The object's state in the plan.
    pub(in crate::cli) state: State<'a>,
    /// The live object; `None` if it does not exist or is unknown.
    pub(in crate::cli) live: Option<&'a Live>,
    kind: Option<&'static dyn Kind>,
    /// The calls that serve it.
    pub(in crate::cli) calls: Vec<&'a Call>,
    /// Its differences that are only reported.
    reported: Option<&'a Change>,
    provenance: &'a Provenance,
}

/// The state of an object in a plan.
pub(in crate::cli) enum State<'a> {
    /// It changes.
    Changes(&'a Change),
    /// Nothing differs.
    AsDeclared,
    /// It is blocked.
    Blocked(&'a Cause),
    /// It differs where that is only reported.
    Reported(&'a Change),
    /// Nothing of it is looked at.
    Ignored,
    /// The selection leaves it out.
    Outside,
}

impl<'a> Explained<'a> {
    pub(in crate::cli) fn new(
        object: &'a Object<'a>,
        plan: &'a Plan,
        states: &'a [TargetState<'_>],
        provenance: &'a Provenance,
    ) -> Self {
        let id = &object.desired.id;
        let change = plan.changes.iter().find(|change| change.id == *id);
        let blocked = plan.blocked.iter().find(|blocked| blocked.id == *id);
        let reported = plan.reported.iter().find(|change| change.id == *id);
        let state = match (change, blocked, reported) {
            (Some(change), _, _) => State::Changes(change),
            (None, Some(blocked), _) => State::Blocked(&blocked.cause),
            (None, None, Some(change)) => State::Reported(change),
            (None, None, None) if object.desired.policies.ignore_all() => State::Ignored,
            (None, None, None) if !object.desired.selected => State::Outside,
            (None, None, None) => State::AsDeclared,
        };
        let live = states.iter().find_map(|state| match state.facts.observed(id) {
            Some(ObservedState::Found(live)) if state.target == object.desired.target => Some(live),
            _ => None,
        });
        let kind = states.iter().find(|state| state.target == object.desired.target).and_then(|state| state.kind(id));
        Self { object, state, live, kind, calls: plan.calls_of(id).collect(), reported, provenance }
    }

    /// Returns the live value of a field, as far as it is known.
    pub(in crate::cli) fn live_value(&self, path: &FieldPath) -> Option<serde_json::Value> {
        self.kind?.live_value(self.live?, path)
    }

    /// Returns the changes that a part causes, and where it causes none, those that are only reported.
    pub(in crate::cli) fn changes(&self, part: &Part<'_>) -> Vec<&'a FieldChange> {
        let sent = self.sent(part);
        if sent.is_empty() { self.reported(part) } else { sent }
    }

    /// Says what is done where a part differs, if it is a field that is not enforced.
    pub(in crate::cli) fn leniency(&self, part: &Part<'_>) -> Option<Policy> {
        let Role::Field(path) = part.role else { return None };
        if !self.sent(part).is_empty() {
            return None;
        }
        if !self.reported(part).is_empty() {
            return Some(Policy::Report);
        }
        // An object that is created gets all its declared fields.
        let policy = self.object.desired.policies.of(path);
        (policy != Policy::Enforce).then_some(policy)
    }

    fn sent(&self, part: &Part<'_>) -> Vec<&'a FieldChange> {
        let State::Changes(change) = &self.state else { return Vec::new() };
        self.caused(part, change)
    }

    fn reported(&self, part: &Part<'_>) -> Vec<&'a FieldChange> {
        self.reported.map(|change| self.caused(part, change)).unwrap_or_default()
    }

    fn caused(&self, part: &Part<'_>, change: &'a Change) -> Vec<&'a FieldChange> {
        let Some(value) = part.value else { return Vec::new() };
        // Rows have paths of their own: what differs in one is a difference of the list, and of the row it lies in.
        let path = match part.role {
            Role::Field(path) => Some(path),
            _ => None,
        };
        let is_own = |field: &&FieldChange| {
            let lies_within = |path: &FieldPath| {
                let is_declared = self.object.desired.fields.contains_key(&field.path);
                let is_within = field.path.lies_within(path) && !is_declared;
                if path.is_row() { value.origin.contains(&field.because) } else { is_within }
            };
            field.because == value.origin || path.is_some_and(lies_within)
        };
        let own: Vec<_> = change.fields.iter().filter(is_own).collect();
        if !own.is_empty() || path.is_none() {
            return own;
        }
        // A cell of a row that comes to be has no change of its own.
        let place = &self.provenance.places(&value.origin)[0];
        let holds =
            |field: &&FieldChange| field.from.is_none() && self.provenance.places(&field.because).contains(place);
        change.fields.iter().filter(holds).collect()
    }
}

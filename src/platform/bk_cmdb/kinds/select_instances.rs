//! Which instances documents mean: by id or by the values of fields, in one set of reads for all kinds of a run.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::{decode_common, instance::NAME};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::Assigned,
    model::{Desired, Ensure, FieldPath, Json, ObservedState},
    platform::bk_cmdb::{
        attribute::{Definition, text},
        lookup::{Key, Selector},
    },
    provider::Facts,
};

/// The prefixes under which documents point at instances, an instance at itself, an association at its ends, and where
/// they name the model.
const PREFIXES: &[(&str, &str)] = &[("", "model"), ("source.", "source.model"), ("target.", "target.model")];

/// The selectors of one instance: one, unless its key changes.
pub(super) type Selectors = SmallVec<[Selector; 1]>;

/// The documents of a target by the models whose instances they point at, each with the prefix under which it does.
pub(super) struct ByModel<'d>(HashMap<&'d str, Vec<(&'static str, &'d Desired)>, RandomState>);

impl<'d> ByModel<'d> {
    /// Sorts all documents once, whatever their kind. Those that look in one business are left out: they ask for
    /// themselves.
    pub(super) fn of(all: &[&'d Desired]) -> Self {
        let mut by_model: HashMap<&str, Vec<_>, RandomState> = HashMap::default();
        for desired in all.iter().filter(|desired| desired.locate("business").is_none()) {
            for (prefix, path) in PREFIXES {
                if let Some(model) = desired.locate(path).and_then(Json::as_str) {
                    by_model.entry(model).or_default().push((*prefix, *desired));
                }
            }
        }
        Self(by_model)
    }
}

/// All that the documents of a target want to know of one model's instances.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    /// The instances.
    selectors: Vec<Selector>,
    /// Their fields.
    pub(super) fields: BTreeSet<&'a str>,
    /// The document whose fields were added last.
    last: Option<&'a Desired>,
}

impl<'a> Gathered<'a> {
    /// Gathers from the documents of all kinds, so that all kinds ask the very same questions.
    pub(super) fn of(model: &str, all: &ByModel<'a>, definition: &'a Definition, facts: &Facts) -> Self {
        let mut gathered = Self::default();
        for (prefix, desired) in all.0.get(model).into_iter().flatten() {
            // A document with a mistake picks nothing here; the mistake is told when it is its turn.
            gathered.selectors.extend(selectors(desired, prefix, definition, facts).unwrap_or_default());
            if prefix.is_empty() {
                gathered.add_fields(desired, definition);
            }
        }
        gathered
    }

    /// Returns what they will ask once the definition is known, where that can be told before: all documents pick by the
    /// name or by an id, and none is to go. So both can be asked at once; a wrong guess costs a read and nothing else.
    pub(super) fn before_definition(model: &str, all: &ByModel<'a>) -> Option<Self> {
        let mut gathered = Self::default();
        for (prefix, desired) in all.0.get(model).into_iter().flatten() {
            if let Some(id) = desired.locate(&format!("{prefix}id")).and_then(Json::as_i64) {
                gathered.selectors.push(Selector::Id(id));
            } else {
                let mut matched = decode_common::matched(desired, prefix);
                let (Some((NAME, name)), None) = (matched.next(), matched.next()) else { return None };
                let wanted = desired.fields.get(NAME).filter(|_| prefix.is_empty());
                for name in [Some(name), wanted].into_iter().flatten() {
                    let name = Json::from(text(&name.value)?.trim());
                    gathered.selectors.push(Selector::fields([(NAME.into(), Key::of(&name))]));
                }
            }
            if prefix.is_empty() {
                if desired.ensure == Ensure::Absent {
                    return None;
                }
                if gathered.is_new(desired) {
                    gathered.fields.extend(wanted_fields(desired));
                }
            }
        }
        Some(gathered)
    }

    /// Adds what the documents of other kinds want to know to that of the documents about the instances themselves.
    pub(super) fn add_others(&mut self, model: &str, all: &ByModel<'a>, definition: &Definition, facts: &Facts) {
        for (prefix, desired) in all.0.get(model).into_iter().flatten().filter(|(prefix, _)| !prefix.is_empty()) {
            self.selectors.extend(selectors(desired, prefix, definition, facts).unwrap_or_default());
        }
    }

    /// Adds what picks an instance.
    pub(super) fn add(&mut self, selectors: &Selectors) {
        self.selectors.extend(selectors.iter().cloned());
    }

    /// Adds the fields to read of a document's instance: all attributes of one that is to go, for its plan shows them.
    pub(super) fn add_fields(&mut self, desired: &'a Desired, definition: &'a Definition) {
        if desired.ensure == Ensure::Absent {
            self.fields.extend(values(definition));
            return;
        }
        if self.is_new(desired) {
            self.fields.extend(wanted_fields(desired).filter(|name| definition.contains_key(*name)));
        }
    }

    /// Returns false for a document with the fields of the one before, as most of a model have.
    fn is_new(&mut self, desired: &'a Desired) -> bool {
        let before = self.last.replace(desired);
        before.is_none_or(|before| !wanted_fields(before).eq(wanted_fields(desired)))
    }

    /// Returns what picks the instances, in their order and each once.
    pub(super) fn selectors(&mut self) -> &[Selector] {
        self.selectors.sort_unstable();
        self.selectors.dedup();
        &self.selectors
    }
}

/// Returns all attributes of a model but those in which the server notes when and by whom an instance was changed.
pub(super) fn values(definition: &Definition) -> impl Iterator<Item = &str> {
    definition.iter().filter(|(_, attribute)| !attribute.is_history()).map(|(name, _)| &**name)
}

/// Returns the fields of an instance that its document declares or matches.
pub(super) fn wanted_fields(desired: &Desired) -> impl Iterator<Item = &str> {
    let matched = decode_common::matched(desired, "").map(|(name, _)| name);
    desired.fields.keys().map(FieldPath::as_str).chain(matched)
}

/// Returns what picks the instance: its id, or its old key and, where its document changes that key, its new one.
/// Looking for both is what makes renames converge.
pub(super) fn selectors(
    desired: &Desired,
    prefix: &str,
    definition: &Definition,
    facts: &Facts,
) -> Result<Selectors, Box<Diagnostic>> {
    if let Some(id) = desired.locate(&format!("{prefix}id")).and_then(Json::as_i64) {
        return Ok([Selector::Id(id)].into_iter().collect());
    }
    let time_zone = facts.settings.get("timeZone").map(String::as_str);
    let (mut old, mut new) = (Vec::with_capacity(1), Vec::new());
    for (name, value) in decode_common::matched(desired, prefix) {
        let Some((name, attribute)) = definition.get_key_value(name) else {
            let ids: Vec<_> = definition.keys().map(ToString::to_string).collect();
            let message = format!("the model has no attribute `{name}`");
            return Err(Box::new(decode_common::nearest(
                Diagnostic::error("P103", message, &value.name_origin()),
                name,
                &ids,
            )));
        };
        if let Some(why) = attribute.no_key() {
            let message = format!("`match` cannot hold `{name}`, which is {why}");
            let hint = "match by the name, or by another attribute that tells instances apart";
            return Err(Box::new(Diagnostic::error("M305", message, &value.origin).hint(hint)));
        }
        let wire = attribute
            .key(&value.value, time_zone)
            .map_err(|problem| Box::new(Diagnostic::error("P104", format!("`{name}` {problem}"), &value.origin)))?;
        let key = Key::of(&wire);
        let wanted = desired.fields.get(&**name).filter(|_| prefix.is_empty());
        let wanted =
            wanted.and_then(|wanted| attribute.key(&wanted.value, time_zone).ok()).map(|wanted| Key::of(&wanted));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != key) {
            new.push((name.clone(), wanted));
        }
        old.push((name.clone(), key));
    }
    if new.is_empty() {
        return Ok([Selector::fields(old)].into_iter().collect());
    }
    let kept = old.iter().filter(|(name, _)| new.iter().all(|(other, _)| other != name));
    let new = Selector::fields(kept.cloned().chain(new.clone()));
    Ok([Selector::fields(old), new].into_iter().collect())
}

/// Says why a document's object stays open.
pub(super) fn open(
    desired: &Desired,
    assigned: &Assigned<i64>,
    documents: &[&Desired],
    label: impl Fn(i64) -> String,
) -> ObservedState {
    let place = desired.locator.values().map(|value| &value.origin).find(|origin| **origin != desired.origin);
    let place = place.unwrap_or(&desired.origin);
    let diagnostic = match assigned {
        Assigned::Several(ids) => {
            let labels: Vec<_> = ids.iter().map(|id| label(*id)).collect();
            let message = format!("{} could mean several live objects: {}", desired.id, labels.join(", "));
            Diagnostic::error("P105", message, place)
                .hint("give its id; a swap takes two applies with a third value between them")
        }
        Assigned::Shared(others) => {
            let message = format!("{} means the same live object as another document", desired.id);
            others.iter().fold(Diagnostic::error("P105", message, &desired.origin), |diagnostic, other| {
                diagnostic.also(&documents[*other].origin, format!("{} means it too", documents[*other].id))
            })
        }
        Assigned::Nothing | Assigned::One(_) => Diagnostic::error("P105", "it is not open", place),
    };
    ObservedState::Ambiguous(Box::new(diagnostic))
}

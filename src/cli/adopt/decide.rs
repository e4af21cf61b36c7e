//! Which line decides a value, and whether it decides anything else.

use std::collections::{HashMap, HashSet};

use crate::{
    diagnostic::Diagnostic,
    manifest::{Given, Provenance},
    model::{
        Change, Desired, DisplayKind, FieldChange, ResourceId,
        author::{Changed, Verdict},
    },
    plan::TargetState,
    source::{FileId, Origin, Sources},
    yaml::write::Tree,
};

/// Code of warnings about live values that are not adopted.
const REFUSED: &str = "P192";

/// A difference that is not adopted.
pub(super) struct Refused {
    diagnostic: Diagnostic,
    /// True if it drifted.
    pub(super) is_drift: bool,
}

impl Refused {
    pub(super) fn new(change: &Change, field: Option<&FieldChange>, changed: &Changed, why: &str) -> Self {
        let place = field.map_or(&change.origin, |field| &field.because);
        let is_drift = changed.verdict(change.action) == Verdict::Drift;
        let what = field.map(|field| format!("the live `{}` of ", field.path)).unwrap_or_default();
        let message = format!("{what}{} is not adopted: {why}", change.id);
        Self { diagnostic: Diagnostic::warning(REFUSED, message, place), is_drift }
    }

    pub(super) fn diagnostic(&self) -> Diagnostic {
        self.diagnostic.clone()
    }
}

/// Finds the place that decides a value.
pub(in crate::cli) struct Decider<'a> {
    provenance: &'a Provenance,
    sources: &'a Sources,
    /// The documents whose fields are written at each place of interest, with their paths.
    owners: HashMap<Origin, HashSet<(ResourceId, String)>>,
    /// Files of values.
    values: HashSet<FileId>,
    /// The scalars in force by the places of what is in them.
    users: HashMap<Origin, Vec<Origin>>,
}

impl<'a> Decider<'a> {
    pub(in crate::cli) fn new<'c>(
        desired: &[Desired],
        changes: impl Iterator<Item = &'c Change>,
        provenance: &'a Provenance,
        sources: &'a Sources,
    ) -> Self {
        let asked: HashSet<Origin> =
            changes.flat_map(|change| change.fields.iter().map(|field| field.because.clone())).collect();
        let mut owners: HashMap<Origin, HashSet<(ResourceId, String)>> = HashMap::new();
        for object in desired {
            let fields = object.fields.iter().map(|(path, value)| (path.to_string(), value));
            let finders = object.locator.iter().map(|(name, value)| (format!("spec.{name}"), value));
            for (path, value) in fields.chain(finders).filter(|(_, value)| asked.contains(&value.origin)) {
                owners.entry(value.origin.clone()).or_default().insert((object.id.document(), path));
            }
        }
        let used = asked.iter().flat_map(|origin| provenance.variables(origin));
        let values = used.filter_map(|usage| match &usage.given {
            Given::Values(place) => Some(place.file),
            Given::Set | Given::Environment | Given::Default => None,
        });
        Self { provenance, sources, owners, values: values.collect(), users: provenance.users() }
    }

    /// Returns the place that decides a field and nothing else, with the live value as its file spells it; or why there
    /// is none.
    pub(in crate::cli) fn edit(
        &self,
        field: &FieldChange,
        desired: &Desired,
        state: &TargetState<'_>,
    ) -> Result<(Origin, Tree), String> {
        let place = self.place(field, desired)?;
        let kind = state.kind(&desired.id).ok_or("its kind is not known")?;
        let stored = field.from.as_ref().ok_or("what is live has no value of its own")?;
        let value = self.in_words(field, kind.written(desired, &field.path, stored, &state.facts));
        // Only in values files `${` means itself.
        let is_values = self.values.contains(&place.file);
        let value = if is_values { value } else { value.map_texts(&|text| text.replace("${", "$${")) };
        Ok((place, value))
    }

    fn place(&self, field: &FieldChange, desired: &Desired) -> Result<Origin, String> {
        let place = &field.because;
        let is_declared = desired.fields.iter().any(|(path, value)| {
            // A row of a list goes by its position in the manifest, and by its id in a plan.
            value.origin == *place
                && (*path == field.path || (path.row().is_some() && path.rest() == field.path.rest()))
        });
        if !is_declared {
            return Err("no line declares this value alone".to_owned());
        }
        if self.owners.get(place).is_some_and(|owners| owners.len() > 1) {
            return Err("its line decides several values".to_owned());
        }
        let parts = self.provenance.places(place);
        let places = if parts == [place.clone()] { parts } else { [vec![place.clone()], parts].concat() };
        for part in &places {
            self.check_shared(part, place)?;
        }
        match self.variable(&places, place)? {
            Some(place) => Ok(place),
            None => self.written(place.clone()),
        }
    }

    /// Refuses a place that others refer to, or that refers to another one.
    fn check_shared(&self, part: &Origin, whole: &Origin) -> Result<(), String> {
        let is_elsewhere = !whole.contains(part);
        if is_elsewhere || self.provenance.is_alias(part) || self.text(part).starts_with('*') {
            return Err("it is written elsewhere, for several values: its line is an alias".to_owned());
        }
        if self.users.contains_key(part) { Err("other values refer to its line".to_owned()) } else { Ok(()) }
    }

    /// Returns the place of the variable that decides a value; `None` if no variable does.
    fn variable(&self, places: &[Origin], whole: &Origin) -> Result<Option<Origin>, String> {
        let used = places.iter().flat_map(|place| self.provenance.variables(place)).collect::<Vec<_>>();
        let Some(first) = used.first() else { return Ok(None) };
        let name = &first.name;
        if used.len() > 1 || places != [whole.clone()] || !first.is_whole {
            return Err(format!("the variable `{name}` is a part of it"));
        }
        match &first.given {
            Given::Set => Err(format!("the variable `{name}` comes from --set")),
            Given::Environment => Err(format!("the variable `{name}` comes from the environment")),
            Given::Default => Err(format!("it is the default of the variable `{name}`")),
            Given::Values(place) => {
                if self.users.get(place).is_some_and(|users| users.len() > 1) {
                    return Err(format!("the variable `{name}` decides several values"));
                }
                self.written(place.clone()).map(Some)
            }
        }
    }

    /// Refuses a place that is no text of a file.
    fn written(&self, place: Origin) -> Result<Origin, String> {
        if self.text(&place).is_empty() {
            return Err("its value is left out, so that there is nothing to write over".to_owned());
        }
        if **self.sources.path(place.file) == *"-" || self.sources.path(place.file).starts_with('<') {
            return Err("it is read from stdin".to_owned());
        }
        Ok(place)
    }

    fn text(&self, place: &Origin) -> &str {
        self.sources.text(place.file).get(place.range()).unwrap_or_default()
    }

    /// Returns an option by its name where the manifest calls the one before it by name.
    fn in_words(&self, field: &FieldChange, value: Tree) -> Tree {
        let Some(display) = field.display.as_ref().filter(|display| display.kind == DisplayKind::Option) else {
            return value;
        };
        let written = self.text(&field.because).trim_matches(['"', '\'']);
        match (&display.from, &display.to) {
            (Some(from), Some(to)) if written == to && !from.starts_with('[') => Tree::text(from),
            _ => value,
        }
    }
}

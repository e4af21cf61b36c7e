//! Which modules documents of hosts name: by set and name or by id, those that a run is yet to make among them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::placement;
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, Json, ObservedState},
    platform::bk_cmdb::{
        kinds::{
            decode_common::nearest,
            module,
            refs::{self, Ref, Told},
            sets,
        },
        lookup::{Businesses, LookupError, modules_by_ids, modules_of_sets, sets_by_ids},
    },
    provider::{Facts, Observation},
    source::Origin,
};

/// The columns of modules that placements rest on.
const MODULE: &[&str] = &["bk_module_id", module::NAME, "bk_set_id", "default", module::TEMPLATE];

/// The documents of a run that declare sets and modules of a business.
pub(super) struct Declared<'d> {
    sets: Vec<&'d Desired>,
    modules: Vec<&'d Desired>,
}

impl<'d> Declared<'d> {
    pub(super) fn of(
        business: i64,
        all: &[&'d Desired],
        businesses: &Businesses,
        observation: &mut Observation,
        facts: &Facts,
    ) -> Self {
        Self {
            sets: refs::declared(sets::KIND, business, all, businesses, observation, facts),
            modules: refs::declared(module::KIND, business, all, businesses, observation, facts),
        }
    }

    /// Returns no documents: what is named has to be there.
    pub(super) fn none() -> Self {
        Self { sets: Vec::new(), modules: Vec::new() }
    }

    /// Returns all names of a set, of which its document may give it another one.
    fn aliases<'a>(&self, set: &'a str) -> BTreeSet<&'a str>
    where
        'd: 'a,
    {
        let documents = self.sets.iter().filter(|document| sets::names(document).any(|name| name == set));
        documents.flat_map(|document| sets::names(document)).chain([set]).collect()
    }
}

/// The modules of a business that documents name or hosts are in.
pub(super) struct Topology<'f, 'd> {
    modules: BTreeMap<i64, &'f Json>,
    /// The names of sets that were read.
    sets: BTreeMap<i64, &'f str>,
    declared: Declared<'d>,
}

/// A reason why a module that a document names is not known; nothing while it is still looked for.
pub(super) type Unknown = Option<ObservedState>;

impl<'f, 'd> Topology<'f, 'd> {
    /// Reads the modules that documents name, and some by their ids.
    pub(super) fn of(
        business: i64,
        documents: &[&Desired],
        ids: BTreeSet<i64>,
        declared: Declared<'d>,
        observation: &mut Observation,
        facts: &'f Facts,
    ) -> Result<Self, LookupError> {
        let fields: BTreeSet<String> = MODULE.iter().map(|name| (*name).to_owned()).collect();
        let (mut pairs, mut ids) = (BTreeSet::new(), ids);
        for entry in documents.iter().flat_map(|desired| placement::entries(desired)) {
            ids.extend(entry.as_i64());
            pairs.extend(entry.as_str().and_then(|name| name.split_once('/')));
        }
        let names: BTreeSet<&str> = pairs.iter().map(|(_, module)| *module).collect();
        let set_names: BTreeSet<&str> = pairs.iter().flat_map(|(set, _)| declared.aliases(set)).collect();
        let sets = if set_names.is_empty() {
            Ok(Vec::new())
        } else {
            let set_fields = ["bk_set_id", sets::NAME].map(str::to_owned).into();
            sets::read(business, &json!({sets::NAME: {"$in": set_names}}), &set_fields, observation, facts)
        };
        let by_id = modules_by_ids(business, &ids, &fields, observation, facts);
        let sets = sets?;
        let set_ids: BTreeSet<i64> = sets.iter().filter_map(|row| row["bk_set_id"].as_i64()).collect();
        let named = modules_of_sets(business, &set_ids, Some(&names), &fields, observation, facts);
        let rows = by_id?.into_iter().chain(named?);
        let modules: BTreeMap<i64, &Json> = rows.filter_map(|row| Some((row["bk_module_id"].as_i64()?, row))).collect();
        let mut set_names: BTreeMap<i64, &str> = names_of(sets);
        // Those of modules that were read by their ids are for people alone.
        let others = modules.values().filter_map(|row| row["bk_set_id"].as_i64());
        let others = others.filter(|id| !set_names.contains_key(id)).collect();
        let set_fields = ["bk_set_id", sets::NAME].map(str::to_owned).into();
        match sets_by_ids(business, &others, &set_fields, observation, facts) {
            Err(LookupError::Pending) => return Err(LookupError::Pending),
            more => set_names.extend(names_of(more.unwrap_or_default())),
        }
        Ok(Self { modules, sets: set_names, declared })
    }

    /// Returns a module that was read.
    pub(super) fn module(&self, id: i64) -> Option<&'f Json> {
        self.modules.get(&id).copied()
    }

    /// Returns how people call a module.
    pub(super) fn name(&self, id: i64) -> String {
        let row = self.module(id);
        let module = row.and_then(|row| row[module::NAME].as_str());
        let set = row.and_then(|row| row["bk_set_id"].as_i64()).and_then(|set| self.sets.get(&set));
        match (set, module) {
            (Some(set), Some(module)) => format!("{set}/{module}"),
            _ => format!("module #{id}"),
        }
    }

    /// Returns the module that an entry of a document names.
    pub(super) fn find(&self, entry: &Json, origin: &Origin, facts: &Facts) -> Result<Ref, Unknown> {
        let said = |message: String| Diagnostic::error("P181", message, origin);
        let impossible = |diagnostic: Diagnostic| Some(ObservedState::Impossible(Box::new(diagnostic)));
        let found: Vec<i64> = match (entry.as_i64(), entry.as_str().and_then(|name| name.split_once('/'))) {
            (Some(id), _) => self.modules.keys().copied().filter(|known| *known == id).collect(),
            (None, Some((set, module))) => self.named(set, module),
            (None, None) => Vec::new(),
        };
        match found.as_slice() {
            [id] => self.checked(*id, origin, facts),
            [] => match self.told(entry, facts) {
                Told::Is(module) => Ok(module),
                Told::Pending => Err(None),
                Told::Needs(other) => Err(Some(ObservedState::Needs(other))),
                Told::Gone | Told::Nothing => Err(impossible(self.missing(entry, origin))),
            },
            several => {
                let labels: Vec<String> = several.iter().map(|id| format!("#{id}")).collect();
                let message = format!("several modules are named {entry}: {}", labels.join(", "));
                Err(Some(ObservedState::Ambiguous(Box::new(
                    said(message).hint("give the id of the one that is meant"),
                ))))
            }
        }
    }

    fn named(&self, set: &str, module: &str) -> Vec<i64> {
        let aliases = self.declared.aliases(set);
        let is_it = |row: &Json| {
            let own = row["bk_set_id"].as_i64().and_then(|id| self.sets.get(&id));
            row[module::NAME] == module && own.is_some_and(|own| aliases.contains(own))
        };
        self.modules.iter().filter(|(_, row)| is_it(row)).map(|(id, _)| *id).collect()
    }

    /// Returns a module to which a host can be moved by its id.
    fn checked(&self, id: i64, origin: &Origin, facts: &Facts) -> Result<Ref, Unknown> {
        let said = |message: String, hint: String| {
            let diagnostic = Diagnostic::error("P181", message, origin).hint(hint);
            Err(Some(ObservedState::Impossible(Box::new(diagnostic))))
        };
        let default = self.module(id).and_then(|row| row["default"].as_i64()).unwrap_or_default();
        if default != 0 {
            let word = placement::BUILT_IN.iter().find(|(_, known)| *known == default).map(|(word, _)| *word);
            let hint = word.map_or_else(
                || "hosts are moved there by hand".to_owned(),
                |word| format!("write `modules: [{word}]`"),
            );
            return said(format!("{} is a built-in module", self.name(id)), hint);
        }
        for document in self.declared.modules.iter().filter(|document| document.ensure == Ensure::Absent) {
            match facts.observed(&document.id) {
                None => return Err(None),
                Some(ObservedState::Found(live)) if live.handle["module"].as_i64() == Some(id) => {
                    let hint = "name another module, or keep this one".to_owned();
                    return said(format!("{} is to be removed by {}", self.name(id), document.id), hint);
                }
                Some(_) => {}
            }
        }
        Ok(Ref::Id(id))
    }

    /// Asks the documents of modules for one that is not there by this name.
    fn told(&self, entry: &Json, facts: &Facts) -> Told {
        let Some((set, module)) = entry.as_str().and_then(|name| name.split_once('/')) else { return Told::Nothing };
        let aliases = self.declared.aliases(set);
        let ids: Vec<i64> = self.sets.iter().filter(|(_, name)| aliases.contains(*name)).map(|(id, _)| *id).collect();
        let is_there = |document: &&&Desired| match document.locate("set") {
            Some(given) if given.is_i64() => given.as_i64().is_some_and(|id| ids.contains(&id)),
            Some(given) => given.as_str().is_some_and(|name| aliases.contains(name)),
            None => false,
        };
        let documents: Vec<&Desired> = self.declared.modules.iter().filter(is_there).copied().collect();
        refs::told(module, &documents, module::names, facts)
    }

    fn missing(&self, entry: &Json, origin: &Origin) -> Diagnostic {
        let diagnostic = |message: String| Diagnostic::error("P181", message, origin);
        let Some((set, module)) = entry.as_str().and_then(|name| name.split_once('/')) else {
            return diagnostic(format!("the business has no module #{entry}"));
        };
        if !self.sets.values().any(|name| *name == set) {
            return diagnostic(format!("no set is named `{set}`")).hint("hosts are moved to modules of their business");
        }
        let names: Vec<String> =
            self.modules.values().filter_map(|row| row[module::NAME].as_str()).map(str::to_owned).collect();
        nearest(diagnostic(format!("the set `{set}` has no module `{module}`")), module, &names)
    }
}

fn names_of(rows: Vec<&Json>) -> BTreeMap<i64, &str> {
    rows.into_iter().filter_map(|row| Some((row["bk_set_id"].as_i64()?, row[sets::NAME].as_str()?))).collect()
}

//! How documents name the modules that hosts are in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::placement::BUILT_IN;
use crate::{
    model::Json,
    platform::bk_cmdb::{
        kinds::{export_common::is_name, module, sets},
        lookup::{LookupError, all_modules},
    },
    provider::{Facts, Observation},
    yaml::write::Tree,
};

/// The modules of a business by their ids.
pub(super) struct Modules<'f>(BTreeMap<i64, Name<'f>>);

/// The way in which documents name a module.
enum Name<'f> {
    /// By its set and its own name.
    Pair(&'f str, &'f str),
    /// By its id: others have the same names, or no document can write them.
    Id,
    /// By a word.
    BuiltIn(&'static str),
    /// Not at all.
    Hidden,
}

impl<'f> Modules<'f> {
    /// Reads all modules and sets of a business.
    pub(super) fn of(business: i64, observation: &mut Observation, facts: &'f Facts) -> Result<Self, LookupError> {
        let set_fields = ["bk_set_id", sets::NAME, "default"].map(str::to_owned).into();
        let sets = sets::read(business, &json!({}), &set_fields, observation, facts);
        let fields = ["bk_module_id", module::NAME, "bk_set_id", "default"].map(str::to_owned).into();
        let modules = all_modules(business, &fields, observation, facts)?;
        let set_name = |row: &&'f Json| Some((row["bk_set_id"].as_i64()?, row[sets::NAME].as_str()?));
        let sets: BTreeMap<i64, &str> = sets?.iter().filter_map(set_name).collect();
        let pair = |row: &'f Json| Some((*sets.get(&row["bk_set_id"].as_i64()?)?, row[module::NAME].as_str()?));
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        modules.iter().filter_map(|row| pair(row)).for_each(|pair| *counts.entry(pair).or_default() += 1);
        let can_be_written = |name: &str| is_name(name) && !name.contains('/');
        let name = |row: &'f Json| match row["default"].as_i64().unwrap_or_default() {
            0 => match pair(row).filter(|pair| counts[pair] == 1) {
                Some((set, module)) if can_be_written(set) && can_be_written(module) => Name::Pair(set, module),
                _ => Name::Id,
            },
            other => {
                BUILT_IN.iter().find(|(_, known)| *known == other).map_or(Name::Hidden, |(word, _)| Name::BuiltIn(word))
            }
        };
        let named = modules.iter().filter_map(|row| Some((row["bk_module_id"].as_i64()?, name(row))));
        Ok(Self(named.collect()))
    }

    /// Returns the list of the modules of a host, by its pairs with modules; or why no document can declare it.
    pub(super) fn list(&self, pairs: &[&Json]) -> Result<Tree, String> {
        let ids: BTreeSet<i64> = pairs.iter().filter_map(|pair| pair["bk_module_id"].as_i64()).collect();
        let mut list = Vec::with_capacity(ids.len());
        for id in &ids {
            list.push(match self.0.get(id) {
                Some(Name::Pair(set, module)) => Tree::text(format!("{set}/{module}")),
                Some(Name::Id) => Tree::Plain(id.to_string()),
                Some(Name::BuiltIn(word)) if ids.len() == 1 => Tree::text(*word),
                Some(Name::BuiltIn(_) | Name::Hidden) => {
                    return Err(format!("it is in the built-in module #{id}, which no document can name here"));
                }
                None => return Err(format!("the business does not list its module #{id}")),
            });
        }
        if list.is_empty() { Err("no module is listed".to_owned()) } else { Ok(Tree::List(list)) }
    }
}

//! Modules of businesses, or of one set, as documents, a page by ascending ids.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{MODEL, Module, NAME, live, observe, own, sets};
use crate::{
    model::{Json, Request},
    platform::bk_cmdb::{
        kinds::export_common::{self, Unlisted, heads, name_or_id, unread},
        lookup::{LookupError, modules_request, read_rows},
    },
    provider::{Cursor, Draft, ExportPage, ExportScope, ExportedObject, Facts, Observation},
    yaml::write::Entry,
};

/// Returns a page of the modules of a business, and behind the last of them goes on with the next business.
pub(super) fn export(
    export: &ExportScope<'_>,
    from: &Cursor,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<ExportPage, Unlisted> {
    let businesses = export_common::businesses(export.scope, observation, facts)?;
    let Some(business) = businesses.get(from.part) else { return Ok(ExportPage::default()) };
    let in_trouble = |error: LookupError| unread(&error, export.scope);
    let definition = own::whole(MODEL, business.id, observation, facts).map_err(in_trouble)?;
    export_common::check_fields(export, &definition)?;
    let mut condition = json!({"bk_module_id": {"$gt": from.after}});
    match wanted(export, business.id, businesses.len(), observation, facts)? {
        Wanted::All => {}
        Wanted::Set(id) => condition["bk_set_id"] = json!({"$in": [id]}),
        Wanted::Nothing => {
            let next = export_common::next_part(from, businesses.len());
            return Ok(ExportPage { next, ..ExportPage::default() });
        }
    }
    let module_fields: BTreeSet<String> =
        observe::fields(&[]).into_iter().chain(definition.keys().map(ToString::to_string)).collect();
    let request = export_common::page(modules_request(business.id, &condition, &module_fields));
    let page = export_common::behind(request.clone(), ("bk_module_id", "modules"), from.after, observation, facts)?;
    let rows: Vec<&Json> = page.rows.iter().filter(|row| row["default"].as_i64().unwrap_or(0) == 0).collect();
    let around = Around::of(business.id, &rows, observation, facts).map_err(in_trouble)?;
    let (mut objects, mut declared) = (Vec::new(), Vec::new());
    for row in rows {
        let live = live(export.scope, row);
        let (set, id) = (set_of(row), row["bk_module_id"].as_i64().unwrap_or_default());
        let set_name = around.sets.get(&set).copied().unwrap_or_default();
        let group = [business.name.clone(), set_name.to_owned(), "modules".to_owned()];
        if export.skips(&Module, &live, &group, &mut declared)
            || !export_common::fits(export, &live, &definition, facts)?
        {
            continue;
        }
        let name = row[NAME].as_str().unwrap_or_default();
        let unique = Some(name).filter(|name| around.modules.get(&(set, *name)) == Some(&1));
        let known: &[&str] = if unique.is_some_and(export_common::is_name) { &[NAME] } else { &[] };
        let fields = export_common::fields(export, &live, &definition, known, facts);
        let set_tree = name_or_id(set_name, set, around.set_names.is_unique(set_name));
        let common = [Entry::new("business", business.tree.clone()), Entry::new("set", set_tree)];
        let heads = heads(&common, ("module", unique), ("module", id));
        let (spec, left) = Draft { heads, key: "fields", fields, live: &live }.spec(&Module, facts);
        objects.push(ExportedObject {
            title: name.to_owned(),
            handles: vec![id.to_string()],
            instance: None,
            group: group.to_vec(),
            note: format!("module #{id}"),
            spec,
            left,
        });
    }
    let read = std::iter::once(request).chain(around.read).chain(around.set_names.read).collect();
    Ok(ExportPage { objects, declared, next: page.next(from, businesses.len()), read })
}

fn set_of(row: &Json) -> i64 {
    row["bk_set_id"].as_i64().unwrap_or_default()
}

/// The sets of the modules of a page, and how often names are there.
struct Around<'f> {
    /// The names of their sets.
    sets: BTreeMap<i64, &'f str>,
    /// How many sets have these.
    set_names: sets::Names<'f>,
    /// How many modules of these sets have which of their names.
    modules: BTreeMap<(i64, &'f str), usize>,
    /// The reads that told it.
    read: Vec<Request>,
}

impl<'f> Around<'f> {
    fn of(business: i64, rows: &[&Json], observation: &mut Observation, facts: &'f Facts) -> Result<Self, LookupError> {
        let ids: BTreeSet<i64> = rows.iter().map(|row| set_of(row)).collect();
        let names: BTreeSet<&str> = rows.iter().filter_map(|row| row[NAME].as_str()).collect();
        let fields = ["bk_set_id", "bk_module_id", NAME].map(str::to_owned).into();
        let of_sets = json!({"bk_set_id": {"$in": ids}});
        let of_names = json!({"bk_set_id": {"$in": ids}, NAME: {"$in": names}});
        let read =
            vec![sets::request(business, &of_sets, &set_fields()), modules_request(business, &of_names, &fields)];
        let mut found = Vec::with_capacity(read.len());
        for request in read.iter().filter(|_| !rows.is_empty()) {
            found.push(read_rows(request.clone(), "info", observation, facts));
        }
        let mut found = found.into_iter();
        let mut next = || found.next().unwrap_or_else(|| Ok(Vec::new()));
        let (set_rows, module_rows) = (next()?, next()?);
        let sets: BTreeMap<i64, &str> =
            set_rows.iter().filter_map(|row| Some((row["bk_set_id"].as_i64()?, row[sets::NAME].as_str()?))).collect();
        let mut modules = BTreeMap::new();
        for row in module_rows {
            *modules.entry((set_of(row), row[NAME].as_str().unwrap_or_default())).or_default() += 1;
        }
        let set_names = sets::Names::of(business, &sets.values().copied().collect(), observation, facts)?;
        Ok(Self { sets, set_names, modules, read })
    }
}

fn set_fields() -> BTreeSet<String> {
    ["bk_set_id", sets::NAME, "default"].map(str::to_owned).into()
}

/// The modules that the command asks for.
enum Wanted {
    /// Those of all sets.
    All,
    /// Those of the set with an id.
    Set(i64),
    /// None of this business, as another one may have the set.
    Nothing,
}

/// Finds the set that the command names. In one of several businesses it may be missing.
fn wanted(
    export: &ExportScope<'_>,
    business: i64,
    businesses: usize,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Wanted, Unlisted> {
    let Some(given) = export.scope.locator.get("set") else { return Ok(Wanted::All) };
    let read = |condition: Value, observation: &mut Observation| {
        sets::read(business, &condition, &set_fields(), observation, facts)
            .map_err(|error| unread(&error, export.scope))
    };
    let name = |row: &Json| row[sets::NAME].as_str().unwrap_or_default().to_owned();
    let pick = |rows: &[&Json]| {
        let named: Vec<(i64, String)> =
            rows.iter().filter_map(|row| Some((row["bk_set_id"].as_i64()?, name(row)))).collect();
        export_common::picked(&given.value, named.iter().map(|(id, name)| (*id, name.as_str())))
    };
    let text = given.value.as_str().map_or_else(|| given.value.to_string(), str::to_owned);
    let ids: Vec<i64> = given.value.as_i64().into_iter().collect();
    let either = json!({"$or": [{sets::NAME: {"$in": [text]}}, {"bk_set_id": {"$in": ids}}]});
    if let Some(id) = pick(&read(either, observation)?) {
        return Ok(Wanted::Set(id));
    }
    if businesses > 1 {
        return Ok(Wanted::Nothing);
    }
    // The built-in one is shown by a name that it does not have. And for the hint: the sets that there are.
    let rows = read(json!({}), observation)?;
    let missing =
        || export_common::missing("P109", "set", given, &rows.iter().map(|row| name(row)).collect::<Vec<_>>());
    pick(&rows).map(Wanted::Set).ok_or_else(|| Some(missing()))
}

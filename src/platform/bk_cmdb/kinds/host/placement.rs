//! In which modules a host is: `modules`, an object of its own in a plan, as it is a call of its own:
//! `Host/web-1 → modules`.
//!
//! Normal modules are kept by their ids. The built-in ones of each business are told by `default`, since their names are
//! translated (contract "topology", trap 16).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    decode::MODE,
    label,
    modules::{Topology, Unknown},
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        Desired, Display, DisplayKind, FieldChange, FieldPath, Json, Live, LiveFields, ResourceId, part_placeholder,
        placeholder_in,
    },
    platform::bk_cmdb::kinds::{module, refs::Ref},
    provider::{Facts, Reversal},
    source::Located,
};

/// The key of the list, and of what it stands for in a plan.
pub(super) const MODULES: &str = "modules";
/// The words for built-in modules, with their `default`.
pub(super) const BUILT_IN: &[(&str, i64)] = &[("idle", 1), ("fault", 2), ("recycle", 3)];

/// Prefix of what a document resolves to beside what is live.
const WANTED: &str = "wanted";

/// Returns the path of what a document resolves to: modules, their service templates, or why it does not.
fn wanted(key: &str) -> FieldPath {
    FieldPath::field(WANTED).part(key)
}

/// Returns true if a document's object are the modules of a host.
pub(super) fn is_placement(desired: &Desired) -> bool {
    desired.locator.contains_key(MODULES)
}

/// Returns the host whose modules an object is about, as a document of its own.
pub(super) fn host(desired: &Desired) -> Desired {
    let mut host = desired.clone();
    [MODE, MODULES].iter().for_each(|key| drop(host.locator.remove(*key)));
    host.fields = crate::model::Fields::new();
    host.references = Vec::new();
    host.id = desired.id.document();
    host
}

/// Returns the modules that a document names: words for built-in ones, `SET/MODULE`, or ids.
pub(super) fn entries(desired: &Desired) -> &[Json] {
    desired.field(MODULES).map_or(&[], Json::items)
}

/// Returns true if the modules of a document are only added.
pub(super) fn adds(desired: &Desired) -> bool {
    desired.locate(MODE).is_some()
}

/// The modules that a document wants a host to be in.
pub(super) struct Wanted {
    /// Ids, placeholders of those that are yet to be made, or the word for a built-in one.
    modules: Vec<Value>,
    /// The service templates of those that are there.
    templates: BTreeSet<i64>,
    /// The names of modules by their values as text.
    names: Map<String, Value>,
}

/// Returns the modules that a document names.
pub(super) fn resolve(desired: &Desired, topology: &Topology<'_, '_>, facts: &Facts) -> Result<Wanted, Unknown> {
    let origin = desired.fields.get(MODULES).map_or(&desired.origin, |list| &list.origin);
    let mut found = Wanted { modules: Vec::new(), templates: BTreeSet::new(), names: Map::new() };
    for entry in entries(desired) {
        if BUILT_IN.iter().any(|(word, _)| entry.as_str() == Some(word)) {
            found.modules.push(entry.to_value());
            continue;
        }
        let module = topology.find(entry, origin, facts)?;
        let (value, name) = match &module {
            Ref::Id(id) => {
                let template = topology.module(*id).and_then(|row| row[module::TEMPLATE].as_i64());
                found.templates.extend(template.filter(|id| *id > 0));
                (json!(id), topology.name(*id))
            }
            Ref::Made(id) => (part_placeholder(id, "module"), entry.as_str().unwrap_or_default().to_owned()),
        };
        if found.modules.contains(&value) {
            let message = format!("{name} is named twice");
            let diagnostic = Diagnostic::error("P181", message, origin).hint("name it once");
            return Err(Some(crate::model::ObservedState::Impossible(Box::new(diagnostic))));
        }
        found.names.insert(value.to_string(), json!(name));
        found.modules.push(value);
    }
    found.modules.sort_by_key(order);
    Ok(found)
}

/// Sorts ids by their number, and what has none yet behind them.
fn order(module: &Value) -> (i64, String) {
    (module.as_i64().unwrap_or(i64::MAX), module.to_string())
}

/// Returns the modules that a host is in: their ids, or the word for a built-in one.
pub(super) fn current(pairs: &[&Json], topology: &Topology<'_, '_>) -> (Vec<Value>, bool) {
    let ids: BTreeSet<i64> = pairs.iter().filter_map(|pair| pair["bk_module_id"].as_i64()).collect();
    let default = |id: &i64| topology.module(*id).and_then(|row| row["default"].as_i64()).unwrap_or_default();
    let is_built_in = ids.iter().any(|id| default(id) != 0);
    let value = |id: &i64| {
        let word = BUILT_IN.iter().find(|(_, known)| *known == default(id));
        word.map_or_else(|| json!(id), |(word, _)| json!(word))
    };
    (ids.iter().map(value).collect(), is_built_in)
}

/// Returns the placement of a host. `found` are the modules that its document wants, or why they are not known.
pub(super) fn live(handle: Json, pairs: &[&Json], found: Result<Wanted, String>, topology: &Topology<'_, '_>) -> Live {
    let (modules, is_built_in) = current(pairs, topology);
    let mut names = Map::new();
    for id in modules.iter().filter_map(Value::as_i64) {
        names.insert(id.to_string(), json!(topology.name(id)));
    }
    let label = format!("modules of {}", label(&handle));
    let mut fields = LiveFields::new();
    fields.insert(FieldPath::field(MODULES), json!(modules).into());
    fields.insert(FieldPath::field("built_in"), json!(is_built_in).into());
    match found {
        Ok(found) => {
            names.extend(found.names);
            fields.insert(wanted(MODULES), json!(found.modules).into());
            fields.insert(wanted("templates"), json!(found.templates).into());
        }
        Err(why) => fields.insert(wanted("problem"), json!(why).into()),
    }
    fields.insert(FieldPath::field("names"), Value::Object(names).into());
    Live::new(handle, label, fields)
}

/// Returns the modules that a document wants, as they were resolved.
pub(super) fn wanted_modules(live: &Live) -> Vec<Value> {
    live.field(wanted(MODULES).as_str()).items().iter().map(Json::to_value).collect()
}

/// Returns the service templates of the wanted modules that are there.
pub(super) fn wanted_templates(live: &Live) -> &[Json] {
    live.fields.get(&wanted("templates")).map_or(&[], Json::items)
}

/// Returns the documents of wanted modules that the run is yet to make.
pub(super) fn made(live: &Live) -> Vec<ResourceId> {
    let addresses = live.field(wanted(MODULES).as_str()).items().iter().filter_map(placeholder_in);
    addresses
        .filter_map(|address| ResourceId::read(address, |kind| (kind == module::KIND).then_some(module::KIND)))
        .collect()
}

/// Returns the modules in which a host is.
pub(super) fn live_modules(live: &Live) -> Vec<Value> {
    live.field(MODULES).items().iter().map(Json::to_value).collect()
}

/// Returns true if a host is in a built-in module, which it leaves with any transfer.
pub(super) fn is_built_in(live: &Live) -> bool {
    *live.field("built_in") == true
}

/// Returns the modules in which a host will be.
pub(super) fn target(desired: &Desired, live: &Live) -> Vec<Value> {
    let mut target = wanted_modules(live);
    if adds(desired) && !is_built_in(live) {
        let kept: Vec<Value> = live_modules(live).into_iter().filter(|module| !target.contains(module)).collect();
        target.extend(kept);
    }
    target.sort_by_key(order);
    target
}

pub(super) fn compare(desired: &Desired, live: Option<&Live>) -> Result<Vec<FieldChange>, Vec<Diagnostic>> {
    let (Some(list), Some(live)) = (desired.fields.get(MODULES), live) else { return Ok(Vec::new()) };
    if let Some(problem) = live.fields.get(&wanted("problem")).and_then(Json::as_str) {
        return Err(vec![Diagnostic::error("P181", problem.to_owned(), &list.origin)]);
    }
    let (is, target) = (live_modules(live), target(desired, live));
    if is == target {
        return Ok(Vec::new());
    }
    let shown = |modules: &[Value]| Some(shown(modules, live));
    Ok(vec![FieldChange {
        path: FieldPath::field(MODULES),
        display: Some(Display { kind: DisplayKind::Row, from: shown(&is), to: shown(&target) }),
        from: Some(json!(is)),
        to: Some(json!(target)),
        because: list.origin.clone(),
    }])
}

/// Returns modules as people write them.
pub(super) fn shown(modules: &[Value], live: &Live) -> String {
    let names = live.field("names");
    let name = |module: &Value| {
        let word = module.as_str().or_else(|| names[module.to_string().as_str()].as_str());
        word.map_or_else(|| module.to_string(), str::to_owned)
    };
    format!("[{}]", modules.iter().map(name).collect::<Vec<_>>().join(", "))
}

/// Returns the reversal of a move, where the host still is where it was moved to.
pub(super) fn reversal(desired: &Desired, live: &Live, changes: &[FieldChange]) -> Reversal {
    let mut reversal = Reversal::none(desired);
    let Some(change) = changes.iter().find(|change| change.path == MODULES) else { return reversal };
    let now = json!(live_modules(live));
    if change.from.as_ref() == Some(&now) {
        return reversal;
    }
    if !change.to.as_ref().is_some_and(|to| is_outcome(&now, to)) {
        reversal.leave_overtaken(change, Some(&now));
        return reversal;
    }
    reversal.desired.locator.remove(MODE);
    let before = Located::new(change.from.clone().unwrap_or_default(), change.because.clone());
    reversal.desired.fields.insert(FieldPath::field(MODULES), before);
    reversal.is_needed = true;
    reversal
}

/// Returns true if modules are those that a change asked for. Of one that the run made only the place is known.
fn is_outcome(now: &Value, to: &Value) -> bool {
    let (Some(now), Some(to)) = (now.as_array(), to.as_array()) else { return false };
    let known = |module: &&Value| !module.is_object();
    now.len() == to.len() && to.iter().filter(known).all(|module| now.contains(module))
}

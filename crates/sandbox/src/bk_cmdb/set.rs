//! Businesses and sets (sections 4.2 and 4.5).

use std::sync::Arc;

use regex::RegexBuilder;
use serde_json::Value;

use super::{
    args::Args,
    audit::{Record, Subject},
    call::Call,
    filter::{Filter, Test},
    instance::{counted, readable, typed},
    instance_write::{accepted, fresh, touch},
    module::{batch, check_name, default_category, insert_of_template, is_built_in, projection, remove, updated},
    page::{Page, matching, select},
    raw,
    refusal::{Outcome, Refusal, Reply},
    row::{Row, list_text},
    rule::{self, Engine},
    set_template::service_templates,
    table::Table,
    world::{MAIN_LINE, Place, Tables, Version, World},
};

/// `search_business`. A plain text in `condition` finds every business whose value contains it, in any case.
pub(super) fn search_businesses(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let condition = args.object("condition")?;
    let tree = args.get("biz_property_filter");
    if tree.is_some() && !condition.0.is_empty() {
        return Err(Refusal::invalid("%s"));
    }
    let mut filter = match tree {
        Some(tree) => rule::parse(tree, Engine::Builder, "biz_property_filter")?,
        None => loose(tables, &condition)?,
    };
    // The resource pool and archived businesses are hidden.
    filter = filter.and(Filter::Not(Box::new(Filter::equal("default", 1))));
    filter = filter.and(Filter::Not(Box::new(Filter::equal("bk_data_status", "disabled"))));
    let found = select(&tables.businesses, &filter, &Page::of(&args)?);
    Ok(counted(&found, &projection(args.texts("fields")?, "bk_biz_name", call)))
}

fn loose(tables: &Tables, condition: &Args) -> Result<Filter, Refusal> {
    let schema = tables.schema("biz");
    let mut filter = Filter::everything();
    for (name, value) in &condition.0 {
        let part = match value {
            Value::String(text) if schema.get(name, 0).is_some_and(|attribute| attribute.kind == "objuser") => {
                Filter::Field(name.clone(), Test::User(text.clone()))
            }
            Value::String(text) if !name.starts_with('$') => {
                let regex = RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build();
                Filter::Field(name.clone(), Test::Regex(regex.map_err(|_| Refusal::unknown())?))
            }
            _ => raw::parse(&Args(serde_json::Map::from_iter([(name.clone(), value.clone())])))?,
        };
        filter = filter.and(part);
    }
    Ok(filter)
}

/// The sets of a business that its users see: those of another supplier account are only known to the unique names.
fn own(business: i64) -> Filter {
    Filter::equal("bk_biz_id", business).and(Filter::equal("bk_supplier_account", "0"))
}

/// `search_set`.
pub(super) fn search(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let mut condition = args.object("condition")?;
    // Older servers do not know the argument and ignore it.
    let filter = match args.get("filter").filter(|_| world.version >= Version::V3_14) {
        Some(_) if !condition.0.is_empty() => {
            return Err(Refusal::wrapped("condition and filter cannot be set at the same time"));
        }
        Some(tree) => rule::parse(tree, Engine::Builder, "filter")?,
        None => {
            // The business of the path counts.
            condition.0.remove("bk_biz_id");
            raw::parse(&condition)?
        }
    };
    let filter = typed(tables, "set", filter).and(own(business));
    let found = select(&tables.sets, &filter, &Page::of(&args)?);
    let projection = projection(args.texts("fields")?, "bk_set_name", call);
    readable(tables, "set", &found.rows, &projection)?;
    Ok(counted(&found, &projection))
}

/// `find_set_batch`.
pub(super) fn find_batch(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let (ids, fields) = batch(&call.args()?)?;
    let filter = Filter::within("bk_set_id", ids).and(own(business));
    let rows = matching(&tables.sets, &filter);
    Ok(Reply::Text(list_text(rows.into_iter(), &projection(fields, "bk_set_name", call))))
}

fn same_name() -> Refusal {
    Refusal::new(1_101_108, "the same set name exist")
}

/// The instances of the custom layer right above the sets; `None` if that is the business.
fn layer_above_sets(tables: &Tables) -> Option<&Table> {
    let above = Filter::equal("bk_obj_id", "set").and(Filter::equal("bk_asst_id", MAIN_LINE));
    let layer = matching(&tables.object_associations, &above).first()?.text("bk_asst_obj_id");
    tables.instances.get(layer).filter(|_| tables.layers.contains(layer))
}

/// Returns the parent of a new set.
fn check_parent(tables: &Tables, business: i64, sent: Option<&Value>) -> Result<i64, Refusal> {
    let parent = sent.and_then(Value::as_i64).filter(|id| *id > 0);
    if let Some(layer) = layer_above_sets(tables) {
        let fits = |id: &i64| layer.get(*id).is_some_and(|row| row.int("bk_biz_id") == business);
        return parent.filter(fits).ok_or_else(|| Refusal::wrapped("bk_parent_id"));
    }
    sent.ok_or_else(|| Refusal::unassigned("bk_parent_id"))?;
    parent.ok_or_else(|| Refusal::wrapped("'bk_parent_id' data parameter verification does not pass"))
}

/// `create_set`. The parent is only looked at where a custom layer lies between the business and its sets.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let mut sent = call.map()?.ok_or_else(|| Refusal::crash("topo"))?;
    let business = call.id("bk_biz_id", "business id")?;
    if world.tables.businesses.get(business).is_none() {
        return Err(Refusal::wrapped("bk_biz_id"));
    }
    let value = sent.get("bk_set_name").ok_or_else(|| Refusal::unassigned("bk_set_name"))?;
    let name = check_name("bk_set_name", value)?;
    sent.insert("bk_set_name".to_owned(), name.into());
    let parent = check_parent(&world.tables, business, sent.get("bk_parent_id"))?;
    let template = match sent.get("set_template_id") {
        None | Some(Value::Null) => 0,
        Some(id) => id.as_i64().ok_or_else(|| Refusal::invalid("Set template ID"))?,
    };
    if template != 0 && world.tables.set_templates.get(template).is_none() {
        return Err(Refusal::not_found());
    }
    // The built-in flag is stored as it is sent.
    let default = sent.get("default").and_then(Value::as_i64).unwrap_or(0);
    sent.insert("bk_biz_id".to_owned(), business.into());
    let mut row = fresh(world, call, "set", &sent)?;
    for (name, value) in
        [("bk_biz_id", business), ("bk_parent_id", parent), ("default", default), ("set_template_id", template)]
    {
        row.set(name, value);
    }
    row.set("set_template_version", Value::Null);
    if world.tables.sets.conflict(0, &row).is_some() {
        return Err(same_name());
    }
    let id = world.next_id("set");
    row.set("bk_set_id", id);
    let subject = Subject { model: "set", id, name: row.text("bk_set_name"), business: Some(business) };
    world.note(Record::create(world, call, &subject, &row));
    world.put(Place::Sets, id, Some(row.clone()));
    // A service template that is gone has left its relation behind.
    let services = if template == 0 { Vec::new() } else { service_templates(&world.tables, template) };
    for service in services {
        insert_of_template(world, call, &row, service.int("id"))?;
    }
    Ok(Reply::Json(row.to_value()))
}

/// `update_set`.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let sent = call.map()?;
    let business = call.id("bk_biz_id", "business id")?;
    let id = call.id("bk_set_id", "set id")?;
    let old = world.tables.sets.get(id).cloned().ok_or_else(Refusal::not_found)?;
    if is_built_in(&old) {
        return Err(Refusal::built_in());
    }
    if !own(business).matches(&old) {
        return Err(Refusal::not_found());
    }
    let mut sent = sent.ok_or_else(|| Refusal::crash("topo"))?;
    for name in ["bk_biz_id", "bk_set_id", "bk_parent_id", "set_template_id", "metadata"] {
        sent.remove(name);
    }
    let row = updated(world, call, "set", &old, &sent)?;
    if world.tables.sets.conflict(id, &row).is_some() {
        return Err(same_name());
    }
    let subject = Subject { model: "set", id, name: old.text("bk_set_name"), business: Some(business) };
    world.note(Record::update(world, call, &subject, &old, &sent));
    world.put(Place::Sets, id, Some(row));
    Ok(Reply::Nothing)
}

/// `delete_set`, with its modules.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "business id")?;
    let id = call.id("bk_set_id", "set id")?;
    let old = world.tables.sets.get(id).filter(|row| own(business).matches(row)).cloned();
    let Some(old) = old else { return Ok(Reply::Nothing) };
    if is_built_in(&old) {
        return Err(Refusal::built_in());
    }
    remove_set(world, call, &old)?;
    Ok(Reply::Nothing)
}

/// `batch_delete_set`, all or nothing: an empty list is every set of the business, the built-in one included.
pub(super) fn delete_many(world: &mut World, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "business id")?;
    let named = call.args()?.object("delete")?;
    let ids = named.ints("inst_ids")?;
    if named.get("inst_ids").is_none() {
        return Err(Refusal::unknown());
    }
    let of_business: Vec<Arc<Row>> = matching(&world.tables.sets, &own(business)).into_iter().cloned().collect();
    let wanted = |set: &Arc<Row>| ids.is_empty() || ids.contains(&set.int("bk_set_id"));
    let sets: Vec<Arc<Row>> = of_business.into_iter().filter(wanted).collect();
    if !ids.is_empty() && sets.iter().any(|set| is_built_in(set)) {
        return Err(Refusal::built_in());
    }
    for set in sets {
        remove_set(world, call, &set)?;
    }
    Ok(Reply::Nothing)
}

/// Removes a set with its modules, unless there are hosts below.
pub(super) fn remove_set(world: &mut World, call: &Call, old: &Arc<Row>) -> Result<(), Refusal> {
    let id = old.int("bk_set_id");
    let inside = Filter::equal("bk_set_id", id);
    let modules: Vec<_> = matching(&world.tables.modules, &inside).into_iter().cloned().collect();
    for module in modules {
        remove(world, call, &module)?;
    }
    let business = Some(old.int("bk_biz_id"));
    let subject = Subject { model: "set", id, name: old.text("bk_set_name"), business };
    world.note(Record::delete(world, call, &subject, old));
    world.put(Place::Sets, id, None);
    Ok(())
}

/// Sets and modules that every business has: names as they are stored and `default`, the set first.
const IDLE: [(&str, i64); 4] = [("空闲机池", 1), ("空闲机", 1), ("故障机", 2), ("待回收", 3)];

/// `create_business`, with its idle set. The contract names no more than the path.
pub(super) fn create_business(world: &mut World, call: &Call) -> Outcome {
    let mut sent = call.map()?.ok_or_else(|| Refusal::crash("topo"))?;
    sent.remove("bk_biz_id");
    let mut row = fresh(world, call, "biz", &sent)?;
    row.set("default", 0);
    if let Some(unique) = world.tables.businesses.conflict(0, &row) {
        return Err(Refusal::duplicated(&unique.describe(&row)));
    }
    let id = world.next_id("biz");
    row.set("bk_biz_id", id);
    let subject = Subject { model: "biz", id, name: row.text("bk_biz_name"), business: Some(id) };
    world.note(Record::create(world, call, &subject, &row));
    world.put(Place::Businesses, id, Some(row.clone()));
    let named = |field: &str, name: &str| serde_json::Map::from_iter([(field.to_owned(), Value::from(name))]);
    let [(set_name, default), modules @ ..] = IDLE;
    let set_id = world.next_id("set");
    let mut set = fresh(world, call, "set", &named("bk_set_name", set_name))?;
    for (name, value) in
        [("bk_set_id", set_id), ("bk_biz_id", id), ("bk_parent_id", id), ("default", default), ("set_template_id", 0)]
    {
        set.set(name, value);
    }
    set.set("set_template_version", Value::Null);
    world.put(Place::Sets, set_id, Some(set));
    let category = default_category(&world.tables);
    for (name, default) in modules {
        let module_id = world.next_id("module");
        let mut module = fresh(world, call, "module", &named("bk_module_name", name))?;
        for (name, value) in [
            ("bk_module_id", module_id),
            ("bk_biz_id", id),
            ("bk_set_id", set_id),
            ("bk_parent_id", set_id),
            ("default", default),
            ("service_category_id", category),
            ("service_template_id", 0),
            ("set_template_id", 0),
        ] {
            module.set(name, value);
        }
        module.set("host_apply_enabled", false);
        world.put(Place::Modules, module_id, Some(module));
    }
    Ok(Reply::Json(row.to_value()))
}

/// `update_business`.
pub(super) fn update_business(world: &mut World, call: &Call) -> Outcome {
    let mut sent = call.map()?.ok_or_else(|| Refusal::crash("topo"))?;
    let id = call.id("bk_biz_id", "business id")?;
    let old = world.tables.businesses.get(id).cloned().ok_or_else(Refusal::not_found)?;
    sent.remove("bk_biz_id");
    let mut row = (*old).clone();
    for (name, value) in accepted(world, "biz", &old, &sent)? {
        row.set(name, value);
    }
    touch(world, call, &mut row);
    if let Some(unique) = world.tables.businesses.conflict(id, &row) {
        return Err(Refusal::duplicated(&unique.describe(&row)));
    }
    let subject = Subject { model: "biz", id, name: old.text("bk_biz_name"), business: Some(id) };
    world.note(Record::update(world, call, &subject, &old, &sent));
    world.put(Place::Businesses, id, Some(row));
    Ok(Reply::Nothing)
}

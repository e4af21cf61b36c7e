//! Writes of model instances (section 4.1).

use std::{borrow::Cow, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    attribute::AUTOMATIC,
    audit::{Record, Subject},
    call::Call,
    filter::Filter,
    instance::{common_model, is_unreadable},
    module::{check_name, updated},
    moment,
    page::matching,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    set::remove_set,
    world::{INNER, MAIN_LINE, Place, World, id_field, name_field},
};

/// The most items of a batch create.
const BATCH: usize = 200;

/// Checks the attributes among `sent` and returns what is to be stored.
///
/// Unknown and non-editable attributes are dropped without a word.
pub(super) fn accepted(
    world: &World,
    model: &str,
    row: &Row,
    sent: &Map<String, Value>,
) -> Result<Vec<(Arc<str>, Value)>, Refusal> {
    let schema = world.tables.schema(model);
    let business = row.int("bk_biz_id");
    let mut cells = Vec::new();
    for (name, value) in sent {
        let Some(attribute) = schema.get(name, business) else { continue };
        if !attribute.editable || attribute.kind == "innertable" || AUTOMATIC.contains(&name.as_str()) {
            continue;
        }
        if attribute.kind == "id_rule" && !row.text(name).is_empty() && value.as_str() != Some(row.text(name)) {
            return Err(Refusal::wrapped("can not update property"));
        }
        cells.push((attribute.id.clone(), attribute.accept(value, &world.context())?));
    }
    Ok(cells)
}

/// Moves the times of an updated row.
pub(super) fn touch(world: &World, call: &Call, row: &mut Row) {
    let now = world.now_text();
    row.set("last_time", now.as_str());
    row.set("bk_updated_at", now.as_str());
    row.set("bk_updated_by", call.user.as_str());
}

/// Makes the row of a new object: defaults, sent attributes, times.
pub(super) fn fresh(world: &World, call: &Call, model: &str, sent: &Map<String, Value>) -> Result<Row, Refusal> {
    let schema = world.tables.schema(model);
    let business = sent.get("bk_biz_id").and_then(Value::as_i64).unwrap_or(0);
    let mut required = schema.of_business(business).filter(|attribute| attribute.required);
    if let Some(missing) = required.find(|attribute| !sent.contains_key(&*attribute.id)) {
        return Err(Refusal::unassigned(&missing.id));
    }
    let mut row = Row::default();
    for attribute in schema.of_business(business) {
        if attribute.kind == "innertable" || AUTOMATIC.contains(&&*attribute.id) {
            continue;
        }
        let value = match sent.get(&*attribute.id) {
            Some(value) => attribute.accept(value, &world.context())?,
            None => attribute.initial(),
        };
        if attribute.kind == "time" && value.as_str().is_some_and(moment::is_unreadable) {
            return Err(Refusal::unwritable());
        }
        row.set(attribute.id.clone(), value);
    }
    let now = world.now_text();
    row.set("bk_supplier_account", "0");
    for name in ["create_time", "last_time", "bk_created_at", "bk_updated_at"] {
        row.set(name, now.as_str());
    }
    row.set("bk_created_by", call.user.as_str());
    row.set("bk_updated_by", Value::Null);
    Ok(row)
}

/// Keys that are no attributes and that a create stores as they are sent.
const FOREIGN: [&str; 3] = ["bk_biz_id", "bk_parent_id", "default"];

/// An instance of a custom layer needs a parent; whether there is one of that id is not looked at.
fn check_parent(sent: &Map<String, Value>) -> Result<(), Refusal> {
    let parent = sent.get("bk_parent_id").ok_or_else(|| Refusal::unassigned("bk_parent_id"))?;
    if parent.as_i64().is_none_or(|id| id <= 0) {
        return Err(Refusal::wrapped("'bk_parent_id' data parameter verification does not pass"));
    }
    Ok(())
}

fn create_one(world: &mut World, call: &Call, model: &str, sent: &Map<String, Value>) -> Result<Row, Refusal> {
    let layer = world.tables.layers.contains(model);
    let mut sent = Cow::Borrowed(sent);
    if layer && let Some(value) = sent.get("bk_inst_name") {
        let name = check_name("bk_inst_name", value)?;
        sent.to_mut().insert("bk_inst_name".to_owned(), name.into());
    }
    if layer {
        check_parent(&sent)?;
    }
    let mut row = fresh(world, call, model, &sent)?;
    row.set("bk_obj_id", model);
    for name in FOREIGN {
        if let Some(value) = sent.get(name) {
            row.set(name, value.clone());
        }
    }
    if let Some(table) = world.tables.instances.get(model)
        && let Some(unique) = table.conflict(0, &row)
    {
        return Err(Refusal::duplicated(&unique.describe(&row)));
    }
    let id = world.next_instance_id();
    row.set("bk_inst_id", id);
    let subject = Subject { model, id, name: row.text("bk_inst_name"), business: None };
    world.note(Record::create(world, call, &subject, &row));
    world.put(Place::Instances(model.to_owned()), id, Some(row.clone()));
    Ok(row)
}

/// `create_inst`.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let sent = call.map()?.ok_or_else(|| Refusal::crash("topo"))?;
    let Some(object) = world.tables.object(model) else { return Err(Refusal::wrapped_name("bk_obj_id")) };
    if object.get("bk_ispaused") == Some(&Value::Bool(true)) {
        return Err(Refusal::new(1_101_084, "the model stopped to use"));
    }
    let row = create_one(world, call, model, &sent)?;
    Ok(Reply::Json(row.to_value()))
}

/// `batch_create_inst`: not atomic, and a success whatever becomes of the items.
pub(super) fn create_many(world: &mut World, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let details = call.args()?.objects("details")?;
    match details.len() {
        0 => return Err(Refusal::empty("details")),
        1..=BATCH => {}
        _ => return Err(Refusal::exceeds("details", BATCH)),
    }
    if world.tables.layers.contains(model) {
        return Err(Refusal::new(1_199_075, "forbidden operate mainline instance with common instance API"));
    }
    if world.tables.object(model).is_none() {
        let inner = format!("'{model}' the parameter is invalid or does not exist");
        return Err(Refusal::new(1_199_002, format!("HTTP request failed%!(EXTRA string={inner})")));
    }
    let (mut created, mut errors) = (Map::new(), Map::new());
    for (position, sent) in details.into_iter().enumerate() {
        match create_one(world, call, model, &sent.0) {
            Ok(row) => created.insert(position.to_string(), row.int("bk_inst_id").into()),
            Err(refusal) => errors.insert(position.to_string(), refusal.text.into()),
        };
    }
    Ok(Reply::Json(json!({"success_created": created, "error_msg": errors})))
}

/// Updates an instance or a host.
pub(super) fn update_one(
    world: &mut World,
    call: &Call,
    model: &str,
    id: i64,
    sent: Option<Map<String, Value>>,
) -> Result<(), Refusal> {
    let row = world.tables.instances.get(model).and_then(|table| table.get(id)).ok_or_else(Refusal::not_found)?;
    let old = Arc::clone(row);
    if is_unreadable(&world.tables, model, &old) {
        return Err(Refusal::no_answer());
    }
    // A missing object reaches the service behind as a null map, into which it then writes.
    let mut sent = sent.ok_or_else(|| Refusal::crash("coreservice"))?;
    for name in ["bk_parent_id", "bk_biz_id", "bk_inst_id"] {
        sent.remove(name);
    }
    let mut row = if world.tables.layers.contains(model) {
        // A custom layer of the main line obeys the rules of sets and modules.
        updated(world, call, model, &old, &sent)?
    } else {
        let mut row = (*old).clone();
        for (name, value) in accepted(world, model, &old, &sent)? {
            row.set(name, value);
        }
        row
    };
    touch(world, call, &mut row);
    if let Some(unique) = world.tables.instances.get(model).and_then(|table| table.conflict(id, &row)) {
        return Err(Refusal::duplicated(&unique.describe(&row)));
    }
    let business = host_business(world, model, id);
    let subject = Subject { model, id, name: old.text(name_field(model)), business };
    world.note(Record::update(world, call, &subject, &old, &sent));
    world.put(Place::Instances(model.to_owned()), id, Some(row));
    Ok(())
}

/// Returns the business that a host is in; `None` for other models.
fn host_business(world: &World, model: &str, id: i64) -> Option<i64> {
    let pairs = world.tables.host_relations.ids("bk_host_id", &[id.into()]).filter(|_| model == "host")?;
    Some(world.tables.host_relations.get(*pairs.first()?)?.int("bk_biz_id"))
}

/// `update_inst`. The host model passes the check for built-in models (section 4.1).
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let model = call.var("bk_obj_id");
    if INNER.contains(&model) && model != "host" {
        return Err(Refusal::inner_model());
    }
    let id = call.id("bk_inst_id", "inst_id")?;
    let sent = call.map()?;
    update_one(world, call, model, id, sent)?;
    Ok(Reply::Nothing)
}

/// `batch_update_inst`: in order, all or nothing.
pub(super) fn update_many(world: &mut World, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let items = call.args()?.objects("update")?;
    let mut updates = Vec::with_capacity(items.len());
    for item in items {
        let id = item.int("inst_id")?;
        if id == 0 {
            return Err(Refusal::invalid("inst_id"));
        }
        updates.push((id, item.maybe_object("datas")?));
    }
    for (id, datas) in updates {
        update_one(world, call, model, id, datas.map(|datas| datas.0))?;
    }
    Ok(Reply::Nothing)
}

/// Removes instances; one that is associated with an existing instance stops all.
fn delete_all(world: &mut World, call: &Call, model: &str, ids: &[i64]) -> Result<(), Refusal> {
    let mut stale = Vec::new();
    for id in ids {
        let Some(row) = world.tables.instances.get(model).and_then(|table| table.get(*id)) else { continue };
        if is_unreadable(&world.tables, model, row) {
            return Err(Refusal::unwritable());
        }
        for (near_model, near, far_model, far) in [
            ("bk_obj_id", "bk_inst_id", "bk_asst_obj_id", "bk_asst_inst_id"),
            ("bk_asst_obj_id", "bk_asst_inst_id", "bk_obj_id", "bk_inst_id"),
        ] {
            let ends = Filter::equal(near, *id).and(Filter::equal(near_model, model));
            for row in matching(&world.tables.associations, &ends) {
                if exists(world, row.text(far_model), row.int(far)) {
                    return Err(Refusal::new(1_101_075, "the inst has association"));
                }
                stale.push(row.int("id"));
            }
        }
    }
    for id in stale {
        world.put(Place::Associations, id, None);
    }
    for id in ids {
        let place = Place::Instances(model.to_owned());
        let Some(old) = world.tables.at(&place).and_then(|table| table.get(*id)).cloned() else { continue };
        let subject = Subject { model, id: *id, name: old.text("bk_inst_name"), business: None };
        world.note(Record::delete(world, call, &subject, &old));
        world.put(place, *id, None);
        if world.tables.layers.contains(model) {
            delete_below(world, call, model, *id)?;
        }
    }
    Ok(())
}

/// Removes what lies below an instance of a custom layer, unless there are hosts.
fn delete_below(world: &mut World, call: &Call, model: &str, id: i64) -> Result<(), Refusal> {
    let below = Filter::equal("bk_asst_obj_id", model).and(Filter::equal("bk_asst_id", MAIN_LINE));
    let child = matching(&world.tables.object_associations, &below).first().map(|row| row.text("bk_obj_id").to_owned());
    let Some(child) = child else { return Ok(()) };
    let children = Filter::equal("bk_parent_id", id);
    if child == "set" {
        let sets: Vec<Arc<Row>> = matching(&world.tables.sets, &children).into_iter().cloned().collect();
        return sets.iter().try_for_each(|set| remove_set(world, call, set));
    }
    let table = world.tables.instances.get(&child);
    let found = table.map(|table| matching(table, &children)).unwrap_or_default();
    let ids: Vec<i64> = found.iter().map(|row| row.int("bk_inst_id")).collect();
    delete_all(world, call, &child, &ids)
}

/// Returns true if an instance of any model exists.
pub(super) fn exists(world: &World, model: &str, id: i64) -> bool {
    world.tables.of_model(model).is_some_and(|table| table.key == id_field(model) && table.get(id).is_some())
}

/// `delete_inst`: a missing instance is a success.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let id = call.id("bk_inst_id", "inst id")?;
    delete_all(world, call, model, &[id])?;
    Ok(Reply::Nothing)
}

/// `batch_delete_inst`.
pub(super) fn delete_many(world: &mut World, call: &Call) -> Outcome {
    let model = common_model(call)?;
    let ids = call.args()?.object("delete")?.ints("inst_ids")?;
    delete_all(world, call, model, &ids)?;
    Ok(Reply::Nothing)
}

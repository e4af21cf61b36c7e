//! Writes of instance associations (section 4.3).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    audit::Record,
    call::{Call, Payload},
    filter::Filter,
    instance_write::exists,
    page::matching,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    world::{Place, World, name_field},
};

/// The most items of a batch create.
const BATCH: usize = 200;

/// Returns a model association.
fn definition(world: &World, id: &str) -> Result<Arc<Row>, Refusal> {
    let ids = world.tables.object_associations.ids("bk_obj_asst_id", &[Value::from(id)]).unwrap_or_default();
    let row = ids.first().and_then(|id| world.tables.object_associations.get(*id));
    row.cloned().ok_or_else(Refusal::no_association)
}

fn taken(world: &World, definition: &Row, ends: &[(&str, i64)]) -> bool {
    let mut filter = Filter::equal("bk_obj_asst_id", definition.text("bk_obj_asst_id"));
    for (end, id) in ends {
        filter = filter.and(Filter::equal(end, *id));
    }
    !matching(&world.tables.associations, &filter).is_empty()
}

/// Checks the mapping, which comes before the check for an equal row.
fn check_mapping(world: &World, definition: &Row, source: i64, target: i64) -> Result<(), Refusal> {
    let (from, to) = (("bk_inst_id", source), ("bk_asst_inst_id", target));
    match definition.text("mapping") {
        "1:1" if taken(world, definition, &[from]) || taken(world, definition, &[to]) => {
            let text = "can not create multiple instance association for a 1:1 association.";
            Err(Refusal::new(1_101_052, text))
        }
        "1:n" if taken(world, definition, &[to]) => {
            let text = "The relationship is 1:n, and multiple source model instances cannot be associated at the same \
                        time.";
            Err(Refusal::new(1_101_061, text))
        }
        _ => Ok(()),
    }
}

fn check_ends(world: &World, definition: &Row, source: i64, target: i64) -> Result<(), Refusal> {
    if !exists(world, definition.text("bk_obj_id"), source) {
        return Err(Refusal::new(1_101_073, "the association inst is not exist"));
    }
    if !exists(world, definition.text("bk_asst_obj_id"), target) {
        return Err(Refusal::new(1_101_074, "the  inst to asst  is not exist"));
    }
    Ok(())
}

fn name(world: &World, model: &str, id: i64) -> String {
    let row = world.tables.of_model(model).and_then(|table| table.get(id));
    row.map_or("", |row| row.text(name_field(model))).to_owned()
}

fn insert(world: &mut World, call: &Call, definition: &Row, source: i64, target: i64) -> i64 {
    let id = world.next_id("instance_association");
    let text = |name: &str| Value::from(definition.text(name));
    let row = Row::of([
        ("id", id.into()),
        ("bk_inst_id", source.into()),
        ("bk_obj_id", text("bk_obj_id")),
        ("bk_asst_inst_id", target.into()),
        ("bk_asst_obj_id", text("bk_asst_obj_id")),
        ("bk_supplier_account", "0".into()),
        ("bk_obj_asst_id", text("bk_obj_asst_id")),
        ("bk_asst_id", text("bk_asst_id")),
    ]);
    note(world, call, "create", &row);
    world.put(Place::Associations, id, Some(row));
    id
}

fn note(world: &mut World, call: &Call, action: &'static str, row: &Row) {
    let source = name(world, row.text("bk_obj_id"), row.int("bk_inst_id"));
    let target = name(world, row.text("bk_asst_obj_id"), row.int("bk_asst_inst_id"));
    world.note(Record::association(world, call, action, row, (&source, &target)));
}

/// `add_instance_association`.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    // A wrong type has the text of 1199000 under another code.
    let decode = |refusal: Refusal| Refusal::new(1_199_006, refusal.text);
    let args = match &call.payload {
        Payload::Broken => return Err(Refusal::decode()),
        Payload::Json(_) | Payload::Empty => call.args().map_err(decode)?,
    };
    let id = args.text("bk_obj_asst_id").map_err(decode)?;
    let source = args.int("bk_inst_id").map_err(decode)?;
    let target = args.int("bk_asst_inst_id").map_err(decode)?;
    let definition = definition(world, id)?;
    if source < 0 || target < 0 {
        // The store takes the ids as numbers without a sign.
        return Err(Refusal::unknown());
    }
    check_mapping(world, &definition, source, target)?;
    if taken(world, &definition, &[("bk_inst_id", source), ("bk_asst_inst_id", target)]) {
        return Err(Refusal::duplicated("association"));
    }
    let kind = Value::from(definition.text("bk_asst_id"));
    if world.tables.association_kinds.ids("bk_asst_id", &[kind]).unwrap_or_default().is_empty() {
        return Err(Refusal::new(1_101_072, "the association kind is not exist"));
    }
    check_ends(world, &definition, source, target)?;
    let id = insert(world, call, &definition, source, target);
    Ok(Reply::Json(json!({ "id": id })))
}

/// `batch_create_instance_association`: not atomic, texts without codes per item.
pub(super) fn create_many(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    for field in ["bk_obj_id", "bk_asst_obj_id", "bk_obj_asst_id"] {
        if args.text(field)?.is_empty() {
            return Err(Refusal::wrapped_name(field));
        }
    }
    let (from, to, id) = (args.text("bk_obj_id")?, args.text("bk_asst_obj_id")?, args.text("bk_obj_asst_id")?);
    let details = args.objects("details")?;
    let mut pairs = Vec::with_capacity(details.len());
    for item in &details {
        pairs.push((item.int("bk_inst_id")?, item.int("bk_asst_inst_id")?));
    }
    match pairs.len() {
        0 => return Err(Refusal::empty("details")),
        1..=BATCH => {}
        _ => return Err(Refusal::exceeds("details", BATCH)),
    }
    // The server cuts the id without looking at its length.
    if id.len() < from.len() || id.len() < to.len() {
        return Err(Refusal::crash("topo"));
    }
    if !id.starts_with(from) {
        return Err(Refusal::invalid("bk_obj_id"));
    }
    if !id.ends_with(to) {
        return Err(Refusal::invalid("bk_asst_obj_id"));
    }
    let definition = definition(world, id)?;
    let (mut created, mut errors) = (Map::new(), Map::new());
    for (position, (source, target)) in pairs.into_iter().enumerate() {
        let equal = taken(world, &definition, &[("bk_inst_id", source), ("bk_asst_inst_id", target)]);
        let checked = if equal {
            Err(Refusal::new(1_101_038, format!("the associations {from}->{to} already exist")))
        } else {
            check_ends(world, &definition, source, target)
                .and_then(|()| check_mapping(world, &definition, source, target))
        };
        match checked {
            Ok(()) => created.insert(position.to_string(), insert(world, call, &definition, source, target).into()),
            Err(refusal) => errors.insert(position.to_string(), refusal.text.into()),
        };
    }
    Ok(Reply::Json(json!({"success_created": created, "error_msg": errors})))
}

/// Removes a row found by either end's model; returns true if there was one.
fn remove(world: &mut World, call: &Call, model: &str, id: i64) -> bool {
    let ends = |row: &&Arc<Row>| row.text("bk_obj_id") == model || row.text("bk_asst_obj_id") == model;
    let Some(row) = world.tables.associations.get(id).filter(ends).cloned() else { return false };
    note(world, call, "delete", &row);
    world.put(Place::Associations, id, None);
    true
}

/// `delete_instance_association`: a missing row or another model is a success without effect.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let id = call.id("id", "association_id")?;
    remove(world, call, call.var("bk_obj_id"), id);
    Ok(Reply::Nothing)
}

/// `delete_related_inst_asso`: answers how many rows went.
pub(super) fn delete_many(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let model = args.text("bk_obj_id")?;
    let ids = args.ints("id")?;
    match ids.len() {
        0 => return Err(Refusal::new(1_199_003, "invalid input parameter")),
        1..=500 => {}
        _ => return Err(Refusal::page()),
    }
    if model.is_empty() {
        return Err(Refusal::unassigned("bk_obj_id"));
    }
    let gone = ids.into_iter().filter(|id| remove(world, call, model, *id)).count();
    Ok(Reply::Json(gone.into()))
}

/// `delete_instance_association` of 3.9, whose path names no model.
pub(super) fn delete_by_id(world: &mut World, call: &Call) -> Outcome {
    let id = call.id("id", "association_id")?;
    let model = world.tables.associations.get(id).map(|row| row.text("bk_obj_id").to_owned());
    if let Some(model) = model {
        remove(world, call, &model, id);
    }
    Ok(Reply::Nothing)
}

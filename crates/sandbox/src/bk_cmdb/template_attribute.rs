//! Values of module attributes that service templates fix, and the operations on all of a template at once.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    page::matching,
    process, property,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    service_instance::process_templates,
    service_write::{cell, change, insert, of_business, required_id, required_ids},
    world::{Place, Tables, World},
};

/// The attributes of a template.
pub(super) fn of_template(tables: &Tables, template: i64) -> Vec<Arc<Row>> {
    let equal = Filter::equal("service_template_id", template);
    matching(&tables.template_attributes, &equal).into_iter().cloned().collect()
}

/// `list_service_template_attribute`. `fields` leaves the zero values of the others.
pub(super) fn list(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, fields) = (args.int("bk_biz_id")?, args.texts("fields")?);
    let id = required_id(&args, "id")?;
    of_business(tables, id, business)?;
    let zero = |name: &str, value: &Value| match value {
        value if fields.is_empty() || fields.iter().any(|field| field == name) => value.clone(),
        Value::Number(_) if name != "bk_property_value" => Value::from(0),
        Value::String(_) if name.ends_with("_time") => Value::from("0001-01-01T00:00:00Z"),
        Value::String(_) if name != "bk_property_value" => Value::from(""),
        _ => Value::Null,
    };
    let shown = |row: &Arc<Row>| -> Value {
        row.cells().map(|(name, value)| (name.to_owned(), zero(name, value))).collect::<serde_json::Map<_, _>>().into()
    };
    let rows: Vec<Value> = of_template(tables, id).iter().map(shown).collect();
    Ok(Reply::Json(json!({"attributes": rows})))
}

/// Reads attributes of a request.
fn sent(args: &Args) -> Result<Vec<(i64, Value)>, Refusal> {
    let items = args.objects("attributes")?.into_iter();
    let pairs = items.map(|item| {
        let value = item.get("bk_property_value").cloned().ok_or_else(|| Refusal::unassigned("bk_property_value"))?;
        Ok((item.int("bk_attribute_id")?, value))
    });
    pairs.collect()
}

fn not_configurable() -> Refusal {
    Refusal::wrapped_name("attributes")
}

/// Checks a value that a template is to fix and returns how it is stored.
fn accepted(world: &World, business: i64, attribute: i64, value: &Value) -> Result<Value, Refusal> {
    let row = world.tables.attributes.get(attribute).filter(|row| row.text("bk_obj_id") == "module");
    let name = row.map(|row| row.text("bk_property_id")).filter(|name| *name != "bk_module_name");
    let known = name.and_then(|name| world.tables.schema("module").get(name, business));
    let known = known.filter(|attribute| attribute.editable).ok_or_else(not_configurable)?;
    known.accept(value, &world.context()).map_err(Refusal::unwrapped)
}

/// Gives templates values for attributes, of which `configured` may have some already.
fn store(
    world: &mut World,
    call: &Call,
    template: &Row,
    configured: &[Arc<Row>],
    (attribute, value): (i64, Value),
) -> Result<(), Refusal> {
    let value = accepted(world, template.int("bk_biz_id"), attribute, &value)?;
    let now = world.now_text();
    let old = configured.iter().find(|row| row.int("bk_attribute_id") == attribute);
    let mut row = match old {
        Some(row) => (**row).clone(),
        None => Row::of([
            ("id", world.next_id("service_template_attribute").into()),
            ("bk_biz_id", cell(template, "bk_biz_id")),
            ("service_template_id", cell(template, "id")),
            ("bk_attribute_id", attribute.into()),
            ("creator", call.user.as_str().into()),
            ("create_time", now.as_str().into()),
            ("bk_supplier_account", "0".into()),
        ]),
    };
    row.set("bk_property_value", value);
    row.set("modifier", call.user.as_str());
    row.set("last_time", now);
    world.put(Place::TemplateAttributes, row.int("id"), Some(row));
    Ok(())
}

/// `update_service_template_attribute`: of configured ones only, all or nothing.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    let id = required_id(&args, "id")?;
    let sent = sent(&args)?;
    if sent.is_empty() {
        return Err(Refusal::unassigned("attributes"));
    }
    let template = of_business(&world.tables, id, business)?;
    let configured = of_template(&world.tables, id);
    for (attribute, value) in sent {
        if !configured.iter().any(|row| row.int("bk_attribute_id") == attribute) {
            return Err(not_configurable());
        }
        store(world, call, &template, &configured, (attribute, value))?;
    }
    Ok(Reply::Nothing)
}

/// `delete_service_template_attribute`.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    let id = required_id(&args, "id")?;
    let attributes = required_ids(&args, "bk_attribute_ids")?;
    of_business(&world.tables, id, business)?;
    let configured = of_template(&world.tables, id);
    for attribute in attributes {
        let row = configured.iter().find(|row| row.int("bk_attribute_id") == attribute);
        world.put(Place::TemplateAttributes, row.ok_or_else(not_configurable)?.int("id"), None);
    }
    Ok(Reply::Nothing)
}

/// `get_service_template_all_info`.
pub(super) fn all_info(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let id = required_id(&args, "id")?;
    let template = of_business(tables, id, args.int("bk_biz_id")?)?;
    let values = |rows: Vec<Arc<Row>>| -> Value { rows.iter().map(|row| row.to_value()).collect() };
    let mut info = Row::default();
    for name in ["id", "bk_biz_id", "name", "service_category_id"] {
        info.set(name, cell(&template, name));
    }
    info.set("attributes", values(of_template(tables, id)));
    info.set("processes", values(process_templates(tables, id)));
    Ok(Reply::Json(info.to_value()))
}

/// `create_service_template_all_info`.
pub(super) fn create_all(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let attributes = sent(&args)?;
    let template = insert(world, call, &args)?;
    for attribute in attributes {
        store(world, call, &template, &[], attribute)?;
    }
    for item in args.objects("processes")? {
        process::insert(world, call, &template, property::decode(&item.object("property")?)?)?;
    }
    Ok(Reply::Json(json!({"id": template.int("id")})))
}

/// `update_service_template_all_info`: what the request lacks is removed.
pub(super) fn update_all(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let id = required_id(&args, "id")?;
    let (name, category) = (args.text("name")?.to_owned(), args.int("service_category_id")?);
    let attributes = sent(&args)?;
    let template = of_business(&world.tables, id, args.int("bk_biz_id")?)?;
    if name != template.text("name") || category != template.int("service_category_id") {
        change(world, id, &name, category)?;
    }
    let configured = of_template(&world.tables, id);
    for row in configured.iter().filter(|row| !attributes.iter().any(|(id, _)| *id == row.int("bk_attribute_id"))) {
        world.put(Place::TemplateAttributes, row.int("id"), None);
    }
    for attribute in attributes {
        store(world, call, &template, &configured, attribute)?;
    }
    replace_processes(world, call, &template, &args.objects("processes")?)?;
    Ok(Reply::Nothing)
}

/// Gives a template the process templates of a request, by their ids. The items are rows as they are listed: their
/// properties are in `property`, not in `spec` as in a batch create.
fn replace_processes(world: &mut World, call: &Call, template: &Row, sent: &[Args]) -> Result<(), Refusal> {
    let kept = sent.iter().map(|item| item.int("id")).collect::<Result<Vec<i64>, _>>()?;
    for row in process_templates(&world.tables, template.int("id")) {
        if !kept.contains(&row.int("id")) {
            world.put(Place::ProcessTemplates, row.int("id"), None);
        }
    }
    let known = process_templates(&world.tables, template.int("id"));
    for (item, id) in sent.iter().zip(kept) {
        let spec = item.object("property")?;
        let properties = property::decode(&spec)?;
        match known.iter().find(|row| row.int("id") == id) {
            Some(row) if row.get("property").and_then(Value::as_object) == Some(&properties) => {}
            Some(_) => drop(process::change(world, call, id, &spec)?),
            // Also one whose id is not among those of the template.
            None => drop(process::insert(world, call, template, properties)?),
        }
    }
    Ok(())
}

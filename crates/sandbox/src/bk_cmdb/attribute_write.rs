//! Writes of model attributes.

use regex::Regex;
use serde_json::Value;

use super::{
    audit::Record,
    call::Call,
    filter::Filter,
    moment,
    page::matching,
    pattern,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    table::Table,
    world::{Place, World, name_field},
};

/// The types that an attribute can be given.
const KINDS: [&str; 16] = [
    "singlechar",
    "longchar",
    "int",
    "float",
    "enum",
    "enummulti",
    "enumquote",
    "date",
    "time",
    "objuser",
    "organization",
    "timezone",
    "bool",
    "list",
    "table",
    "innertable",
];

/// The most characters of an id.
const ID: usize = 128;

/// The models of the topology, whose attributes are never required.
fn is_main_line(world: &World, model: &str) -> bool {
    matches!(model, "biz" | "set" | "module" | "host") || world.tables.layers.contains(model)
}

fn of_model<'a>(world: &'a World, model: &str) -> Vec<&'a std::sync::Arc<Row>> {
    matching(&world.tables.attributes, &Filter::equal("bk_obj_id", model))
}

fn name_is_taken(world: &World, model: &str, id: i64, name: &str) -> bool {
    of_model(world, model).iter().any(|row| row.int("id") != id && row.text("bk_property_name") == name)
}

/// Checks an option against its type.
fn check_option(kind: &str, option: &Value) -> Result<(), Refusal> {
    let bound = |name: &str| {
        let bound = option.get(name)?;
        bound.as_f64().or_else(|| bound.as_str()?.parse().ok())
    };
    match kind {
        "singlechar" | "longchar" => {
            let wrong = option.as_str().is_some_and(|text| Regex::new(&pattern::translated(text)).is_err());
            if wrong {
                return Err(Refusal::new(1_101_109, "regular expression is invalid%!(EXTRA string=regular is wrong)"));
            }
        }
        "int" | "float" if bound("min").zip(bound("max")).is_some_and(|(min, max)| min > max) => {
            return Err(Refusal::wrapped_name("option"));
        }
        "enum" => {
            let options = option.as_array().into_iter().flatten();
            let defaults = options.filter(|option| option.get("is_default") == Some(&Value::Bool(true))).count();
            if defaults != 1 {
                let text = "current field type status is single choice, please set reasonable data";
                return Err(Refusal::new(1_199_092, text));
            }
        }
        _ => {}
    }
    Ok(())
}

fn check_id(id: &str) -> Result<(), Refusal> {
    if id.len() > ID {
        return Err(Refusal::new(1_199_073, "ID field exceeds maximum value %!s(int=128)"));
    }
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !id.starts_with(|first: char| first.is_ascii_lowercase()) || !id.bytes().all(letters) {
        return Err(Refusal::wrapped_name(id));
    }
    if id.starts_with("bk_") {
        return Err(Refusal::wrapped_name("bk_property_id"));
    }
    Ok(())
}

/// `create_object_attribute`. Rows that are there already do not get the attribute.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (model, id) = (args.text("bk_obj_id")?, args.text("bk_property_id")?);
    let (name, kind) = (args.text("bk_property_name")?, args.text("bk_property_type")?);
    let option = args.get("option").cloned().unwrap_or(Value::Null);
    if world.tables.object(model).is_none() {
        return Err(Refusal::wrapped_name("bk_obj_id"));
    }
    check_id(id)?;
    if name.is_empty() {
        return Err(Refusal::unassigned("bk_property_name"));
    }
    if !KINDS.contains(&kind) {
        return Err(Refusal::wrapped_name("bk_property_type"));
    }
    check_option(kind, &option)?;
    let required = args.flag("isrequired")?;
    if required && is_main_line(world, model) {
        return Err(Refusal::new(1_101_092, "can not add required attribute field for a mainline model"));
    }
    if of_model(world, model).iter().any(|row| row.text("bk_property_id") == id) {
        return Err(Refusal::new(1_101_107, "the same attribute unique id exist"));
    }
    if name_is_taken(world, model, 0, name) {
        return Err(Refusal::duplicated("Name"));
    }
    let index = of_model(world, model).iter().map(|row| row.int("bk_property_index") + 1).max().unwrap_or(0);
    let next = world.next_id("attribute");
    let now = moment::plain_text(world.now());
    let multiple = match args.get("ismultiple").and_then(Value::as_bool) {
        Some(multiple) => multiple,
        None => matches!(kind, "objuser" | "organization" | "enummulti" | "enumquote"),
    };
    let mut row = Row::of([
        ("bk_biz_id", args.int("bk_biz_id")?.into()),
        ("id", next.into()),
        ("bk_supplier_account", "0".into()),
        ("bk_obj_id", model.into()),
        ("bk_property_id", id.into()),
        ("bk_property_name", name.into()),
        // A group that is not there counts as the default one.
        ("bk_property_group", "default".into()),
        ("bk_property_index", index.into()),
        ("unit", args.text("unit")?.into()),
        ("placeholder", args.text("placeholder")?.into()),
        ("editable", args.flag("editable")?.into()),
        ("ispre", false.into()),
        ("isrequired", required.into()),
        ("isreadonly", args.flag("isreadonly")?.into()),
        ("isonly", false.into()),
        ("bk_issystem", false.into()),
        ("bk_isapi", false.into()),
        ("bk_property_type", kind.into()),
        ("option", option),
        ("ismultiple", multiple.into()),
        ("description", args.text("description")?.into()),
        ("bk_template_id", 0.into()),
        ("creator", args.text("creator")?.into()),
        ("create_time", now.as_str().into()),
        ("last_time", now.as_str().into()),
        ("bk_property_group_name", "default".into()),
    ]);
    if let Some(default) = args.get("default") {
        row.set("default", default.clone());
    }
    world.put(Place::Attributes, next, Some(row.clone()));
    row.set("bk_property_group_name", "");
    Ok(Reply::Json(row.to_value()))
}

/// What an update changes of any attribute.
const CHANGEABLE: [&str; 4] = ["option", "placeholder", "unit", "ismultiple"];

/// What an update changes besides of an attribute that is not built in.
const OWN: [&str; 6] =
    ["bk_property_name", "editable", "isrequired", "description", "bk_property_index", "bk_property_group"];

/// `update_object_attribute`. Type and id are dropped, as is most of a built-in attribute.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let id = call.id("id", "id")?;
    let args = call.args()?;
    let old = world.tables.attributes.get(id).cloned().ok_or_else(Refusal::not_found)?;
    let (model, kind) = (old.text("bk_obj_id"), old.text("bk_property_type"));
    let built_in = old.get("ispre") == Some(&Value::Bool(true));
    if args.flag("isrequired")? && is_main_line(world, model) {
        let text = format!("model [{model}] does not allow modification of required fields");
        return Err(Refusal::new(1_113_027, text));
    }
    if let Some(option) = args.get("option") {
        if built_in && kind == "enum" && args.get("ismultiple").is_none() {
            return Err(Refusal::invalid("ismultiple"));
        }
        check_option(kind, option)?;
    }
    let name = args.text("bk_property_name")?;
    if !built_in && !name.is_empty() && name_is_taken(world, model, id, name) {
        return Err(Refusal::duplicated("Name"));
    }
    let mut row = (*old).clone();
    let own = OWN.iter().filter(|_| !built_in);
    for name in CHANGEABLE.iter().chain(own) {
        // The columns of an inner table have operations of their own.
        let columns = *name == "option" && kind == "innertable";
        if let Some(value) = args.get(name).filter(|_| !columns) {
            row.set(*name, value.clone());
        }
    }
    row.set("last_time", moment::plain_text(world.now()));
    world.note(Record::attribute(world, call, &old, &args.0));
    world.put(Place::Attributes, id, Some(row));
    Ok(Reply::Nothing)
}

/// Returns where the instances of a model are.
fn place(model: &str) -> Place {
    match model {
        "biz" => Place::Businesses,
        "set" => Place::Sets,
        "module" => Place::Modules,
        _ => Place::Instances(model.to_owned()),
    }
}

/// `delete_object_attribute`, with all values, also of service templates. Built-in ones go too.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let id = call.id("id", "id")?;
    let Some(old) = world.tables.attributes.get(id).cloned() else { return Ok(Reply::Nothing) };
    let (model, name) = (old.text("bk_obj_id"), old.text("bk_property_id"));
    if name == name_field(model) {
        // Nobody has seen what the server does with the name of a model; this code is invented.
        return Err(Refusal::new(1_199_021, "Failed to delete data"));
    }
    let business = old.int("bk_biz_id");
    let place = place(model);
    let with_value = |row: &Row| row.get(name).is_some() && (business == 0 || row.int("bk_biz_id") == business);
    let rows = world.tables.at(&place).into_iter().flat_map(Table::rows);
    let rows: Vec<(i64, Row)> =
        rows.filter(|(_, row)| with_value(row)).map(|(id, row)| (id, (**row).clone())).collect();
    for (id, mut row) in rows {
        row.remove(name);
        world.put(place.clone(), id, Some(row));
    }
    let rows = Place::Quoted(model.to_owned(), name.to_owned());
    let inner: Vec<i64> = world.tables.at(&rows).into_iter().flat_map(Table::rows).map(|(id, _)| id).collect();
    for id in inner {
        world.put(rows.clone(), id, None);
    }
    let fixed = Filter::equal("bk_attribute_id", id);
    let fixed: Vec<i64> = matching(&world.tables.template_attributes, &fixed).iter().map(|row| row.int("id")).collect();
    for id in fixed {
        world.put(Place::TemplateAttributes, id, None);
    }
    world.put(Place::Attributes, id, None);
    Ok(Reply::Nothing)
}

//! Modules: reads and writes (section 4.2).

use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::{
    args::Args,
    audit::{Record, Subject},
    built_in,
    call::Call,
    filter::Filter,
    instance::{counted, readable, typed},
    instance_write::{accepted, fresh, touch},
    page::{Page, matching, select},
    raw,
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, Row, list_text},
    world::{Place, Tables, Version, World},
};

/// Keys that an update writes without looking at them (section 9, trap 3).
pub(super) const UNCHECKED: [&str; 3] = ["default", "bk_supplier_account", "bk_data_status"];

static NAME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^[^\\|/:*,<>"?#\t\n\f\r ]+$"#).expect("the pattern is a constant of this file"));

/// The cells of module and set rows that an answer shows.
pub(super) fn projection(fields: Vec<String>, name: &'static str, call: &Call) -> Projection {
    Projection { fields, name: Some(name), default: true, language: call.language }
}

/// Checks the name of a module or set; its refusals name the property id, not the display name.
pub(super) fn check_name(field: &str, value: &Value) -> Result<String, Refusal> {
    let Some(text) = value.as_str() else { return Err(Refusal::wrapped(&format!("'{field}' must be a string type"))) };
    let text = text.trim();
    if text.is_empty() {
        return Err(Refusal::wrapped(&format!("'{field}' unassigned")));
    }
    if text.chars().count() > 256 {
        return Err(Refusal::wrapped(&format!("{field} field exceeds maximum value %!s(int=256)")));
    }
    if !NAME.is_match(text) {
        return Err(Refusal::wrapped(&format!("'{field}' data parameter verification does not pass")));
    }
    Ok(text.to_owned())
}

/// Narrows a condition to a business and, unless 0, to a set.
fn below(filter: Filter, business: i64, set: i64) -> Filter {
    let filter = filter.and(Filter::equal("bk_biz_id", business));
    if set == 0 { filter } else { filter.and(Filter::equal("bk_set_id", set)) }
}

fn find(tables: &Tables, args: &Args, business: i64, set: i64, call: &Call) -> Outcome {
    let filter = below(typed(tables, "module", raw::parse(&args.object("condition")?)?), business, set);
    let found = select(&tables.modules, &filter, &Page::of(args)?);
    let projection = projection(args.texts("fields")?, "bk_module_name", call);
    readable(tables, "module", &found.rows, &projection)?;
    Ok(counted(&found, &projection))
}

/// `search_module` with the set in the path; 0 is the whole business.
pub(super) fn search(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "business id")?;
    let set = call.id("bk_set_id", "set id")?;
    find(tables, &call.args()?, business, set, call)
}

/// `search_module` as the newer ESB maps it, with the set in the body.
pub(super) fn search_of_business(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "business id")?;
    let args = call.args()?;
    let set = args.int("bk_set_id")?;
    find(tables, &args, business, set, call)
}

/// Reads the ids of a batch read, 1..500 with required fields.
pub(super) fn batch(args: &Args) -> Result<(Vec<Value>, Vec<String>), Refusal> {
    let ids = args.ints("bk_ids")?;
    if !(1..=500).contains(&ids.len()) {
        return Err(Refusal::length("bk_ids", 500));
    }
    let fields = args.texts("fields")?;
    if fields.is_empty() {
        return Err(Refusal::invalid("fields"));
    }
    Ok((ids.into_iter().map(Value::from).collect(), fields))
}

/// `find_module_batch`.
pub(super) fn find_batch(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let (ids, fields) = batch(&call.args()?)?;
    let filter = Filter::within("bk_module_id", ids).and(Filter::equal("bk_biz_id", business));
    let rows = matching(&tables.modules, &filter);
    Ok(Reply::Text(list_text(rows.into_iter(), &projection(fields, "bk_module_name", call))))
}

/// `find_module_with_relation`: no ids of a kind mean no filter.
pub(super) fn with_relation(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let page = Page::of(&args)?;
    let (sets, templates) = (args.ints("bk_set_ids")?, args.ints("bk_service_template_ids")?);
    let bounds = |what: &str| Refusal::new(1_199_015, format!("Data out of bounds%!(EXTRA string={what})"));
    if page.limit > 500 {
        return Err(bounds("page"));
    }
    if sets.len() > 200 {
        return Err(bounds("bk_set_ids"));
    }
    let fields = args.texts("fields")?;
    if fields.is_empty() {
        return Err(Refusal::unassigned("fields"));
    }
    let mut filter = below(Filter::everything(), business, 0);
    for (field, ids) in [("bk_set_id", sets), ("service_template_id", templates)] {
        if !ids.is_empty() {
            filter = filter.and(Filter::within(field, ids.into_iter().map(Value::from).collect()));
        }
    }
    Ok(counted(&select(&tables.modules, &filter, &page), &projection(fields, "bk_module_name", call)))
}

/// `get_biz_internal_module`: the idle set with its modules.
pub(super) fn internal(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let own = below(Filter::everything(), business, 0);
    let set = matching(&tables.sets, &own.clone().and(Filter::equal("default", 1))).into_iter().next();
    let Some(set) = set else {
        return Ok(Reply::Json(json!({"bk_set_id": 0, "bk_set_name": "", "module": null})));
    };
    let inner = own.and(Filter::equal("bk_set_id", set.int("bk_set_id")));
    let modules: Vec<Value> = matching(&tables.modules, &inner)
        .into_iter()
        .filter(|row| row.int("default") != 0)
        .map(|row| {
            let cells = ["bk_module_id", "bk_module_name", "default", "host_apply_enabled"];
            let shown = |name: &str| match built_in::name(name, row, call.language) {
                Some(translated) => translated.into(),
                None => row.get(name).cloned().unwrap_or(Value::Null),
            };
            cells.into_iter().map(|name| (name.to_owned(), shown(name))).collect()
        })
        .collect();
    let module = if modules.is_empty() { Value::Null } else { modules.into() };
    let id = set.int("bk_set_id");
    let name = built_in::name("bk_set_name", set, call.language).unwrap_or_else(|| set.text("bk_set_name"));
    Ok(Reply::Json(json!({"bk_set_id": id, "bk_set_name": name, "module": module})))
}

/// Returns true if a `default` makes a set or module a built-in one.
pub(super) fn is_built_in(row: &Row) -> bool {
    !matches!(row.int("default"), 0 | 4)
}

/// Refuses a change of what a template owns; an equal value is fine.
fn check_templates(old: &Row, sent: &mut Map<String, Value>) -> Result<(), Refusal> {
    for field in ["set_template_id", "service_template_id"] {
        if let Some(value) = sent.get(field) {
            let id = value.as_i64().ok_or_else(|| Refusal::invalid(field))?;
            if id != old.int(field) {
                return Err(Refusal::forbidden_field(field));
            }
        }
    }
    if old.int("service_template_id") == 0 {
        return Ok(());
    }
    if let Some(name) = sent.get("bk_module_name") {
        let name = name.as_str().unwrap_or("").trim();
        if name.is_empty() {
            sent.remove("bk_module_name");
        } else if name != old.text("bk_module_name") {
            return Err(Refusal::new(1_101_091, "update name field on module create by template forbidden"));
        }
    }
    if let Some(category) = sent.get("service_category_id") {
        let category = category.as_i64().ok_or_else(|| Refusal::invalid("service_category_id"))?;
        if category != old.int("service_category_id") {
            return Err(Refusal::new(1_101_090, "update service category on module create by template forbidden"));
        }
    }
    Ok(())
}

/// The attributes that a service template configures, with their values.
fn configured(world: &World, template: i64) -> impl Iterator<Item = (String, Value)> {
    let of_template = Filter::equal("service_template_id", template);
    matching(&world.tables.template_attributes, &of_template).into_iter().filter_map(|row| {
        let attribute = world.tables.attributes.get(row.int("bk_attribute_id"))?;
        Some((attribute.text("bk_property_id").to_owned(), row.get("bk_property_value").cloned()?))
    })
}

/// Refuses other values of attributes that the module's service template configures, since 3.10 (section 4.2).
fn check_configured(world: &World, old: &Row, sent: &Map<String, Value>) -> Result<(), Refusal> {
    let template = old.int("service_template_id");
    if template == 0 || world.version < Version::V3_10 {
        return Ok(());
    }
    let changed: Vec<String> = configured(world, template)
        .map(|(name, _)| name)
        .filter(|name| sent.get(name).is_some_and(|value| Some(value) != old.get(name)))
        .collect();
    if changed.is_empty() { Ok(()) } else { Err(Refusal::forbidden_field(&changed.join(","))) }
}

/// Reads the ids of a path and finds the module under exactly that business and set.
fn path(call: &Call) -> Result<(i64, i64, i64), Refusal> {
    Ok((call.id("bk_biz_id", "business id")?, call.id("bk_set_id", "set id")?, call.id("bk_module_id", "module id")?))
}

/// `update_module`.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let sent = call.map()?;
    let (business, parent, id) = path(call)?;
    let found = world.tables.modules.get(id).cloned();
    if found.as_ref().is_some_and(|row| is_built_in(row)) {
        return Err(Refusal::built_in());
    }
    let old = found
        .filter(|row| row.int("bk_biz_id") == business && row.int("bk_set_id") == parent)
        .ok_or_else(Refusal::not_found)?;
    // Once stored, a fraction breaks every later update.
    if old.get("service_category_id").is_some_and(Value::is_f64) {
        return Err(Refusal::decode());
    }
    let mut sent = sent.ok_or_else(|| Refusal::crash("topo"))?;
    check_templates(&old, &mut sent)?;
    if sent.get("service_category_id").is_some_and(Value::is_null) {
        return Err(Refusal::wrapped("'service_category_id' unassigned"));
    }
    check_configured(world, &old, &sent)?;
    for name in ["bk_biz_id", "bk_set_id", "bk_module_id", "bk_parent_id", "metadata"] {
        sent.remove(name);
    }
    let row = updated(world, call, "module", &old, &sent)?;
    if let Some(unique) = world.tables.modules.conflict(id, &row) {
        return Err(Refusal::duplicated(&unique.describe(&row)));
    }
    let name = old.text("bk_module_name");
    let subject = Subject { model: "module", id, name, business: Some(business) };
    world.note(Record::update(world, call, &subject, &old, &sent));
    // A module of another supplier account is gone for everybody of this one.
    let own = row.text("bk_supplier_account") == "0";
    world.put(Place::Modules, id, Some(row).filter(|_| own));
    Ok(Reply::Nothing)
}

/// Returns a set or module row after an update.
pub(super) fn updated(
    world: &World,
    call: &Call,
    model: &str,
    old: &Arc<Row>,
    sent: &Map<String, Value>,
) -> Result<Row, Refusal> {
    let name = super::world::name_field(model);
    let mut row = (**old).clone();
    let mut checked = sent.clone();
    if let Some(value) = sent.get(name) {
        checked.insert(name.to_owned(), check_name(name, value)?.into());
    }
    for (name, value) in accepted(world, model, old, &checked)? {
        row.set(name, value);
    }
    for name in UNCHECKED {
        if let Some(value) = sent.get(name) {
            row.set(name, value.clone());
        }
    }
    touch(world, call, &mut row);
    Ok(row)
}

/// The category and template of a new module.
fn template(world: &World, sent: &Args, business: i64) -> Result<(i64, i64, Option<String>), Refusal> {
    let id = |field: &str| sent.maybe_int(field).map_err(|_| Refusal::invalid(field));
    if sent.0.get("service_category_id").is_some_and(Value::is_null) {
        return Err(Refusal::invalid("service_category_id"));
    }
    let (template, category) = (id("service_template_id")?.unwrap_or(0), id("service_category_id")?.unwrap_or(0));
    if template == 0 {
        if category == 0 {
            return Ok((0, default_category(&world.tables), None));
        }
        let found = world.tables.service_categories.get(category).ok_or_else(Refusal::not_found)?;
        if ![0, business].contains(&found.int("bk_biz_id")) {
            return Err(Refusal::invalid("service_category_id"));
        }
        return Ok((0, category, None));
    }
    let row = world
        .tables
        .service_templates
        .get(template)
        .filter(|row| row.int("bk_biz_id") == business)
        .ok_or_else(|| Refusal::invalid("service_template_id"))?;
    let own = row.int("service_category_id");
    if category != 0 && category != own {
        return Err(Refusal::new(1_108_036, "service category and template not conincide"));
    }
    Ok((template, own, Some(row.text("name").to_owned())))
}

/// The built-in category below the built-in root, both named `Default`.
pub(super) fn default_category(tables: &Tables) -> i64 {
    let built_in = Filter::equal("name", "Default").and(Filter::equal("is_built_in", true));
    matching(&tables.service_categories, &built_in)
        .iter()
        .find(|row| row.int("bk_parent_id") != 0)
        .map_or(2, |row| row.int("id"))
}

/// `create_module`.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let mut sent = Args(call.map()?.ok_or_else(|| Refusal::crash("topo"))?);
    let business = call.id("bk_biz_id", "business id")?;
    let set_id = call.id("bk_set_id", "set id")?;
    let parent = world.tables.sets.get(set_id).cloned().ok_or_else(|| Refusal::wrapped("bk_set_id"))?;
    if parent.int("bk_biz_id") != business {
        return Err(Refusal::wrapped("bk_biz_id/bk_set_id"));
    }
    if parent.int("set_template_id") != 0 {
        return Err(Refusal::new(1_101_097, "forbidden add/remove module on set initialized by set template"));
    }
    if sent.get("default").is_some() {
        return Err(Refusal::crash("topo"));
    }
    match sent.get("bk_parent_id") {
        None => return Err(Refusal::wrapped_name("bk_parent_id")),
        Some(parent) if parent.as_i64() != Some(set_id) => return Err(Refusal::invalid("bk_parent_id")),
        Some(_) => {}
    }
    let (template_id, category, name) = template(world, &sent, business)?;
    let value = sent.0.get("bk_module_name").ok_or_else(|| Refusal::unassigned("bk_module_name"))?;
    // The template's name counts, whatever is sent.
    let name = name.map_or_else(|| check_name("bk_module_name", value), Ok)?;
    sent.0.insert("bk_module_name".to_owned(), name.into());
    let row = insert(world, call, &parent, sent.0, (template_id, category))?;
    Ok(Reply::Json(row.to_value()))
}

/// Makes the module that a set template gives a new set.
pub(super) fn insert_of_template(world: &mut World, call: &Call, set: &Row, template: i64) -> Result<(), Refusal> {
    let row = world.tables.service_templates.get(template).cloned().ok_or_else(Refusal::not_found)?;
    let sent = Map::from_iter([("bk_module_name".to_owned(), row.text("name").into())]);
    insert(world, call, set, sent, (template, row.int("service_category_id"))).map(|_| ())
}

/// Stores a module of a set with its template and category.
fn insert(
    world: &mut World,
    call: &Call,
    set: &Row,
    mut sent: Map<String, Value>,
    (template, category): (i64, i64),
) -> Result<Row, Refusal> {
    let (business, set_id) = (set.int("bk_biz_id"), set.int("bk_set_id"));
    for field in ["service_category_id", "host_apply_enabled"] {
        sent.remove(field);
    }
    // The value that the template configures counts, whatever is sent.
    for (name, value) in configured(world, template) {
        sent.insert(name, value);
    }
    // The private attributes of the business take part.
    sent.insert("bk_biz_id".to_owned(), business.into());
    let mut row = fresh(world, call, "module", &sent)?;
    for (name, value) in [
        ("bk_biz_id", business),
        ("bk_set_id", set_id),
        ("bk_parent_id", set_id),
        ("default", 0),
        ("service_category_id", category),
        ("service_template_id", template),
        ("set_template_id", set.int("set_template_id")),
    ] {
        row.set(name, value);
    }
    row.set("host_apply_enabled", false);
    if let Some(unique) = world.tables.modules.conflict(0, &row) {
        return Err(Refusal::duplicated(&unique.describe(&row)));
    }
    let id = world.next_id("module");
    row.set("bk_module_id", id);
    let subject = Subject { model: "module", id, name: row.text("bk_module_name"), business: Some(business) };
    world.note(Record::create(world, call, &subject, &row));
    world.put(Place::Modules, id, Some(row.clone()));
    Ok(row)
}

/// Removes a module: refused for built-in ones and over hosts; a missing one is a success.
pub(super) fn remove(world: &mut World, call: &Call, row: &Arc<Row>) -> Result<(), Refusal> {
    let id = row.int("bk_module_id");
    let here = Filter::equal("bk_module_id", id);
    let tables = [&world.tables.host_relations, &world.tables.service_instances];
    if tables.into_iter().any(|table| !matching(table, &here).is_empty()) {
        return Err(Refusal::new(1_101_030, "Having hosts under the target, deleting forbidden"));
    }
    let (name, business) = (row.text("bk_module_name"), Some(row.int("bk_biz_id")));
    world.note(Record::delete(world, call, &Subject { model: "module", id, name, business }, row));
    world.put(Place::Modules, id, None);
    Ok(())
}

/// `delete_module`.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let (business, set, id) = path(call)?;
    let found = world.tables.modules.get(id).cloned();
    if found.as_ref().is_some_and(|row| is_built_in(row)) {
        return Err(Refusal::built_in());
    }
    if world.tables.sets.get(set).is_some_and(|row| row.int("set_template_id") != 0) {
        return Err(Refusal::new(1_101_097, "forbidden add/remove module on set initialized by set template"));
    }
    let own = |row: &Arc<Row>| row.int("bk_biz_id") == business && row.int("bk_set_id") == set;
    if let Some(row) = found.filter(own) {
        remove(world, call, &row)?;
    }
    Ok(Reply::Nothing)
}

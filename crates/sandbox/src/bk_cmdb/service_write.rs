//! Writes of service templates. None of them leaves an audit record.

use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde_json::Value;

use super::{
    call::Call,
    category,
    filter::Filter,
    page::matching,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    world::{Place, Tables, Version, World},
};

/// The most characters of a name.
const NAME: usize = 256;

static NAME_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^[^\\|/:*,<>"?#\t\n\f\r ]+$"#).expect("the pattern is a constant of this file"));

/// Returns a name as it is stored: blanks around it are cut.
pub(super) fn check_name(text: &str) -> Result<String, Refusal> {
    let name = text.trim_matches(' ');
    let fine = name.chars().count() <= NAME && NAME_PATTERN.is_match(name);
    if fine { Ok(name.to_owned()) } else { Err(Refusal::invalid("name")) }
}

/// Finds a category that a template of a business can have; `foreign` is what one of another business is refused for.
fn check_category(tables: &Tables, id: i64, business: i64, foreign: &str) -> Result<(), Refusal> {
    let row = tables.service_categories.get(id).ok_or_else(|| Refusal::invalid("service_category_id"))?;
    let own = [0, business].contains(&row.int("bk_biz_id"));
    if !own && foreign == "service_category_id" {
        return Err(Refusal::invalid(foreign));
    }
    if !category::is_leaf(tables, id) {
        return Err(Refusal::new(1_113_032, "only leaf node available"));
    }
    if own { Ok(()) } else { Err(Refusal::invalid(foreign)) }
}

/// Returns true if another template of the business has exactly this name.
fn is_taken(tables: &Tables, business: i64, id: i64, name: &str) -> bool {
    let equal = Filter::equal("bk_biz_id", business).and(Filter::equal("name", name));
    matching(&tables.service_templates, &equal).iter().any(|row| row.int("id") != id)
}

/// `create_service_template`.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let row = insert(world, call, &args)?;
    Ok(Reply::Json(row.to_value()))
}

/// Stores a new service template.
pub(super) fn insert(world: &mut World, call: &Call, args: &super::args::Args) -> Result<Row, Refusal> {
    let (business, category) = (args.int("bk_biz_id")?, args.int("service_category_id")?);
    let host_apply = args.flag("host_apply_enabled")?;
    let name = check_name(args.text("name")?)?;
    if world.tables.businesses.get(business).is_none() {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    check_category(&world.tables, category, business, "bk_biz_id")?;
    if is_taken(&world.tables, business, 0, &name) {
        return Err(Refusal::duplicated("name"));
    }
    let id = world.next_id("service_template");
    let now = world.now_text();
    let row = Row::of([
        ("bk_biz_id", business.into()),
        ("id", id.into()),
        ("name", name.into()),
        ("service_category_id", category.into()),
        ("creator", call.user.as_str().into()),
        ("modifier", call.user.as_str().into()),
        ("create_time", now.as_str().into()),
        ("last_time", now.as_str().into()),
        ("bk_supplier_account", "0".into()),
        ("host_apply_enabled", host_apply.into()),
    ]);
    world.put(Place::ServiceTemplates, id, Some(row.clone()));
    Ok(row)
}

/// The modules made from a template.
pub(super) fn modules_of(tables: &Tables, template: i64) -> Vec<Arc<Row>> {
    matching(&tables.modules, &Filter::equal("service_template_id", template)).into_iter().cloned().collect()
}

/// Returns true if a set with modules of a template has a module of this name that is none of them.
fn collides(tables: &Tables, modules: &[Arc<Row>], template: i64, name: &str) -> bool {
    modules.iter().any(|module| {
        let beside = Filter::equal("bk_set_id", module.int("bk_set_id")).and(Filter::equal("bk_module_name", name));
        matching(&tables.modules, &beside).iter().any(|row| row.int("service_template_id") != template)
    })
}

/// `update_service_template`. The business is not compared with the template's.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (id, name) = (args.int("id")?, args.text("name")?.to_owned());
    let row = change(world, id, &name, args.int("service_category_id")?)?;
    Ok(Reply::Json(row.to_value()))
}

/// Gives a template and its modules another name and category; an empty name and a category up to 0 stay.
///
/// Neither the template's nor the modules' times move.
pub(super) fn change(world: &mut World, id: i64, name: &str, category: i64) -> Result<Row, Refusal> {
    let old = world.tables.service_templates.get(id).cloned().ok_or_else(Refusal::not_found)?;
    let business = old.int("bk_biz_id");
    let mut row = (*old).clone();
    if category > 0 {
        check_category(&world.tables, category, business, "service_category_id")?;
        row.set("service_category_id", category);
    }
    let modules = modules_of(&world.tables, id);
    if !name.is_empty() && name != old.text("name") {
        // The name is looked up as it was sent, and cut only afterwards.
        if is_taken(&world.tables, business, id, name) || collides(&world.tables, &modules, id, name) {
            return Err(Refusal::duplicated("name"));
        }
        let name = check_name(name)?;
        if is_taken(&world.tables, business, id, &name) || collides(&world.tables, &modules, id, &name) {
            return Err(Refusal::new(1_199_020, "Failed to update data"));
        }
        row.set("name", name);
    }
    world.put(Place::ServiceTemplates, id, Some(row.clone()));
    // Up to 3.10.17 only a sync brought the category.
    let with_category = world.version >= Version::V3_10;
    for module in modules {
        let mut after = (*module).clone();
        after.set("bk_module_name", row.text("name"));
        if with_category {
            after.set("service_category_id", row.int("service_category_id"));
        }
        if after != *module {
            world.put(Place::Modules, module.int("bk_module_id"), Some(after));
        }
    }
    Ok(row)
}

/// `delete_service_template`: every failure has the same code, and the business is not looked at.
///
/// Its process templates stay behind, as do the relations of set templates with it.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let id = call.args()?.int("service_template_id")?;
    let tables = &world.tables;
    let uses = Filter::equal("service_template_id", id);
    let used = [&tables.modules, &tables.service_instances].iter().any(|table| !matching(table, &uses).is_empty());
    if used || tables.service_templates.get(id).is_none() {
        return Err(Refusal::new(1_108_030, "delete service template failed"));
    }
    let attributes: Vec<i64> = matching(&tables.template_attributes, &uses).iter().map(|row| row.int("id")).collect();
    for attribute in attributes {
        world.put(Place::TemplateAttributes, attribute, None);
    }
    world.put(Place::ServiceTemplates, id, None);
    Ok(Reply::Nothing)
}

/// Finds a template of a business.
pub(super) fn of_business(tables: &Tables, id: i64, business: i64) -> Result<Arc<Row>, Refusal> {
    let row = tables.service_templates.get(id).filter(|row| row.int("bk_biz_id") == business);
    row.cloned().ok_or_else(|| Refusal::invalid("service_template_id"))
}

/// Returns an id that must be there.
pub(super) fn required_id(args: &super::args::Args, name: &str) -> Result<i64, Refusal> {
    match args.int(name)? {
        0 => Err(Refusal::unassigned(name)),
        id => Ok(id),
    }
}

/// Returns a list of ids that must not be empty.
pub(super) fn required_ids(args: &super::args::Args, name: &str) -> Result<Vec<i64>, Refusal> {
    let ids = args.ints(name)?;
    if ids.is_empty() { Err(Refusal::unassigned(name)) } else { Ok(ids) }
}

/// Returns the value of a cell, null for none.
pub(super) fn cell(row: &Row, name: &str) -> Value {
    row.get(name).cloned().unwrap_or(Value::Null)
}

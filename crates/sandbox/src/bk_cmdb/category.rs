//! Service categories. None of their writes leaves an audit record.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    instance::counted,
    module::default_category,
    page::{Page, matching, select},
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, Row},
    world::{Place, Tables, World},
};

/// The most characters of a name.
const NAME: usize = 128;

static NAME_PATTERN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{Han}a-zA-Z0-9_:()-]+$").expect("the pattern is a constant of this file"));

/// A business's own categories and the built-in ones.
fn seen_by(business: i64) -> Filter {
    Filter::within("bk_biz_id", vec![0.into(), business.into()])
}

/// `list_service_category`, without pages.
pub(super) fn list(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.args()?.int("bk_biz_id")?;
    if business <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let page = Page::default().default_sort("name", false);
    Ok(counted(&select(&tables.service_categories, &seen_by(business), &page), &Projection::default()))
}

/// Returns true if no category has this one as its parent.
pub(super) fn is_leaf(tables: &Tables, id: i64) -> bool {
    matching(&tables.service_categories, &Filter::equal("bk_parent_id", id)).is_empty()
}

/// Returns a category with all below it.
pub(super) fn with_descendants(tables: &Tables, id: i64) -> Vec<Value> {
    let mut found = BTreeSet::from([id]);
    let mut open = vec![id];
    while let Some(parent) = open.pop() {
        for child in matching(&tables.service_categories, &Filter::equal("bk_parent_id", parent)) {
            if found.insert(child.int("id")) {
                open.push(child.int("id"));
            }
        }
    }
    found.into_iter().map(Value::from).collect()
}

fn check_name(args: &Args) -> Result<String, Refusal> {
    let name = args.text("name")?;
    let fine = name.chars().count() <= NAME && NAME_PATTERN.is_match(name);
    if fine { Ok(name.to_owned()) } else { Err(Refusal::invalid("name")) }
}

/// Refuses a name that another category of the same level has: the first one, or all below it as one.
fn check_free(tables: &Tables, business: i64, id: i64, parent: i64, name: &str) -> Result<(), Refusal> {
    let equal = seen_by(business).and(Filter::equal("name", name));
    let same_level = |row: &Row| (row.int("bk_parent_id") == 0) == (parent == 0);
    let taken = matching(&tables.service_categories, &equal);
    if taken.iter().any(|row| row.int("id") != id && same_level(row)) {
        return Err(Refusal::new(1_113_017, format!("service caetgory name [{name}] duplicated")));
    }
    Ok(())
}

/// `create_service_category`. The parent may be any category, of whatever level and business.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, parent) = (args.int("bk_biz_id")?, args.int("bk_parent_id")?);
    let name = check_name(&args)?;
    if world.tables.businesses.get(business).is_none() {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let root = match parent {
        0 => None,
        parent => {
            let row = world.tables.service_categories.get(parent).ok_or_else(|| Refusal::invalid("bk_biz_id"))?;
            Some(row.int("bk_root_id"))
        }
    };
    check_free(&world.tables, business, 0, parent, &name)?;
    let id = world.next_id("service_category");
    let row = Row::of([
        ("bk_biz_id", business.into()),
        ("id", id.into()),
        ("name", name.into()),
        ("bk_root_id", root.unwrap_or(id).into()),
        ("bk_parent_id", parent.into()),
        ("bk_supplier_account", "0".into()),
        ("is_built_in", false.into()),
    ]);
    world.put(Place::ServiceCategories, id, Some(row.clone()));
    Ok(Reply::Json(row.to_value()))
}

/// `update_service_category`: only the name, whatever business is named.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let id = args.int("id")?;
    let old = world.tables.service_categories.get(id).cloned().ok_or_else(Refusal::not_found)?;
    if old.get("is_built_in") == Some(&Value::Bool(true)) {
        return Err(Refusal::new(1_199_054, "operate built-in object forbidden"));
    }
    let name = check_name(&args)?;
    check_free(&world.tables, old.int("bk_biz_id"), id, old.int("bk_parent_id"), &name)?;
    let mut row = (*old).clone();
    row.set("name", name);
    world.put(Place::ServiceCategories, id, Some(row.clone()));
    Ok(Reply::Json(row.to_value()))
}

/// `delete_service_category`: unused ones, built-in ones too.
pub(super) fn delete(world: &mut World, call: &Call) -> Outcome {
    let id = call.args()?.int("id")?;
    let tables = &world.tables;
    if tables.service_categories.get(id).is_none() {
        return Err(Refusal::not_found());
    }
    if !is_leaf(tables, id) {
        return Err(Refusal::new(1_199_055, "forbidden remove item with child node"));
    }
    let uses = Filter::equal("service_category_id", id);
    // The built-in modules of every business are in the default category.
    let default = default_category(tables) == id;
    if default || [&tables.service_templates, &tables.modules].iter().any(|table| !matching(table, &uses).is_empty()) {
        return Err(Refusal::new(1_199_056, "remove referenced record forbidden"));
    }
    world.put(Place::ServiceCategories, id, None);
    Ok(Reply::Nothing)
}

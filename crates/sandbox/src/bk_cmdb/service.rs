//! Service categories and service templates (section 4.5).

use regex::RegexBuilder;
use serde_json::{Value, json};

use super::{
    call::Call,
    filter::{Filter, Test},
    instance::counted,
    page::{Page, matching, select},
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, Row},
    world::{Place, Tables, Version, World},
};

/// The limit that stands for none.
const NO_LIMIT: i64 = 999_999_999;

/// `list_service_category`: a business's own ones and the built-in ones.
pub(super) fn categories(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.args()?.int("bk_biz_id")?;
    let filter = Filter::within("bk_biz_id", vec![Value::from(0), Value::from(business)]);
    let page = Page::default().default_sort("name", false);
    Ok(counted(&select(&tables.service_categories, &filter, &page), &Projection::default()))
}

/// `list_service_template`. Business 0 lists all.
pub(super) fn list(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?;
    if !(1..=1000).contains(&page.limit) && page.limit != NO_LIMIT {
        return Err(Refusal::page());
    }
    let mut filter = Filter::everything();
    for (name, field) in [("bk_biz_id", "bk_biz_id"), ("service_category_id", "service_category_id")] {
        match args.int(name)? {
            0 => {}
            id => filter = filter.and(Filter::equal(field, id)),
        }
    }
    let ids = args.ints("service_template_ids")?;
    if !ids.is_empty() {
        filter = filter.and(Filter::within("id", ids.into_iter().map(Value::from).collect()));
    }
    let search = args.text("search")?;
    // Before 3.9 there is no exact search.
    let exact = args.flag("is_exact")? && world.version >= Version::V3_9;
    if exact && !search.is_empty() {
        filter = filter.and(Filter::equal("name", search));
    } else if !search.is_empty() {
        let regex = RegexBuilder::new(&regex::escape(search)).case_insensitive(true).build();
        let test = Test::Regex(regex.map_err(|_| Refusal::invalid("search"))?);
        filter = filter.and(Filter::Field("name".to_owned(), test));
    }
    let page = page.default_sort("id", true);
    Ok(counted(&select(&tables.service_templates, &filter, &page), &Projection::default()))
}

/// `get_service_template`.
pub(super) fn get(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let id = call.id("service_template_id", "service_template_id")?;
    let row = tables.service_templates.get(id).ok_or_else(Refusal::not_found)?;
    Ok(Reply::Json(row.to_value()))
}

/// The module attributes that a service template configures. `fields` leaves the zero values of the others.
pub(super) fn attributes(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, id, fields) = (args.int("bk_biz_id")?, args.int("id")?, args.texts("fields")?);
    if id == 0 {
        return Err(Refusal::unassigned("id"));
    }
    let template = tables.service_templates.get(id).filter(|row| row.int("bk_biz_id") == business);
    template.ok_or_else(|| Refusal::invalid("service_template_id"))?;
    let zero = |name: &str, value: Value| match value {
        value if fields.is_empty() || fields.iter().any(|field| field == name) => value,
        Value::Number(_) if name != "bk_property_value" => Value::from(0),
        Value::String(_) if name.ends_with("_time") => Value::from("0001-01-01T00:00:00Z"),
        Value::String(_) if name != "bk_property_value" => Value::from(""),
        _ => Value::Null,
    };
    let of_template = matching(&tables.template_attributes, &Filter::equal("service_template_id", id));
    let rows: Vec<Value> = of_template
        .into_iter()
        .map(|row| match row.to_value() {
            Value::Object(cells) => cells.into_iter().map(|(name, cell)| (name.clone(), zero(&name, cell))).collect(),
            other => other,
        })
        .collect();
    Ok(Reply::Json(json!({"attributes": rows})))
}

/// `create_service_template`.
pub(super) fn create(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    if world.tables.businesses.get(business).is_none() {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let name = args.text("name")?.trim();
    if name.is_empty() {
        return Err(Refusal::invalid("name"));
    }
    let category = args.int("service_category_id")?;
    if world.tables.service_categories.get(category).is_none() {
        return Err(Refusal::invalid("service_category_id"));
    }
    let equal = Filter::equal("bk_biz_id", business).and(Filter::equal("name", name));
    if !matching(&world.tables.service_templates, &equal).is_empty() {
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
        ("host_apply_enabled", false.into()),
    ]);
    world.put(Place::ServiceTemplates, id, Some(row.clone()));
    Ok(Reply::Json(row.to_value()))
}

//! Reads of service templates (section 4.5).

use regex::RegexBuilder;
use serde_json::{Value, json};

use super::{
    call::Call,
    category,
    filter::{Filter, Test},
    instance::counted,
    page::{Page, matching, select},
    refusal::{Outcome, Refusal, Reply},
    row::Projection,
    service_write::required_ids,
    world::{Tables, Version, World},
};

/// The limit that stands for none.
const NO_LIMIT: i64 = 999_999_999;

/// `list_service_template`. Business 0 lists all.
pub(super) fn list(world: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?;
    if !(1..=1000).contains(&page.limit) && page.limit != NO_LIMIT {
        return Err(Refusal::page());
    }
    let mut filter = Filter::everything();
    match args.int("bk_biz_id")? {
        0 => {}
        business => filter = filter.and(Filter::equal("bk_biz_id", business)),
    }
    match args.int("service_category_id")? {
        0 => {}
        id => filter = filter.and(Filter::within("service_category_id", category::with_descendants(tables, id))),
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

fn template_id(call: &Call) -> Result<i64, Refusal> {
    call.id("service_template_id", "").map_err(|_| Refusal::invalid("service_template_id"))
}

/// `get_service_template`, of whatever business.
pub(super) fn get(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let id = template_id(call)?;
    let row = tables.service_templates.get(id).ok_or_else(Refusal::not_found)?;
    Ok(Reply::Json(row.to_value()))
}

/// `get_service_template` with counts, of which that of processes is always 0.
pub(super) fn detail(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let id = template_id(call)?;
    let row = tables.service_templates.get(id).ok_or_else(Refusal::not_found)?;
    let instances = matching(&tables.service_instances, &Filter::equal("service_template_id", id)).len();
    Ok(Reply::Json(json!({
        "template": row.to_value(), "service_instance_count": instances, "process_instance_count": 0,
    })))
}

/// Counts what hangs on service templates; ids that are not there have none.
pub(super) fn counts(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let ids = required_ids(&call.args()?, "service_template_ids")?;
    let counts = ids.into_iter().map(|id| {
        let of_template = Filter::equal("service_template_id", id).and(Filter::equal("bk_biz_id", business));
        let count = |table| matching(table, &of_template).len();
        json!({
            "service_template_id": id, "process_template_count": count(&tables.process_templates),
            "service_instance_count": count(&tables.service_instances), "module_count": count(&tables.modules),
        })
    });
    Ok(Reply::Json(counts.collect()))
}

//! The hosts and service instances of modules and templates, as far as a state has them.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    host,
    page::{Page, matching},
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, Row, Shown},
    world::{Tables, World},
};

/// `search_cloud_area`: the default area, and those of the state.
pub(super) fn cloud_areas(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?;
    let own = tables.instances.get("plat").into_iter().flat_map(|table| table.rows().map(|(_, row)| row.to_value()));
    let mut areas: Vec<Value> = own.collect();
    if !areas.iter().any(|area| area.get("bk_cloud_id") == Some(&json!(0))) {
        areas.insert(0, json!({"bk_cloud_id": 0, "bk_cloud_name": "Default Area", "bk_supplier_account": "0"}));
    }
    let wanted = args.object("condition")?;
    let fits = |area: &Value| wanted.0.iter().all(|(name, value)| area.get(name) == Some(value));
    areas.retain(fits);
    let count = areas.len();
    Ok(Reply::Json(json!({"count": count, "info": page.cut(areas.into_iter())})))
}

/// Reads a list of ids with its limit, 1199006 with its name beyond.
fn bounded(args: &Args, name: &str, most: usize) -> Result<BTreeSet<i64>, Refusal> {
    let ids = args.ints(name)?;
    if ids.len() > most { Err(Refusal::invalid(name)) } else { Ok(ids.into_iter().collect()) }
}

fn page_of_hosts(tables: &Tables, args: &Args, hosts: &BTreeSet<i64>) -> Outcome {
    let page = Page::of(args)?;
    if !(1..=1000).contains(&page.limit) {
        return Err(Refusal::invalid("page.limit"));
    }
    let projection = Projection::on(args.texts("fields")?);
    let rows = page.cut(hosts.iter().map(|id| {
        let known = tables.instances.get("host").and_then(|table| table.get(*id)).cloned();
        known.unwrap_or_else(|| Arc::new(Row::of([("bk_host_id", (*id).into())])))
    }));
    let shown: Vec<Value> = rows.iter().map(|row| json!(Shown(row, &projection))).collect();
    Ok(Reply::Json(json!({"count": hosts.len(), "info": shown})))
}

/// Narrows a condition to rows with one of some ids; no ids of a kind mean no filter.
fn among(filter: Filter, field: &str, ids: &BTreeSet<i64>) -> Filter {
    if ids.is_empty() {
        return filter;
    }
    filter.and(Filter::within(field, ids.iter().copied().map(Value::from).collect()))
}

/// The hosts of a business in some modules and sets.
fn hosts(tables: &Tables, business: i64, modules: &BTreeSet<i64>, sets: &BTreeSet<i64>) -> BTreeSet<i64> {
    let filter = Filter::everything().and(Filter::equal("bk_biz_id", business));
    let filter = among(among(filter, "bk_module_id", modules), "bk_set_id", sets);
    matching(&tables.host_relations, &filter).iter().map(|pair| pair.int("bk_host_id")).collect()
}

/// `list_biz_hosts`.
pub(super) fn hosts_of_business(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let (modules, sets) = (bounded(&args, "bk_module_ids", 500)?, bounded(&args, "bk_set_ids", 200)?);
    page_of_hosts(tables, &args, &hosts(tables, business, &modules, &sets))
}

/// `find_host_by_service_template`.
pub(super) fn hosts_of_templates(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let templates = args.ints("bk_service_template_ids")?;
    if !(1..=500).contains(&templates.len()) {
        return Err(Refusal::length("bk_service_template_ids", 500));
    }
    if args.texts("fields")?.is_empty() {
        return Err(Refusal::invalid("fields"));
    }
    let only = bounded(&args, "bk_module_ids", 500)?;
    let modules: BTreeSet<i64> = tables
        .modules
        .rows()
        .filter(|(_, row)| row.int("bk_biz_id") == business && templates.contains(&row.int("service_template_id")))
        .map(|(id, _)| id)
        .filter(|id| only.is_empty() || only.contains(id))
        .collect();
    if modules.is_empty() {
        return Ok(Reply::Json(json!({"count": 0, "info": null})));
    }
    page_of_hosts(tables, &args, &hosts(tables, business, &modules, &BTreeSet::new()))
}

/// `find_host_topo_relation`.
pub(super) fn host_relations(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?;
    if !(1..=1000).contains(&page.limit) {
        return Err(Refusal::page());
    }
    let modules: BTreeSet<i64> = args.ints("bk_module_ids")?.into_iter().collect();
    if modules.len() > 500 {
        return Err(Refusal::exceeds("bk_module_ids", 500));
    }
    let sets: BTreeSet<i64> = args.ints("bk_set_ids")?.into_iter().collect();
    let named: BTreeSet<i64> = args.ints("bk_host_ids")?.into_iter().collect();
    let business = args.int("bk_biz_id")?;
    let mut filter = Filter::everything();
    if business != 0 {
        filter = filter.and(Filter::equal("bk_biz_id", business));
    }
    for (field, ids) in [("bk_module_id", &modules), ("bk_set_id", &sets), ("bk_host_id", &named)] {
        filter = among(filter, field, ids);
    }
    let mut pairs = matching(&tables.host_relations, &filter);
    pairs.sort_by(|pair, other| page.compare(pair, other));
    let count = pairs.len();
    let rows: Vec<Value> = page.cut(pairs.into_iter()).into_iter().map(|pair| host::shown(pair)).collect();
    let page = args.get("page").cloned().unwrap_or(Value::Null);
    Ok(Reply::Json(json!({"count": count, "data": rows, "page": page})))
}

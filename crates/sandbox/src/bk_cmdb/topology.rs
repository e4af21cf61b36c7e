//! The hosts and service instances of modules and templates, as far as a state has them.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    args::Args,
    call::Call,
    host,
    page::Page,
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

/// The hosts of a business in some modules and sets; no ids of a kind mean no filter.
fn hosts(tables: &Tables, business: i64, modules: Option<&BTreeSet<i64>>, sets: &BTreeSet<i64>) -> BTreeSet<i64> {
    tables
        .host_relations
        .iter()
        .filter(|pair| pair.int("bk_biz_id") == business)
        .filter(|pair| modules.is_none_or(|modules| modules.contains(&pair.int("bk_module_id"))))
        .filter(|pair| sets.is_empty() || sets.contains(&pair.int("bk_set_id")))
        .map(|pair| pair.int("bk_host_id"))
        .collect()
}

/// `list_biz_hosts`.
pub(super) fn hosts_of_business(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let (modules, sets) = (bounded(&args, "bk_module_ids", 500)?, bounded(&args, "bk_set_ids", 200)?);
    let modules = if modules.is_empty() { None } else { Some(&modules) };
    page_of_hosts(tables, &args, &hosts(tables, business, modules, &sets))
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
    page_of_hosts(tables, &args, &hosts(tables, business, Some(&modules), &BTreeSet::new()))
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
    let mut pairs: Vec<&Arc<Row>> = tables
        .host_relations
        .iter()
        .filter(|pair| business == 0 || pair.int("bk_biz_id") == business)
        .filter(|pair| modules.is_empty() || modules.contains(&pair.int("bk_module_id")))
        .filter(|pair| sets.is_empty() || sets.contains(&pair.int("bk_set_id")))
        .filter(|pair| named.is_empty() || named.contains(&pair.int("bk_host_id")))
        .collect();
    pairs.sort_by(|pair, other| page.compare(pair, other));
    let count = pairs.len();
    let rows: Vec<Value> = page.cut(pairs.into_iter()).into_iter().map(|pair| host::shown(pair)).collect();
    let page = args.get("page").cloned().unwrap_or(Value::Null);
    Ok(Reply::Json(json!({"count": count, "data": rows, "page": page})))
}

fn owned((name, value): (&str, &Value)) -> (String, Value) {
    (name.to_owned(), value.clone())
}

/// `list_service_instance`: a module made from a template has one service instance per host.
pub(super) fn service_instances(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    if business <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let module = args.int("bk_module_id")?;
    let page = Page::of(&args)?;
    if page.limit > 1000 {
        return Err(Refusal::page());
    }
    let known = tables.service_instances.iter().flatten();
    let fits = |row: &&Arc<Row>| row.int("bk_biz_id") == business && (module == 0 || row.int("bk_module_id") == module);
    let cells = |row: &Arc<Row>| row.cells().filter(|(name, _)| *name != "process_instances").map(owned).collect();
    let mut instances: Vec<Value> = known.filter(fits).map(cells).collect();
    if tables.service_instances.is_some() {
        let count = instances.len();
        return Ok(Reply::Json(json!({"count": count, "info": page.cut(instances.into_iter())})));
    }
    for (position, pair) in tables.host_relations.iter().enumerate() {
        let (own, host) = (pair.int("bk_module_id"), pair.int("bk_host_id"));
        let template = tables.modules.get(own).map_or(0, |row| row.int("service_template_id"));
        if template != 0 && pair.int("bk_biz_id") == business && (module == 0 || own == module) {
            instances.push(json!({"bk_biz_id": business, "id": position + 1, "name": host.to_string(), "labels": null,
                "service_template_id": template, "bk_host_id": host, "bk_module_id": own,
                "bk_supplier_account": "0"}));
        }
    }
    let count = instances.len();
    Ok(Reply::Json(json!({"count": count, "info": page.cut(instances.into_iter())})))
}

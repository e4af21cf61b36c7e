//! Searches of hosts, and where hosts are.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use serde_json::{Map, Value, json};

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    instance::rules,
    page::{Page, matching},
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, Row, Shown},
    rule::{self, Engine},
    service_write::required_ids,
    table::Table,
    world::{Tables, World},
};

/// Cells that show several addresses joined by comma, but are stored as lists.
const ADDRESSES: [&str; 4] = ["bk_host_innerip", "bk_host_outerip", "bk_host_innerip_v6", "bk_host_outerip_v6"];

/// Returns a host as the store has it.
fn stored(row: &Row) -> Cow<'_, Row> {
    let mut row = Cow::Borrowed(row);
    for name in ADDRESSES {
        if row.text(name).contains(',') {
            let list: Vec<Value> = row.text(name).split(',').map(Value::from).collect();
            row.to_mut().set(name, list);
        }
    }
    row
}

/// Reads the filter on hosts, where a request has one.
fn host_filter(args: &Args) -> Result<Option<Filter>, Refusal> {
    let tree = args.get("host_property_filter");
    tree.map(|tree| rule::parse(tree, Engine::Hosts, "host_property_filter")).transpose()
}

fn known(tables: &Tables, id: i64) -> Option<&Arc<Row>> {
    tables.instances.get("host")?.get(id)
}

fn found(tables: &Tables, id: i64) -> Arc<Row> {
    known(tables, id).cloned().unwrap_or_else(|| Arc::new(Row::of([("bk_host_id", id.into())])))
}

/// Reads a list of ids with its limit, 1199006 with its name beyond.
fn bounded(args: &Args, name: &str, most: usize) -> Result<BTreeSet<i64>, Refusal> {
    let ids = args.ints(name)?;
    if ids.len() > most { Err(Refusal::invalid(name)) } else { Ok(ids.into_iter().collect()) }
}

/// Narrows a condition to rows with one of some ids; `None` is no filter.
fn among(filter: Filter, field: &str, ids: Option<&BTreeSet<i64>>) -> Filter {
    match ids {
        None => filter,
        Some(ids) => filter.and(Filter::within(field, ids.iter().copied().map(Value::from).collect())),
    }
}

fn some(ids: BTreeSet<i64>) -> Option<BTreeSet<i64>> {
    Some(ids).filter(|ids| !ids.is_empty())
}

/// Returns the hosts of a business in some modules and sets, in the order in which they came there.
fn hosts(
    tables: &Tables,
    business: i64,
    modules: Option<&BTreeSet<i64>>,
    sets: Option<&BTreeSet<i64>>,
) -> Vec<Arc<Row>> {
    let filter = Filter::everything().and(Filter::equal("bk_biz_id", business));
    let filter = among(among(filter, "bk_module_id", modules), "bk_set_id", sets);
    let mut seen = BTreeSet::new();
    let ids = matching(&tables.host_relations, &filter).into_iter().map(|pair| pair.int("bk_host_id"));
    ids.filter(|id| seen.insert(*id)).map(|id| found(tables, id)).collect()
}

/// Reads which modules or sets a search is about: by ids or by conditions, not both.
fn nodes(
    table: &Table,
    args: &Args,
    business: i64,
    (ids, conditions): (&'static str, &'static str),
    most: usize,
) -> Result<Option<BTreeSet<i64>>, Refusal> {
    let named = some(bounded(args, ids, most)?);
    if args.list(conditions)?.is_empty() {
        return Ok(named);
    }
    if named.is_some() {
        return Err(Refusal::invalid(&format!("{ids} and {conditions} can't both be set")));
    }
    let filter = rules(args, conditions)?.and(Filter::equal("bk_biz_id", business));
    Ok(Some(matching(table, &filter).iter().map(|row| row.int(table.key)).collect()))
}

/// The hosts of a page and how many there are in all.
struct HostPage {
    rows: Vec<Arc<Row>>,
    count: usize,
}

/// Searches the hosts of a business.
fn search(tables: &Tables, args: &Args, business: i64) -> Result<HostPage, Refusal> {
    let modules = nodes(&tables.modules, args, business, ("bk_module_ids", "module_cond"), 500)?;
    let sets = nodes(&tables.sets, args, business, ("bk_set_ids", "set_cond"), 200)?;
    let page = bounded_page(args)?;
    let filter = host_filter(args)?;
    let mut rows = hosts(tables, business, modules.as_ref(), sets.as_ref());
    if let Some(filter) = &filter {
        rows.retain(|row| filter.matches(&stored(row)));
    }
    Ok(cut(rows, &page, filter.is_none()))
}

fn bounded_page(args: &Args) -> Result<Page, Refusal> {
    let page = Page::of(args)?;
    if (1..=1000).contains(&page.limit) { Ok(page) } else { Err(Refusal::invalid("page.limit")) }
}

/// Cuts a page. Without a filter on hosts a page by id is cut before it is sorted.
fn cut(mut rows: Vec<Arc<Row>>, page: &Page, unfiltered: bool) -> HostPage {
    let mut count = rows.len();
    let by_id = matches!(page.sort.as_slice(), []) || page.sort == [("bk_host_id".to_owned(), false)];
    let page = page.clone().default_sort("bk_host_id", false);
    let sort = |rows: &mut Vec<Arc<Row>>| rows.sort_by(|row, other| page.compare(row, other));
    if unfiltered && by_id {
        rows = page.cut(rows.into_iter());
        sort(&mut rows);
    } else {
        sort(&mut rows);
        rows = page.cut(rows.into_iter());
    }
    // Beyond the end nothing is counted.
    if usize::try_from(page.start).is_ok_and(|start| start > count) {
        count = 0;
    }
    HostPage { rows, count }
}

fn answer(found: &HostPage, args: &Args) -> Outcome {
    let projection = Projection::on(args.texts("fields")?);
    let shown: Vec<Value> = found.rows.iter().map(|row| json!(Shown(row, &projection))).collect();
    Ok(Reply::Json(json!({"count": found.count, "info": shown})))
}

/// `list_biz_hosts`.
pub(super) fn of_business(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    answer(&search(tables, &args, business)?, &args)
}

/// `list_hosts_without_biz`: of all businesses and the pool, without a limit.
pub(super) fn anywhere(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let filter = host_filter(&args)?.unwrap_or_else(Filter::everything);
    let page = Page::of(&args)?.default_sort("bk_host_id", false);
    let all = tables.instances.get("host").into_iter().flat_map(|table| among_ids(table, &filter));
    let mut rows: Vec<Arc<Row>> = all.filter(|row| filter.matches(&stored(row))).cloned().collect();
    let count = rows.len();
    rows.sort_by(|row, other| page.compare(row, other));
    answer(&HostPage { rows: page.cut(rows.into_iter()), count }, &args)
}

/// Returns the rows that may match a filter, by their ids where it names them.
fn among_ids<'a>(table: &'a Table, filter: &Filter) -> Vec<&'a Arc<Row>> {
    match filter.candidates(table) {
        Some(ids) => ids.into_iter().filter_map(|id| table.get(id)).collect(),
        None => table.rows().map(|(_, row)| row).collect(),
    }
}

/// `list_biz_hosts_topo`: hosts with the sets and modules that they are in.
pub(super) fn with_topology(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let found = search(tables, &args, business)?;
    let projection = Projection::on(args.texts("fields")?);
    let shown = found.rows.iter().map(|row| {
        let topology = topology(tables, business, row.int("bk_host_id"));
        json!({"host": Shown(row, &projection), "topo": topology})
    });
    let info: Vec<Value> = shown.collect();
    Ok(Reply::Json(json!({"count": found.count, "info": info})))
}

/// Returns the sets of a host in a business, each with the modules.
pub(super) fn topology(tables: &Tables, business: i64, host: i64) -> Value {
    let own = Filter::equal("bk_host_id", host).and(Filter::equal("bk_biz_id", business));
    let mut pairs: Vec<(i64, i64)> = matching(&tables.host_relations, &own)
        .iter()
        .map(|pair| (pair.int("bk_set_id"), pair.int("bk_module_id")))
        .collect();
    pairs.sort_unstable();
    let name = |table: &Table, id: i64, field: &str| table.get(id).map_or("", |row| row.text(field)).to_owned();
    let sets = pairs.chunk_by(|pair, other| pair.0 == other.0).map(|pairs| {
        let set = pairs[0].0;
        let modules = pairs.iter().map(|(_, module)| {
            json!({"bk_module_id": module, "bk_module_name": name(&tables.modules, *module, "bk_module_name")})
        });
        json!({
            "bk_set_id": set, "bk_set_name": name(&tables.sets, set, "bk_set_name"),
            "module": modules.collect::<Vec<Value>>(),
        })
    });
    sets.collect()
}

/// `find_host_by_service_template`.
pub(super) fn of_templates(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = call.id("bk_biz_id", "bk_biz_id")?;
    let args = call.args()?;
    let templates = args.ints("bk_service_template_ids")?;
    if !(1..=500).contains(&templates.len()) {
        return Err(Refusal::length("bk_service_template_ids", 500));
    }
    if args.texts("fields")?.is_empty() {
        return Err(Refusal::invalid("fields"));
    }
    let only = some(bounded(&args, "bk_module_ids", 500)?);
    let made = Filter::within("service_template_id", templates.into_iter().map(Value::from).collect())
        .and(Filter::equal("bk_biz_id", business));
    let modules: BTreeSet<i64> = matching(&tables.modules, &among(made, "bk_module_id", only.as_ref()))
        .iter()
        .map(|row| row.int("bk_module_id"))
        .collect();
    if modules.is_empty() {
        return Ok(Reply::Json(json!({"count": 0, "info": null})));
    }
    let page = bounded_page(&args)?;
    answer(&cut(hosts(tables, business, Some(&modules), None), &page, true), &args)
}

/// A host relation as an answer shows it.
fn shown(pair: &Row) -> Value {
    let mut cells: Map<String, Value> = pair.cells().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    cells.entry("bk_supplier_account").or_insert_with(|| "0".into());
    Value::Object(cells)
}

/// `find_host_topo_relation`: something to filter by is needed.
pub(super) fn relations(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let page = Page::of(&args)?;
    if !(1..=1000).contains(&page.limit) {
        return Err(Refusal::page());
    }
    let mut filter = Filter::everything();
    let business = args.int("bk_biz_id")?;
    if business != 0 {
        filter = filter.and(Filter::equal("bk_biz_id", business));
    }
    let mut filters = usize::from(business != 0);
    for (name, field, most) in
        [("bk_set_ids", "bk_set_id", 200), ("bk_module_ids", "bk_module_id", 500), ("bk_host_ids", "bk_host_id", 500)]
    {
        let ids: BTreeSet<i64> = args.ints(name)?.into_iter().collect();
        if ids.len() > most {
            return Err(Refusal::exceeds(name, most));
        }
        filters += ids.len();
        filter = among(filter, field, some(ids).as_ref());
    }
    if filters == 0 {
        return Err(Refusal::new(1_199_005, "The input is empty"));
    }
    let mut pairs = matching(&tables.host_relations, &filter);
    pairs.sort_by(|pair, other| page.compare(pair, other));
    let count = pairs.len();
    let rows: Vec<Value> = page.cut(pairs.into_iter()).into_iter().map(|pair| shown(pair)).collect();
    let page = args.get("page").cloned().unwrap_or(Value::Null);
    Ok(Reply::Json(json!({"count": count, "data": rows, "page": page})))
}

/// `find_host_biz_relations`: the same pairs as a plain list.
pub(super) fn of_hosts(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let hosts: BTreeSet<i64> = required_ids(&args, "bk_host_id")?.into_iter().collect();
    let mut filter = among(Filter::everything(), "bk_host_id", Some(&hosts));
    match args.int("bk_biz_id")? {
        0 => {}
        business => filter = filter.and(Filter::equal("bk_biz_id", business)),
    }
    let pairs = matching(&tables.host_relations, &filter);
    Ok(Reply::Json(pairs.into_iter().map(|pair| shown(pair)).collect()))
}

//! Service instances: how they come and go, and their reads.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{
    args::Args,
    audit::{Record, Subject},
    call::Call,
    filter::Filter,
    page::{Page, matching, select},
    process_instance::{self, Owner},
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    world::{Place, Tables, World},
};

/// The cell of the processes of a service instance.
pub(super) const PROCESSES: &str = "process_instances";

/// The order in which the processes of a new service instance get their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As after a transfer.
    NewestFirst,
    /// As after a sync.
    OldestFirst,
}

/// Makes service instances.
pub(super) struct Maker<'a> {
    pub(super) time: &'a str,
    pub(super) user: &'a str,
    pub(super) order: Order,
}

impl Maker<'_> {
    /// Returns the service instance of a host in a module; `None` if its template has no process template.
    pub(super) fn make(&self, world: &mut World, module: &Row, host_id: i64) -> Option<Row> {
        let template = module.int("service_template_id");
        let mut templates = process_templates(&world.tables, template);
        if template == 0 || templates.is_empty() {
            return None;
        }
        if self.order == Order::NewestFirst {
            templates.reverse();
        }
        let business = module.int("bk_biz_id");
        let instance = world.next_id("service_instance");
        let host = host(&world.tables, host_id).cloned();
        let owner = Owner { business, instance, host_id, host: host.as_deref() };
        let processes: Vec<Value> = templates
            .iter()
            .map(|row| process_instance::fresh(row, &owner, world.next_id("process"), self.time, self.user))
            .collect();
        let row = Row::of([
            ("bk_biz_id", business.into()),
            ("id", instance.into()),
            ("name", name(host_id, host.as_deref(), processes.first()).into()),
            ("labels", Value::Null),
            ("service_template_id", template.into()),
            ("bk_host_id", host_id.into()),
            ("bk_module_id", module.int("bk_module_id").into()),
            ("creator", self.user.into()),
            ("modifier", self.user.into()),
            ("create_time", self.time.into()),
            ("last_time", self.time.into()),
            ("bk_supplier_account", "0".into()),
            (PROCESSES, processes.into()),
        ]);
        Some(row)
    }
}

/// Returns a host's row, where the state has it.
pub(super) fn host(tables: &Tables, id: i64) -> Option<&Arc<Row>> {
    tables.instances.get("host")?.get(id)
}

/// Returns the process templates of a service template by ascending id.
pub(super) fn process_templates(tables: &Tables, template: i64) -> Vec<Arc<Row>> {
    matching(&tables.process_templates, &Filter::equal("service_template_id", template)).into_iter().cloned().collect()
}

/// Returns the processes of a service instance, each with its relation.
pub(super) fn processes(row: &Row) -> &[Value] {
    row.get(PROCESSES).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Returns the name of a new service instance: address, first process and its first port.
fn name(host_id: i64, host: Option<&Row>, process: Option<&Value>) -> String {
    let address = host.map(|row| row.text("bk_host_innerip")).filter(|text| !text.is_empty());
    let mut name = address.map_or_else(|| host_id.to_string(), str::to_owned);
    let process = process.map_or(&Value::Null, |entry| &entry["process"]);
    for part in [process.get("bk_process_name"), process.pointer("/bind_info/0/port")] {
        if let Some(text) = part.and_then(Value::as_str) {
            name.push('_');
            name.push_str(text);
        }
    }
    name
}

/// Returns the service instances of a module.
pub(super) fn of_module(tables: &Tables, module: i64) -> Vec<Arc<Row>> {
    matching(&tables.service_instances, &Filter::equal("bk_module_id", module)).into_iter().cloned().collect()
}

fn note(world: &mut World, call: &Call, row: &Row, make: fn(&World, &Call, &Subject<'_>, &Row) -> Record) {
    let name = row.text("name");
    let business = Some(row.int("bk_biz_id"));
    let subject = Subject { model: "service_instance", id: row.int("id"), name, business };
    let record = make(world, call, &subject, row);
    world.note(record);
}

/// Gives a host in a module its service instance, where the module's template asks for one.
pub(super) fn add(world: &mut World, call: &Call, module: &Row, host: i64, order: Order) {
    let time = world.now_text();
    let maker = Maker { time: &time, user: &call.user, order };
    if let Some(row) = maker.make(world, module, host) {
        note(world, call, &row, Record::create);
        world.put(Place::ServiceInstances, row.int("id"), Some(row));
    }
}

/// Removes a service instance with its processes.
pub(super) fn remove(world: &mut World, call: &Call, row: &Row) {
    note(world, call, row, Record::delete);
    world.put(Place::ServiceInstances, row.int("id"), None);
}

/// Returns the filter of the reads: one module or the whole business, and hosts.
fn filter(args: &Args) -> Result<Filter, Refusal> {
    let business = args.int("bk_biz_id")?;
    if business <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let mut filter = Filter::equal("bk_biz_id", business);
    match args.int("bk_module_id")? {
        0 => {}
        module => filter = filter.and(Filter::equal("bk_module_id", module)),
    }
    let hosts = args.ints("bk_host_ids")?;
    if !hosts.is_empty() {
        filter = filter.and(Filter::within("bk_host_id", hosts.into_iter().map(Value::from).collect()));
    }
    Ok(filter)
}

fn answer(tables: &Tables, filter: &Filter, page: &Page, shown: fn(&Row) -> Value) -> Reply {
    let found = select(&tables.service_instances, filter, page);
    let rows: Vec<Value> = found.rows.iter().map(|row| shown(row)).collect();
    Reply::Json(json!({"count": found.count, "info": rows}))
}

fn without_processes(row: &Row) -> Value {
    let cells = row.cells().filter(|(name, _)| *name != PROCESSES);
    Value::Object(cells.map(|(name, value)| (name.to_owned(), value.clone())).collect())
}

fn with_processes(row: &Row) -> Value {
    let mut cells: Map<String, Value> = row.cells().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let processes: Vec<Value> = processes(row).iter().map(process_instance::plain).collect();
    cells.insert(PROCESSES.to_owned(), processes.into());
    Value::Object(cells)
}

/// `list_service_instance`; a limit of 0 is none.
pub(super) fn list(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let (filter, page) = (filter(&args)?, Page::of(&args)?);
    if page.limit > 1000 {
        return Err(Refusal::page());
    }
    Ok(answer(tables, &filter, &page, without_processes))
}

/// `list_service_instance_detail`: a limit is needed.
pub(super) fn list_details(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let (filter, page) = (filter(&args)?, Page::of(&args)?);
    if !(1..=1000).contains(&page.limit) {
        return Err(Refusal::page());
    }
    Ok(answer(tables, &filter, &page, with_processes))
}

/// `delete_service_instance`: ids that are not there are ignored.
pub(super) fn delete_many(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    if business <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let ids = args.ints("service_instance_ids")?;
    if ids.is_empty() {
        return Err(Refusal::unassigned("service_instance_ids"));
    }
    let rows: Vec<Arc<Row>> = ids.iter().filter_map(|id| world.tables.service_instances.get(*id)).cloned().collect();
    for row in rows.iter().filter(|row| row.int("bk_biz_id") == business) {
        remove(world, call, row);
    }
    Ok(Reply::Nothing)
}

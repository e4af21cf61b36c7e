//! The roll-out of service templates to their modules: the call, its tasks and their states.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    call::Call,
    difference::{business, differs},
    filter::Filter,
    module::updated,
    page::matching,
    process_instance::{self, Owner},
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    service_instance::{self, Order, PROCESSES, process_templates, processes},
    service_write::{cell, required_id, required_ids},
    task::{self, Task, TaskKind},
    template_attribute::of_template,
    world::{Place, Tables, Version, World},
};

/// The most hosts times process templates that one step of a task deals with.
const STEP: usize = 1000;

/// The longest check of a start that a process takes, in seconds; templates take more.
const START_CHECK: i64 = 600;

/// `sync_service_template_to_service_instance`: a task for each module. Whether the ids are right is not looked at.
pub(super) fn start(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (template, modules) = (args.int("service_template_id")?, args.ints("bk_module_ids")?);
    let business = required_id(&args, "bk_biz_id")?;
    required_ids(&args, "bk_module_ids")?;
    if world.version >= Version::V3_10 {
        required_id(&args, "service_template_id")?;
        task::start(world, call, TaskKind::ServiceTemplate, (business, template), &modules)?;
        return Ok(Reply::Nothing);
    }
    // Up to 3.9.35 the call itself does it, for the template that each module has.
    for module in modules {
        let template = world.tables.modules.get(module).map_or(0, |row| row.int("service_template_id"));
        let task = Task { business, template, target: module, call: call.clone(), fails_after: None };
        if let Some(rollout) = Rollout::of(world, &task) {
            let _ = rollout.attributes(world);
            let hosts = rollout.hosts(world);
            rollout.step(world, &hosts).map_err(|()| Refusal::new(1_199_014, "duplicated instances exist"))?;
        }
    }
    Ok(Reply::Nothing)
}

/// `list_service_template_sync_status`.
pub(super) fn states(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = business(call)?;
    let args = call.args()?;
    let template = required_id(&args, "service_template_id")?;
    let ids = required_ids(&args, "bk_module_ids")?;
    let state = |id: &i64| {
        let module = tables.modules.get(*id).filter(|row| row.int("bk_biz_id") == business);
        let task = task::newest(tables, TaskKind::ServiceTemplate, *id);
        let differs = module.is_some_and(|module| differs(tables, module, template));
        task::state(*id, task, differs, module.map(|row| &**row))
    };
    Ok(Reply::Json(ids.iter().filter_map(state).collect()))
}

/// Carries out a task in steps, of which each is a transaction; returns false where one fails.
///
/// A module that is not there or not of the template needs nothing.
pub(super) fn run(world: &mut World, task: &Task, time: Timestamp) -> bool {
    let Some(rollout) = Rollout::of(world, task) else { return task.fails_after.is_none() };
    world.begin(time);
    // A value that the module does not take is lost without a word.
    match rollout.attributes(world) {
        Ok(()) => world.commit(),
        Err(_) => world.roll_back(),
    }
    let mut hosts = rollout.hosts(world);
    if let Some(after) = task.fails_after {
        hosts.truncate(after);
    }
    let size = (STEP / rollout.templates.len().max(1)).max(1);
    let steps: Vec<&[i64]> = if rollout.templates.is_empty() { vec![&hosts] } else { hosts.chunks(size).collect() };
    for step in steps {
        world.begin(time);
        if rollout.step(world, step).is_err() {
            world.roll_back();
            return false;
        }
        world.commit();
    }
    task.fails_after.is_none()
}

/// A module that is brought into line with its template.
struct Rollout<'a> {
    call: &'a Call,
    template: i64,
    module: Arc<Row>,
    /// The process templates.
    templates: Vec<Arc<Row>>,
}

impl<'a> Rollout<'a> {
    fn of(world: &World, task: &'a Task) -> Option<Self> {
        let tables = &world.tables;
        let own = |row: &&Arc<Row>| row.int("bk_biz_id") == task.business;
        tables.service_templates.get(task.template).filter(own)?;
        let module = tables.modules.get(task.target).filter(own)?.clone();
        let templates = process_templates(tables, task.template);
        let fits = module.int("service_template_id") == task.template;
        fits.then_some(Self { call: &task.call, template: task.template, module, templates })
    }

    /// Gives the module the attributes that the template fixes, all or none.
    fn attributes(&self, world: &mut World) -> Result<(), Refusal> {
        let mut values = Map::new();
        for row in of_template(&world.tables, self.template) {
            let Some(attribute) = world.tables.attributes.get(row.int("bk_attribute_id")) else { continue };
            values.insert(attribute.text("bk_property_id").to_owned(), cell(&row, "bk_property_value"));
        }
        values.retain(|name, value| self.module.get(name) != Some(value));
        if values.is_empty() {
            return Ok(());
        }
        let row = updated(world, self.call, "module", &self.module, &values)?;
        world.put(Place::Modules, self.module.int("bk_module_id"), Some(row));
        Ok(())
    }

    /// Returns the hosts of the module.
    fn hosts(&self, world: &World) -> Vec<i64> {
        let of_module = Filter::equal("bk_module_id", self.module.int("bk_module_id"));
        matching(&world.tables.host_relations, &of_module).iter().map(|pair| pair.int("bk_host_id")).collect()
    }

    /// Brings the service instances of some hosts into line.
    fn step(&self, world: &mut World, hosts: &[i64]) -> Result<(), ()> {
        let instances = service_instance::of_module(&world.tables, self.module.int("bk_module_id"));
        if self.templates.is_empty() {
            for row in instances {
                service_instance::remove(world, self.call, &row);
            }
            return Ok(());
        }
        for host in hosts {
            match instances.iter().find(|row| row.int("bk_host_id") == *host) {
                Some(row) => self.instance(world, row)?,
                None => service_instance::add(world, self.call, &self.module, *host, Order::OldestFirst),
            }
        }
        Ok(())
    }

    /// Brings the processes of a service instance into line.
    fn instance(&self, world: &mut World, row: &Arc<Row>) -> Result<(), ()> {
        let host = service_instance::host(&world.tables, row.int("bk_host_id")).cloned();
        let time = world.now_text();
        let template_of = |entry: &Value| {
            let id = entry.pointer("/relation/process_template_id").and_then(Value::as_i64)?;
            self.templates.iter().find(|template| template.int("id") == id)
        };
        let mut entries: Vec<Value> =
            processes(row).iter().filter(|entry| template_of(entry).is_some()).cloned().collect();
        for position in 0..entries.len() {
            let Some(template) = template_of(&entries[position]) else { continue };
            let after = process_instance::synced(template, host.as_deref(), &entries[position]["process"]);
            let Some(mut after) = after else { continue };
            check(&entries, position, &after)?;
            process_instance::touch(&mut after, &time, &self.call.user);
            entries[position]["process"] = after;
        }
        let owner = Owner {
            business: row.int("bk_biz_id"),
            instance: row.int("id"),
            host_id: row.int("bk_host_id"),
            host: host.as_deref(),
        };
        for template in &self.templates {
            let id = Some(template.int("id"));
            let is_own = |entry: &Value| entry.pointer("/relation/process_template_id").and_then(Value::as_i64) == id;
            if !entries.iter().any(is_own) {
                let process = world.next_id("process");
                let entry = process_instance::fresh(template, &owner, process, &time, &self.call.user);
                check(&entries, entries.len(), &entry["process"])?;
                entries.push(entry);
            }
        }
        if entries != processes(row) {
            let mut after = (**row).clone();
            after.set(PROCESSES, entries);
            world.put(Place::ServiceInstances, row.int("id"), Some(after));
        }
        Ok(())
    }
}

/// Refuses a process whose name another one of the service instance still has, and a check of a start that is too long.
fn check(entries: &[Value], position: usize, process: &Value) -> Result<(), ()> {
    let name = process.get("bk_process_name");
    let others = entries.iter().enumerate().filter(|(other, _)| *other != position);
    let taken = others.map(|(_, entry)| entry["process"].get("bk_process_name")).any(|other| other == name);
    let too_long = process.get("bk_start_check_secs").and_then(Value::as_i64).is_some_and(|secs| secs > START_CHECK);
    if taken || too_long { Err(()) } else { Ok(()) }
}

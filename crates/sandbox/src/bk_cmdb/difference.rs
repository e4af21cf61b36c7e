//! How modules differ from their service templates.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    call::Call,
    filter::Filter,
    page::matching,
    process_instance,
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    service_instance::{self, host, process_templates, processes},
    service_write::{cell, modules_of, of_business, required_id},
    template_attribute::of_template,
    world::{Tables, World},
};

/// The most ids of a call.
const IDS: usize = 100;

/// The differences of a module.
#[derive(Debug, Default)]
struct Difference {
    /// Names of process templates by their ids.
    changed: BTreeMap<i64, String>,
    added: BTreeMap<i64, String>,
    /// Names of processes whose templates are gone.
    removed: Vec<String>,
    /// True if attributes or the name of the module differ.
    module: bool,
}

impl Difference {
    fn of(tables: &Tables, module: &Row, template: &Row) -> Self {
        let mut difference = Self {
            module: module.text("bk_module_name") != template.text("name")
                || attributes(tables, module, template).iter().any(|(_, wanted, own)| wanted != own),
            ..Self::default()
        };
        let templates = process_templates(tables, template.int("id"));
        let instances = service_instance::of_module(tables, module.int("bk_module_id"));
        for row in &instances {
            difference.add_instance(tables, row, &templates);
        }
        let pairs = matching(&tables.host_relations, &Filter::equal("bk_module_id", module.int("bk_module_id")));
        if !templates.is_empty() && pairs.len() != instances.len() {
            // Hosts without service instance lack all processes.
            difference.added.extend(templates.iter().map(named));
        }
        difference
    }

    fn add_instance(&mut self, tables: &Tables, row: &Row, templates: &[Arc<Row>]) {
        let host = host(tables, row.int("bk_host_id"));
        let relation = |entry: &Value| entry.pointer("/relation/process_template_id").and_then(Value::as_i64);
        for template in templates {
            let own = processes(row).iter().find(|entry| relation(entry) == Some(template.int("id")));
            match own.map(|entry| &entry["process"]) {
                None => self.added.extend([named(template)]),
                Some(own) if process_instance::differs(template, host.map(|row| &**row), own) => {
                    self.changed.extend([named(template)]);
                }
                Some(_) => {}
            }
        }
        for entry in processes(row) {
            let known = templates.iter().any(|template| relation(entry) == Some(template.int("id")));
            let name = entry.pointer("/process/bk_process_name").and_then(Value::as_str).unwrap_or("");
            if !known && !self.removed.iter().any(|other| other == name) {
                self.removed.push(name.to_owned());
            }
        }
    }

    fn is_any(&self) -> bool {
        self.module || !(self.changed.is_empty() && self.added.is_empty() && self.removed.is_empty())
    }
}

fn named(template: &Arc<Row>) -> (i64, String) {
    (template.int("id"), template.text("bk_process_name").to_owned())
}

/// The attributes that a template fixes, with their values there and in a module.
fn attributes(tables: &Tables, module: &Row, template: &Row) -> Vec<(i64, Value, Value)> {
    let fixed = of_template(tables, template.int("id")).into_iter();
    let values = fixed.filter_map(|row| {
        let attribute = row.int("bk_attribute_id");
        let name = tables.attributes.get(attribute)?.text("bk_property_id").to_owned();
        Some((attribute, cell(&row, "bk_property_value"), cell(module, &name)))
    });
    values.collect()
}

/// Returns true if a module differs from a service template of its own; others it cannot be compared with.
pub(super) fn differs(tables: &Tables, module: &Row, template: i64) -> bool {
    let row = tables.service_templates.get(template).filter(|_| module.int("service_template_id") == template);
    row.is_some_and(|row| Difference::of(tables, module, row).is_any())
}

/// Returns the business of a path.
pub(super) fn business(call: &Call) -> Result<i64, Refusal> {
    let id = call.var("bk_biz_id").parse().ok().filter(|id| *id > 0);
    id.ok_or_else(|| Refusal::wrapped_name("bk_biz_id"))
}

/// `list_service_template_difference`: what is not there or has nothing to compare is left out.
pub(super) fn list(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let business = business(call)?;
    let args = call.args()?;
    let by_template = args.flag("is_partial")?;
    let name = if by_template { "service_template_ids" } else { "bk_module_ids" };
    let mut ids = args.ints(name)?;
    match ids.len() {
        0 => return Err(Refusal::unassigned(name)),
        1..=IDS => {}
        _ => return Err(Refusal::exceeds(name, IDS)),
    }
    ids.sort_unstable();
    ids.dedup();
    let own = |row: &&Arc<Row>| row.int("bk_biz_id") == business;
    if by_template {
        let of_template = |id: i64| {
            tables.service_templates.get(id).filter(own)?;
            let modules = modules_of(tables, id);
            let needed = modules.iter().any(|module| differs(tables, module, id));
            (!modules.is_empty()).then(|| json!({"service_template_id": id, "need_sync": needed}))
        };
        let rows: Vec<Value> = ids.into_iter().filter_map(of_template).collect();
        return Ok(Reply::Json(json!({"service_templates": rows, "modules": null})));
    }
    let of_module = |id: i64| {
        let module = tables.modules.get(id).filter(own)?;
        let template = module.int("service_template_id");
        (template != 0).then(|| json!({"bk_module_id": id, "need_sync": differs(tables, module, template)}))
    };
    let rows: Vec<Value> = ids.into_iter().filter_map(of_module).collect();
    Ok(Reply::Json(json!({"service_templates": null, "modules": rows})))
}

/// The differences of one module, in general.
pub(super) fn general(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let (template, module) = (required_id(&args, "service_template_id")?, required_id(&args, "bk_module_id")?);
    let template = of_business(tables, template, args.int("bk_biz_id")?)?;
    let module = tables.modules.get(module).ok_or_else(Refusal::not_found)?;
    let difference = Difference::of(tables, module, &template);
    let rows = |named: Vec<(i64, String)>| -> Value {
        let rows: Vec<Value> = named.into_iter().map(|(id, name)| json!({"name": name, "id": id})).collect();
        if rows.is_empty() { Value::Null } else { rows.into() }
    };
    let attributes: Vec<Value> = attributes(tables, module, &template)
        .into_iter()
        .map(|(id, wanted, own)| json!({"id": id, "template_value": wanted, "inst_value": own}))
        .collect();
    Ok(Reply::Json(json!({
        "changed": rows(difference.changed.into_iter().collect()),
        "added": rows(difference.added.into_iter().collect()),
        "removed": rows(difference.removed.into_iter().map(|name| (0, name)).collect()),
        "attributes": attributes,
    })))
}

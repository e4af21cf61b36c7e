//! Process templates (section 4.4). None of their writes leaves an audit record.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{
    args::Args,
    call::Call,
    filter::Filter,
    instance::counted,
    page::{Page, matching, select},
    property,
    refusal::{Outcome, Refusal, Reply},
    row::{Projection, Row},
    world::{Place, Tables, Version, World},
};

/// The most items of a batch create.
const BATCH: usize = 100;

/// `list_proc_template`.
pub(super) fn list(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    let (template, ids) = (args.int("service_template_id")?, args.ints("process_template_ids")?);
    let page = Page::of(&args)?.default_sort("id", true);
    if business <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    if template == 0 && ids.is_empty() {
        let text = "service_template_id and process_template_ids can't be empty at the same time";
        return Err(Refusal::invalid(text));
    }
    if ids.len() > 200 {
        return Err(Refusal::length("bk_process_ids", 200));
    }
    let mut filter = Filter::equal("bk_biz_id", business);
    if template != 0 {
        filter = filter.and(Filter::equal("service_template_id", template));
    }
    if !ids.is_empty() {
        filter = filter.and(Filter::within("id", ids.into_iter().map(Value::from).collect()));
    }
    Ok(counted(&select(&tables.process_templates, &filter, &page), &Projection::default()))
}

/// `get_proc_template`, whatever business the body names.
pub(super) fn get(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let invalid = |_| Refusal::new(1_199_003, "invalid input parameter");
    let id = call.id("process_template_id", "process_template_id").map_err(invalid)?;
    let row = tables.process_templates.get(id).ok_or_else(Refusal::not_found)?;
    Ok(Reply::Json(row.to_value()))
}

/// Ip and protocol families since 3.11.
fn families(world: &World) -> bool {
    world.version >= Version::V3_14
}

/// Checks the names against the other process templates of the service template.
fn check_unique(world: &World, id: i64, template: i64, properties: &Map<String, Value>) -> Result<(), Refusal> {
    let (name, func) = (property::text(properties, "bk_process_name"), property::text(properties, "bk_func_name"));
    // A null pattern is looked up as an empty one, but stored as null: such rows do not find each other.
    let pattern = property::text(properties, "bk_start_param_regex");
    let others: Vec<&Arc<Row>> =
        matching(&world.tables.process_templates, &Filter::equal("service_template_id", template))
            .into_iter()
            .filter(|row| row.int("id") != id)
            .collect();
    let stored = |row: &Row, name: &str| {
        row.get("property").and_then(|all| all.get(name)?.get("value")?.as_str().map(str::to_owned))
    };
    if others.iter().any(|row| row.text("bk_process_name") == name) {
        return Err(Refusal::new(1_113_019, format!("process name [{name}] unique validation failed")));
    }
    let same = |row: &&&Arc<Row>| {
        stored(row, "bk_func_name").as_deref() == Some(func)
            && stored(row, "bk_start_param_regex").as_deref() == Some(pattern)
    };
    if others.iter().any(|row| same(&row)) {
        let text = format!("process name [{func}] and start parameter [{pattern}] unique validation failed");
        return Err(Refusal::new(1_113_020, text));
    }
    Ok(())
}

/// `batch_create_proc_template`: all or nothing.
pub(super) fn create_many(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, template) = (args.int("bk_biz_id")?, args.int("service_template_id")?);
    let processes = args.objects("processes")?;
    let specs =
        processes.iter().map(|process| property::decode(&process.object("spec")?)).collect::<Result<Vec<_>, _>>()?;
    if specs.is_empty() {
        return Ok(Reply::Json(Value::Array(Vec::new())));
    }
    if specs.len() > BATCH {
        return Err(Refusal::exceeds("create process template", BATCH));
    }
    let owner = world.tables.service_templates.get(template).cloned();
    let owner = owner.ok_or_else(|| Refusal::invalid("service_template_id"))?;
    if owner.int("bk_biz_id") != business {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let ids = specs.into_iter().map(|properties| insert(world, call, &owner, properties));
    Ok(Reply::Json(ids.collect::<Result<Vec<i64>, _>>()?.into()))
}

/// Stores a new process template of a service template; returns its id.
pub(super) fn insert(
    world: &mut World,
    call: &Call,
    owner: &Row,
    mut properties: Map<String, Value>,
) -> Result<i64, Refusal> {
    property::complete(&mut properties);
    if world.version >= Version::V3_14
        && let Some((name, text)) = property::padded(&properties)
    {
        return Err(Refusal::new(1_199_998, format!("field {name} contains space: {text}")));
    }
    property::check(&properties, families(world))?;
    property::lock_names(&mut properties);
    property::number_rows(&mut properties);
    check_unique(world, 0, owner.int("id"), &properties)?;
    let id = world.next_id("process_template");
    let now = world.now_text();
    let row = Row::of([
        ("id", id.into()),
        ("bk_process_name", property::value(&properties, "bk_process_name").clone()),
        ("bk_biz_id", owner.int("bk_biz_id").into()),
        ("service_template_id", owner.int("id").into()),
        ("property", Value::Object(properties)),
        ("creator", call.user.as_str().into()),
        ("modifier", call.user.as_str().into()),
        ("create_time", now.as_str().into()),
        ("last_time", now.as_str().into()),
        ("bk_supplier_account", "0".into()),
    ]);
    world.put(Place::ProcessTemplates, id, Some(row));
    Ok(id)
}

/// `update_proc_template`. The business must be there but is not compared with the template's.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, id) = (args.int("bk_biz_id")?, args.int("process_template_id")?);
    let sent = args.maybe_object("process_property")?.filter(|_| id > 0);
    let sent = sent.ok_or_else(|| Refusal::new(1_199_003, "invalid input parameter"))?;
    if business <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let row = change(world, call, id, &sent)?;
    Ok(Reply::Json(row.to_value()))
}

/// Gives a process template other properties.
pub(super) fn change(world: &mut World, call: &Call, id: i64, sent: &Args) -> Result<Row, Refusal> {
    let old = world.tables.process_templates.get(id).cloned().ok_or_else(Refusal::not_found)?;
    let mut properties = old.get("property").and_then(Value::as_object).cloned().unwrap_or_default();
    // The types are looked at only once the template is known to exist.
    let mut sent = property::decode(sent)?;
    // Only a sent list is numbered; the function name is settable at creation alone.
    property::number_rows(&mut sent);
    sent.remove("bk_func_name");
    if world.version < Version::V3_9 {
        sent.remove("bk_process_name");
    }
    properties.extend(sent);
    property::check(&properties, families(world))?;
    property::lock_names(&mut properties);
    check_unique(world, id, old.int("service_template_id"), &properties)?;
    let mut row = (*old).clone();
    row.set("bk_process_name", property::value(&properties, "bk_process_name").clone());
    row.set("property", Value::Object(properties));
    row.set("modifier", call.user.as_str());
    row.set("last_time", world.now_text());
    world.put(Place::ProcessTemplates, id, Some(row.clone()));
    Ok(row)
}

/// `delete_proc_template`: one missing id refuses all.
pub(super) fn delete_many(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    if args.int("bk_biz_id")? <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    // Whose templates they are is not looked at.
    let ids = args.ints("process_templates")?;
    match ids.len() {
        0 => return Err(Refusal::unassigned("process_templates")),
        1..=500 => {}
        _ => return Err(Refusal::exceeds("process_templates", 500)),
    }
    for id in ids {
        if world.tables.process_templates.get(id).is_none() {
            return Err(Refusal::new(1_108_014, "delete config template failed"));
        }
        world.put(Place::ProcessTemplates, id, None);
    }
    Ok(Reply::Nothing)
}

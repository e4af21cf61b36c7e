//! Processes of service instances: what they take from their templates, their reads and edits.

use serde_json::{Map, Value, json};

use super::{
    args::Args,
    binding,
    call::Call,
    property::{Kind, PROPERTIES},
    refusal::{Outcome, Refusal, Reply},
    row::Row,
    service_instance::{self, PROCESSES},
    world::{Place, Tables, World},
};

/// Cells that only `list_process_instance` shows, with the cell that they repeat where they are not stored.
const HIDDEN: [(&str, &str); 4] =
    [("bk_created_at", "create_time"), ("bk_created_by", ""), ("bk_updated_at", "last_time"), ("bk_updated_by", "")];

/// The service instance that a new process belongs to.
pub(super) struct Owner<'a> {
    pub(super) business: i64,
    /// The id of the service instance.
    pub(super) instance: i64,
    pub(super) host_id: i64,
    pub(super) host: Option<&'a Row>,
}

/// Returns the value of a template's property and true if it is locked.
fn wanted<'a>(template: &'a Row, name: &str) -> (&'a Value, bool) {
    let envelope = template.get("property").and_then(|all| all.get(name)).unwrap_or(&Value::Null);
    let locked = envelope.get("as_default_value") == Some(&Value::Bool(true));
    (envelope.get("value").unwrap_or(&Value::Null), locked)
}

/// The scalar properties with their values in a template and their locks.
fn scalars(template: &Row) -> impl Iterator<Item = (&'static str, &Value, bool)> {
    let scalar = PROPERTIES.iter().filter(|(_, kind)| *kind != Kind::Rows);
    scalar.map(|(name, _)| {
        let (value, locked) = wanted(template, name);
        (*name, value, locked)
    })
}

/// Returns a new process with all values of its template.
pub(super) fn fresh(template: &Row, owner: &Owner<'_>, id: i64, time: &str, user: &str) -> Value {
    let mut process: Map<String, Value> =
        scalars(template).map(|(name, value, _)| (name.to_owned(), value.clone())).collect();
    let own = json!({
        "bk_process_id": id, "bk_biz_id": owner.business, "service_instance_id": owner.instance,
        "bk_supplier_account": "0", "create_time": time, "last_time": time, "bk_created_by": user,
        "bind_info": binding::fresh(template, owner.host),
    });
    process.extend(own.as_object().cloned().unwrap_or_default());
    json!({
        "process": process,
        "relation": {
            "bk_biz_id": owner.business, "bk_process_id": id, "service_instance_id": owner.instance,
            "process_template_id": template.int("id"), "bk_host_id": owner.host_id, "bk_supplier_account": "0",
        },
    })
}

/// Gives a process of a state what it leaves out.
pub(super) fn complete(template: &Row, host: Option<&Row>, entry: &mut Value) {
    let Some(process) = entry.get_mut("process").and_then(Value::as_object_mut) else { return };
    for (name, value, _) in scalars(template) {
        process.entry(name).or_insert_with(|| value.clone());
    }
    process.entry("bind_info").or_insert_with(|| binding::fresh(template, host));
}

fn own_rows(process: &Value) -> &[Value] {
    process.get("bind_info").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Returns true if a process differs from its template in what is locked.
pub(super) fn differs(template: &Row, host: Option<&Row>, process: &Value) -> bool {
    let value = |name: &str| process.get(name).unwrap_or(&Value::Null);
    let (_, rows_locked) = wanted(template, "bind_info");
    scalars(template).any(|(name, wanted, locked)| locked && value(name) != wanted)
        || (rows_locked && binding::differ(template, host, own_rows(process)))
}

/// Returns a process after a sync; `None` if it stays as it is.
pub(super) fn synced(template: &Row, host: Option<&Row>, process: &Value) -> Option<Value> {
    let mut after = process.clone();
    for (name, value, _) in scalars(template).filter(|(_, _, locked)| *locked) {
        if process.get(name).unwrap_or(&Value::Null) != value {
            after[name] = value.clone();
        }
    }
    let rows = binding::merged(template, host, &[own_rows(process)]);
    // No rows and none at all are no difference.
    if rows != own_rows(process) {
        after["bind_info"] = rows.into();
    }
    if after == *process {
        return None;
    }
    after["bind_info"] = own_rows(&after).into();
    Some(after)
}

/// Moves the times of a changed process.
pub(super) fn touch(process: &mut Value, time: &str, user: &str) {
    process["last_time"] = time.into();
    process["bk_updated_by"] = user.into();
}

/// Returns a process as the details of service instances show it.
pub(super) fn plain(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(process) = entry.get_mut("process").and_then(Value::as_object_mut) {
        for (name, _) in HIDDEN {
            process.remove(name);
        }
    }
    entry
}

/// Returns a process with all cells.
fn whole(entry: &Value) -> Value {
    let mut property = entry["process"].clone();
    for (name, repeated) in HIDDEN {
        if property.get(name).is_none() {
            let default = if name == "bk_created_by" { json!("admin") } else { Value::Null };
            property[name] = property.get(repeated).cloned().unwrap_or(default);
        }
    }
    json!({"property": property, "relation": entry["relation"]})
}

/// `list_process_instance`: the processes of one service instance, without page.
pub(super) fn list(_: &World, tables: &Tables, call: &Call) -> Outcome {
    let args = call.args()?;
    let (business, id) = (args.int("bk_biz_id")?, args.int("service_instance_id")?);
    for (name, id) in [("bk_biz_id", business), ("service_instance_id", id)] {
        if id <= 0 {
            return Err(Refusal::invalid(name));
        }
    }
    let row = tables.service_instances.get(id).filter(|row| row.int("bk_biz_id") == business);
    let processes = row.map(|row| service_instance::processes(row)).unwrap_or_default();
    Ok(Reply::Json(processes.iter().map(whole).collect()))
}

/// Keys of a process that an edit does not change.
const FIXED: [&str; 7] = [
    "bk_process_id",
    "bk_biz_id",
    "bk_supplier_account",
    "service_instance_id",
    "create_time",
    "last_time",
    "bk_func_name",
];

/// Returns a process after an edit: locked values stay, rows follow the template.
fn edited(template: Option<&Row>, host: Option<&Row>, process: &Value, sent: &Map<String, Value>) -> Value {
    let mut after = process.clone();
    for (name, kind) in PROPERTIES.iter().filter(|(name, _)| !FIXED.contains(name)) {
        let locked = template.is_some_and(|template| wanted(template, name).1);
        if let Some(value) = sent.get(*name).filter(|_| *kind != Kind::Rows && !locked) {
            after[*name] = value.clone();
        }
    }
    let rows = sent.get("bind_info").and_then(Value::as_array).map(Vec::as_slice);
    after["bind_info"] = match (template, rows) {
        (Some(template), rows) => {
            binding::merged(template, host, &[rows.unwrap_or_default(), own_rows(process)]).into()
        }
        (None, rows) => rows.unwrap_or(own_rows(process)).into(),
    };
    after
}

/// `update_process_instance`.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let args = call.args()?;
    let business = args.int("bk_biz_id")?;
    if business <= 0 {
        return Err(Refusal::invalid("bk_biz_id"));
    }
    let sent = args.objects("processes")?;
    let mut ids = Vec::with_capacity(sent.len());
    for process in sent {
        ids.push(update_one(world, call, business, &process)?);
    }
    Ok(Reply::Json(ids.into()))
}

fn update_one(world: &mut World, call: &Call, business: i64, sent: &Args) -> Result<i64, Refusal> {
    let id = sent.int("bk_process_id")?;
    let is_process = |entry: &Value| entry.pointer("/process/bk_process_id") == Some(&Value::from(id));
    let mut rows = world.tables.service_instances.rows().map(|(_, row)| row);
    let found =
        rows.find(|row| row.int("bk_biz_id") == business && service_instance::processes(row).iter().any(is_process));
    let owner = found.cloned();
    drop(rows);
    let owner = owner.ok_or_else(Refusal::not_found)?;
    let mut processes = service_instance::processes(&owner).to_vec();
    let host = service_instance::host(&world.tables, owner.int("bk_host_id")).cloned();
    for entry in processes.iter_mut().filter(|entry| is_process(entry)) {
        let template = entry.pointer("/relation/process_template_id").and_then(Value::as_i64).unwrap_or(0);
        let template = world.tables.process_templates.get(template).map(|row| &**row);
        let mut after = edited(template, host.as_deref(), &entry["process"], &sent.0);
        touch(&mut after, &world.now_text(), &call.user);
        entry["process"] = after;
    }
    let mut row = (*owner).clone();
    row.set(PROCESSES, processes);
    world.put(Place::ServiceInstances, owner.int("id"), Some(row));
    Ok(id)
}

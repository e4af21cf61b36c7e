//! The lists of instances (contract, section 2.7).

use serde_json::{Map, Value, json};

use super::{
    option::Options,
    reply::{Failure, Success},
    service::Call,
    store::{Instance, Store},
};

/// Answers `GET /v2/{project_id}/instances`.
pub(super) fn list(store: &Store, options: &Options, call: &Call) -> Result<Success, Failure> {
    let clamp = options.is("page-bounds", "clamped");
    let offset = call.query.number("offset", 0, (0, 100), clamp)?;
    let limit = call.query.number("limit", 10, (0, 100), clamp)?;
    let rows = rows(store, call);
    let page: Vec<&Value> = rows.iter().skip(offset).take(limit).collect();
    Ok(Success::ok(json!({"total": rows.len(), "size": page.len(), "instances": page})))
}

/// Answers `GET /v3/{project_id}/roma/instances`, which knows no pages.
pub(super) fn list_v3(store: &Store, call: &Call) -> Success {
    let rows = rows(store, call);
    Success::ok(json!({"total": rows.len(), "size": rows.len(), "instances": rows}))
}

fn rows(store: &Store, call: &Call) -> Vec<Value> {
    let project = &call.route.project;
    let status = call.query.get("status");
    let is_meant = |instance: &&Instance| {
        instance.project.as_ref().is_none_or(|own| own == project)
            && status.is_none_or(|status| instance.status == status)
    };
    store.instances.iter().filter(is_meant).map(|instance| row(instance, project)).collect()
}

fn row(instance: &Instance, project: &str) -> Value {
    let mut row = Map::new();
    let defaults = [
        ("id", Value::from(instance.id.as_str())),
        ("name", instance.id.as_str().into()),
        ("description", "".into()),
        ("flavor_id", "00300-30101-0--0".into()),
        ("flavor_type", "basic".into()),
        ("cpu_arch", "x86_64".into()),
        ("publicip_enable", false.into()),
        ("status", instance.status.as_str().into()),
        ("charge_type", "postPaid".into()),
        ("project_id", project.into()),
        ("create_time", "2020-01-01T00:00:00Z".into()),
        ("update_time", "2020-01-01T00:00:00Z".into()),
        ("maintain_begin", "22:00:00".into()),
        ("maintain_end", "02:00:00".into()),
        ("available_zone_ids", json!([])),
        ("enterprise_project_id", "0".into()),
    ];
    row.extend(defaults.map(|(name, value)| (name.to_owned(), value)));
    row.extend(instance.row.clone());
    row.into()
}

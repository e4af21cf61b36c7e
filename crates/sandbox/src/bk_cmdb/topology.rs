//! Cloud areas.

use serde_json::{Value, json};

use super::{
    call::Call,
    page::Page,
    refusal::{Outcome, Reply},
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

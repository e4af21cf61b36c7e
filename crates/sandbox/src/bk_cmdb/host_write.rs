//! Writes of host fields.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    call::Call,
    instance_write::update_one,
    refusal::{Outcome, Refusal, Reply},
    world::World,
};

/// The most items of a batch.
const BATCH: usize = 1000;

/// Reads ids that a text joins by comma.
fn ids(value: Option<&Value>) -> Result<BTreeSet<i64>, Refusal> {
    let text = value.and_then(Value::as_str).ok_or_else(|| Refusal::wrapped_name("bk_host_id"))?;
    // The server's message has a hole in the place of the name.
    text.split(',').map(|id| id.parse::<i64>().map_err(|_| Refusal::invalid("%s"))).collect()
}

/// `update_host`: the same values for all hosts. Hosts that are not there are ignored as long as one is.
pub(super) fn update(world: &mut World, call: &Call) -> Outcome {
    let mut sent = call.map()?.unwrap_or_default();
    let hosts = world.tables.instances.get("host");
    let exists = |id: &i64| hosts.is_some_and(|table| table.get(*id).is_some());
    let ids: Vec<i64> = ids(sent.get("bk_host_id"))?.into_iter().filter(exists).collect();
    if ids.is_empty() {
        return Err(Refusal::unassigned("host audit log data"));
    }
    sent.remove("bk_host_id");
    for id in ids {
        update_one(world, call, "host", id, Some(sent.clone()))?;
    }
    Ok(Reply::Nothing)
}

/// `batch_update_host`: other values for each host, all or nothing.
pub(super) fn update_many(world: &mut World, call: &Call) -> Outcome {
    let items = call.args()?.objects("update")?;
    if items.len() > BATCH {
        return Err(Refusal::exceeds("update", BATCH));
    }
    let mut updates = Vec::with_capacity(items.len());
    for item in items {
        updates.push((item.int("bk_host_id")?, item.maybe_object("properties")?));
    }
    for (id, properties) in updates {
        update_one(world, call, "host", id, properties.map(|properties| properties.0))?;
    }
    Ok(Reply::Nothing)
}

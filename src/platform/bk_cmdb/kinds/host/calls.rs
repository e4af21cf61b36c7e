//! The calls about hosts: fields by `batch_update_host`, modules by transfers (contract "topology", section 7).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::placement::{self, BUILT_IN};
use crate::{
    model::{Call, Request},
    provider::Planned,
};

/// Most hosts of one `batch_update_host`, which takes 1000. It is all or nothing, and each is noted by itself.
const UPDATES: usize = 200;
/// Most hosts of one transfer. The server knows no limit; the ESB gives a call up after 30 s.
const TRANSFERS: usize = 1000;
/// The calls that move hosts to a built-in module, by its word.
const MOVES: &[(&str, &str)] = &[
    ("idle", "transfer_host_to_idlemodule"),
    ("fault", "transfer_host_to_faultmodule"),
    ("recycle", "transfer_host_to_recyclemodule"),
];

fn call(request: Request, group: &[&Planned<'_>]) -> Call {
    Call {
        request,
        target: group[0].desired.target.clone(),
        serves: group.iter().map(|planned| planned.desired.id.clone()).collect(),
    }
}

/// Returns the calls that change fields.
pub(super) fn updates(planned: &[&Planned<'_>]) -> Vec<Call> {
    let update = |chunk: &[&Planned<'_>]| {
        let items: Vec<Value> = chunk.iter().filter_map(|planned| item(planned)).collect();
        let arguments = json!({"update": items});
        call(Request { operation: "batch_update_host", arguments, repeatable: true }, chunk)
    };
    planned.chunks(UPDATES).map(update).collect()
}

fn item(planned: &Planned<'_>) -> Option<Value> {
    let changed =
        planned.change.fields.iter().map(|field| (field.path.to_string(), field.to.clone().unwrap_or_default()));
    let properties: Map<String, Value> = changed.collect();
    Some(json!({"bk_host_id": planned.live?.handle["host"], "properties": properties}))
}

/// Hosts that go to the same modules, by the way in which they may.
#[derive(Default)]
struct Group<'a, 'p> {
    /// They stay in other modules.
    added: Vec<&'a Planned<'p>>,
    /// They leave modules.
    replaced: Vec<&'a Planned<'p>>,
    /// It makes no difference: they are in no other module, or in a built-in one, which they leave in any case.
    either: Vec<&'a Planned<'p>>,
}

/// Returns the calls that move hosts: one for all that go to the same modules, unless some of them stay in others.
pub(super) fn transfers(planned: &[&Planned<'_>]) -> Vec<Call> {
    let mut groups: BTreeMap<(i64, String), Group<'_, '_>> = BTreeMap::new();
    for planned in planned {
        let Some(live) = planned.live else { continue };
        let wanted = placement::wanted_modules(live);
        let business = live.handle["business"].as_i64().unwrap_or_default();
        let group = groups.entry((business, Value::from(wanted.clone()).to_string())).or_default();
        let stays = placement::live_modules(live).iter().all(|module| wanted.contains(module));
        let list = if stays || placement::is_built_in(live) {
            &mut group.either
        } else if placement::adds(planned.desired) {
            &mut group.added
        } else {
            &mut group.replaced
        };
        list.push(planned);
    }
    let mut calls = Vec::new();
    for ((business, _), Group { mut added, mut replaced, either }) in groups {
        if replaced.is_empty() {
            added.extend(either);
        } else {
            replaced.extend(either);
        }
        for (adds, mut list) in [(true, added), (false, replaced)] {
            list.sort_by_key(|planned| &planned.desired.id);
            calls.extend(list.chunks(TRANSFERS).map(|chunk| call(transfer(business, adds, chunk), chunk)));
        }
    }
    calls
}

fn transfer(business: i64, adds: bool, group: &[&Planned<'_>]) -> Request {
    let wanted = group[0].live.map(placement::wanted_modules).unwrap_or_default();
    let hosts: Vec<Value> = group.iter().filter_map(|planned| Some(planned.live?.handle["host"].to_value())).collect();
    let built_in = wanted.first().and_then(Value::as_str);
    let built_in = MOVES.iter().find(|(word, _)| built_in == Some(word));
    match built_in {
        Some((_, operation)) => {
            Request { operation, arguments: json!({"bk_biz_id": business, "bk_host_id": hosts}), repeatable: true }
        }
        // Without `is_increment` the server would replace (trap 19).
        None => Request {
            operation: "transfer_host_module",
            arguments: json!({"bk_biz_id": business, "bk_host_id": hosts, "bk_module_id": wanted,
                "is_increment": adds}),
            repeatable: true,
        },
    }
}

/// Returns the request of a call for some of its hosts.
pub(super) fn narrowed(request: &Request, some: &[Planned<'_>]) -> Option<Request> {
    let hosts: BTreeSet<i64> =
        some.iter().map(|planned| planned.live?.handle["host"].as_i64()).collect::<Option<_>>()?;
    let is_one = |id: &Value| id.as_i64().is_some_and(|id| hosts.contains(&id));
    let mut narrowed = request.clone();
    match narrowed.arguments.get_mut("update").and_then(Value::as_array_mut) {
        Some(items) => items.retain(|item| is_one(&item["bk_host_id"])),
        None => narrowed.arguments.get_mut("bk_host_id")?.as_array_mut()?.retain(|id| is_one(id)),
    }
    Some(narrowed)
}

const _: () = assert!(BUILT_IN.len() == MOVES.len(), "each built-in module has a call");

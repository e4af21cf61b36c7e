//! The last changes that others made to the fields of many objects, from the latest records of them all: a few reads for
//! hundreds of objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{EVER, Records, Trail, Way, by_ids, change_of, rows, with_details};
use crate::{
    model::{
        Desired, FieldPath, Json, Live, Request, ResourceId,
        author::{Changed, Deed},
    },
    provider::{Facts, Observation, Read},
};

/// Most records of one read, and objects for which one is made.
const PAGE: usize = 200;

/// A live object with its id.
pub(in crate::platform::bk_cmdb::kinds) type Identified<'a> = (&'a Desired, &'a Live, i64);

impl Way {
    /// Returns the request for a page of the latest records of all objects of a kind. `condition` says what these have
    /// in common.
    fn page(self, condition: &Value, start: usize) -> Request {
        let mut condition = condition.clone();
        let page = json!({"start": start, "limit": PAGE, "sort": "-id"});
        let (operation, arguments) = match self {
            Self::Instance => ("find_inst_audit", json!({"condition": condition, "page": page, "with_detail": true})),
            Self::List => {
                condition["operation_time"] = json!({"start": EVER});
                ("list_operation_audit", json!({"condition": condition, "page": page}))
            }
        };
        Request { operation, arguments, repeatable: true }
    }
}

/// Returns the last change of each declared field that somebody else made, as far as the latest records tell it.
/// `condition` says what the records of all these objects have in common.
pub(in crate::platform::bk_cmdb::kinds) fn foreign(
    condition: &Value,
    group: &[Identified<'_>],
    observation: &mut Observation,
    facts: &Facts,
) -> Vec<(ResourceId, Option<FieldPath>, Changed)> {
    let mut told = Vec::new();
    let Some(trails) = trails(condition, group, observation, facts) else { return told };
    for (desired, live, id) in group {
        let Some(records) = trails.get(id) else { continue };
        for path in desired.fields.keys() {
            let last = last_foreign(records, path.as_str(), live.field(path.as_str()), facts);
            told.extend(last.map(|changed| (desired.id.clone(), Some(path.clone()), changed)));
        }
    }
    told
}

/// Reads the latest records, as many pages as there are hundreds of objects, and sorts them by their objects.
fn trails<'f>(
    condition: &Value,
    group: &[Identified<'_>],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Option<BTreeMap<i64, Records<'f>>> {
    let ids: BTreeSet<i64> = group.iter().map(|(_, _, id)| *id).collect();
    let has_model = condition.get("bk_obj_id").is_some();
    let ways = if has_model { &[Way::Instance, Way::List][..] } else { &[Way::List] };
    for way in ways {
        // The first goes alone: what refuses it would refuse the others too.
        let first = match observation.read(way.page(condition, 0), facts) {
            Read::Pending => return None,
            Read::Failed(_) => continue,
            Read::Value(data) => data,
        };
        let mut all = rows(first);
        let mut start = PAGE;
        while !all.whole && start < ids.len() {
            if let Read::Value(data) = observation.read(way.page(condition, start), facts) {
                all.latest.extend(rows(data).latest);
            }
            start += PAGE;
        }
        let count = first["count"].as_u64().and_then(|count| usize::try_from(count).ok());
        let whole = count.is_some_and(|count| all.latest.len() >= count);
        let mut latest = all.latest;
        latest.retain(|record| record["resource_id"].as_i64().is_some_and(|id| ids.contains(&id)));
        let trail: Trail<'f> = match way {
            Way::Instance => Some(Records { latest, whole }),
            Way::List => {
                let listed: Vec<i64> = latest.iter().filter_map(|record| record["id"].as_i64()).collect();
                let details = by_ids(&listed, observation, facts)?;
                with_details(Some(Records { latest, whole }), &details)
            }
        };
        if !observation.ask.is_empty() {
            return None;
        }
        return trail.map(|records| by_object(&records));
    }
    None
}

fn by_object<'f>(records: &Records<'f>) -> BTreeMap<i64, Records<'f>> {
    let mut sorted: BTreeMap<i64, Records<'f>> = BTreeMap::new();
    for record in &records.latest {
        let Some(id) = record["resource_id"].as_i64() else { continue };
        let own = sorted.entry(id).or_insert_with(|| Records { latest: Vec::new(), whole: records.whole });
        own.whole |= record["action"] == "create";
        own.latest.push(*record);
    }
    sorted
}

/// Returns the last change of a field that somebody else made. Where all records of its object are known and none is
/// one, nobody did since the oldest of them.
fn last_foreign(records: &Records<'_>, field: &str, live: &Json, facts: &Facts) -> Option<Changed> {
    let mut after = live;
    for record in &records.latest {
        let details = &record["operation_detail"]["details"];
        let deed = match record["action"].as_str() {
            Some("update") => {
                let before = &details["pre_data"][field];
                let is_changed = details["update_fields"].get(field).is_some() && before != after;
                if details["pre_data"].is_object() {
                    after = before;
                }
                if !is_changed {
                    continue;
                }
                Deed::Changed
            }
            Some("create") => Deed::Made,
            _ => continue,
        };
        let changed = change_of(record, deed, facts);
        if changed.ours != Some(true) {
            return Some(changed);
        }
    }
    let oldest = records.latest.last().filter(|_| records.whole)?;
    Some(Changed { by: None, ours: None, ..change_of(oldest, Deed::Kept, facts) })
}

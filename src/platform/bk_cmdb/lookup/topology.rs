//! Sets and modules of a business.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{LookupError, read_rows, worse};
use crate::{
    model::{Json, Request},
    provider::{Facts, Observation},
};

/// Most ids of one question.
const IDS: usize = 500;

/// Reads some fields of the sets of a business that have the ids.
pub(in crate::platform::bk_cmdb) fn sets_by_ids<'f>(
    business: i64,
    ids: &BTreeSet<i64>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let request = |arguments| Request { operation: "find_set_batch", arguments, repeatable: true };
    by_ids(request, business, ids, fields, observation, facts)
}

/// Reads some fields of the modules of a business that have the ids.
pub(in crate::platform::bk_cmdb) fn modules_by_ids<'f>(
    business: i64,
    ids: &BTreeSet<i64>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let request = |arguments| Request { operation: "find_module_batch", arguments, repeatable: true };
    by_ids(request, business, ids, fields, observation, facts)
}

fn by_ids<'f>(
    request: impl Fn(Value) -> Request,
    business: i64,
    ids: &BTreeSet<i64>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let ids: Vec<_> = ids.iter().copied().collect();
    let (mut rows, mut error) = (Vec::new(), None);
    for chunk in ids.chunks(IDS) {
        let arguments = json!({"bk_biz_id": business, "bk_ids": chunk, "fields": fields});
        match read_rows(request(arguments), "", observation, facts) {
            Ok(more) => rows.extend(more),
            Err(found) => error = worse(error, found),
        }
    }
    error.map_or(Ok(rows), Err)
}

/// Reads modules of sets, by name or all of them. Their number is bounded by sets × names.
pub(in crate::platform::bk_cmdb) fn modules_of_sets<'f>(
    business: i64,
    sets: &BTreeSet<i64>,
    names: Option<&BTreeSet<&str>>,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    if sets.is_empty() || names.is_some_and(BTreeSet::is_empty) {
        return Ok(Vec::new());
    }
    let mut condition = json!({"bk_set_id": {"$in": sets}});
    if let Some(names) = names {
        condition["bk_module_name"] = json!({"$in": names});
    }
    read_rows(modules_request(business, &condition, fields), "info", observation, facts)
}

/// Reads all modules of a business.
pub(in crate::platform::bk_cmdb) fn all_modules<'f>(
    business: i64,
    fields: &BTreeSet<String>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    read_rows(modules_request(business, &json!({}), fields), "info", observation, facts)
}

/// Returns the request for the modules of a business that fit a condition.
pub(in crate::platform::bk_cmdb) fn modules_request(
    business: i64,
    condition: &Value,
    fields: &BTreeSet<String>,
) -> Request {
    let arguments = json!({"bk_biz_id": business, "bk_set_id": 0, "condition": condition, "fields": fields,
        "page": {"start": 0, "limit": 0, "sort": "bk_module_id"}});
    Request { operation: "search_module", arguments, repeatable: true }
}

//! Reading process templates by their ids.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{
    model::{Json, Request},
    platform::bk_cmdb::lookup::{LookupError, read_rows},
    provider::{Facts, Observation},
};

/// Most ids of one `list_proc_template`.
const IDS: usize = 200;

/// Reads process templates of a business.
pub(super) fn by_ids<'f>(
    business: i64,
    ids: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let ids: Vec<_> = ids.iter().copied().collect();
    let mut rows = Ok(Vec::new());
    for chunk in ids.chunks(IDS) {
        let arguments = json!({"bk_biz_id": business, "process_template_ids": chunk});
        let request = Request { operation: "list_proc_template", arguments, repeatable: true };
        match (read_rows(request, "info", observation, facts), &mut rows) {
            (Ok(more), Ok(rows)) => rows.extend(more),
            (Err(error), _) => rows = Err(error),
            (Ok(_), Err(_)) => {}
        }
    }
    rows
}

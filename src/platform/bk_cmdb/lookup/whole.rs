//! All instances of a model.

use serde_json::json;

use super::{LookupError, PAGE, check_page};
use crate::{
    model::{Json, Request},
    provider::{Facts, Observation, Read},
};

/// Reads some fields of all instances of a model, or of those in a business.
pub(in crate::platform::bk_cmdb) fn all_instances<'f>(
    model: &str,
    business: Option<i64>,
    fields: &[&str],
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let mut all = Vec::new();
    loop {
        let page = json!({"start": all.len(), "limit": PAGE, "sort": "bk_inst_id"});
        let mut arguments = json!({"bk_obj_id": model, "fields": fields, "page": page});
        let mut older = arguments.clone();
        older["condition"] = business.map_or(json!({}), |business| json!({"bk_biz_id": business}));
        if let Some(business) = business {
            arguments["conditions"] = json!({"condition": "AND", "rules": [
                {"field": "bk_biz_id", "operator": "equal", "value": business}]});
        }
        let request = Request { operation: "search_object_instances", arguments, repeatable: true };
        let read = match observation.read(request, facts) {
            Read::Failed(refusal) if refusal.is_absent() => {
                let request = Request { operation: "search_inst_by_object", arguments: older, repeatable: true };
                observation.read(request, facts)
            }
            read => read,
        };
        match read {
            Read::Pending => return Err(LookupError::Pending),
            Read::Failed(refusal) => return Err(LookupError::Failed(refusal.to_string())),
            Read::Value(data) => {
                let rows: Vec<&Json> = data["info"].as_array().into_iter().flatten().collect();
                check_page(&all, &rows)?;
                all.extend(&rows);
                // What has no count ends with a short page.
                let more = match data["count"].as_u64() {
                    Some(count) => !rows.is_empty() && (all.len() as u64) < count,
                    None => rows.len() == PAGE,
                };
                if !more {
                    return Ok(all);
                }
            }
        }
    }
}

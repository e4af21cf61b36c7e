//! Service templates and categories of a business.

use serde_json::{Value, json};

use super::{Trouble, read_rows};
use crate::{
    kind::{Facts, Observation},
    model::Request,
};

/// Largest page of `list_service_template`.
const TEMPLATES: usize = 1000;

/// Reads all service templates of a business.
pub(in crate::platform::bk_cmdb) fn service_templates<'f>(
    business: i64,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    let mut all = Vec::new();
    loop {
        let page = json!({"start": all.len(), "limit": TEMPLATES, "sort": "id"});
        let arguments = json!({"bk_biz_id": business, "page": page});
        let request = Request { operation: "list_service_template", arguments, repeatable: true };
        let rows = read_rows(request, "info", observation, facts)?;
        let last = rows.len() < TEMPLATES;
        all.extend(rows);
        if last {
            return Ok(all);
        }
    }
}

/// Reads the service categories that a business can use, the built-in ones included.
pub(in crate::platform::bk_cmdb) fn service_categories<'f>(
    business: i64,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Value>, Trouble> {
    let arguments = json!({"bk_biz_id": business});
    let request = Request { operation: "list_service_category", arguments, repeatable: true };
    read_rows(request, "info", observation, facts)
}

//! Service templates and categories of a business.

use serde_json::json;

use super::{LookupError, read_rows, until_short};
use crate::{
    model::{Json, Request},
    provider::{Facts, Observation},
};

/// Largest page of `list_service_template`.
pub(in crate::platform::bk_cmdb) const TEMPLATES: usize = 1000;

/// Reads all service templates of a business.
pub(in crate::platform::bk_cmdb) fn service_templates<'f>(
    business: i64,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    until_short(TEMPLATES, |start| service_templates_page(business, start), observation, facts)
}

/// Returns the request for a page of the service templates of a business, by ascending ids.
pub(in crate::platform::bk_cmdb) fn service_templates_page(business: i64, start: usize) -> Request {
    let page = json!({"start": start, "limit": TEMPLATES, "sort": "id"});
    let arguments = json!({"bk_biz_id": business, "page": page});
    Request { operation: "list_service_template", arguments, repeatable: true }
}

/// Reads the service categories that a business can use, the built-in ones included.
pub(in crate::platform::bk_cmdb) fn service_categories<'f>(
    business: i64,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    let arguments = json!({"bk_biz_id": business});
    let request = Request { operation: "list_service_category", arguments, repeatable: true };
    read_rows(request, "info", observation, facts)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::provider::Freshness;

    #[test]
    fn a_server_that_repeats_its_page_is_not_asked_for_ever() {
        let rows: Vec<_> = (0..TEMPLATES).map(|id| json!({"id": id})).collect();
        let mut facts = Facts::new(Freshness::Replica, HashMap::new());
        let mut asked = 0;
        let error = loop {
            let mut observation = Observation::default();
            match service_templates(1, &mut observation, &facts) {
                Err(LookupError::Pending) => {}
                Err(LookupError::Failed(why)) => break why,
                Err(LookupError::NoModel) => break "no model".to_owned(),
                Ok(rows) => break format!("{} rows", rows.len()),
            }
            for request in observation.ask {
                asked += 1;
                facts.learn(request, Ok(json!({"count": TEMPLATES, "info": rows}).into()));
            }
        };
        assert_eq!(error, "the server sends the same rows again behind row 1000: the list cannot be read");
        assert_eq!(asked, 2);
    }
}

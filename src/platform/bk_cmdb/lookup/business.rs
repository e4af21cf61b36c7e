//! Businesses by name, for all kinds at once.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::{LookupError, names};
use crate::{
    model::{Desired, Json, Request},
    provider::{Facts, Observation, Read},
};

/// Most names in one search for businesses.
const BUSINESSES: usize = 200;

/// The businesses that the documents of a target name.
#[derive(Default)]
pub(in crate::platform::bk_cmdb) struct Businesses {
    ids: HashMap<String, Vec<i64>>,
}

/// The result of looking up a business.
pub(in crate::platform::bk_cmdb) enum Place {
    /// Its id.
    Id(i64),
    /// No business has that name; these do.
    Missing(Vec<String>),
    /// Several have it.
    Several,
}

impl Businesses {
    /// Reads the ids of all businesses that documents name, for all kinds at once.
    pub(in crate::platform::bk_cmdb) fn of(
        all: &[&Desired],
        observation: &mut Observation,
        facts: &Facts,
    ) -> Result<Self, LookupError> {
        let named: BTreeSet<&str> =
            all.iter().filter_map(|desired| desired.locate("business").and_then(Json::as_str)).collect();
        let named: Vec<_> = named.into_iter().collect();
        let mut found = Self::default();
        let mut error = None;
        for chunk in named.chunks(BUSINESSES) {
            // A plain string would be a substring match (contract section 4.5).
            let request = Request {
                operation: "search_business",
                arguments: json!({"condition": {"bk_biz_name": {"$in": chunk}}, "fields": ["bk_biz_id", "bk_biz_name"],
                    "page": {"start": 0, "limit": BUSINESSES, "sort": "bk_biz_id"}}),
                repeatable: true,
            };
            match observation.read(request, facts) {
                Read::Pending => error = error.or(Some(LookupError::Pending)),
                Read::Failed(refusal) => error = Some(LookupError::Failed(refusal.to_string())),
                Read::Value(data) => {
                    for row in data["info"].as_array().into_iter().flatten() {
                        if let (Some(id), Some(name)) = (row["bk_biz_id"].as_i64(), row["bk_biz_name"].as_str()) {
                            found.ids.entry(name.to_owned()).or_default().push(id);
                        }
                    }
                }
            }
        }
        error.map_or(Ok(found), Err)
    }

    /// Returns the business that a document points at, by name or id. Asks for the names that exist where none fits.
    pub(in crate::platform::bk_cmdb) fn find(
        &self,
        given: &Json,
        observation: &mut Observation,
        facts: &Facts,
    ) -> Option<Place> {
        if let Some(id) = given.as_i64() {
            return Some(Place::Id(id));
        }
        match self.ids.get(given.as_str().unwrap_or_default()).map(Vec::as_slice) {
            Some([id]) => Some(Place::Id(*id)),
            Some(_) => Some(Place::Several),
            None => {
                let request = Request {
                    operation: "search_business",
                    arguments: json!({"condition": {}, "fields": ["bk_biz_id", "bk_biz_name"],
                        "page": {"start": 0, "limit": BUSINESSES, "sort": "bk_biz_id"}}),
                    repeatable: true,
                };
                match observation.read(request, facts) {
                    Read::Pending => None,
                    Read::Failed(_) => Some(Place::Missing(Vec::new())),
                    Read::Value(data) => Some(Place::Missing(names(&data["info"], "bk_biz_name"))),
                }
            }
        }
    }
}

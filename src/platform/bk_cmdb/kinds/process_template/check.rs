//! Process templates against their business, their service template and the version of the server.

use std::collections::BTreeMap;

use super::rows;
use crate::{
    model::{Desired, Json},
    platform::bk_cmdb::{
        kinds::{
            decode_common::{business_id, fail_all},
            refs,
            templates::{self, template_of},
        },
        lookup::{Businesses, service_templates},
        version::Version,
    },
    provider::{Facts, Observation},
};

pub(super) fn check(desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let businesses = match Businesses::of(all, &mut observation, facts) {
        Ok(businesses) => businesses,
        Err(error) => {
            fail_all(&error, desired, &mut observation);
            return observation;
        }
    };
    let version = facts.settings.get("version").and_then(|version| Version::parse(version));
    let mut by_business: BTreeMap<i64, Vec<&Desired>> = BTreeMap::new();
    for document in desired {
        observation.remarks.extend(rows::too_new(document, version));
        let Some(given) = document.locate("business") else { continue };
        match business_id(businesses.find(given, &mut observation, facts), document) {
            Ok(id) => by_business.entry(id).or_default().push(document),
            Err(observed) => observation.know_if(&document.id, observed),
        }
    }
    for (business, group) in by_business {
        let by_name = group.iter().any(|desired| desired.locate("serviceTemplate").is_some_and(Json::is_string));
        let templates = if by_name { service_templates(business, &mut observation, facts) } else { Ok(Vec::new()) };
        let declared = refs::declared(templates::KIND, business, all, &businesses, &mut observation, facts);
        match templates {
            Ok(templates) => {
                for desired in group {
                    match template_of(desired, &templates, &declared, facts) {
                        Ok(_) => observation.checked(&desired.id, Vec::new()),
                        Err(unknown) => observation.know_if(&desired.id, unknown),
                    }
                }
            }
            Err(error) => fail_all(&error, &group, &mut observation),
        }
    }
    observation
}

//! Sets against the definition of their model, their business and their parent.

use std::collections::BTreeMap;

use super::{MODEL, observe, own};
use crate::{
    model::Desired,
    platform::bk_cmdb::{
        kinds::decode_common::{business_id, fail_all},
        lookup::{self, Businesses},
    },
    provider::{Facts, Observation},
};

pub(super) fn check(desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let definition = lookup::definition(MODEL, &mut observation, facts);
    let businesses = Businesses::of(all, &mut observation, facts);
    let (common, businesses) = match (definition, businesses) {
        (Ok(definition), Ok(businesses)) => (definition, businesses),
        (definition, businesses) => {
            for error in [definition.err(), businesses.err()].into_iter().flatten() {
                fail_all(&error, desired, &mut observation);
            }
            return observation;
        }
    };
    let mut by_business = BTreeMap::<i64, Vec<&Desired>>::new();
    for document in desired {
        let Some(given) = document.locate("business") else { continue };
        match business_id(businesses.find(given, &mut observation, facts), document) {
            Ok(id) => by_business.entry(id).or_default().push(document),
            Err(observed) => {
                observation.know_if(&document.id, observed);
                observation.remarks.extend(own::problems(document, None, &common, facts));
            }
        }
    }
    for (business, group) in by_business {
        let definition = own::definition(MODEL, business, &group, &mut observation, facts);
        match observe::parents(business, &group, &mut observation, facts) {
            Ok(parents) => {
                for desired in &group {
                    let problems = own::problems(desired, definition.as_deref().ok(), &common, facts);
                    match parents.wrong.get(&desired.id) {
                        Some(observed) => {
                            observation.know(&desired.id, observed.clone());
                            observation.remarks.extend(problems);
                        }
                        None => observation.checked(&desired.id, problems),
                    }
                }
            }
            Err(error) => fail_all(&error, &group, &mut observation),
        }
        if let Err(error) = definition {
            own::withdraw(MODEL, &error, &group, &mut observation, facts);
        }
    }
    observation
}

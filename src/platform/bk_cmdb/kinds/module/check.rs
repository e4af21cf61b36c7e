//! Modules against the definition of their model, their business, set, service template and category.

use std::collections::BTreeMap;

use super::{
    MODEL, declared,
    observe::{self, Declared},
};
use crate::{
    model::{Desired, ObservedState},
    platform::bk_cmdb::{
        kinds::{
            decode_common::{business_id, fail_all},
            own,
            sets::{self, set_of},
        },
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
        for desired in &group {
            observation.remarks.extend(own::problems(desired, definition.as_deref().ok(), &common, facts));
        }
        let declared = declared(business, all, &businesses, &mut observation, facts);
        places(business, &group, &declared, &mut observation, facts);
        if let Err(error) = definition {
            own::withdraw(MODEL, &error, &group, &mut observation, facts);
        }
    }
    observation
}

/// Checks the sets, service templates and categories that documents of a business name.
fn places(business: i64, group: &[&Desired], declared: &Declared<'_>, observation: &mut Observation, facts: &Facts) {
    let sets = sets::sets(business, group, observation, facts);
    let services = observe::Services::of(business, group, &declared.templates, observation, facts);
    match (sets, services) {
        (Ok(sets), Ok(services)) => {
            for desired in group {
                let problem = match observe::resolve(desired, &services, facts) {
                    Ok(_) => None,
                    Err(None) => continue,
                    Err(Some(ObservedState::Impossible(problem) | ObservedState::Ambiguous(problem))) => Some(*problem),
                    Err(Some(other)) => {
                        observation.know(&desired.id, other);
                        continue;
                    }
                };
                if set_of(desired, &sets, &declared.sets, observation, facts).is_some() {
                    observation.checked(&desired.id, problem.into_iter().collect());
                } else {
                    observation.remarks.extend(problem);
                }
            }
        }
        (sets, services) => {
            for error in [sets.err(), services.err()].into_iter().flatten() {
                fail_all(&error, group, observation);
            }
        }
    }
}

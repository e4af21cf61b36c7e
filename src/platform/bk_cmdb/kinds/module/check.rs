//! Modules against the definition of their model, their business, set, service template and category.

use super::{
    MODEL, declared,
    observe::{self, Declared},
};
use crate::{
    model::{Desired, ObservedState},
    platform::bk_cmdb::kinds::{
        decode_common::fail_all,
        own,
        sets::{self, set_of},
    },
    provider::{Facts, Observation},
};

pub(super) fn check(desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let Some((common, businesses)) = own::grounds(MODEL, desired, all, &mut observation, facts) else {
        return observation;
    };
    for (business, group) in own::to_check(desired, &businesses, &common, &mut observation, facts) {
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

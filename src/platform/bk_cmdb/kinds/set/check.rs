//! Sets against the definition of their model, their business and their parent.

use super::{MODEL, observe, own};
use crate::{
    model::Desired,
    platform::bk_cmdb::kinds::decode_common::fail_all,
    provider::{Facts, Observation},
};

pub(super) fn check(desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let Some((common, businesses)) = own::grounds(MODEL, desired, all, &mut observation, facts) else {
        return observation;
    };
    for (business, group) in own::to_check(desired, &businesses, &common, &mut observation, facts) {
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

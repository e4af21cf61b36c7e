//! Modules against the definition of their model, their business, set, service template and category.

use super::{attribute_changes, observe};
use crate::{
    kind::{Facts, Observation},
    model::Desired,
    platform::bk_cmdb::{
        kinds::spec::{placed, spread},
        lookup::{self, Businesses},
    },
};

pub(super) fn check(desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let definition = lookup::definition("module", &mut observation, facts);
    let businesses = Businesses::of(all, &mut observation, facts);
    let (definition, businesses) = match (definition, businesses) {
        (Ok(definition), Ok(businesses)) => (definition, businesses),
        (definition, businesses) => {
            for trouble in [definition.err(), businesses.err()].into_iter().flatten() {
                spread(&trouble, desired, &mut observation);
            }
            return observation;
        }
    };
    let mut by_business = std::collections::BTreeMap::<i64, Vec<&Desired>>::new();
    for one in desired {
        let declared: Vec<_> = one.fields.iter().map(|(name, value)| (&**name, value)).collect();
        let problems = attribute_changes(&declared, None, &definition, facts).err().unwrap_or_default();
        observation.remarks.extend(problems);
        let Some(given) = one.locate("business") else { continue };
        match placed(businesses.find(given, &mut observation, facts), one) {
            Ok(id) => by_business.entry(id).or_default().push(one),
            Err(sight) => observation.known.extend(sight.map(|sight| (one.id.clone(), sight))),
        }
    }
    for (business, group) in by_business {
        let sets = observe::sets(business, &group, &mut observation, facts);
        let services = observe::Services::of(business, &group, &mut observation, facts);
        match (sets, services) {
            (Ok(sets), Ok(services)) => {
                for one in group {
                    let problem = observe::resolve(one, &services).err().map(|problem| *problem);
                    if observe::set_of(one, &sets, &mut observation).is_some() {
                        observation.checked(&one.id, problem.into_iter().collect());
                    } else {
                        observation.remarks.extend(problem);
                    }
                }
            }
            (sets, services) => {
                for trouble in [sets.err(), services.err()].into_iter().flatten() {
                    spread(&trouble, &group, &mut observation);
                }
            }
        }
    }
    observation
}

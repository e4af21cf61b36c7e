//! Hosts against the definition of their model, their business and the modules that they name.

use std::collections::BTreeSet;

use super::{
    MODEL,
    modules::{Declared, Topology},
    placement,
};
use crate::{
    model::{Desired, ObservedState},
    platform::bk_cmdb::kinds::{decode_common::fail_all, own},
    provider::{Facts, Observation},
};

pub(super) fn check(desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let Some((common, businesses)) = own::grounds(MODEL, desired, all, &mut observation, facts) else {
        return observation;
    };
    for (business, group) in own::to_check(desired, &businesses, &common, &mut observation, facts) {
        let (placements, hosts): (Vec<&Desired>, Vec<&Desired>) =
            group.iter().partition(|desired| placement::is_placement(desired));
        let definition = own::definition(MODEL, business, &hosts, &mut observation, facts);
        for host in &hosts {
            let problems = own::problems(host, definition.as_deref().ok(), &common, facts);
            observation.checked(&host.id, problems);
        }
        if let Err(error) = definition {
            own::withdraw(MODEL, &error, &hosts, &mut observation, facts);
        }
        let declared = Declared::of(business, all, &businesses, &mut observation, facts);
        match Topology::of(business, &placements, BTreeSet::new(), declared, &mut observation, facts) {
            Ok(topology) => {
                for desired in placements {
                    match placement::resolve(desired, &topology, facts) {
                        Ok(_) => observation.checked(&desired.id, Vec::new()),
                        Err(Some(ObservedState::Impossible(problem) | ObservedState::Ambiguous(problem))) => {
                            observation.checked(&desired.id, vec![*problem]);
                        }
                        Err(unknown) => observation.know_if(&desired.id, unknown),
                    }
                }
            }
            Err(error) => fail_all(&error, &placements, &mut observation),
        }
    }
    observation
}

//! Apps in scopes of `reconcile.yaml` that no document means.

use std::collections::BTreeSet;

use super::{instance_of, live, read};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, ObservedState, ResourceId},
    provider::{Facts, Observation},
};

pub(super) fn prune(scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let found = |desired: &&Desired| match facts.observed(&desired.id) {
        Some(ObservedState::Found(live)) => live.handle["app"].as_str(),
        _ => None,
    };
    let kept: BTreeSet<&str> = all.iter().filter(|desired| desired.id.kind == "App").filter_map(found).collect();
    for scope in scopes {
        let refused =
            |message: String| ObservedState::Impossible(Box::new(Diagnostic::error("P202", message, &scope.origin)));
        let Some(instance) = instance_of(scope, facts) else {
            let message = "neither this scope nor its target names an instance".to_owned();
            observation.know(&scope.id, refused(message));
            continue;
        };
        let (status, apps) =
            (read::status(instance, &mut observation, facts), read::apps(instance, &mut observation, facts));
        let apps = match (status, apps) {
            (Err(refusal), _) | (_, Err(refusal)) => {
                observation.know(&scope.id, ObservedState::Unknown(refusal.to_string()));
                continue;
            }
            (Ok(None), _) | (_, Ok(None)) => continue,
            (Ok(Some(Some("" | "RUNNING"))), Ok(Some(apps))) => apps,
            (Ok(Some(_)), _) => {
                let message = format!("instance {instance} is not there or not RUNNING: nothing is removed in it");
                observation.know(&scope.id, refused(message));
                continue;
            }
        };
        for (id, app) in apps.iter().filter(|(id, _)| !kept.contains(*id)) {
            let live = live(instance, app);
            let key = format!("pruned {} ({id})", app["name"].as_str().unwrap_or_default());
            let id = ResourceId::new(scope.id.kind, key);
            observation.surplus.push((Desired { id, ..(*scope).clone() }, live));
        }
    }
    observation
}

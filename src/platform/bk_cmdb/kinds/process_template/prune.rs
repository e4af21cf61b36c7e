//! Process templates in scopes of `reconcile.yaml` that no document means.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{live, template_of};
use crate::{
    kind::{Facts, Observation},
    model::{Desired, Request},
    platform::bk_cmdb::{
        kinds::{
            spec::{placed, spread},
            surplus::{meant, pruned},
        },
        lookup::{Businesses, Trouble, read_rows, service_templates},
    },
};

pub(super) fn prune(scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let scoped: Vec<&Desired> = all.iter().chain(scopes).copied().collect();
    let businesses = match Businesses::of(&scoped, &mut observation, facts) {
        Ok(businesses) => businesses,
        Err(trouble) => {
            spread(&trouble, scopes, &mut observation);
            return observation;
        }
    };
    let kept = meant("ProcessTemplate", all, facts, |_, handle| handle["process"].as_i64());
    for scope in scopes {
        let Some(given) = scope.locate("business") else { continue };
        match placed(businesses.find(given, &mut observation, facts), scope) {
            Ok(business) => {
                if let Err(trouble) = search(scope, business, &kept, &mut observation, facts) {
                    spread(&trouble, &[scope], &mut observation);
                }
            }
            Err(sight) => observation.known.extend(sight.map(|sight| (scope.id.clone(), sight))),
        }
    }
    observation
}

fn search(
    scope: &Desired,
    business: i64,
    kept: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), Trouble> {
    let by_name = scope.locate("serviceTemplate").is_some_and(Value::is_string);
    let templates = if by_name { service_templates(business, observation, facts)? } else { Vec::new() };
    let template = match template_of(scope, &templates) {
        Ok(Some(template)) => template,
        Ok(None) => return Ok(()),
        Err(sight) => {
            observation.know(&scope.id, sight);
            return Ok(());
        }
    };
    let arguments = json!({"bk_biz_id": business, "service_template_id": template});
    let request = Request { operation: "list_proc_template", arguments, repeatable: true };
    for row in read_rows(request, "info", observation, facts)? {
        let is_there =
            row["service_template_id"].as_i64() == Some(template) && row["bk_biz_id"].as_i64() == Some(business);
        let is_meant = row["id"].as_i64().is_none_or(|id| kept.contains(&id));
        if is_there && !is_meant {
            observation.surplus.push(pruned(scope, live(scope, row)));
        }
    }
    Ok(())
}

//! Process templates in scopes of `reconcile.yaml` that no document means.

use std::collections::BTreeSet;

use serde_json::json;

use super::{KIND, NAME, find::live};
use crate::{
    model::{Desired, Json, Request},
    platform::bk_cmdb::{
        kinds::{
            prune_common::{in_businesses, meant, pruned},
            refs::Ref,
            templates::template_of,
        },
        lookup::{LookupError, read_rows, service_templates},
    },
    provider::{Facts, Observation},
};

pub(super) fn prune(scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let kept = meant(KIND, all, facts, |_, handle| handle["process"].as_i64());
    in_businesses(scopes, all, facts, |scope, business, observation| search(scope, business, &kept, observation, facts))
}

fn search(
    scope: &Desired,
    business: i64,
    kept: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), LookupError> {
    let by_name = scope.locate("serviceTemplate").is_some_and(Json::is_string);
    let templates = if by_name { service_templates(business, observation, facts)? } else { Vec::new() };
    let template = match template_of(scope, &templates, &[], facts) {
        Ok(Some(Ref::Id(template))) => template,
        Ok(_) => return Ok(()),
        Err(unknown) => {
            observation.know_if(&scope.id, unknown);
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
            observation.surplus.push(pruned(scope, NAME, live(scope, row)));
        }
    }
    Ok(())
}

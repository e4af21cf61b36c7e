//! Rows of associations in scopes of `reconcile.yaml` that no document means.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::links;
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Json, Live, ObservedState, Request},
    platform::bk_cmdb::{
        kinds::{
            decode_common::fail_all,
            prune_common::{meant, pruned},
        },
        lookup::read_rows,
    },
    provider::{Facts, Observation},
};

pub(super) fn prune(scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let names: BTreeSet<&str> = scopes.iter().filter_map(|scope| scope.locate("association")?.as_str()).collect();
    let arguments = json!({"condition": {"bk_obj_asst_id": {"$in": names}}});
    let request = Request { operation: "find_object_association", arguments, repeatable: true };
    let definitions: HashMap<&str, &Json> = match read_rows(request, "", &mut observation, facts) {
        Ok(rows) => rows.into_iter().filter_map(|row| Some((row["bk_obj_asst_id"].as_str()?, row))).collect(),
        Err(error) => {
            fail_all(&error, scopes, &mut observation);
            return observation;
        }
    };
    let kept = meant("InstanceAssociation", all, facts, |_, handle| handle["id"].as_i64());
    for scope in scopes {
        let name = scope.locate("association").and_then(Json::as_str).unwrap_or_default();
        let refused = |code: &'static str, message: String| {
            ObservedState::Impossible(Box::new(Diagnostic::error(code, message, &scope.origin)))
        };
        if name.contains("_bk_mainline_") {
            let message = format!("`{name}` is part of the topology: nothing of it is pruned");
            observation.know(&scope.id, refused("P151", message));
            continue;
        }
        let Some(definition) = definitions.get(name) else {
            let message = format!("no association between models is named `{name}`");
            observation.know(&scope.id, refused("P122", message));
            continue;
        };
        match links::all(definition, &mut observation, facts) {
            Ok(rows) => {
                let is_surplus = |row: &Live| row.handle["id"].as_i64().is_some_and(|id| !kept.contains(&id));
                let mut surplus: Vec<Live> = rows.into_iter().filter(is_surplus).collect();
                if let Err(error) = links::name_ends(surplus.iter_mut(), &mut observation, facts) {
                    fail_all(&error, &[*scope], &mut observation);
                    continue;
                }
                observation.surplus.extend(surplus.into_iter().map(|row| pruned(scope, "", row)));
            }
            Err(error) => fail_all(&error, &[*scope], &mut observation),
        }
    }
    observation
}

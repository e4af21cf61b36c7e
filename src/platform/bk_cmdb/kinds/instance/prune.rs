//! Instances in scopes of `reconcile.yaml` that no document means.

use std::collections::BTreeSet;

use serde_json::json;

use super::{NAME, live, model_of, observe};
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Ensure, Json, Live, ObservedState},
    platform::bk_cmdb::{
        kinds::{
            decode_common::observed_after,
            instance::BUILT_IN,
            prune_common::{meant, pruned},
            select_instances,
        },
        lookup::{self, LookupError, PARENT, is_layer},
    },
    provider::{Facts, Observation},
};

pub(super) fn prune(scopes: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    // An end of a row that is to be there is meant too.
    let rows =
        all.iter().filter(|desired| desired.id.kind == "InstanceAssociation" && desired.ensure != Ensure::Absent);
    let mut ends = Vec::new();
    for row in rows {
        let at = match facts.observed(&row.id) {
            Some(ObservedState::Found(live)) => &live.handle,
            Some(ObservedState::Absent { context, .. }) => context.handle(),
            _ => {
                scopes.iter().for_each(|scope| observation.know(&scope.id, ObservedState::Needs(row.id.clone())));
                return observation;
            }
        };
        ends.push((&at["model"], &at["source"]));
        ends.push((&at["targetModel"], &at["target"]));
    }
    for scope in scopes {
        match surplus(scope, all, &ends, facts, &mut observation) {
            Ok(surplus) => observation.surplus.extend(surplus),
            Err(observed) => observation.know_if(&scope.id, observed),
        }
    }
    observation
}

fn surplus(
    scope: &Desired,
    all: &[&Desired],
    ends: &[(&Json, &Json)],
    facts: &Facts,
    observation: &mut Observation,
) -> Result<Vec<(Desired, Live)>, Option<ObservedState>> {
    let model = model_of(scope);
    let refused =
        |message: String| Some(ObservedState::Impossible(Box::new(Diagnostic::error("P151", message, &scope.origin))));
    if BUILT_IN.iter().any(|(name, _)| *name == model) {
        return Err(refused(format!("`{model}` is a built-in model: nothing of it is pruned as an Instance")));
    }
    let in_trouble = |error: LookupError| observed_after(&error, scope);
    let definition = lookup::definition(model, observation, facts).map_err(in_trouble)?;
    let scoped: Vec<&Desired> = all.iter().copied().chain([scope]).collect();
    let business = observe::business_of(&[scope], &scoped, facts, observation)?;
    let fields: BTreeSet<&str> = select_instances::values(&definition).chain(["bk_inst_id", NAME, PARENT]).collect();
    let fields: Vec<&str> = fields.into_iter().collect();
    let rows = lookup::all_instances(model, business, &fields, observation, facts).map_err(in_trouble)?;
    if rows.iter().any(|row| is_layer(&row[PARENT])) {
        let message =
            format!("`{model}` is a layer of the topology: deleting an instance would delete everything below it");
        let hint = "remove its instances one by one, by documents with `ensure: absent` and `cascade: true`";
        return Err(refused(message).map(|observed| match observed {
            ObservedState::Impossible(diagnostic) => ObservedState::Impossible(Box::new(diagnostic.hint(hint))),
            other => other,
        }));
    }
    let mut kept = meant("Instance", all, facts, |desired, handle| {
        (model_of(desired) == model).then(|| handle.as_i64()).flatten()
    });
    kept.extend(ends.iter().filter(|(of, _)| **of == json!(model)).filter_map(|(_, id)| id.as_i64()));
    let going: BTreeSet<i64> = rows.iter().filter_map(|row| row["bk_inst_id"].as_i64()).collect();
    let going: BTreeSet<i64> = going.difference(&kept).copied().collect();
    let holds = observe::associations(model, &going, observation, facts).map_err(in_trouble)?;
    let goes = |row: &&&Json| row["bk_inst_id"].as_i64().is_some_and(|id| going.contains(&id));
    let surplus = rows.iter().filter(goes).map(|row| {
        let id = row["bk_inst_id"].as_i64().unwrap_or_default();
        pruned(scope, NAME, live(scope, row).related(|own| own.holds = holds.get(&id).cloned().unwrap_or_default()))
    });
    Ok(surplus.collect())
}

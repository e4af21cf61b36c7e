//! Finding service templates: all of a business in one list.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{CATEGORY, Categories, NAME, ROLLOUT, WANTED, below, claim, live, sync, templates, wanted_name};
use crate::{
    diff::identity::{self, Assigned},
    model::{CreateContext, Desired, Ensure, FieldPath, Json, KeyConflict, Live, ObservedState, View},
    platform::bk_cmdb::{
        kinds::{decode_common::fail_all, select_instances},
        lookup::service_templates,
    },
    provider::{Facts, Observation},
};

/// Says what is known of the service templates that documents of a business mean.
pub(super) fn business(
    business: i64,
    group: &[&Desired],
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) {
    let rows = service_templates(business, observation, facts);
    let categories = Categories::of(business, group, observation, facts);
    let (rows, categories) = match (rows, categories) {
        (Ok(rows), Ok(categories)) => (rows, categories),
        (rows, categories) => {
            for error in [rows.err(), categories.err()].into_iter().flatten() {
                fail_all(&error, group, observation);
            }
            return;
        }
    };
    let by_id: BTreeMap<i64, &Json> = rows.iter().filter_map(|row| Some((row["id"].as_i64()?, *row))).collect();
    let mut by_name: HashMap<&str, Vec<i64>> = HashMap::new();
    for (id, row) in &by_id {
        by_name.entry(row[NAME].as_str().unwrap_or_default()).or_default().push(*id);
    }
    let named = |name: &str| by_name.get(name).cloned().unwrap_or_default();
    let candidates = |desired: &Desired| match desired.locate("template").map(Json::view) {
        Some(View::Number(id)) => id.as_i64().filter(|id| by_id.contains_key(id)).into_iter().collect(),
        Some(View::Text(name)) => {
            let both: BTreeSet<i64> = std::iter::once(name).chain(wanted_name(desired)).flat_map(named).collect();
            both.into_iter().collect()
        }
        _ => Vec::new(),
    };
    let assigned = identity::assign(&group.iter().map(|desired| candidates(desired)).collect::<Vec<_>>());
    let going = group.iter().zip(&assigned).filter_map(|(desired, assigned)| match assigned {
        Assigned::One(id) if desired.ensure == Ensure::Absent => Some(*id),
        _ => None,
    });
    let below = match below::of_going(business, &going.collect(), observation, facts) {
        Ok(below) => below,
        Err(error) => return fail_all(&error, group, observation),
    };
    let key_conflicts = |desired: &Desired, own: Option<i64>| -> Vec<KeyConflict> {
        let Some(name) = wanted_name(desired) else { return Vec::new() };
        let holders = named(name).into_iter().filter(|id| Some(*id) != own);
        holders
            .map(|id| KeyConflict { claim: claim(&business.into(), name), holder: templates::label(&id.into()) })
            .collect()
    };
    let rolled_out = group.iter().zip(&assigned).filter_map(|(desired, assigned)| match assigned {
        Assigned::One(id) if desired.selected && desired.locator.contains_key(ROLLOUT) => Some((*desired, *id)),
        _ => None,
    });
    if sync::observe(business, &rolled_out.collect::<Vec<_>>(), all, observation, facts).is_none() {
        return;
    }
    for (desired, assigned) in group.iter().zip(&assigned) {
        let observed = match (assigned, categories.wanted(desired)) {
            (_, Err(problem)) => ObservedState::Impossible(problem),
            (Assigned::One(id), Ok(category)) => {
                let mut live = with_wanted(live(business, by_id[id]), category);
                let holds = match below.get(id) {
                    Some(below) => {
                        let Some(holds) = below.holds(all, facts) else { continue };
                        holds
                    }
                    None => Vec::new(),
                };
                live.relate(|own| {
                    own.key_conflicts = key_conflicts(desired, Some(*id));
                    own.holds = holds;
                });
                ObservedState::Found(live)
            }
            (Assigned::Nothing, Ok(category)) => {
                let mut context = CreateContext::new(json!({"business": business}));
                context.set(CATEGORY, json!(category));
                // Only one that has to be there is told which names there are.
                let is_told = desired.ensure == Ensure::Existing;
                let nearest = by_name.keys().filter(|_| is_told).map(|name| (*name).to_owned()).collect();
                ObservedState::Absent { nearest, key_conflicts: key_conflicts(desired, None), context }
            }
            (open, Ok(_)) => select_instances::open(desired, open, group, |id| templates::label(&id.into())),
        };
        observation.know(&desired.id, observed);
    }
}

/// Adds the category that a document asks for to a live template.
fn with_wanted(mut live: Live, category: Option<i64>) -> Live {
    live.fields.extend(category.map(|id| (FieldPath::field(WANTED), id.into())));
    live
}

/// Reads templates again whose ids are known.
pub(super) fn again(
    business: i64,
    group: &[&Desired],
    objects: &[(&Desired, &Value)],
    observation: &mut Observation,
    facts: &Facts,
) {
    let rows = service_templates(business, observation, facts);
    let categories = Categories::of(business, group, observation, facts);
    let (rows, categories) = match (rows, categories) {
        (Ok(rows), Ok(categories)) => (rows, categories),
        (rows, categories) => {
            for error in [rows.err(), categories.err()].into_iter().flatten() {
                fail_all(&error, group, observation);
            }
            return;
        }
    };
    let of_group: BTreeSet<_> = group.iter().map(|desired| &desired.id).collect();
    for (desired, handle) in objects.iter().filter(|(desired, _)| of_group.contains(&desired.id)) {
        let row = rows.iter().find(|row| row["id"] == **handle);
        let observed = match (row, categories.wanted(desired)) {
            (Some(row), Ok(category)) => ObservedState::Found(with_wanted(live(business, row), category)),
            (Some(_), Err(problem)) => ObservedState::Impossible(problem),
            (None, _) => ObservedState::absent(),
        };
        observation.know(&desired.id, observed);
    }
}

//! Finding service templates: all of a business in one list.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{
    CATEGORY, Categories, NAME, ROLLOUT, WANTED, below, claim, fixed_reach, live, module_fields,
    sync::{self, RolledOut},
    templates, wanted_name,
};
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
    // One that goes by another name by now is found by its id, and compared all the same.
    module_fields::ask_definition(business, group, observation, facts);
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
    let mut found = found(business, group, &assigned, (&by_id, &categories), observation, facts);
    let rolled_out = group.iter().zip(&assigned).filter_map(|(desired, assigned)| {
        let Assigned::One(template) = *assigned else { return None };
        let live = found.get(&template)?.as_ref().ok()?;
        if !desired.selected || !desired.locator.contains_key(ROLLOUT) {
            return None;
        }
        let changes = module_fields::changes(desired, Some(live), Some(business), facts).unwrap_or_default();
        Some(RolledOut { desired, template, fixed: fixed_reach::set_names(&changes) })
    });
    if sync::observe(business, &rolled_out.collect::<Vec<_>>(), all, observation, facts).is_none() {
        return;
    }
    for (desired, assigned) in group.iter().zip(&assigned) {
        let observed = match (assigned, categories.wanted(desired)) {
            (_, Err(problem)) => ObservedState::Impossible(problem),
            (Assigned::One(id), Ok(_)) => {
                let live = found.remove(id).map(|live| note_unknown(live, desired, observation));
                let Some(Ok(mut live)) = live else { continue };
                fixed_reach::declare(desired, &id.to_string(), facts);
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
                let creatable = creatable(desired, business, &by_id, observation, facts);
                if note_unknown(creatable, desired, observation).is_err() {
                    continue;
                }
                fixed_reach::declare(desired, &desired.id.to_string(), facts);
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

/// Notes what is known of a document in place of what was looked for.
fn note_unknown<T>(
    result: Result<T, Option<ObservedState>>,
    desired: &Desired,
    observation: &mut Observation,
) -> Result<T, ()> {
    result.map_err(|observed| observation.know_if(&desired.id, observed))
}

/// A template that was found; or what else is known of it, nothing while that is asked for.
type Found = Result<Live, Option<ObservedState>>;

/// Returns the templates that documents mean, with what these fix.
fn found(
    business: i64,
    group: &[&Desired],
    assigned: &[Assigned<i64>],
    (rows, categories): (&BTreeMap<i64, &Json>, &Categories<'_>),
    observation: &mut Observation,
    facts: &Facts,
) -> BTreeMap<i64, Found> {
    let mut found = BTreeMap::new();
    for (desired, assigned) in group.iter().zip(assigned) {
        let Assigned::One(id) = assigned else { continue };
        let category = categories.wanted(desired).map_err(|problem| Some(ObservedState::Impossible(problem)));
        let live = category.and_then(|category| {
            let live = with_wanted(live(business, rows[id]), category);
            module_fields::observe(desired, live, observation, facts)
        });
        found.insert(*id, live);
    }
    found
}

/// Finds out if the values that a new template is to fix can be: the access and the server have to know such values.
fn creatable(
    desired: &Desired,
    business: i64,
    templates: &BTreeMap<i64, &Json>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<(), Option<ObservedState>> {
    if desired.ensure != Ensure::Present {
        return Ok(());
    }
    // Any other template tells if the server is new enough.
    module_fields::check_server(desired, business, templates.keys().next().copied(), observation, facts)?;
    module_fields::check(desired, business, observation, facts).map(drop)
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
            (Some(row), Ok(category)) => {
                let live = with_wanted(live(business, row), category);
                let live = module_fields::observe(desired, live, observation, facts);
                let Ok(live) = note_unknown(live, desired, observation) else { continue };
                ObservedState::Found(live)
            }
            (Some(_), Err(problem)) => ObservedState::Impossible(problem),
            (None, _) => ObservedState::absent(),
        };
        observation.know(&desired.id, observed);
    }
}

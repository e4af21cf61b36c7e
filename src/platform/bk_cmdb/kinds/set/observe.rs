//! Finding sets: all that documents of a business name in one read, and the layer above sets where there is one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;

use super::{
    MODEL, NAME, below, claim, live,
    sets::{self, SET_TEMPLATE, Sets},
    wanted_name,
};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::{self, Assigned},
    model::{CreateContext, Desired, Ensure, Json, KeyConflict, ObservedState, ResourceId, View},
    platform::bk_cmdb::{
        kinds::{
            decode_common::{fail_all, nearest},
            instance::parent::above,
            select_instances,
        },
        lookup::{self, Key, LookupError, PARENT, Selector, sets_by_ids, some_names},
    },
    provider::{Facts, Observation},
};

/// The model of businesses.
const BUSINESS: &str = "biz";
/// Fields that decide whether a set can be written at all.
const GUARDS: &[&str] = &["bk_set_id", NAME, PARENT, "bk_biz_id", "default", SET_TEMPLATE];
/// Fields that plans show of a set that is to go.
const SHOWN: &[&str] = &["bk_set_env", "bk_service_status", "bk_capacity", "description"];

/// Returns the fields to read of the sets of documents.
pub(super) fn fields(group: &[&Desired]) -> BTreeSet<String> {
    let declared = group.iter().flat_map(|desired| desired.fields.keys().map(ToString::to_string));
    let is_going = group.iter().any(|desired| desired.ensure == Ensure::Absent);
    let shown = SHOWN.iter().filter(|_| is_going).map(|name| (*name).to_owned());
    declared.chain(shown).chain(GUARDS.iter().map(|name| (*name).to_owned())).collect()
}

/// Says what is known of the sets that documents of a business mean.
pub(super) fn business(
    business: i64,
    group: &[&Desired],
    all: &[&Desired],
    observation: &mut Observation,
    facts: &Facts,
) {
    let parents = parents(business, group, observation, facts);
    let fields = self::fields(group);
    let ids = group.iter().filter_map(|desired| desired.locate("set")?.as_i64()).collect();
    let by_id = sets_by_ids(business, &ids, &fields, observation, facts);
    let names: BTreeSet<&str> = group
        .iter()
        .filter_map(|desired| desired.locate("set")?.as_str())
        .chain(group.iter().filter_map(|desired| wanted_name(desired)))
        .collect();
    let searched = if names.is_empty() {
        Ok(Vec::new())
    } else {
        sets::read(business, &json!({NAME: {"$in": names}}), &fields, observation, facts)
    };
    let (parents, by_id, searched) = match (parents, by_id, searched) {
        (Ok(parents), Ok(by_id), Ok(searched)) => (parents, by_id, searched),
        (parents, by_id, searched) => {
            for error in [parents.err(), by_id.err(), searched.err()].into_iter().flatten() {
                fail_all(&error, group, observation);
            }
            return;
        }
    };
    let group: Vec<&Desired> =
        group.iter().copied().filter(|desired| !parents.wrong.contains_key(&desired.id)).collect();
    let mut found = Sets::of(by_id.into_iter().chain(searched).collect());
    let is_missing = |desired: &&Desired| candidates(desired, &found, &parents).is_empty();
    if group.iter().any(is_missing) {
        // For hints, and for the built-in set, which is searched for by the name that the server stores.
        match sets::read(business, &json!({}), &fields, observation, facts) {
            Ok(rows) => found = Sets::of(rows),
            Err(LookupError::Pending) => return,
            Err(LookupError::Failed(_) | LookupError::NoModel) => {}
        }
    }
    let rows: BTreeMap<i64, &Json> =
        found.rows.iter().filter_map(|row| Some((row["bk_set_id"].as_i64()?, *row))).collect();
    let assigned =
        identity::assign(&group.iter().map(|desired| candidates(desired, &found, &parents)).collect::<Vec<_>>());
    let going = group.iter().zip(&assigned).filter_map(|(desired, assigned)| match assigned {
        Assigned::One(id) if desired.ensure == Ensure::Absent => Some(*id),
        _ => None,
    });
    let below = match below::of_going(business, &going.collect(), observation, facts) {
        Ok(below) => below,
        Err(error) => return fail_all(&error, &group, observation),
    };
    for (desired, assigned) in group.iter().zip(&assigned) {
        let observed = match assigned {
            Assigned::One(id) => {
                let row = rows[id];
                let live = live(business, row).related(|own| {
                    if let Some(below) = below.get(id) {
                        own.undeletable = below.undeletable(row).map(Box::new);
                        own.holds = below.holds(desired, row, all);
                    }
                    own.key_conflicts = key_conflicts(desired, &row[PARENT], Some(*id), &found);
                });
                parents.moved(desired, row).unwrap_or(ObservedState::Found(live))
            }
            Assigned::Nothing => absent(desired, business, &parents, &found),
            open => select_instances::open(desired, open, &group, |id| sets::label(&id.into())),
        };
        observation.know(&desired.id, observed);
    }
    observation.known.extend(parents.wrong.into_iter().map(|(id, observed)| (id.clone(), Box::new(observed))));
}

/// Returns the ids of the sets that a document may mean.
fn candidates(desired: &Desired, found: &Sets<'_>, parents: &Parents<'_>) -> Vec<i64> {
    match desired.locate("set").map(Json::view) {
        Some(View::Number(id)) => {
            let is_there = |id: &i64| found.rows.iter().any(|row| row["bk_set_id"].as_i64() == Some(*id));
            id.as_i64().filter(is_there).into_iter().collect()
        }
        Some(View::Text(name)) => {
            let names = std::iter::once(name).chain(wanted_name(desired));
            let rows: Vec<&Json> = names.flat_map(|name| found.named(name)).collect();
            let fits = |row: &&Json| parents.of(desired).is_none_or(|parent| row[PARENT].as_i64() == Some(parent));
            let ids: BTreeSet<i64> =
                rows.into_iter().filter(fits).filter_map(|row| row["bk_set_id"].as_i64()).collect();
            ids.into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn key_conflicts(desired: &Desired, parent: &Json, own: Option<i64>, found: &Sets<'_>) -> Vec<KeyConflict> {
    let Some(name) = wanted_name(desired) else { return Vec::new() };
    let holders = found.by_name.get(name).into_iter().flatten();
    holders
        .filter(|row| row[PARENT] == *parent && row["bk_set_id"].as_i64() != own)
        .map(|row| KeyConflict { claim: claim(parent, name), holder: sets::label(&row["bk_set_id"]) })
        .collect()
}

/// Returns the sight of a set that is not there.
fn absent(desired: &Desired, business: i64, parents: &Parents<'_>, found: &Sets<'_>) -> ObservedState {
    let parent = match (&parents.layer, parents.of(desired)) {
        (Some(layer), None) if layer != BUSINESS && desired.ensure == Ensure::Present => {
            let message = format!("sets lie below instances of `{layer}` here: {} needs `parent`", desired.id);
            let hint = format!("name the instance of `{layer}` in which the set is to be made");
            return ObservedState::Impossible(Box::new(Diagnostic::error("P126", message, &desired.origin).hint(hint)));
        }
        (_, Some(parent)) => parent,
        (_, None) => business,
    };
    let mut context = CreateContext::new(json!({"business": business}));
    context.set("parent", json!(parent));
    // Only one that has to be there is told which names there are.
    let is_told = desired.ensure == Ensure::Existing;
    let names = found.rows.iter().filter(|_| is_told).filter_map(|row| row[NAME].as_str().map(str::to_owned));
    let key_conflicts = key_conflicts(desired, &parent.into(), None, found);
    ObservedState::Absent { nearest: names.collect(), key_conflicts, context }
}

/// What lies above the sets of a business.
pub(super) struct Parents<'d> {
    /// The model above sets, `biz` without a custom layer; `None` where nobody needs to know.
    layer: Option<String>,
    /// The parents that documents name.
    known: HashMap<&'d ResourceId, i64>,
    /// Documents whose parent is not as they say.
    pub(super) wrong: HashMap<&'d ResourceId, ObservedState>,
}

impl Parents<'_> {
    fn of(&self, desired: &Desired) -> Option<i64> {
        self.known.get(&desired.id).copied()
    }

    /// Returns the sight of a set that lies below another parent than its document says: it cannot be moved.
    fn moved(&self, desired: &Desired, row: &Json) -> Option<ObservedState> {
        let (wanted, given) = (self.of(desired)?, desired.locator.get("parent")?);
        if row[PARENT].as_i64() == Some(wanted) {
            return None;
        }
        let label = sets::label(&row["bk_set_id"]);
        let message = format!("{label} lies below #{}, and not below #{wanted}", row[PARENT]);
        let diagnostic = Diagnostic::error("P126", message, &given.origin);
        let hint = "the server moves no set: correct `parent`, or remove the set and make another one";
        Some(ObservedState::Impossible(Box::new(diagnostic.hint(hint))))
    }
}

/// Finds the parents that documents name.
pub(super) fn parents<'d>(
    business: i64,
    group: &[&'d Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Parents<'d>, LookupError> {
    let mut parents = Parents { layer: None, known: HashMap::new(), wrong: HashMap::new() };
    let needs = |desired: &&'d Desired| desired.ensure == Ensure::Present || desired.locate("parent").is_some();
    if !group.iter().any(needs) {
        return Ok(parents);
    }
    let layer = above(MODEL, observation, facts)?.unwrap_or_else(|| BUSINESS.to_owned());
    let given: Vec<_> = group.iter().filter_map(|desired| Some((*desired, desired.locator.get("parent")?))).collect();
    if layer == BUSINESS {
        for (desired, given) in given {
            let message = "no layer lies between the business and its sets: a set has no other parent";
            let diagnostic = Diagnostic::error("P126", message, &given.origin).hint("leave `parent` out");
            parents.wrong.insert(&desired.id, ObservedState::Impossible(Box::new(diagnostic)));
        }
        return Ok(Parents { layer: Some(layer), ..parents });
    }
    let selector = |value: &Json| match value.as_i64() {
        Some(id) => Selector::Id(id),
        None => Selector::fields([("bk_inst_name".into(), Key::of(value))]),
    };
    let selectors: BTreeSet<Selector> = given.iter().map(|(_, given)| selector(&given.value)).collect();
    let rows = lookup::instances(&layer, Some(business), &selectors, [], observation, facts)?;
    for (desired, given) in given {
        let found = rows.find(&selector(&given.value));
        let said = |message: String| Diagnostic::error("P126", message, &given.origin);
        let problem = match found.as_slice() {
            [id] => {
                parents.known.insert(&desired.id, *id);
                continue;
            }
            [] => {
                let Some(names) = some_names(&layer, observation, facts) else { return Err(LookupError::Pending) };
                let wanted = given.value.as_str().unwrap_or_default();
                let message = format!("the business has no instance {} of `{layer}`", given.value);
                ObservedState::Impossible(Box::new(nearest(said(message), wanted, &names)))
            }
            _ => {
                let message = format!("several instances of `{layer}` are named {}", given.value);
                ObservedState::Ambiguous(Box::new(said(message).hint("give the id of the one that is meant")))
            }
        };
        parents.wrong.insert(&desired.id, problem);
    }
    Ok(Parents { layer: Some(layer), ..parents })
}

//! Finding instances: the definition of their model, then all that documents mean in a few reads.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::{
    NAME, claim, layer, live,
    parent::{self, Parents},
    unique,
    unique_keys::{self, Group},
    wanted_name,
};
use crate::{
    diff::identity::{self, Assigned},
    model::{CreateContext, Desired, Ensure, FieldPath, Json, KeyConflict, ObservedState, Request, ResourceId},
    platform::bk_cmdb::{
        kinds::{
            decode_common::{business_id, matched_field, observed_after},
            select_instances::{self, ByModel, Gathered, Selectors},
        },
        lookup::{self, Businesses, Ids, Key, LookupError, PARENT, Selector, check_page, is_layer, read_rows},
    },
    provider::{Facts, Observation, Read},
};

/// Most ids of one question for associations, and most rows of its answer.
const PAGE: usize = 500;

/// Says what is known of the documents about one model, or asks for it. All documents come as a list and by model.
pub(super) fn model(
    model: &str,
    group: &[&Desired],
    (all, by_model): (&[&Desired], &ByModel<'_>),
    facts: &Facts,
    observation: &mut Observation,
) {
    let business = match business_of(group, all, facts, observation) {
        Ok(business) => business,
        Err(observed) => {
            if let Some(observed) = observed {
                group.iter().for_each(|desired| observation.know(&desired.id, observed.clone()));
            }
            return;
        }
    };
    let definition = lookup::definition(model, observation, facts);
    if matches!(definition, Err(LookupError::Pending))
        && business.is_none()
        && let Some(mut gathered) = Gathered::before_definition(model, by_model)
    {
        let fields = std::mem::take(&mut gathered.fields);
        // Its answer is looked at when the definition is there.
        let _ = lookup::instances(model, None, gathered.selectors(), fields, observation, facts);
    }
    let known = definition.and_then(|definition| {
        unique::remarks(model, group, &definition, observation, facts);
        let mut gathered = Gathered::default();
        let mut picks: Vec<(&Desired, Selectors)> = Vec::with_capacity(group.len());
        for desired in group {
            gathered.add_fields(desired, &definition);
            match select_instances::selectors(desired, "", &definition, facts) {
                Ok(selectors) => {
                    gathered.add(&selectors);
                    picks.push((*desired, selectors));
                }
                Err(problem) => observation.know(&desired.id, ObservedState::Impossible(problem)),
            }
        }
        if business.is_none() {
            gathered.add_others(model, by_model, &definition, facts);
        }
        let fields = std::mem::take(&mut gathered.fields);
        let rows = lookup::instances(model, business, gathered.selectors(), fields, observation, facts)?;
        Ok((definition.clone(), picks, rows))
    });
    match known {
        Ok((definition, of_documents, rows)) => {
            let mut documents: Vec<&Desired> = of_documents.iter().map(|(desired, _)| *desired).collect();
            let parents = parent::find(model, business, &mut documents, all, observation, facts);
            // Some documents may have been left out, but the others lie in the same order.
            let mut picks = of_documents.iter();
            let candidates = documents.iter().map(|desired| {
                let picks = picks.find(|(other, _)| std::ptr::eq(*other, *desired)).map(|(_, picks)| picks);
                let found = picks.into_iter().flatten().flat_map(|pick| rows.find(pick));
                found.filter(|id| parents.fit(desired, rows.row(*id))).collect::<Ids>()
            });
            let assigned = identity::assign(&candidates.collect::<Vec<_>>());
            drop(of_documents);
            let group = Group {
                model,
                business,
                definition: &definition,
                documents: &documents,
                assigned: &assigned,
                rows: &rows,
            };
            assign(&group, &parents, all, facts, observation);
        }
        Err(error) => {
            for desired in group {
                if let Some(observed) = observed_after(&error, desired) {
                    observation.know(&desired.id, observed);
                }
            }
        }
    }
}

pub(super) fn business_of(
    group: &[&Desired],
    all: &[&Desired],
    facts: &Facts,
    observation: &mut Observation,
) -> Result<Option<i64>, Option<ObservedState>> {
    let Some(given) = group.first().and_then(|desired| desired.locate("business")) else { return Ok(None) };
    let businesses = Businesses::of(all, observation, facts).map_err(|error| observed_after(&error, group[0]))?;
    business_id(businesses.find(given, observation, facts), group[0]).map(Some)
}

/// Gives each document its live object: a document with one candidate takes it, and so on. So chains of renames are
/// resolved, and what stays open is an error.
fn assign(
    group: &Group<'_, '_, '_>,
    parents: &Parents<'_>,
    all: &[&Desired],
    facts: &Facts,
    observation: &mut Observation,
) {
    let Group { model, documents, assigned, rows, .. } = *group;
    let names_needed = documents
        .iter()
        .zip(assigned)
        .any(|(desired, assigned)| desired.ensure == Ensure::Existing && matches!(assigned, Assigned::Nothing));
    let names = if names_needed { lookup::some_names(model, observation, facts) } else { Some(Vec::new()) };
    let Some(names) = names else { return };
    let Some(mut contexts) = parent::contexts(group, parents, all, observation, facts) else { return };
    let taken = taken_names(group, &contexts, facts, observation).and_then(|names| {
        let conflicts = unique_keys::conflicts(group, observation, facts)?;
        Ok((names, conflicts))
    });
    let label = |id: i64| format!("{model} #{id}");
    let going = documents.iter().zip(assigned).filter_map(|(desired, assigned)| match assigned {
        Assigned::One(id) if desired.ensure == Ensure::Absent => Some(*id),
        _ => None,
    });
    let going: BTreeSet<i64> = going.collect();
    let holds = associations(model, &going, observation, facts);
    let layers = going.iter().copied().filter(|id| rows.row(*id).is_some_and(|row| is_layer(&row[PARENT])));
    let below = layer::below(model, &layers.collect(), observation, facts);
    if matches!(below, Err(LookupError::Pending)) {
        return;
    }
    for (desired, assigned) in documents.iter().zip(assigned) {
        let key_conflicts = match &taken {
            Ok((names, conflicts)) => {
                let found = names.get(&desired.id).into_iter().chain(conflicts.key_conflicts.get(&desired.id));
                found.flatten().cloned().collect()
            }
            Err(LookupError::Pending) => return,
            Err(error) => {
                observation.know_if(&desired.id, observed_after(error, desired));
                continue;
            }
        };
        let observed = match assigned {
            Assigned::Nothing => match contexts.remove(&desired.id).unwrap_or(Ok(CreateContext::default())) {
                Ok(context) => ObservedState::Absent { nearest: names.clone(), key_conflicts, context },
                Err(observed) => observed,
            },
            Assigned::One(id) => match rows.row(*id) {
                Some(row) => match &holds {
                    Ok(holds) => {
                        let mut live = live(desired, row).related(|own| {
                            own.key_conflicts = key_conflicts;
                            own.holds = holds.get(id).cloned().unwrap_or_default();
                            if desired.ensure == Ensure::Absent && is_layer(&row[PARENT]) {
                                let below = below.as_ref().ok().and_then(|all| all.get(id));
                                own.undeletable = layer::undeletable(desired, below).map(Box::new);
                            }
                        });
                        let keys = taken.as_ref().ok().and_then(|(_, conflicts)| conflicts.fields.get(id));
                        for (field, value) in keys.into_iter().flatten() {
                            if live.fields.get(field).is_none() {
                                live.fields.insert(FieldPath::field(field), value.clone());
                            }
                        }
                        parent::refused_name(desired, row).unwrap_or(ObservedState::Found(live))
                    }
                    Err(LookupError::Pending) => return,
                    Err(error) => observed_after(error, desired).unwrap_or_else(ObservedState::absent),
                },
                None => ObservedState::absent(),
            },
            open => select_instances::open(desired, open, documents, label),
        };
        observation.know(&desired.id, observed);
    }
}

/// The associations of instances that are to go, by instance: the server refuses to remove an instance that has one
/// (code 1101075).
pub(super) fn associations(
    model: &str,
    ids: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<HashMap<i64, Vec<String>>, LookupError> {
    let ids: Vec<_> = ids.iter().copied().collect();
    let mut holds: HashMap<i64, Vec<String>> = HashMap::new();
    let mut pending = false;
    for chunk in ids.chunks(PAGE) {
        let mut seen: Vec<&Json> = Vec::new();
        loop {
            // Both ends in one question; it has no count, so a full page may have another behind it.
            let end = |object: &str, instance: &str| {
                json!({"condition": "AND", "rules": [{"field": object, "operator": "equal", "value": model},
                    {"field": instance, "operator": "in", "value": chunk}]})
            };
            let rules = json!([end("bk_obj_id", "bk_inst_id"), end("bk_asst_obj_id", "bk_asst_inst_id")]);
            let arguments = json!({"bk_obj_id": model, "conditions": {"condition": "OR", "rules": rules},
                "page": {"start": seen.len(), "limit": PAGE, "sort": "id"}});
            let request = Request { operation: "search_instance_associations", arguments, repeatable: true };
            let (rows, more) = match observation.read(request, facts) {
                // The other parts are asked for in the same round.
                Read::Pending => {
                    pending = true;
                    break;
                }
                // Before 3.10: all of them at once.
                Read::Failed(refusal) if refusal.is_absent() => {
                    let condition = json!({"$or": [{"bk_obj_id": model, "bk_inst_id": {"$in": chunk}},
                        {"bk_asst_obj_id": model, "bk_asst_inst_id": {"$in": chunk}}]});
                    let arguments = json!({"bk_obj_id": model, "condition": condition});
                    let request = Request { operation: "find_instance_association", arguments, repeatable: true };
                    match read_rows(request, "", observation, facts) {
                        Err(LookupError::Pending) => {
                            pending = true;
                            break;
                        }
                        rows => (rows?, false),
                    }
                }
                Read::Failed(refusal) => return Err(LookupError::Failed(refusal.to_string())),
                Read::Value(data) => {
                    let rows: Vec<&Json> = data["info"].as_array().into_iter().flatten().collect();
                    let full = rows.len() == PAGE;
                    (rows, full)
                }
            };
            check_page(&seen, &rows)?;
            for row in &rows {
                for (object, instance) in [("bk_obj_id", "bk_inst_id"), ("bk_asst_obj_id", "bk_asst_inst_id")] {
                    if let Some(id) = row[instance].as_i64().filter(|_| row[object] == model) {
                        holds.entry(id).or_default().push(format!("association #{}", row["id"]));
                    }
                }
            }
            if !more {
                break;
            }
            seen.extend(rows);
        }
    }
    if pending { Err(LookupError::Pending) } else { Ok(holds) }
}

/// The names that documents want for their instances and that other instances hold.
fn taken_names<'d>(
    group: &Group<'_, 'd, '_>,
    contexts: &HashMap<&ResourceId, Result<CreateContext, ObservedState>>,
    facts: &Facts,
    observation: &mut Observation,
) -> Result<HashMap<&'d ResourceId, Vec<KeyConflict>>, LookupError> {
    let Group { model, documents, assigned, rows, .. } = *group;
    let mut renamed = Vec::new();
    for (desired, assigned) in documents.iter().zip(assigned) {
        let own = match assigned {
            Assigned::One(id) => Some(*id),
            Assigned::Nothing if desired.ensure == Ensure::Present => None,
            _ => continue,
        };
        let held = own.and_then(|id| rows.row(id)).and_then(|row| row[NAME].as_str());
        if let Some(name) = wanted_name(desired).filter(|name| Some(*name) != held) {
            renamed.push((*desired, own, name));
        }
    }
    let by_name = |name: &str| Selector::fields([(NAME.into(), Key::of(&name.into()))]);
    // Only names that the first reads did not look for need another read.
    let asked: BTreeSet<Selector> = renamed
        .iter()
        .filter(|(desired, _, _)| matched_field(desired, "", NAME).is_none())
        .map(|(_, _, name)| by_name(name))
        .collect();
    let more = lookup::instances(model, None, &asked, [], observation, facts)?;
    let mut taken: HashMap<&ResourceId, Vec<KeyConflict>> = HashMap::new();
    for (desired, own, name) in renamed {
        let pick = by_name(name);
        let parent = match own {
            Some(id) => rows.row(id).map(|row| &row[PARENT]),
            None => contexts.get(&desired.id).and_then(|context| context.as_ref().ok()).map(|context| &context[PARENT]),
        };
        let parent = parent.unwrap_or(&Json::NULL);
        let holders: BTreeSet<_> = rows.find(&pick).into_iter().chain(more.find(&pick)).collect();
        let key_conflicts = holders.into_iter().filter(|id| Some(*id) != own);
        let key_conflicts = key_conflicts.filter(|id| parent::shares_names(parent, *id, &[rows, &more]));
        let key_conflicts = key_conflicts
            .map(|id| KeyConflict { claim: claim(desired, name, parent), holder: format!("{model} #{id}") });
        taken.insert(&desired.id, key_conflicts.collect());
    }
    Ok(taken)
}

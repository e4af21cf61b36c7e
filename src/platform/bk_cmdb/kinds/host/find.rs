//! Finding hosts: all that documents of a business name in a few reads, then the modules that they are in.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    key::{ID, Key},
    live,
    modules::{Declared, Topology},
    placement, read,
};
use crate::{
    diagnostic::Diagnostic,
    diff::identity::{self, Assigned},
    model::{Desired, Json, Live, ObservedState, ResourceId},
    platform::bk_cmdb::{
        kinds::{
            decode_common::{self, fail_all},
            select_instances,
        },
        lookup::{Businesses, LookupError},
    },
    provider::{Facts, Observation},
};

/// The business that holds the hosts which no business has: the resource pool.
const POOL: i64 = 1;

/// Returns the fields to read of the hosts of documents.
pub(super) fn fields<'d>(documents: impl IntoIterator<Item = &'d Desired>) -> BTreeSet<String> {
    let declared = documents.into_iter().flat_map(|desired| desired.fields.keys().map(ToString::to_string));
    declared.chain(read::KEYS.iter().map(|name| (*name).to_owned())).filter(|name| name != placement::MODULES).collect()
}

/// Says what is known of the hosts that documents of a business mean, and of their modules.
pub(super) fn business(
    business: i64,
    group: &[&Desired],
    (all, businesses): (&[&Desired], &Businesses),
    observation: &mut Observation,
    facts: &Facts,
) {
    let (placements, mut hosts): (Vec<&Desired>, Vec<&Desired>) =
        group.iter().partition(|desired| placement::is_placement(desired));
    // Modules may be looked up without their host.
    let known: BTreeSet<&ResourceId> = hosts.iter().map(|desired| &desired.id).collect();
    let is_alone = |desired: &&&Desired| !known.contains(&desired.id.document());
    let missing: Vec<Desired> = placements.iter().filter(is_alone).map(|desired| placement::host(desired)).collect();
    hosts.extend(&missing);
    let found = match self::hosts(business, &hosts, observation, facts) {
        Ok(found) => found,
        Err(error) => return fail_all(&error, group, observation),
    };
    if !placements.is_empty() {
        let declared = Declared::of(business, all, businesses, observation, facts);
        placed(business, &placements, &found, declared, observation, facts);
    }
    for (id, observed) in found {
        observation.know_if(id, observed);
    }
}

/// The hosts of documents; nothing while one is still looked for.
type Found<'d> = HashMap<&'d ResourceId, Option<ObservedState>>;

fn hosts<'d>(
    business: i64,
    documents: &[&'d Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Found<'d>, LookupError> {
    let keys: Vec<Option<Key>> = documents.iter().map(|desired| Key::of(desired)).collect();
    let wanted: BTreeSet<Key> = keys.iter().flatten().cloned().collect();
    let fields = self::fields(documents.iter().copied());
    let rows = read::hosts(Some(business), &wanted, &fields, observation, facts)?;
    let by_id: HashMap<i64, &Json> = rows.iter().filter_map(|row| Some((row[ID].as_i64()?, *row))).collect();
    let mut by_key: HashMap<Key, BTreeSet<i64>> = HashMap::new();
    for (id, row) in &by_id {
        for key in Key::of_row(row) {
            by_key.entry(key).or_default().insert(*id);
        }
    }
    let candidates = |key: &Option<Key>| -> Vec<i64> {
        key.as_ref().and_then(|key| by_key.get(key)).into_iter().flatten().copied().collect()
    };
    let assigned = identity::assign(&keys.iter().map(candidates).collect::<Vec<_>>());
    let lost = documents.iter().zip(&assigned).filter(|(_, assigned)| matches!(assigned, Assigned::Nothing));
    let lost: Vec<&Desired> = lost.map(|(desired, _)| *desired).collect();
    let mut elsewhere = elsewhere(&lost, observation, facts);
    let mut found = Found::new();
    for (desired, assigned) in documents.iter().zip(&assigned) {
        let observed = match assigned {
            Assigned::One(id) => Some(ObservedState::Found(live(business, by_id[id]))),
            Assigned::Nothing => elsewhere.as_mut().and_then(|elsewhere| elsewhere.remove(&desired.id)),
            open => Some(select_instances::open(desired, open, documents, |id| format!("host #{id}"))),
        };
        found.insert(&desired.id, observed);
    }
    Ok(found)
}

/// Says of hosts that are not in their business where they are; nothing while answers are missing.
fn elsewhere<'d>(
    documents: &[&'d Desired],
    observation: &mut Observation,
    facts: &Facts,
) -> Option<HashMap<&'d ResourceId, ObservedState>> {
    let keys: BTreeSet<Key> = documents.iter().filter_map(|desired| Key::of(desired)).collect();
    let fields = read::KEYS.iter().map(|name| (*name).to_owned()).collect();
    let rows = match read::hosts(None, &keys, &fields, observation, facts) {
        Err(LookupError::Pending) => return None,
        rows => rows.ok(),
    };
    let ids = rows.iter().flatten().filter_map(|row| row[ID].as_i64()).collect();
    let pairs = match read::pairs(None, &ids, observation, facts) {
        Err(LookupError::Pending) => return None,
        pairs => pairs.unwrap_or_default(),
    };
    let mut by_key: BTreeMap<Key, i64> = BTreeMap::new();
    for row in rows.iter().flatten() {
        let Some(id) = row[ID].as_i64() else { continue };
        by_key.extend(Key::of_row(row).into_iter().map(|key| (key, id)));
    }
    let state = |desired: &&'d Desired| {
        let id = Key::of(desired).and_then(|key| by_key.get(&key).copied());
        let place = id.and_then(|id| pairs.get(&id)).and_then(|pairs| pairs.first()?["bk_biz_id"].as_i64());
        let problem = problem(desired, id, place, rows.is_some());
        (&desired.id, ObservedState::Impossible(Box::new(problem)))
    };
    Some(documents.iter().map(state).collect())
}

/// Returns why a document has no host in its business.
fn problem(desired: &Desired, id: Option<i64>, place: Option<i64>, is_known: bool) -> Diagnostic {
    let origin = decode_common::matched(desired, "").next().map_or(&desired.origin, |(_, value)| &value.origin);
    let business = desired.locate("business").map(Json::to_string).unwrap_or_default();
    let said = |message: String, hint: &'static str| Diagnostic::error("P180", message, origin).hint(hint);
    match (id, place) {
        (Some(id), Some(POOL)) => said(
            format!("host #{id} is in the resource pool, not in the business {business}"),
            "assign it to the business first: `transfer_resourcehost_to_idlemodule`, or the resource pool's page",
        ),
        (Some(id), Some(other)) => said(
            format!("host #{id} is in business #{other}, not in {business}"),
            "correct `business`, or give the host back to the resource pool there and assign it to this business",
        ),
        (Some(id), None) => said(
            format!("host #{id} is not in the business {business}"),
            "correct `business`, or assign the host to it",
        ),
        (None, _) if is_known => {
            said("no such host is known".to_owned(), "hosts are not created here: they come from agents or imports")
        }
        (None, _) => said(
            format!("the business {business} has no such host"),
            "where else it may be could not be read; hosts are not created here",
        ),
    }
}

/// Says in which modules hosts are, and in which they are to be.
fn placed(
    business: i64,
    placements: &[&Desired],
    hosts: &Found<'_>,
    declared: Declared<'_>,
    observation: &mut Observation,
    facts: &Facts,
) {
    let mut there: Vec<(&Desired, &Live, i64)> = Vec::with_capacity(placements.len());
    for desired in placements {
        let host = desired.id.document();
        match hosts.get(&host) {
            Some(Some(ObservedState::Found(live))) => {
                there.extend(live.handle["host"].as_i64().map(|id| (*desired, live, id)));
            }
            Some(Some(_)) => observation.know(&desired.id, ObservedState::Needs(host)),
            Some(None) | None => {}
        }
    }
    let documents: Vec<&Desired> = there.iter().map(|(desired, ..)| *desired).collect();
    let ids = there.iter().map(|(.., id)| *id).collect();
    let pairs = match read::pairs(Some(business), &ids, observation, facts) {
        Ok(pairs) => pairs,
        Err(error) => return fail_all(&error, &documents, observation),
    };
    let modules = pairs.values().flatten().filter_map(|pair| pair["bk_module_id"].as_i64()).collect();
    let topology = match Topology::of(business, &documents, modules, declared, observation, facts) {
        Ok(topology) => topology,
        Err(error) => return fail_all(&error, &documents, observation),
    };
    for (desired, host, id) in there {
        match placement::resolve(desired, &topology, facts) {
            Ok(wanted) => {
                let pairs = pairs.get(&id).map(Vec::as_slice).unwrap_or_default();
                let live = placement::live(host.handle.clone(), pairs, Ok(wanted), &topology);
                observation.know(&desired.id, ObservedState::Found(live));
            }
            Err(unknown) => observation.know_if(&desired.id, unknown),
        }
    }
}

/// Reads hosts and their modules again by their handles.
pub(super) fn reread(business: i64, group: &[(&Desired, i64)], observation: &mut Observation, facts: &Facts) {
    let keys = group.iter().map(|(_, id)| Key::Id(*id)).collect();
    let documents: Vec<&Desired> = group.iter().map(|(desired, _)| *desired).collect();
    let rows = read::hosts(Some(business), &keys, &fields(documents.iter().copied()), observation, facts);
    let placements: Vec<(&Desired, i64)> =
        group.iter().copied().filter(|(desired, _)| placement::is_placement(desired)).collect();
    let ids = placements.iter().map(|(_, id)| *id).collect();
    let pairs = read::pairs(Some(business), &ids, observation, facts);
    let (rows, pairs) = match (rows, pairs) {
        (Ok(rows), Ok(pairs)) => (rows, pairs),
        (rows, pairs) => {
            for error in [rows.err(), pairs.err()].into_iter().flatten() {
                fail_all(&error, &documents, observation);
            }
            return;
        }
    };
    let modules = pairs.values().flatten().filter_map(|pair| pair["bk_module_id"].as_i64()).collect();
    let documents: Vec<&Desired> = placements.iter().map(|(desired, _)| *desired).collect();
    let topology = match Topology::of(business, &documents, modules, Declared::none(), observation, facts) {
        Ok(topology) => Some(topology),
        Err(error) => {
            fail_all(&error, &documents, observation);
            None
        }
    };
    let rows: HashMap<i64, &Json> = rows.into_iter().filter_map(|row| Some((row[ID].as_i64()?, row))).collect();
    for (desired, id) in group {
        let Some(row) = rows.get(id) else {
            observation.know(&desired.id, ObservedState::absent());
            continue;
        };
        let host = live(business, row);
        if !placement::is_placement(desired) {
            observation.know(&desired.id, ObservedState::Found(host));
        } else if let Some(topology) = &topology {
            // Names that no module has any more are no reason not to say where the host is.
            let wanted = placement::resolve(desired, topology, facts).map_err(|unknown| match unknown {
                Some(ObservedState::Impossible(problem) | ObservedState::Ambiguous(problem)) => problem.message,
                _ => "its modules are not known".to_owned(),
            });
            let pairs = pairs.get(id).map(Vec::as_slice).unwrap_or_default();
            let live = placement::live(host.handle, pairs, wanted, topology);
            observation.know(&desired.id, ObservedState::Found(live));
        }
    }
}

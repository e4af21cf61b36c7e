//! The last changes of hosts: their fields, and the transfers between modules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{MODEL, key::ID, key::Key, placement, read};
use crate::{
    model::{
        Desired, Live,
        author::{Changed, Deed},
    },
    platform::bk_cmdb::{
        attribute::HISTORY,
        kinds::author::{self, Columns, Namesakes, Subject},
    },
    provider::{Authors, Facts, Observation, Planned, Step},
};

/// The action of the record of a transfer.
const TRANSFER: &str = "transfer_host_module";

/// Says who changed what differs, or asks for it.
pub(super) fn changed(planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    let (moved, fields): (Vec<Planned<'_>>, Vec<Planned<'_>>) =
        planned.iter().copied().partition(|planned| placement::is_placement(planned.desired));
    let mut by_business: BTreeMap<i64, Vec<Planned<'_>>> = BTreeMap::new();
    for item in fields {
        let business = item.live.and_then(|live| live.handle["business"].as_i64());
        by_business.entry(business.unwrap_or_default()).or_default().push(item);
    }
    for (business, group) in by_business {
        let columns = |ids: &BTreeSet<i64>, observation: &mut Observation| columns(business, ids, observation, facts);
        let condition = json!({"resource_type": MODEL});
        let namesakes = Namesakes { condition, container: None };
        authors.extend(author::of_live(&group, subject, &namesakes, columns, &mut observation, facts));
    }
    let subjects = moved.iter().filter_map(subject).collect();
    if let Some(trails) = author::trails(&subjects, &mut observation, facts) {
        for item in &moved {
            let Some(trail) = subject(item).and_then(|subject| trails.get(&subject)?.as_ref()) else { continue };
            let transfer = trail.latest.iter().find(|record| record["action"] == TRANSFER);
            let told = transfer.map_or_else(Changed::unknown, |record| author::change_of(record, Deed::Changed, facts));
            let path = item.change.fields.first().map(|field| field.path.clone());
            authors.known.push((item.desired.id.clone(), path, told));
        }
    }
    Step::new(observation.ask, authors)
}

/// Says who changed objects last, or asks for it.
pub(super) fn touched(objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    let place = |desired: &Desired, live: &Live| {
        // No row says who moved a host.
        let live = Some(live).filter(|_| !placement::is_placement(desired))?;
        Some((live.handle["business"].as_i64()?, live.handle["host"].as_i64()?))
    };
    for (business, group) in author::sorted(objects, place) {
        let ids = group.iter().map(|(_, _, id)| *id).collect();
        let rows = columns(business, &ids, &mut observation, facts);
        authors.extend(author::touched(&group, rows, Some(&json!({"resource_type": MODEL})), &mut observation, facts));
    }
    Step::new(observation.ask, authors)
}

fn columns<'f>(business: i64, ids: &BTreeSet<i64>, observation: &mut Observation, facts: &'f Facts) -> Columns<'f> {
    let keys = ids.iter().map(|id| Key::Id(*id)).collect();
    let fields = HISTORY.iter().copied().chain([ID]).map(str::to_owned).collect();
    let rows = read::hosts(Some(business), &keys, &fields, observation, facts)?;
    Ok(rows.into_iter().filter_map(|row| Some((row[ID].as_i64()?, row))).collect())
}

fn subject<'p>(planned: &Planned<'p>) -> Option<Subject<'p>> {
    Some(Subject { resource: MODEL, model: MODEL, id: planned.live?.handle["host"].as_i64()? })
}

//! The last changes of process templates: they have no records, only a column with the last person who changed anything
//! of one (measured page, "Audit"). A removal leaves no trace.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::read::by_ids;
use crate::{
    model::{Action, Desired, Json, Live, Request, author::Changed},
    platform::bk_cmdb::kinds::author,
    provider::{Authors, Facts, Observation, Planned, Step},
};

/// Says who changed what differs, or asks for it.
pub(super) fn changed(planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    let live = || planned.iter().filter_map(|planned| Some((planned, location(planned)?)));
    let mut unread: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for (_, place) in live().filter(|(_, place)| row_of(place, facts).is_none()) {
        unread.entry(place.business).or_default().insert(place.process);
    }
    let mut rows: BTreeMap<i64, &Json> = BTreeMap::new();
    for (business, ids) in &unread {
        let found = by_ids(*business, ids, &mut observation, facts).unwrap_or_default();
        rows.extend(found.into_iter().filter_map(|row| Some((row["id"].as_i64()?, row))));
    }
    for (planned, place) in live() {
        let row = row_of(&place, facts).or_else(|| rows.get(&place.process).copied());
        let told = row.map_or_else(Changed::unknown, |row| author::of_row(row, planned.change.action, facts));
        let mut paths: Vec<_> = planned.change.fields.iter().map(|field| Some(field.path.clone())).collect();
        if planned.change.action == Action::Delete {
            paths.push(None);
        }
        authors.known.extend(paths.into_iter().map(|path| (planned.desired.id.clone(), path, told.clone())));
    }
    Step::new(observation.ask, authors)
}

/// Says who changed process templates last, or asks for it.
pub(super) fn touched(objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    let place = |_: &Desired, live: &Live| Some((live.handle["business"].as_i64()?, live.handle["process"].as_i64()?));
    for (business, group) in author::sorted(objects, place) {
        let ids = group.iter().map(|(_, _, id)| *id).collect();
        let rows = by_ids(business, &ids, &mut observation, facts)
            .map(|rows| rows.into_iter().filter_map(|row| Some((row["id"].as_i64()?, row))).collect());
        authors.extend(author::touched(&group, rows, None, &mut observation, facts));
    }
    Step::new(observation.ask, authors)
}

/// Where a live process template is.
struct Location {
    business: i64,
    template: i64,
    process: i64,
}

fn location(planned: &Planned<'_>) -> Option<Location> {
    let id = |key: &str| planned.live?.handle[key].as_i64();
    Some(Location { business: id("business")?, template: id("serviceTemplate")?, process: id("process")? })
}

/// The row as the list of its service template had it, which was read where the process is named.
fn row_of<'f>(place: &Location, facts: &'f Facts) -> Option<&'f Json> {
    let arguments = json!({"bk_biz_id": place.business, "service_template_id": place.template});
    let request = Request { operation: "list_proc_template", arguments, repeatable: true };
    let rows = facts.answer(&request)?.as_ref().ok()?;
    rows["info"].as_array()?.iter().find(|row| row["id"] == json!(place.process))
}

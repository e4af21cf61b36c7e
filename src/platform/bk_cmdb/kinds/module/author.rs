//! The last changes of modules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::wanted_name;
use crate::{
    model::{Action, Desired, Json, Live, author::Changed},
    platform::bk_cmdb::{
        attribute::HISTORY,
        kinds::author::{self, Columns, Namesakes, Subject},
        lookup::modules_by_ids,
    },
    provider::{Authors, Facts, Observation, Planned, Step},
};

/// The records' name of modules.
const RESOURCE: &str = "module";

/// Says who changed what differs, or asks for it.
pub(super) fn changed(planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
    let mut by_business: BTreeMap<i64, Vec<Planned<'_>>> = BTreeMap::new();
    for item in planned {
        let place = item.live.map_or(item.context.handle(), |live| &live.handle);
        by_business.entry(place["business"].as_i64().unwrap_or_default()).or_default().push(*item);
    }
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    for (business, group) in by_business {
        let id = |planned: &Planned<'_>| planned.live?.handle["module"].as_i64();
        let subject = |planned: &Planned<'_>| Some(Subject { resource: RESOURCE, model: RESOURCE, id: id(planned)? });
        let columns = |ids: &BTreeSet<i64>, observation: &mut Observation| columns(business, ids, observation, facts);
        let namesakes = Namesakes { condition: condition(business), container: Some("bk_set_id") };
        authors.extend(author::of_live(&group, subject, &namesakes, columns, &mut observation, facts));
        authors.extend(removed(business, &group, &mut observation, facts));
    }
    Step::new(observation.ask, authors)
}

/// Says who changed objects last, or asks for it.
pub(super) fn touched(objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    let place = |_: &Desired, live: &Live| Some((live.handle["business"].as_i64()?, live.handle["module"].as_i64()?));
    for (business, group) in author::sorted(objects, place) {
        let ids = group.iter().map(|(_, _, id)| *id).collect();
        let rows = columns(business, &ids, &mut observation, facts);
        authors.extend(author::touched(&group, rows, Some(&condition(business)), &mut observation, facts));
    }
    Step::new(observation.ask, authors)
}

fn columns<'f>(business: i64, ids: &BTreeSet<i64>, observation: &mut Observation, facts: &'f Facts) -> Columns<'f> {
    let fields = HISTORY.iter().copied().chain(["bk_module_id"]).map(str::to_owned).collect();
    let rows = modules_by_ids(business, ids, &fields, observation, facts)?;
    Ok(rows.into_iter().filter_map(|row| Some((row["bk_module_id"].as_i64()?, row))).collect())
}

/// Returns what the records of a business's modules have in common.
fn condition(business: i64) -> Value {
    json!({"resource_type": RESOURCE, "bk_biz_id": business})
}

/// Says who removed modules that are missing. The list of records knows them by their names, and their details by
/// their sets too.
fn removed(business: i64, group: &[Planned<'_>], observation: &mut Observation, facts: &Facts) -> Authors {
    let mut authors = Authors::default();
    let missing: Vec<_> = group
        .iter()
        .filter(|planned| planned.change.action == Action::Create)
        .filter_map(|planned| {
            let name =
                planned.desired.locate("module").and_then(Json::as_str).or_else(|| wanted_name(planned.desired))?;
            Some((planned, name))
        })
        .collect();
    let names: BTreeSet<&str> = missing.iter().map(|(_, name)| *name).collect();
    let Some(records) = author::of_names(&condition(business), &names, observation, facts) else { return authors };
    let ids: Vec<_> =
        records.iter().flat_map(|records| &records.latest).filter_map(|record| record["id"].as_i64()).collect();
    let Some(details) = author::by_ids(&ids, observation, facts) else { return authors };
    let records = author::with_details(records, &details);
    for (planned, name) in missing {
        let is_about = |record: &Json| {
            let details = &record["operation_detail"]["details"];
            // What was just made has no row before.
            let row = if details["pre_data"].is_object() { &details["pre_data"] } else { &details["cur_data"] };
            record["resource_name"] == *name && row["bk_set_id"] == planned.context["set"]
        };
        let told = author::removal(&records, is_about, facts);
        authors.known.push((planned.desired.id.clone(), None, told.unwrap_or_else(Changed::unknown)));
    }
    authors
}

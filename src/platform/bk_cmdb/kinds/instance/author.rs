//! The last changes of instances.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{NAME, model_of, wanted_name};
use crate::{
    model::{Action, Desired, Live, author::Changed},
    platform::bk_cmdb::{
        attribute::HISTORY,
        kinds::{
            author::{self, Columns, Identified, Namesakes, Subject},
            decode_common::matched_field,
        },
        lookup::{self, Selector},
    },
    provider::{Authors, Facts, Observation, Planned, Step},
};

/// The records' name of instances.
const RESOURCE: &str = "model_instance";

/// Says who changed what differs, or asks for it.
pub(super) fn changed(planned: &[Planned<'_>], facts: &Facts) -> Step<Authors> {
    let mut by_model: BTreeMap<&str, Vec<Planned<'_>>> = BTreeMap::new();
    for item in planned {
        by_model.entry(model_of(item.desired)).or_default().push(*item);
    }
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    for (model, group) in by_model {
        let id = |planned: &Planned<'_>| planned.live?.handle.as_i64();
        let subject = |planned: &Planned<'_>| Some(Subject { resource: RESOURCE, model, id: id(planned)? });
        let namesakes = Namesakes { condition: condition(model), container: None };
        authors.extend(author::of_live(
            &group,
            subject,
            &namesakes,
            |ids, observation| columns(model, ids, observation, facts),
            &mut observation,
            facts,
        ));
        authors.extend(removed(model, &group, &mut observation, facts));
    }
    Step::new(observation.ask, authors)
}

/// Says who changed instances last, or asks for it.
pub(super) fn touched(objects: &[(&Desired, &Live)], facts: &Facts) -> Step<Authors> {
    let mut by_model: BTreeMap<&str, Vec<Identified<'_>>> = BTreeMap::new();
    for (desired, live) in objects {
        by_model.entry(model_of(desired)).or_default().extend(live.handle.as_i64().map(|id| (*desired, *live, id)));
    }
    let (mut observation, mut authors) = (Observation::default(), Authors::default());
    for (model, group) in by_model {
        let rows = columns(model, &group.iter().map(|(_, _, id)| *id).collect(), &mut observation, facts);
        authors.extend(author::touched(&group, rows, Some(&condition(model)), &mut observation, facts));
    }
    Step::new(observation.ask, authors)
}

/// Returns what the records of a model's instances have in common.
fn condition(model: &str) -> Value {
    json!({"resource_type": RESOURCE, "bk_obj_id": model})
}

fn columns<'f>(model: &str, ids: &BTreeSet<i64>, observation: &mut Observation, facts: &'f Facts) -> Columns<'f> {
    let selectors: BTreeSet<Selector> = ids.iter().map(|id| Selector::Id(*id)).collect();
    let rows = lookup::instances(model, None, &selectors, HISTORY.iter().copied(), observation, facts)?;
    Ok(ids.iter().filter_map(|id| Some((*id, rows.row(*id)?))).collect())
}

/// Says who removed instances that are missing. Records know them by their names.
fn removed(model: &str, group: &[Planned<'_>], observation: &mut Observation, facts: &Facts) -> Authors {
    let mut authors = Authors::default();
    let name = |planned: &Planned<'_>| {
        let matched = matched_field(planned.desired, "", NAME).and_then(|name| name.value.as_str()).map(str::to_owned);
        matched.or_else(|| wanted_name(planned.desired).map(str::to_owned))
    };
    let missing: Vec<_> = group
        .iter()
        .filter(|planned| planned.change.action == Action::Create)
        .filter_map(|planned| Some((planned, name(planned)?)))
        .collect();
    let names: BTreeSet<&str> = missing.iter().map(|(_, name)| name.as_str()).collect();
    let Some(records) = author::of_names(&condition(model), &names, observation, facts) else { return authors };
    for (planned, name) in &missing {
        let told = author::removal(&records, |record| record["resource_name"] == **name, facts);
        authors.known.push((planned.desired.id.clone(), None, told.unwrap_or_else(Changed::unknown)));
    }
    authors
}

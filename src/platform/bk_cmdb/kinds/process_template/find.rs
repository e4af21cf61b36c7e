//! Finding the live process templates that documents mean.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::LazyLock,
};

use serde_json::json;

use super::{NAME, claim, held, lock, pair, read, rename, template_label};
use crate::{
    diff::identity::{self, Assigned},
    model::{CreateContext, Desired, Ensure, Json, KeyConflict, Layout, Live, LiveFields, ObservedState, Request},
    platform::bk_cmdb::{
        kinds::{
            decode_common::fail_all,
            refs::Ref,
            select_instances,
            templates::{self, template_of},
        },
        lookup::{LookupError, read_rows, service_templates},
    },
    provider::{Facts, Observation},
};

/// The keys of a handle.
static HANDLE: LazyLock<Layout> = LazyLock::new(|| Layout::new(&["business", "process", "serviceTemplate"]));

/// Says what is known of the documents of a business, or what to ask.
pub(super) fn observe_business(
    business: i64,
    group: &[&Desired],
    declared: &[&Desired],
    facts: &Facts,
    observation: &mut Observation,
) {
    let by_name = group.iter().any(|desired| desired.locate("serviceTemplate").is_some_and(Json::is_string));
    let templates = if by_name { service_templates(business, observation, facts) } else { Ok(Vec::new()) };
    let ids = group.iter().filter_map(|desired| desired.locate("id")?.as_i64()).collect();
    let by_id = read::by_ids(business, &ids, observation, facts);
    let templates = match templates {
        Ok(templates) => templates,
        Err(error) => return fail_all(&error, group, observation),
    };
    let mut business_id = Vec::new();
    for desired in group {
        match template_of(desired, &templates, declared, facts) {
            Ok(template) => business_id.push((*desired, template)),
            Err(unknown) => observation.know_if(&desired.id, unknown),
        }
    }
    let mut rows: BTreeMap<i64, &Json> = BTreeMap::new();
    match by_id {
        Ok(found) => rows.extend(found.into_iter().filter_map(|row| Some((row["id"].as_i64()?, row)))),
        Err(error) => {
            business_id.retain(|(desired, _)| keep(desired.locate("id").is_none(), desired, &error, observation));
        }
    }
    for template in to_list(&business_id, &rows) {
        let arguments = json!({"bk_biz_id": business, "service_template_id": template});
        let request = Request { operation: "list_proc_template", arguments, repeatable: true };
        match read_rows(request, "info", observation, facts) {
            Ok(found) => rows.extend(found.into_iter().filter_map(|row| Some((row["id"].as_i64()?, row)))),
            Err(error) => {
                business_id.retain(|(desired, of)| {
                    let is_other = *of != Some(Ref::Id(template)) || desired.locate("id").is_some();
                    keep(is_other, desired, &error, observation)
                });
            }
        }
    }
    assign(business, &business_id, &rows, facts, observation);
}

/// Says of a document that cannot be read why, unless it is to be kept.
fn keep(kept: bool, desired: &Desired, error: &LookupError, observation: &mut Observation) -> bool {
    if !kept {
        fail_all(error, &[desired], observation);
    }
    kept
}

/// The service templates whose processes have to be known: those in which a process is named, or gets another name or
/// start parameter regex.
fn to_list(business_id: &[(&Desired, Option<Ref>)], rows: &BTreeMap<i64, &Json>) -> BTreeSet<i64> {
    let template = |(desired, template): &(&Desired, Option<Ref>)| match desired.locate("id").and_then(Json::as_i64) {
        None => template.as_ref()?.id(),
        Some(id) => {
            let row = rows.get(&id)?;
            let changes = |name| desired.field(name).is_some_and(|value| *value != row["property"][name]["value"]);
            row["service_template_id"].as_i64().filter(|_| changes(NAME) || changes(pair::REGEX))
        }
    };
    business_id.iter().filter_map(template).collect()
}

/// Gives each document its live process. All documents of a business at once: what one means, no other can mean.
fn assign(
    business: i64,
    business_id: &[(&Desired, Option<Ref>)],
    rows: &BTreeMap<i64, &Json>,
    facts: &Facts,
    observation: &mut Observation,
) {
    let template_of = |row: &Json| row["service_template_id"].as_i64();
    let mut by_name: HashMap<(Option<i64>, &str), Vec<i64>> = HashMap::new();
    let mut names: HashMap<Option<i64>, Vec<&str>> = HashMap::new();
    for (id, row) in rows {
        let Some(name) = row[NAME].as_str() else { continue };
        by_name.entry((template_of(row), name)).or_default().push(*id);
        names.entry(template_of(row)).or_default().push(name);
    }
    let named = |template: Option<i64>, name: &str| by_name.get(&(template, name)).cloned().unwrap_or_default();
    // A template that is yet to be made has no processes.
    let named_in = |template: &Option<Ref>, name: &str| match template {
        Some(Ref::Made(_)) => Vec::new(),
        Some(Ref::Id(id)) => named(Some(*id), name),
        None => named(None, name),
    };
    let pairs = pair::Holders::of(rows);
    let candidates = business_id.iter().map(|(desired, template)| {
        if let Some(id) = desired.locate("id").and_then(Json::as_i64) {
            let fits = |template: &Ref, row: &Json| template.id().is_some() && template_of(row) == template.id();
            let fits = rows.get(&id).is_some_and(|row| template.as_ref().is_none_or(|template| fits(template, row)));
            return fits.then_some(id).into_iter().collect();
        }
        let mut found = named_in(template, desired.locate("process").and_then(Json::as_str).unwrap_or_default());
        found.extend(
            desired.field(NAME).and_then(Json::as_str).map(|name| named_in(template, name)).unwrap_or_default(),
        );
        found
    });
    let assigned = identity::assign(&candidates.collect::<Vec<_>>());
    let documents: Vec<_> = business_id.iter().map(|(desired, _)| *desired).collect();
    for ((desired, template), assigned) in business_id.iter().zip(&assigned) {
        let observed = match assigned {
            Assigned::One(id) => {
                let mut found = live(desired, rows[id]);
                let mut key_conflicts = Vec::new();
                if let Some(name) = desired.field(NAME).and_then(Json::as_str) {
                    let holders = named(template_of(rows[id]), name).into_iter().filter(|holder| holder != id);
                    let claim = claim(&found.handle, name);
                    key_conflicts
                        .extend(holders.map(|id| KeyConflict { claim: claim.clone(), holder: template_label(id) }));
                }
                key_conflicts.extend(pairs.key_conflicts(desired, Some(&found), &found.handle));
                found.relate(|own| own.key_conflicts = key_conflicts);
                if desired.ensure != Ensure::Absent {
                    held::observe(desired, &found, observation, facts);
                }
                observation
                    .remarks
                    .extend(lock::unlocked(desired, &found).filter(|_| desired.ensure != Ensure::Absent));
                ObservedState::Found(found)
            }
            Assigned::Nothing => {
                // Only one that has to be there is told which names there are.
                let near = names.get(&template.as_ref().and_then(Ref::id));
                let near = near.filter(|_| desired.ensure == Ensure::Existing);
                let nearest = near.into_iter().flatten().map(|name| (*name).to_owned()).collect();
                let mut context = CreateContext::new(json!({"business": business, "serviceTemplate": null}));
                template.iter().for_each(|template| template.put("serviceTemplate", &mut context));
                let of_template = template.as_ref().and_then(Ref::id);
                context.depends_on.extend(of_template.map(|id| templates::label(&id.into())));
                let place = context.handle();
                // Its own name is free, or it would have been found by it; the one it is to get may not be.
                let holders = rename(desired).map(|name| (claim(place, name), named_in(template, name)));
                let key_conflicts = holders.into_iter().flat_map(|(claim, holders)| {
                    holders.into_iter().map(move |id| KeyConflict { claim: claim.clone(), holder: template_label(id) })
                });
                let key_conflicts = key_conflicts.chain(pairs.key_conflicts(desired, None, place)).collect();
                ObservedState::Absent { nearest, key_conflicts, context }
            }
            open => select_instances::open(desired, open, &documents, template_label),
        };
        observation.know(&desired.id, observed);
    }
}

/// Returns a live process template from its row.
pub(super) fn live(desired: &Desired, row: &Json) -> Live {
    let handle = HANDLE.object([row["bk_biz_id"].clone(), row["id"].clone(), row["service_template_id"].clone()]);
    let fields = LiveFields::of_row(row["property"].clone());
    Live::new(handle, label(desired, &row["id"]), fields).depending_on([templates::label(&row["service_template_id"])])
}

/// Returns how people tell a process template apart that a document means.
fn label(desired: &Desired, id: &Json) -> String {
    let place = |key: &str| desired.locate(key).and_then(Json::as_str);
    let path: Vec<_> = [place("business"), place("serviceTemplate")].into_iter().flatten().collect();
    let path = if path.is_empty() { "process template".to_owned() } else { path.join("/") };
    format!("{path} #{id}")
}

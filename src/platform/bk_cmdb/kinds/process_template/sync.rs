//! What a changed process template leaves to be done: running processes follow only when their modules are synced,
//! which is a call of its own (contract section 4.4; the measured page, "Sync status and sync").

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::property::{self, BIND_INFO};
use crate::{
    kind::{Facts, Notes, Observation, Planned},
    model::{Action, FieldChange, Request},
    platform::bk_cmdb::lookup::{Trouble, read_rows},
};

/// Largest page of `find_module_with_relation`.
const PAGE: usize = 500;

/// Names the modules whose processes do not follow by themselves, for each change that a sync would carry over.
pub(super) fn notes(planned: &[Planned<'_>], facts: &Facts) -> Notes {
    let mut templates: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for one in planned.iter().filter(|one| reaches_instances(one)) {
        if let (Some(business), Some(template)) = place(one) {
            templates.entry(business).or_default().insert(template);
        }
    }
    let (mut notes, mut observation) = (Notes::default(), Observation::default());
    let mut modules: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut failed = BTreeSet::new();
    for (business, templates) in &templates {
        match modules_of(*business, templates, &mut observation, facts) {
            Ok(found) => modules.extend(found),
            Err(Trouble::Pending) => {}
            Err(Trouble::Failed(_) | Trouble::NoModel) => drop(failed.insert(*business)),
        }
    }
    notes.ask = observation.ask;
    for one in planned.iter().filter(|one| reaches_instances(one)) {
        let (Some(business), Some(template)) = place(one) else { continue };
        let note = match modules.get(&template) {
            _ if failed.contains(&business) => Some("which modules need a sync could not be read".to_owned()),
            Some(names) => Some(format!("sync the modules of the service template: {}", names.join(", "))),
            None => None,
        };
        notes.notes.extend(note.map(|note| (one.desired.id.clone(), note)));
    }
    notes
}

/// Only what is locked is carried over, and the coming, going and renaming of processes and rows.
fn reaches_instances(one: &Planned<'_>) -> bool {
    let Some(live) = one.live else { return true };
    let locked = |field: &FieldChange| match field.path.split_once('.') {
        Some((_, "as_default_value")) => field.to == Some(json!(true)),
        _ if field.path.starts_with(BIND_INFO) => true,
        _ => property::lock(&field.path, one.desired, live) == json!(true),
    };
    one.change.action == Action::Delete || one.change.fields.iter().any(locked)
}

fn place(one: &Planned<'_>) -> (Option<i64>, Option<i64>) {
    let handle = one.live.map_or(one.place, |live| &live.handle);
    (handle["business"].as_i64(), handle["serviceTemplate"].as_i64())
}

fn modules_of(
    business: i64,
    templates: &BTreeSet<i64>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<BTreeMap<i64, Vec<String>>, Trouble> {
    let mut modules: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    let mut start = 0;
    loop {
        let arguments = json!({"bk_biz_id": business, "bk_service_template_ids": templates,
            "fields": ["bk_module_id", "bk_module_name", "service_template_id"],
            "page": {"start": start, "limit": PAGE, "sort": "bk_module_id"}});
        let request = Request { operation: "find_module_with_relation", arguments, repeatable: true };
        let rows = read_rows(request, "info", observation, facts)?;
        for row in &rows {
            let name = row["bk_module_name"].as_str().unwrap_or_default();
            let template = row["service_template_id"].as_i64().unwrap_or_default();
            modules.entry(template).or_default().push(format!("{name} (#{})", row["bk_module_id"]));
        }
        if rows.len() < PAGE {
            return Ok(modules);
        }
        start += PAGE;
    }
}

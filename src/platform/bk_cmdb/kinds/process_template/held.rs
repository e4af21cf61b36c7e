//! Row ids that processes still hold: those of rows that were removed and not synced yet too. A new row that got such an
//! id would take over the unlocked values of the removed one on every process (measured page, "Row ids").

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::rows;
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Json, Live, Request},
    platform::bk_cmdb::{
        kinds::impact,
        lookup::{Counted, LookupError},
    },
    provider::{Facts, Observation},
};

/// Service instances of one read; each comes with all its processes.
const PAGE: usize = 200;

/// Returns the highest row id that processes of a live template hold as far as it was read, for [`rows::merge`].
pub(super) fn highest(live: &Live, facts: &Facts) -> i64 {
    read(live, &mut Observation::default(), facts).unwrap_or(0)
}

/// Asks for the row ids in use where a row is to be added, and says what follows where they cannot be read.
pub(super) fn observe(desired: &Desired, live: &Live, observation: &mut Observation, facts: &Facts) {
    let Ok(merged) = rows::merge(desired, live, 0) else { return };
    let Some(row) = merged.changes.iter().find(|field| field.path.is_row() && field.from.is_none()) else { return };
    if let Err(LookupError::Failed(why)) = read(live, observation, facts) {
        let message = format!("which row ids the processes of {} still hold could not be read: {why}", live.label);
        let hint = "where a row was removed since the last sync, sync the modules before this row is added, or it may \
                    take over unlocked values of the removed one";
        observation.remarks.push(Diagnostic::warning("P161", message, &row.because).hint(hint));
    }
}

fn read(live: &Live, observation: &mut Observation, facts: &Facts) -> Result<i64, LookupError> {
    let id = |key: &str| live.handle[key].as_i64().unwrap_or_default();
    let (business, template, process) = (id("business"), id("serviceTemplate"), id("process"));
    let modules = impact::modules(business, &BTreeSet::from([template]), observation, facts)?;
    let modules: Vec<i64> = modules.values().flatten().map(|(id, _)| *id).collect();
    let top = |rows: Vec<&Json>| {
        let processes = rows.into_iter().flat_map(|row| row["process_instances"].as_array().into_iter().flatten());
        let own = processes.filter(|row| row["relation"]["process_template_id"] == json!(process));
        let rows = own.flat_map(|row| row["process"]["bind_info"].as_array().into_iter().flatten());
        rows.filter_map(|row| row["template_row_id"].as_i64()).fold(0, i64::max)
    };
    match modules[..] {
        [] => Ok(0),
        [module] => Ok(top(instances(business, Some(module), observation, facts)?)),
        _ => {
            // The whole business, unless its modules take fewer reads.
            let (_, count) = list(&question(business, None)).first(PAGE, observation, facts)?;
            if count.div_ceil(PAGE) <= modules.len() {
                return Ok(top(instances(business, None, observation, facts)?));
            }
            let found: Vec<_> =
                modules.iter().map(|module| instances(business, Some(*module), observation, facts)).collect();
            found.into_iter().try_fold(0, |highest, rows| Ok(highest.max(top(rows?))))
        }
    }
}

/// A question for the service instances of a module, or of the business.
fn question(business: i64, module: Option<i64>) -> impl Fn(Value) -> Request {
    move |page| {
        let mut arguments = json!({"bk_biz_id": business, "page": page});
        if let Some(module) = module {
            arguments["bk_module_id"] = json!(module);
        }
        Request { operation: "list_service_instance_detail", arguments, repeatable: true }
    }
}

fn list(request: &dyn Fn(Value) -> Request) -> Counted<'_> {
    Counted { request, list: "info", sort: Some("id"), limit: PAGE }
}

/// Reads the service instances of a module, or of the business.
fn instances<'f>(
    business: i64,
    module: Option<i64>,
    observation: &mut Observation,
    facts: &'f Facts,
) -> Result<Vec<&'f Json>, LookupError> {
    list(&question(business, module)).all(|row| row["id"].as_i64(), observation, facts)
}

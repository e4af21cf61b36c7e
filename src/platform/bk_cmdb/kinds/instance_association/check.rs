//! Rows against the definitions of their association and of the models of their ends.

use std::collections::{BTreeSet, HashMap};

use serde_json::json;

use super::direction;
use crate::{
    diagnostic::Diagnostic,
    model::{Desired, Json, Request},
    platform::bk_cmdb::{
        kinds::{
            decode_common::{fail_all, no_model},
            instance::{BUILT_IN, model_of},
            select_instances,
        },
        lookup::{self, LookupError, read_rows},
    },
    provider::{Facts, Observation},
};

pub(super) fn check(desired: &[&Desired], all: &[&Desired], facts: &Facts) -> Observation {
    let mut observation = Observation::default();
    let names: BTreeSet<&str> = desired.iter().filter_map(|desired| desired.locate("association")?.as_str()).collect();
    let arguments = json!({"condition": {"bk_obj_asst_id": {"$in": names}}});
    let request = Request { operation: "find_object_association", arguments, repeatable: true };
    let rows = read_rows(request, "", &mut observation, facts);
    let definitions: Result<HashMap<&str, &Json>, _> =
        rows.map(|rows| rows.into_iter().filter_map(|row| Some((row["bk_obj_asst_id"].as_str()?, row))).collect());
    let instances: HashMap<&str, &Desired> = all
        .iter()
        .filter(|desired| desired.id.kind == "Instance")
        .map(|desired| (&*desired.id.key, *desired))
        .collect();
    // What is wrong with what the rows of one document share is said once.
    let mut said = BTreeSet::new();
    for document in desired {
        let mut problems = Vec::new();
        let mut error = definitions.as_ref().err().cloned();
        let mut models = [None; 2];
        for (at, prefix) in ["source.", "target."].into_iter().enumerate() {
            match end(document, prefix, &instances, &mut observation, facts) {
                Ok(model) => models[at] = model,
                Err(Fault::Read(other)) => error = error.or(Some(other)),
                Err(Fault::Wrong(problem)) => problems.push(*problem),
            }
        }
        if let Some(error) = error {
            fail_all(&error, &[document], &mut observation);
            continue;
        }
        if let (Ok(definitions), Some(given)) = (&definitions, document.locator.get("association")) {
            let name = given.value.as_str().unwrap_or_default();
            match (definitions.get(name), models) {
                (None, _) => {
                    let message = format!("no association between models is named `{name}`");
                    problems.push(Diagnostic::error("P122", message, &given.origin));
                }
                (Some(definition), [Some(source), Some(target)]) => {
                    problems.extend(direction(document, name, definition, (source, target)));
                }
                (Some(_), _) => {}
            }
        }
        problems.retain(|problem| {
            let at = problem.labels.first().map(|label| (label.origin.file, label.origin.bytes.start));
            said.insert((at, problem.message.clone()))
        });
        observation.checked(&document.id, problems);
    }
    observation
}

enum Fault {
    Read(LookupError),
    Wrong(Box<Diagnostic>),
}

/// Returns the model of an end, if its document can be used.
fn end<'d>(
    desired: &'d Desired,
    prefix: &str,
    instances: &HashMap<&str, &'d Desired>,
    observation: &mut Observation,
    facts: &Facts,
) -> Result<Option<&'d str>, Fault> {
    if let Some(name) = desired.locate(&format!("{prefix}ref")).and_then(Json::as_str) {
        return Ok(instances.get(name).map(|document| model_of(document)));
    }
    let Some(given) = desired.locator.get(&*format!("{prefix}model")) else { return Ok(None) };
    let model = given.value.as_str().unwrap_or_default();
    if BUILT_IN.iter().any(|(name, _)| *name == model) {
        return Ok(Some(model));
    }
    match lookup::definition(model, observation, facts) {
        Ok(definition) => {
            select_instances::selectors(desired, prefix, &definition, facts).map_err(Fault::Wrong)?;
            Ok(Some(model))
        }
        Err(LookupError::NoModel) => Err(Fault::Wrong(Box::new(no_model(model, &given.origin)))),
        Err(error) => Err(Fault::Read(error)),
    }
}

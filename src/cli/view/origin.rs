//! Where values come from: variables and overlays, for people and in JSON.

use serde_json::{Value, json};

use crate::{
    cli::call_provenance::CallProvenance,
    manifest::{Given, Provenance, Via},
    plan::{
        Plan, TargetState,
        file::{Document, location as at},
    },
    source::{Origin, Sources},
};

/// The sources of the values of a plan.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Origins<'a> {
    /// The observed states that the plan was made from.
    pub(in crate::cli) states: &'a [TargetState<'a>],
    /// The variables and overlays behind values.
    pub(in crate::cli) provenance: &'a Provenance,
}

/// Adds to the document of a plan how its values came about (`via`) and what its calls rest on (`because`).
pub(in crate::cli) fn explain<'a>(
    document: &mut Document<'a>,
    plan: &'a Plan,
    origins: Origins<'a>,
    sources: &'a Sources,
) {
    let Origins { states, provenance } = origins;
    for (list, changes) in [("changes", &plan.changes), ("reported", &plan.reported)] {
        document.amend(list, |at, shown| {
            for (number, field) in changes[at].fields.iter().enumerate() {
                let steps = via(&field.because, provenance, sources);
                if !steps.is_empty() {
                    shown["fields"][number]["via"] = Value::Array(steps);
                }
            }
        });
    }
    let call_provenance = CallProvenance::new(plan, states, provenance);
    document.amend("calls", move |at, shown| {
        let places = call_provenance.of(&plan.calls[at]);
        shown["because"] = places.iter().map(|place| self::at(place, sources)).collect();
    });
}

/// Returns how a value came about, step by step; nothing for one that is written where it stands.
pub(in crate::cli) fn via(value: &Origin, provenance: &Provenance, sources: &Sources) -> Vec<Value> {
    let step = |step: Via| match step {
        Via::Variable(usage) => {
            let mut step = json!({"variable": *usage.name, "from": from(&usage.given)});
            if let Given::Values(place) = &usage.given {
                step["at"] = at(place, sources);
            }
            step
        }
        Via::Overlay { directory, over } => {
            let mut step = json!({"overlay": *directory});
            if let Some(place) = &over {
                step["over"] = at(place, sources);
            }
            step
        }
    };
    provenance.via(value).into_iter().map(step).collect()
}

fn from(given: &Given) -> &'static str {
    match given {
        Given::Set => "set",
        Given::Values(_) => "values",
        Given::Environment => "environment",
        Given::Default => "default",
    }
}

/// Returns how a value came about in a few words, from the steps that a document holds.
pub(super) fn kept(steps: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = |at: &Value| format!("{}:{}:{}", text(&at["file"]), at["line"], at["column"]);
    let step = |step: &Value| {
        if step["variable"].is_null() {
            let over = step.get("over").map(|at| format!(", over {}", place(at))).unwrap_or_default();
            let directory = text(&step["overlay"]);
            let name = directory.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            return format!("overlay {name}{over}");
        }
        let name = text(&step["variable"]);
        let from = match step["from"].as_str() {
            Some("set") => "from --set".to_owned(),
            Some("values") => format!("from {}", place(&step["at"])),
            Some("environment") => format!("from RECONCILE_VAR_{name}"),
            _ => "by default".to_owned(),
        };
        format!("${{{name}}} {from}")
    };
    steps.as_array().into_iter().flatten().map(step).collect::<Vec<_>>().join("; ")
}

/// Returns how a value came about in a few words, empty for one that is written where it stands.
pub(in crate::cli) fn note(value: &Origin, provenance: &Provenance, sources: &Sources) -> String {
    kept(&Value::Array(via(value, provenance, sources)))
}

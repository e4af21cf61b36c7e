//! The parts of the document of a plan that are read back.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) summary: Summary,
    pub(super) changes: Vec<Change>,
    pub(super) reported: Vec<Change>,
    pub(super) calls: Vec<Call>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) live: Vec<Live>,
    pub(super) impact: Vec<ImpactTotal>,
    pub(super) targets: Vec<Target>,
    pub(super) objects: Vec<Object>,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) config: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Summary {
    pub(super) unchanged: usize,
}

#[derive(Deserialize)]
pub(super) struct Location {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Deserialize)]
pub(super) struct Change {
    pub(super) address: String,
    pub(super) target: String,
    pub(super) id: Value,
    pub(super) label: String,
    pub(super) action: String,
    pub(super) implicit: bool,
    pub(super) fields: Vec<FieldChange>,
    #[serde(default)]
    pub(super) before: Vec<Before>,
    pub(super) notes: Vec<String>,
    pub(super) impact: BTreeMap<String, Option<u64>>,
    #[serde(default)]
    pub(super) wave: Option<Wave>,
    pub(super) after: Vec<String>,
    pub(super) precondition: String,
    pub(super) at: Location,
}

#[derive(Deserialize)]
pub(super) struct Wave {
    pub(super) number: usize,
    pub(super) of: usize,
}

#[derive(Deserialize)]
pub(super) struct Before {
    pub(super) path: String,
    pub(super) value: Value,
    pub(super) display: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct FieldChange {
    pub(super) path: String,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) display: Option<Display>,
    pub(super) note: Option<String>,
    pub(super) at: Location,
    #[serde(default)]
    pub(super) via: Value,
}

#[derive(Deserialize)]
pub(super) struct Display {
    pub(super) kind: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Call {
    pub(super) operation: String,
    pub(super) target: String,
    pub(super) arguments: Value,
    pub(super) repeatable: bool,
    pub(super) serves: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Blocked {
    pub(super) address: String,
    pub(super) target: String,
    pub(super) cause: String,
    pub(super) message: String,
    pub(super) needs: Option<String>,
    pub(super) at: Location,
}

#[derive(Deserialize)]
pub(super) struct Live {
    pub(super) target: String,
    pub(super) kind: String,
    pub(super) count: usize,
}

#[derive(Deserialize)]
pub(super) struct ImpactTotal {
    pub(super) target: String,
    pub(super) kind: String,
    pub(super) unit: String,
    pub(super) count: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) platform: String,
    pub(super) settings: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct Diagnostic {
    pub(super) code: String,
    pub(super) severity: String,
    pub(super) message: String,
    pub(super) at: Option<Location>,
    pub(super) hint: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Object {
    pub(super) address: String,
    pub(super) target: String,
    pub(super) ensure: String,
    pub(super) locator: BTreeMap<String, Field>,
    pub(super) fields: BTreeMap<String, Field>,
    pub(super) references: Vec<Reference>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) protect: bool,
    pub(super) exclusive: bool,
    pub(super) policies: Policies,
    pub(super) suspend: Option<Suspend>,
    pub(super) changes: bool,
    pub(super) at: Location,
}

#[derive(Deserialize)]
pub(super) struct Suspend {
    pub(super) reason: String,
    pub(super) until: jiff::Timestamp,
}

#[derive(Deserialize)]
pub(super) struct Policies {
    pub(super) object: String,
    pub(super) fields: BTreeMap<String, String>,
}

#[derive(Deserialize)]
pub(super) struct Field {
    pub(super) value: Value,
    pub(super) at: Location,
}

#[derive(Deserialize)]
pub(super) struct Reference {
    pub(super) address: String,
    pub(super) at: Location,
}

//! The schema of a manifest.

use serde_json::{Map, Value, json};

use super::{DRAFT, shape::Writer};
use crate::{
    manifest::{COMMON, DOCUMENT, VERSION},
    provider::{Kind, Platform},
};

/// Returns the schema of one document of a manifest, with the `spec` of each kind in `$defs`.
///
/// Values may be texts with variables. Documents of overlays, which leave out most of their base, do not fit it.
pub fn manifest(platforms: &[&dyn Platform]) -> Value {
    let writer = Writer { variables: true };
    let of = |platform: &&dyn Platform| -> Vec<(String, &'static dyn Kind)> {
        let version = format!("{}/{VERSION}", platform.name());
        platform.kinds().iter().map(|kind| (version.clone(), *kind)).collect()
    };
    let kinds: Vec<(String, &'static dyn Kind)> = platforms.iter().flat_map(of).collect();
    let mut schema = writer.form(&DOCUMENT);
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!("Manifest");
    schema["description"] = json!("A document of a manifest of `reconcile`. Made by `reconcile schema manifest`.");
    let versions: Vec<String> = platforms.iter().map(|platform| format!("{}/{VERSION}", platform.name())).collect();
    schema["properties"]["apiVersion"]["enum"] = json!(versions);
    schema["properties"]["kind"]["enum"] = kinds.iter().map(|(_, kind)| kind.name()).collect();
    schema["allOf"] = kinds.iter().map(|(version, kind)| choice(version, *kind)).collect();
    let specs = kinds.iter().map(|(_, kind)| {
        let mut spec = writer.forms(&[kind.spec_form(), &COMMON]);
        spec["description"] = json!(format!("The `spec` of {}.", kind.name()));
        (kind.name().to_owned(), spec)
    });
    schema["$defs"] = Value::Object(specs.collect::<Map<_, _>>());
    schema
}

/// Returns the rule that a document of a kind has the `spec` of that kind.
fn choice(version: &str, kind: &dyn Kind) -> Value {
    json!({
        "if": {"properties": {"kind": {"const": kind.name()}}, "required": ["kind"]},
        "then": {"properties": {
            "apiVersion": {"const": version},
            "spec": {"$ref": format!("#/$defs/{}", kind.name())},
        }},
    })
}

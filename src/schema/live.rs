//! The schema of a manifest with the fields that live models have.

use serde_json::{Map, Value, json};

use super::manifest;
use crate::provider::{Catalog, FieldDefinition, FieldKind, FieldTable, Platform};

/// The kind whose documents name their model.
const WITH_MODEL: &str = "Instance";

/// Returns the schema of one document of a manifest, with the fields, types and options of the models in a catalog.
///
/// Of models that the catalog does not have, and of values with variables, it accepts what [`manifest`] accepts.
pub fn manifest_with(platforms: &[&dyn Platform], catalog: &Catalog) -> Value {
    let mut schema = manifest(platforms);
    let kinds: Vec<&str> = platforms.iter().flat_map(|platform| platform.kinds()).map(|kind| kind.name()).collect();
    for kind in kinds {
        let spec = &mut schema["$defs"][kind];
        if let Some(fields) = catalog.fields(kind, "") {
            // A business may have fields of its own, which no catalog has to know.
            spec["properties"]["fields"]["properties"] = properties(fields);
        }
        let models = catalog.models(kind).filter(|_| kind == WITH_MODEL);
        let rules = models.filter_map(|model| Some(rule(model, catalog.fields(kind, model)?)));
        let rules: Vec<Value> = rules.collect();
        if !rules.is_empty() {
            match spec["allOf"].as_array_mut() {
                Some(known) => known.extend(rules),
                None => spec["allOf"] = Value::Array(rules),
            }
        }
    }
    schema
}

/// Returns the rule that a document of a model has the fields of that model.
fn rule(model: &str, fields: &FieldTable) -> Value {
    let keys = fields.iter().filter(|(_, field)| field.is_key);
    let keys: Map<String, Value> = keys.map(|(id, field)| (id.clone(), json!({"description": about(field)}))).collect();
    json!({
        "if": {"properties": {"model": {"const": model}}, "required": ["model"]},
        "then": {"properties": {
            "fields": {"properties": properties(fields), "additionalProperties": false},
            "match": {"properties": keys},
        }},
    })
}

fn properties(fields: &FieldTable) -> Value {
    let editable = fields.iter().filter(|(_, field)| field.is_editable);
    Value::Object(editable.map(|(id, field)| (id.clone(), value(field))).collect())
}

fn about(field: &FieldDefinition) -> String {
    format!("{} ({})", field.name, field.type_name)
}

/// Returns the schema of the values that a field takes.
fn value(field: &FieldDefinition) -> Value {
    let scalar = json!(["string", "number", "boolean"]);
    let number = |kind: &str, pattern: &str| {
        let mut number = json!({"type": kind});
        for (key, bound) in [("minimum", field.bounds.0), ("maximum", field.bounds.1)] {
            if let Some(bound) = bound {
                number[key] = json!(bound);
            }
        }
        vec![number, json!({"type": "string", "pattern": pattern})]
    };
    let mut choices = match field.kind {
        FieldKind::Text => vec![json!({"type": scalar})],
        FieldKind::Integer => number("integer", "^\\s*[+-]?[0-9]+\\s*$"),
        FieldKind::Number => number("number", "^\\s*[+-]?[0-9.]+([eE][+-]?[0-9]+)?\\s*$"),
        FieldKind::Boolean => {
            vec![
                json!({"type": "boolean"}),
                json!({"type": "string", "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$"}),
            ]
        }
        FieldKind::Option => vec![options(field)],
        FieldKind::Options => vec![options(field), json!({"type": "array", "items": options(field)})],
        FieldKind::Users => vec![json!({"type": scalar}), json!({"type": "array", "items": {"type": scalar}})],
        FieldKind::Ids => vec![
            json!({"type": ["integer", "string"]}),
            json!({"type": "array", "items": {"type": ["integer", "string"]}}),
        ],
        FieldKind::Any => return json!({"description": about(field)}),
    };
    choices.push(json!({"type": "string", "pattern": "\\$\\{"}));
    if !field.is_required {
        choices.push(json!({"type": "null"}));
    }
    json!({"anyOf": choices, "description": about(field)})
}

/// Returns the schema of an option: its id or its name. One that looks like a number may lack its quotes.
fn options(field: &FieldDefinition) -> Value {
    let mut words: Vec<Value> = Vec::new();
    for word in field.options.iter().flat_map(|option| [&option.id, &option.name]) {
        let bare = serde_json::from_str::<Value>(word).ok().filter(|bare| bare.is_number() || bare.is_boolean());
        for word in [Some(json!(word)), bare].into_iter().flatten() {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    json!({"enum": words})
}

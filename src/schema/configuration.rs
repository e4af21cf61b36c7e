//! The schema of `reconcile.yaml`.

use serde_json::{Map, Value, json};

use super::{DRAFT, shape::Writer};
use crate::{
    config::{CONFIGURATION, SOURCE, TARGET},
    provider::{Kind, Platform, ScopeKey, SettingSpec, settings::Format},
    yaml::Shape,
};

const WRITER: Writer = Writer { variables: false };

/// Returns the schema of the configuration.
pub fn configuration(platforms: &[&dyn Platform]) -> Value {
    let mut schema = WRITER.form(&CONFIGURATION);
    schema["$schema"] = json!(DRAFT);
    schema["title"] = json!("Configuration");
    schema["description"] =
        json!("The configuration of `reconcile`, `reconcile.yaml`. Made by `reconcile schema config`.");
    schema["properties"]["targets"]["additionalProperties"] = json!({"$ref": "#/$defs/target"});
    schema["properties"]["prune"]["items"] = json!({"$ref": "#/$defs/scope"});
    let kinds: Vec<&dyn Kind> = platforms.iter().flat_map(|platform| platform.kinds()).copied().collect();
    let safety = &mut schema["properties"]["safety"]["properties"];
    restrict_units(safety, kinds.iter().flat_map(|kind| kind.impact_units()).copied().collect());
    let limits = safety["kinds"]["additionalProperties"].take();
    let of_kind = |kind: &&dyn Kind| {
        let mut limits = limits.clone();
        restrict_units(&mut limits["properties"], kind.impact_units().to_vec());
        (kind.name().to_owned(), limits)
    };
    safety["kinds"]["properties"] = Value::Object(kinds.iter().map(of_kind).collect());
    safety["kinds"]["additionalProperties"] = json!(false);
    schema["$defs"] = json!({"target": targets(platforms), "scope": scopes(&kinds)});
    schema
}

/// Allows limits on some units of impact only.
fn restrict_units(limits: &mut Value, mut units: Vec<&str>) {
    units.sort_unstable();
    units.dedup();
    limits["maxImpact"]["propertyNames"] = json!({"enum": units});
}

/// Returns the schema of a target, by its platform.
fn targets(platforms: &[&dyn Platform]) -> Value {
    let names: Vec<&str> = platforms.iter().map(|platform| platform.name()).collect();
    let choice = |platform: &&dyn Platform| {
        let mut section = section(platform.settings(), "");
        for key in TARGET.keys {
            section["properties"][key.name] = WRITER.key(key);
        }
        let rules: Vec<Value> = platform.settings().iter().filter_map(required_sometimes).collect();
        if !rules.is_empty() {
            section["allOf"] = Value::Array(rules);
        }
        json!({
            "if": {"properties": {"platform": {"const": platform.name()}}, "required": ["platform"]},
            "then": section,
        })
    };
    json!({
        "type": "object",
        "properties": {"platform": {"enum": names}},
        "required": ["platform"],
        "allOf": platforms.iter().map(choice).collect::<Vec<_>>(),
    })
}

/// Returns the schema of a section of a target. A key that exists on some targets only is allowed on all.
fn section(settings: &[SettingSpec], path: &str) -> Value {
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    for spec in settings.iter().filter(|spec| spec.section() == path) {
        let mut schema = setting(spec, settings);
        schema["description"] = json!(spec.description);
        properties.insert(spec.key().to_owned(), schema);
        // Without any values only what always exists does.
        if spec.required && spec.condition().is_none() {
            required.push(spec.key());
        }
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// Returns the rule of a setting that has to be there on some targets only; `None` for any other.
fn required_sometimes(spec: &SettingSpec) -> Option<Value> {
    let (name, value, is) = spec.condition().filter(|_| spec.required)?;
    let mut rule = json!({"required": [spec.key()]});
    for section in spec.section().rsplit('.').filter(|section| !section.is_empty()) {
        rule = json!({"properties": {section: rule}});
    }
    let branch = if is { "then" } else { "else" };
    Some(json!({"if": {"properties": {name: {"const": value}}, "required": [name]}, branch: rule}))
}

fn setting(spec: &SettingSpec, settings: &[SettingSpec]) -> Value {
    let text = WRITER.shape(&Shape::Name);
    match spec.format {
        Format::Text | Format::Checked { .. } | Format::Address { .. } => {
            json!({"anyOf": [text, WRITER.form(&SOURCE)]})
        }
        Format::OneOf(words) => json!({"enum": words}),
        Format::File => WRITER.shape(&Shape::Text),
        Format::Secret | Format::UnusedSecret => WRITER.shape(&Shape::Secret),
        Format::Section => section(settings, spec.path),
    }
}

/// Returns the schema of a scope of `prune`, by its kind.
fn scopes(kinds: &[&dyn Kind]) -> Value {
    let prunable = || kinds.iter().filter_map(|kind| Some((kind.name(), kind.scope_keys()?)));
    let choice = |(kind, keys): (&str, &[ScopeKey])| {
        let shape = |key: &ScopeKey| if key.is_id { Shape::NameOrId } else { Shape::Name };
        let mut properties: Map<String, Value> =
            keys.iter().map(|key| (key.name.to_owned(), WRITER.shape(&shape(key)))).collect();
        properties.insert("kind".to_owned(), json!({"const": kind}));
        properties.insert("target".to_owned(), WRITER.shape(&Shape::Text));
        let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
        json!({
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"properties": properties, "required": required, "additionalProperties": false},
        })
    };
    json!({
        "type": "object",
        "properties": {"kind": {"enum": prunable().map(|(kind, _)| kind).collect::<Vec<_>>()}},
        "required": ["kind"],
        "allOf": prunable().map(choice).collect::<Vec<_>>(),
    })
}

//! The schemas of manifests and of the configuration, held against what the decoders say.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use reconcile::{
    config, manifest,
    manifest::{Discovery, Targets, Variables},
    platform, schema,
    source::Sources,
    yaml,
};
use serde_json::{Value, json};

use crate::harness::{Site, repository, state};

#[test]
fn the_committed_schemas_are_those_that_are_emitted() {
    let site = Site::new(&state());
    for name in ["manifest", "config"] {
        let emitted = site.run(&["schema", name]).stdout;
        let path = repository().join(format!("docs/schema/{name}.json"));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, &emitted).expect("it can be written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(committed, emitted, "`UPDATE_DOCS=1 cargo test --test it schema` writes it anew");
    }
}

/// The documents of all YAML files below a directory, with the names of their files.
fn documents(directory: &Path) -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("it can be read").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|end| end == "yaml") {
            let text = std::fs::read_to_string(&path).expect("it is text");
            let mut sources = Sources::default();
            let file = sources.add("a.yaml", text.as_str());
            let documents = yaml::load(file, &text, &mut Vec::new());
            found.extend(documents.iter().map(|document| (path.clone(), document.root.to_json())));
        }
    }
    found
}

fn is_of(document: &Value, kinds: &str) -> bool {
    document["apiVersion"].as_str().is_some_and(|version| version.starts_with(kinds))
}

/// All manifests of the examples but those of overlays.
fn manifests() -> Vec<(PathBuf, Value)> {
    let examples = repository().join("examples");
    let mut found = documents(&examples.join("manifests"));
    found.extend(documents(&examples.join("business")));
    found.retain(|(_, document)| is_of(document, "bk-cmdb/") || is_of(document, "roma-connect/"));
    found
}

fn configurations() -> Vec<(PathBuf, Value)> {
    let mut found = documents(&repository().join("examples"));
    found.retain(|(_, document)| document["apiVersion"] == "reconcile/v1" && document["kind"] == "Config");
    found
}

/// The codes of the errors of a manifest.
fn of_manifest(document: &Value) -> BTreeSet<String> {
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", document.to_string());
    let found = Discovery { files: vec![file], ..Discovery::default() };
    let mut targets = Targets::default();
    targets.add("cmdb-prod", "bk-cmdb", true);
    targets.add("roma-prod", "roma-connect", true);
    let (_, diagnostics) = manifest::decode(&sources, &found, platform::ALL, &targets, &Variables::default());
    diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .map(|diagnostic| diagnostic.code.to_string())
        .collect()
}

/// The codes of the errors of a configuration.
fn of_configuration(document: &Value) -> BTreeSet<String> {
    let mut sources = Sources::default();
    let file = sources.add("reconcile.yaml", document.to_string());
    let mut diagnostics = Vec::new();
    config::decode(file, Path::new("reconcile.yaml"), platform::ALL, &sources, &mut diagnostics);
    diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .map(|diagnostic| diagnostic.code.to_string())
        .collect()
}

/// The documents that come of one by one change at any place.
fn changed(document: &Value) -> Vec<Value> {
    fn places(value: &Value, pointer: &str, found: &mut Vec<String>) {
        found.push(pointer.to_owned());
        for (key, value) in value.as_object().into_iter().flatten() {
            places(value, &format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), found);
        }
        for (number, value) in value.as_array().into_iter().flatten().enumerate() {
            places(value, &format!("{pointer}/{number}"), found);
        }
    }
    let mut pointers = Vec::new();
    places(document, "", &mut pointers);
    // An empty document is none.
    let is_root = |pointer: &str| pointer.is_empty();
    let others = [json!(null), json!(5), json!(-1), json!(true), json!("zz"), json!([]), json!({}), json!({"zz": 1})];
    let mut all = Vec::new();
    for pointer in pointers {
        let at = |document: &mut Value, change: &dyn Fn(&mut Value)| document.pointer_mut(&pointer).map(change);
        for other in others.iter().filter(|_| !is_root(&pointer)) {
            let mut other_document = document.clone();
            at(&mut other_document, &|value| *value = other.clone());
            all.push(other_document);
        }
        let keys: Vec<String> = document
            .pointer(&pointer)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, _)| key.clone())
            .collect();
        for key in &keys {
            let mut without = document.clone();
            at(&mut without, &|value| drop(value.as_object_mut().and_then(|entries| entries.remove(key))));
            all.push(without);
        }
        if !keys.is_empty() {
            let mut with = document.clone();
            at(&mut with, &|value| value["zz"] = json!(1));
            all.push(with);
        }
    }
    all
}

/// Codes of mistakes that a schema can tell: the wrong type, an unknown key, a missing one, a word that is none of a few.
const STRUCTURE: [&str; 8] = ["Y201", "Y202", "Y203", "Y204", "Y205", "Y206", "Y207", "Y208"];

fn compare(schema: &Value, documents: &[(PathBuf, Value)], decode: impl Fn(&Value) -> BTreeSet<String>) {
    let validator = jsonschema::validator_for(schema).expect("the schema is right");
    let (mut total, mut refused, mut wrong) = (0, 0, Vec::new());
    for (path, document) in documents {
        let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {document:#}\n{errors:?}", path.display());
        for changed in changed(document) {
            let codes = decode(&changed);
            let is_valid = validator.is_valid(&changed);
            total += 1;
            refused += usize::from(!is_valid);
            if codes.is_empty() && !is_valid {
                wrong.push(format!("refused by the schema alone: {changed}"));
            }
            if is_valid && codes.iter().any(|code| STRUCTURE.contains(&code.as_str())) {
                wrong.push(format!("taken by the schema, {codes:?}: {changed}"));
            }
        }
    }
    assert!(refused > total / 4, "{refused} of {total}");
    assert!(
        wrong.is_empty(),
        "{} of {total}\n{}",
        wrong.len(),
        wrong.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
    );
}

#[test]
fn the_schema_of_manifests_agrees_with_their_decoder() {
    let manifests = manifests();
    let kinds: BTreeSet<&str> = manifests.iter().filter_map(|(_, document)| document["kind"].as_str()).collect();
    let all: BTreeSet<&str> =
        platform::ALL.iter().flat_map(|platform| platform.kinds()).map(|kind| kind.name()).collect();
    assert_eq!(kinds, all, "each kind has an example");
    compare(&schema::manifest(platform::ALL), &manifests, of_manifest);
}

#[test]
fn the_schema_of_the_configuration_agrees_with_its_decoder() {
    compare(&schema::configuration(platform::ALL), &configurations(), of_configuration);
}

/// A manifest of a switch with fields as JSON writes them.
fn instance(number: usize, fields: &Value) -> Value {
    json!({"apiVersion": "bk-cmdb/v1", "kind": "Instance", "metadata": {"name": format!("n{number}")},
        "spec": {"model": "bk_switch", "match": {"bk_asset_id": format!("X{number}")}, "fields": fields}})
}

/// A state whose switches have a field of each type.
fn typed() -> Value {
    let mut state = state();
    let attributes = state["bk-cmdb"]["attributes"].as_array_mut().expect("a list");
    let options = json!([{"id": "1", "name": "In use", "type": "text"}, {"id": "2", "name": "7", "type": "text"}]);
    let more = [
        ("status", "enum", options.clone()),
        ("uses", "enummulti", options),
        ("height", "float", json!({"min": 0, "max": 9})),
        ("depth", "int", json!({"min": "-1", "max": "50"})),
        ("is_spare", "bool", Value::Null),
        ("color", "list", json!(["red", "blue"])),
        ("since", "date", Value::Null),
    ];
    for (name, kind, option) in more {
        attributes.push(json!({"bk_obj_id": "bk_switch", "bk_property_id": name, "bk_property_name": name,
            "bk_property_type": kind, "editable": true, "isrequired": false, "ismultiple": true, "option": option}));
    }
    attributes.push(json!({"bk_obj_id": "bk_switch", "bk_property_id": "fixed", "bk_property_name": "fixed",
        "bk_property_type": "singlechar", "editable": false, "isrequired": false}));
    state
}

#[test]
fn the_schema_with_live_models_agrees_with_their_definitions() {
    let state = typed();
    let seed = instance(0, &json!({"remark": "x"})).to_string();
    let site = Site::with(&state, &[("seed.json", &seed)]);
    let taken = site.run(&["snapshot", "--out", "live.json"]);
    assert_eq!(taken.code, Some(0), "{taken}");
    let schemas = [&["--against", "live.json"][..], &["--online", "seed.json"]].map(|arguments| {
        let output = site.run(&[&["schema", "manifest"], arguments].concat());
        assert_eq!(output.code, Some(0), "{output}");
        output.json()
    });
    assert_eq!(schemas[0]["$defs"]["Instance"], schemas[1]["$defs"]["Instance"]);
    assert!(jsonschema::draft202012::meta::is_valid(&schemas[0]));
    let validator = jsonschema::validator_for(&schemas[0]).expect("the schema is right");
    let fields = [
        "bk_inst_name",
        "ports",
        "operator",
        "remark",
        "status",
        "uses",
        "height",
        "depth",
        "is_spare",
        "color",
        "since",
        "fixed",
        "bk_switch",
    ];
    let values = [
        json!("zz"),
        json!("In use"),
        json!("1"),
        json!(1),
        json!(7),
        json!("7"),
        json!(99),
        json!(-2),
        json!(1.5),
        json!(true),
        json!("True"),
        json!(null),
        json!([]),
        json!(["In use", "2"]),
        json!(["zz"]),
        json!({}),
        json!("red"),
        json!("${A:-1}"),
        json!("2024-02-28"),
    ];
    std::fs::remove_file(site.path().join("seed.json")).expect("it was there");
    let cases: Vec<Value> =
        fields.iter().flat_map(|field| values.iter().map(move |value| json!({*field: value}))).collect();
    for (number, fields) in cases.iter().enumerate() {
        site.write(&format!("v/{number}.json"), &instance(number + 1, fields).to_string());
    }
    let report = site.run(&["validate", "v", "--config", "reconcile.yaml", "-o", "json"]).json();
    let wrong = |report: &Value| -> BTreeSet<usize> {
        let errors = report["diagnostics"].as_array().expect("a list").iter().filter(|row| row["severity"] == "error");
        let number = |row: &Value| row["at"]["file"].as_str()?.strip_prefix("v/")?.strip_suffix(".json")?.parse().ok();
        errors.filter_map(number).collect()
    };
    // What the documents alone tell comes first, and hides the rest.
    let mut refused = wrong(&report);
    for number in &refused {
        std::fs::remove_file(site.path().join(format!("v/{number}.json"))).expect("it was there");
    }
    let report =
        site.run(&["validate", "v", "--config", "reconcile.yaml", "--against", "live.json", "-o", "json"]).json();
    refused.extend(wrong(&report));
    let mut by_schema = 0;
    for (number, fields) in cases.iter().enumerate() {
        let is_valid = validator.is_valid(&instance(number + 1, fields));
        by_schema += usize::from(!is_valid);
        assert!(is_valid || refused.contains(&number), "the schema alone refuses {fields}");
    }
    // A schema does not tell whether a text is a date, nor how long a text is.
    assert!(by_schema * 10 > refused.len() * 8, "{by_schema} of {}", refused.len());
    for fields in [
        json!({"prots": 1}),
        json!({"status": "zz"}),
        json!({"ports": "many"}),
        json!({"depth": 51}),
        json!({"uses": ["zz"]}),
        json!({"fixed": "x"}),
        json!({"bk_inst_name": null}),
        json!({"is_spare": 2}),
    ] {
        assert!(!validator.is_valid(&instance(0, &fields)), "{fields}");
    }
}

/// The schema that a text names for editors.
fn modeline(text: &str) -> Option<&str> {
    text.lines().next()?.strip_prefix("# yaml-language-server: $schema=")
}

#[test]
fn examples_name_the_schema_that_they_fit() {
    let mut open = vec![repository().join("examples/manifests"), repository().join("examples/business")];
    let mut checked = 0;
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("it can be read").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let is_state = path.file_name().is_some_and(|name| name == "sandbox.yaml");
        if is_state || path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it is text");
        let named = modeline(&text).unwrap_or_else(|| panic!("{} names no schema", path.display()));
        let schema = path.parent().expect("it lies in a directory").join(named);
        let schema = std::fs::read_to_string(&schema).unwrap_or_else(|error| panic!("{}: {error}", schema.display()));
        let validator =
            jsonschema::validator_for(&serde_json::from_str(&schema).expect("it is JSON")).expect("it is right");
        for (_, document) in documents(&path) {
            let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

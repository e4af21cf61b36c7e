//! Who changed last what the lines of a file declare.

use regex::Regex;
use serde_json::{Value, json};

use crate::harness::{Site, state, switch};

/// The output with times and ids of runs hidden.
fn told(text: &str) -> String {
    let run = Regex::new(r"uid \d+, (\S+), run [0-9a-f]+").expect("it is right");
    let time = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|[+-]\d\d:\d\d)").expect("it is right");
    let blanks = Regex::new(r" {2,}").expect("it is right");
    let text = run.replace_all(text, "[user], $1, run [run]");
    blanks.replace_all(&time.replace_all(&text, "[time]"), "  ").into_owned()
}

#[test]
fn each_line_has_its_last_foreign_and_its_last_own_change() {
    let files = [
        ("a.yaml", switch("core", "bk_inst_name: sw-1", "operator: alice, ports: \"${PORTS}\"")),
        ("b.yaml", switch("other", "bk_inst_name: sw-2", "ports: 7")),
        ("values.yaml", "PORTS: 48\n".to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let site = Site::with(&state(), &files);
    let blame = |file: &str| {
        let output = site.run(&["blame", file, "a.yaml", "b.yaml", "--values", "values.yaml"]);
        assert_eq!(output.code, Some(0), "{output}");
        told(&output.stdout)
    };
    let mut outputs = vec![blame("a.yaml")];
    let applied = site.run(&["apply", "-y", "a.yaml", "--values", "values.yaml"]);
    assert_eq!(applied.code, Some(0), "{applied}");
    outputs.push(blame("a.yaml"));
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "bob"}));
    outputs.push(blame("a.yaml"));
    outputs.push(blame("values.yaml"));
    insta::assert_snapshot!(outputs.join("\n"), @r"
    PLACE  FIELD  LAST FOREIGN CHANGE  LAST OWN CHANGE
    a.yaml:7:22  Instance/core: operator  unknown  this account, [time] (the object)
    a.yaml:7:36  Instance/core: ports  unknown  this account, [time] (the object)

    PLACE  FIELD  LAST FOREIGN CHANGE  LAST OWN CHANGE
    a.yaml:7:22  Instance/core: operator  nobody since [time]  this account, [time] (the object)
    a.yaml:7:36  Instance/core: ports  nobody since [time]  [user], [time], run [run]

    PLACE  FIELD  LAST FOREIGN CHANGE  LAST OWN CHANGE
    a.yaml:7:22  Instance/core: operator  zoe, [time]  unknown
    a.yaml:7:36  Instance/core: ports  nobody since [time]  [user], [time], run [run]

    PLACE  FIELD  LAST FOREIGN CHANGE  LAST OWN CHANGE
    values.yaml:1:8  Instance/core: ports  nobody since [time]  [user], [time], run [run]
    ");
    let document = site.run(&["blame", "a.yaml", ".", "--values", "values.yaml", "-o", "json"]).json();
    let schema = site.run(&["schema", "blame"]).json();
    let validator = jsonschema::validator_for(&schema).expect("the schema is right");
    let problems: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let lines = document["lines"].as_array().expect("a list");
    let told = |line: &Value| (line["path"].clone(), line["foreign"]["by"].clone(), line["foreign"]["source"].clone());
    assert_eq!(
        lines.iter().map(told).collect::<Vec<_>>(),
        [(json!("operator"), json!("zoe"), json!("audit")), (json!("ports"), json!(null), json!("audit")),]
    );
    let output = site.run(&["blame", "c.yaml", "a.yaml", "--values", "values.yaml"]);
    assert_eq!(output.code, Some(64), "{output}");
    assert!(output.stderr.contains("`c.yaml` is none of the files that are read"), "{output}");
}

#[test]
fn hundreds_of_objects_cost_a_read() {
    let nodes: Vec<_> =
        (1..=200).map(|id| json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}"), "ports": 1})).collect();
    let mut state = state();
    state["bk-cmdb"]["instances"]["bk_switch"] = json!(nodes);
    let manifests: String = (1..=200)
        .map(|id| switch(&format!("s{id}"), &format!("bk_inst_name: sw-{id}"), "ports: 1"))
        .collect::<Vec<_>>()
        .join("---\n");
    let site = Site::with(&state, &[("a.yaml", &manifests)]);
    site.run(&["plan", "a.yaml"]);
    let plan: u64 = site.reads().as_object().expect("an object").values().filter_map(serde_json::Value::as_u64).sum();
    site.sandbox().clear_calls();
    let output = site.run(&["blame", "a.yaml"]);
    assert_eq!((output.code, output.stdout.lines().count()), (Some(0), 201), "{output}");
    let reads: u64 = site.reads().as_object().expect("an object").values().filter_map(serde_json::Value::as_u64).sum();
    // One of the last editors, one of the latest records, and one of their details, if there are any.
    assert!(reads <= plan + 3, "{reads} reads, {plan} of a plan: {}", site.reads());
}

#[test]
fn cells_of_rows_are_lines_of_their_own() {
    let rows = "[{ip: 127.0.0.1, port: '80', protocol: tcp}, {ip: 127.0.0.1, port: '81', protocol: tcp}]";
    let text = format!(
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: p}}\nspec:\n  business: demo\n  serviceTemplate: \
         nginx\n  process: nginx\n  properties:\n    proc_num: 4\n    bind_info: {rows}\n"
    );
    let site = Site::with(&state(), &[("p.yaml", &text)]);
    let applied = site.run(&["apply", "-y"]);
    assert_eq!(applied.code, Some(0), "{applied}");
    let output = site.run(&["blame", "p.yaml", "."]);
    assert_eq!(output.code, Some(0), "{output}");
    let shown = told(&output.stdout);
    let own: Vec<&str> = shown.lines().filter(|line| line.contains("run [run]")).collect();
    assert!(own.iter().any(|line| line.contains("proc_num")), "{shown}");
    for cell in ["bind_info[@0].port", "bind_info[@1].port"] {
        assert!(own.iter().any(|line| line.contains(cell)), "{cell}: {shown}");
    }
}

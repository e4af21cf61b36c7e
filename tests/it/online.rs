//! `validate --online`: what the definitions on the server tell, whether the objects are there or not.

use serde_json::{Value, json};

use crate::harness::{Site, state, switch};

/// The state with attributes of many types.
fn rich() -> Value {
    let mut state = state();
    let attributes = state["bk-cmdb"]["attributes"].as_array_mut().expect("a list");
    let mut add = |name: &str, kind: &str, option: Value, editable: bool| {
        attributes.push(json!({"bk_obj_id": "bk_switch", "bk_property_id": name, "bk_property_name": name,
            "bk_property_type": kind, "editable": editable, "isrequired": false, "option": option}));
    };
    add("slots", "int", json!({"min": 1, "max": 9}), true);
    add("fixed", "singlechar", json!(null), false);
    add("code", "singlechar", json!("^[A-Z]+$"), true);
    add("status", "enum", json!([{"id": "1", "name": "In use"}, {"id": "2", "name": "Spare"}]), true);
    add("seen", "time", json!(null), true);
    state
}

const WRONG: &str = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: nowhere}
spec:
  model: bk_switch
  match: {bk_inst_name: not-there}
  fields:
    no_such: x
    slots: 10
    ports: many
    fixed: x
    code: lower
    status: Broken
    seen: 2024-02-30T00:00:00Z
    bk_sn: LONG
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: model}
spec: {model: no_such, id: 1, fields: {x: 1}}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: set}
spec: {business: demo, set: publik, module: x, fields: {no_such: 1}}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: template}
spec: {ensure: present, business: demo, set: public, module: y, serviceTemplate: ngin}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: business}
spec: {business: dem, serviceTemplate: nginx, process: x, properties: {user: root}}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: service}
spec: {business: demo, serviceTemplate: redis, process: x, properties: {user: root}}
---
apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: association}
spec:
  association: no_such
  source: {model: bk_switch, match: {bk_inst_name: x}}
  targets: [{model: bk_rack, match: {bk_inst_name: y}}, {model: bk_rack, match: {bk_inst_name: z}}]
---
apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: swapped}
spec:
  association: switch_rack
  source: {model: bk_rack, match: {bk_inst_name: x}}
  targets: [{model: bk_switch, match: {nope: w}}, {model: bk_switch, match: {bk_inst_name: y}}]
";

#[test]
fn every_mistake_is_told_at_its_line_although_nothing_exists() {
    let site = Site::with(&rich(), &[("wrong.yaml", &WRONG.replace("LONG", &"x".repeat(257)))]);
    let output = site.run(&["validate"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(site.reads(), json!({}));
    let output = site.run(&["validate", "--online", "-o", "json"]);
    assert_eq!(output.code, Some(1), "{output}");
    let document = output.json();
    assert_eq!(document["valid"], false);
    let told = document["diagnostics"].as_array().cloned().unwrap_or_default();
    let told: Vec<String> = told
        .iter()
        .map(|row| {
            let (at, text) = (&row["at"], |key: &str| row[key].as_str().unwrap_or_default().replace('"', "`"));
            format!("{}:{} {} {}", at["line"], at["column"], text("code"), text("message"))
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @"
    8:5 P103 the model has no attribute `no_such`
    9:12 P104 `slots` is at most 9, not 10
    10:12 P104 `ports` takes a whole number, not `many`
    11:12 P104 `fixed` is not editable: the server would drop it without a word
    12:11 P104 `code` has to match `^[A-Z]+$`; `lower` does not
    13:13 P104 `status` has no option `Broken`; it has 1 (In use), 2 (Spare)
    14:11 P104 `seen` takes a time such as 2024-02-28T10:00:00+08:00, not `2024-02-30T00:00:00Z`
    15:12 P104 `bk_sn` takes at most 256 bytes, not 257
    20:15 P102 the model `no_such` does not exist
    25:29 P109 no set is named `publik`
    25:57 P103 the model has no attribute `no_such`
    30:82 P111 no service template is named `ngin`
    35:18 P101 no business is named `dem`
    40:41 P111 no service template is named `redis`
    46:16 P122 no association between models is named `no_such`
    56:40 P103 the model has no attribute `nope`
    56:51 P123 `switch_rack` goes from `bk_switch` to `bk_rack`, not from `bk_rack` to `bk_switch`
    ");
}

#[test]
fn what_is_right_is_valid_with_definitions_alone() {
    let documents = [
        switch("a", "bk_inst_name: not-there", "ports: 1, status: Spare"),
        "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: r}\nspec:\n  association: switch_rack\n  \
            source: {ref: a}\n  targets: [{model: bk_rack, match: {bk_inst_name: not-there}}]\n"
            .to_owned(),
    ];
    let site = Site::with(&rich(), &[("right.yaml", &documents.concat())]);
    let output = site.run(&["validate", "--online"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "valid: 2 objects in 2 documents\n"), "{output}");
    assert_eq!(site.reads(), json!({"search_object_attribute": 2, "find_object_association": 1}));
}

#[test]
fn what_cannot_be_read_is_not_valid() {
    let site = Site::with(&rich(), &[("a.yaml", &switch("a", "bk_inst_name: sw-1", "ports: 1"))]);
    site.faults(
        &json!([{"operation": "search_object_attribute", "fault": "code", "code": 1_199_045, "message": "no"}]),
    );
    let output = site.run(&["validate", "--online"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.stderr.contains("target cmdb: no") && output.stdout.is_empty(), "{output}");
    let output = site.run(&["validate", "--online", "-o", "json"]);
    assert_eq!(output.json()["valid"], false);
    // Only the other target was asked for.
    let app =
        "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: orders}\nspec: {app: orders, fields: {remark: x}}\n";
    site.write("b.yaml", app);
    assert_eq!(site.run(&["validate", "--online", "--target", "roma"]).code, Some(0));
}

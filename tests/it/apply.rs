//! Output of `apply`, and runs that write nothing.

use serde_json::{Value, json};

use crate::harness::{Site, bodies, operations, program, repository, state};

/// One change of each kind.
const EACH_KIND: &[(&str, &str)] = &[
    (
        "instances.yaml",
        "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: core}
spec:
  model: bk_switch
  match: {bk_asset_id: A1}
  fields: {bk_inst_name: core-1, operator: [bob, alice]}
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: new}
spec:
  ensure: present
  model: bk_switch
  match: {bk_inst_name: sw-9}
  fields: {bk_asset_id: A9}
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: as-it-is}
spec:
  model: bk_rack
  id: 21
  fields: {units: 42}
",
    ),
    (
        "links.yaml",
        "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: racks}
spec:
  association: switch_rack
  source: {ref: core}
  targets: [{ref: as-it-is}, {model: bk_rack, match: {bk_inst_name: 机柜-2}}]
---
apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: new-rack}
spec:
  association: switch_rack
  source: {ref: new}
  targets: [{model: bk_rack, id: 21}]
",
    ),
    (
        "business.yaml",
        "apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: web}
spec: {business: demo, set: public, module: web, fields: {operator: [alice]}}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec:
  business: demo
  serviceTemplate: nginx
  process: nginx
  properties:
    proc_num: 4
    bind_info: [{ip: 0.0.0.0, port: 80, protocol: tcp}]
",
    ),
    (
        "apps.yaml",
        "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: 订单}}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: payments}
spec: {ensure: present, app: payments, fields: {favorite: true}}
",
    ),
];

#[test]
fn examples_apply_in_an_empty_environment() {
    let mut command = program();
    command.current_dir(repository()).args(["apply", "examples/manifests", "--sandbox", "--auto-approve"]);
    let output = command.output().expect("the program runs");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    let calls = stdout.lines().find(|line| line.starts_with("Calls: ")).expect("the summary counts calls");
    for seed in ["update_inst", "update_module", "add_instance_association", "update_proc_template", "UpdateRomaApp"] {
        assert!(calls.contains(&format!("{seed} ")), "{seed} is missing: {calls}");
    }
}

#[test]
fn one_write_for_each_changed_object_then_none() {
    let site = Site::with(&state(), EACH_KIND);
    assert_eq!(site.plan().code, Some(2));
    let writes = site.apply();
    assert_eq!(
        operations(&writes),
        json!({"update_inst": 1, "create_inst": 1, "add_instance_association": 3, "update_module": 1,
            "update_proc_template": 1, "UpdateRomaApp": 1, "CreateRomaApp": 1})
    );
    site.assert_converged();
}

#[test]
fn only_what_somebody_else_changed_is_written_again() {
    let site = Site::with(&state(), EACH_KIND);
    site.apply();
    let check = |operation: &str, body: Value, expected: Value| {
        site.edit(operation, &body);
        assert_eq!(bodies(&site.apply()), json!([expected]), "after {operation} {body}");
        site.assert_converged();
    };
    check(
        "update_inst",
        json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "eve", "ports": 7}),
        json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "bob,alice"}),
    );
    check(
        "update_module",
        json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"operator": "eve"}}),
        json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"operator": "alice"}}),
    );
    check(
        "update_proc_template",
        json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": {
            "proc_num": {"value": 9, "as_default_value": false}, "user": {"value": "eve", "as_default_value": true}}}),
        json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": {
            "proc_num": {"value": 4, "as_default_value": false}}}),
    );
    let rows = site.sandbox().state()["bk-cmdb"]["instance_associations"].clone();
    let row = rows.as_array().expect("rows").iter().find(|row| row["bk_asst_inst_id"] == 22).expect("the row");
    check(
        "delete_instance_association",
        json!({"bk_obj_id": "bk_switch", "id": row["id"]}),
        json!({"bk_obj_asst_id": "switch_rack", "bk_inst_id": 1, "bk_asst_inst_id": 22}),
    );
    // Undeclared fields stay as somebody else left them.
    assert_eq!(site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1)["ports"], 7);
    assert_eq!(site.row("/bk-cmdb/process_templates", "id", 50)["property"]["user"]["value"], "eve");
}

#[test]
fn a_foreign_edit_of_an_app_is_undone_alone() {
    let site = Site::with(&state(), EACH_KIND);
    site.apply();
    let mut state = site.sandbox().state();
    let apps = state["roma-connect"]["apps"].as_array_mut().expect("apps");
    let app = apps.iter_mut().find(|app| app["name"] == "orders").expect("the app");
    app["remark"] = json!("eve was here");
    app["favorite"] = json!(true);
    site.sandbox().load(&state).expect("the state is right");
    let writes = site.apply();
    assert_eq!(operations(&writes), json!({"UpdateRomaApp": 1}));
    // All three fields go, the undeclared one with the value just read.
    assert_eq!(writes[0].body, json!({"name": "orders", "remark": "订单", "favorite": true}));
    site.assert_converged();
}

//! Removals that would take more with them than asked for, or that the server always refuses.

use serde_json::{Value, json};

use crate::harness::{Site, operations, state};

fn document(kind: &str, spec: &str) -> String {
    format!("apiVersion: bk-cmdb/v1\nkind: {kind}\nmetadata: {{name: x}}\nspec: {{ensure: absent, {spec}}}\n---\n")
}

/// Two layers between business and set: a room in a site, with a set of two modules below, and an empty room.
pub(crate) fn layered(hosts: &Value) -> Value {
    let mut state = state();
    let cmdb = &mut state["bk-cmdb"];
    for (id, name) in [(901, "idc"), (902, "room")] {
        cmdb["objects"].as_array_mut().expect("a list").push(json!({"bk_obj_id": name, "bk_obj_name": name}));
        let attribute = json!({"id": id, "bk_obj_id": name, "bk_property_id": "bk_inst_name", "bk_property_name": "name",
            "bk_property_type": "singlechar", "editable": true, "isrequired": true});
        cmdb["attributes"].as_array_mut().expect("a list").push(attribute);
    }
    for (id, child, parent) in [(11, "set", "room"), (12, "room", "idc"), (13, "idc", "biz")] {
        cmdb["object_associations"].as_array_mut().expect("a list").push(json!({"id": id,
            "bk_obj_asst_id": format!("{child}_bk_mainline_{parent}"), "bk_obj_id": child, "bk_asst_obj_id": parent,
            "bk_asst_id": "bk_mainline", "mapping": "1:1"}));
    }
    cmdb["instances"]["idc"] = json!([{"bk_inst_id": 41, "bk_inst_name": "north", "bk_biz_id": 3, "bk_parent_id": 3}]);
    cmdb["instances"]["room"] = json!([
        {"bk_inst_id": 51, "bk_inst_name": "r1", "bk_biz_id": 3, "bk_parent_id": 41},
        {"bk_inst_id": 52, "bk_inst_name": "r2", "bk_biz_id": 3, "bk_parent_id": 41}]);
    cmdb["sets"][0]["bk_parent_id"] = json!(51);
    cmdb["host_relations"] = hosts.clone();
    state
}

fn pairs() -> Value {
    json!([{"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "bk_host_id": 1},
        {"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "bk_host_id": 2}])
}

fn refused(state: &Value, manifest: &str, message: &str, hint: &str) {
    let site = Site::with(state, &[("one.yaml", manifest)]);
    let output = site.run(&["apply", "-y"]);
    assert_ne!(output.code, Some(0), "{output}");
    assert!(output.stderr.contains(&format!("error[P143]: {message}\n")), "{output}");
    assert!(output.stderr.contains(hint), "{output}");
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn a_layer_goes_with_what_lies_below_only_where_the_document_says_so() {
    let idc = document("Instance", "model: idc, id: 41");
    let hint = "`cascade: true` removes it with all that lies below";
    let message = "Instance/x cannot be removed: 2 layers, 1 set, 2 modules below it would go with it";
    refused(&layered(&json!([])), &idc, message, hint);
    let by_name = document("Instance", "model: room, business: demo, match: {bk_inst_name: r1}");
    let message = "Instance/x cannot be removed: 1 set, 2 modules below it would go with it";
    refused(&layered(&json!([])), &by_name, message, hint);
    // An empty one is removed without further keys.
    let site = Site::with(&layered(&json!([])), &[("one.yaml", &document("Instance", "model: room, id: 52"))]);
    assert_eq!(operations(&site.apply()), json!({"delete_inst": 1}));
    site.assert_converged();
    // Agreed to, all of it goes, and it counts for the limits.
    let agreed = document("Instance", "cascade: true, model: idc, id: 41");
    let site = Site::with(&layered(&json!([])), &[("one.yaml", &agreed)]);
    let output = site.run(&["plan"]);
    assert!(output.stdout.contains("    impact: 2 modules"), "{output}");
    let output = site.run(&["apply", "-y", "--max-impact", "modules=1"]);
    assert_eq!(output.code, Some(3), "{output}");
    assert_eq!(operations(&site.apply()), json!({"delete_inst": 1}));
    assert_eq!(site.sandbox().state()["bk-cmdb"]["modules"].as_array().map_or(0, Vec::len), 0);
    site.assert_converged();
}

#[test]
fn a_layer_over_hosts_is_never_removed() {
    for cascade in ["", "cascade: true, "] {
        let manifest = document("Instance", &format!("{cascade}model: idc, id: 41"));
        let message = "Instance/x cannot be removed: 2 hosts below it";
        refused(&layered(&pairs()), &manifest, message, "move them away first");
    }
}

#[test]
fn what_could_not_be_counted_needs_an_agreement_too() {
    for (cascade, code) in [("", 1), ("cascade: true, ", 0)] {
        let manifest = document("Instance", &format!("{cascade}model: idc, id: 41"));
        let site = Site::with(&layered(&json!([])), &[("one.yaml", &manifest)]);
        site.faults(&json!([{"operation": "search_set", "fault": "code", "code": 1_199_045, "message": "no"}]));
        let output = site.run(&["plan"]);
        assert_eq!(output.code, Some(code), "{output}");
        assert_eq!(output.stderr.contains("could not be counted"), code == 1, "{output}");
    }
}

#[test]
fn cascade_goes_with_absent_only() {
    let manifest = document("Instance", "cascade: true, model: idc, id: 41, fields: {bk_inst_name: x}")
        .replace("ensure: absent, ", "");
    let output = Site::with(&state(), &[("one.yaml", &manifest)]).run(&["validate"]);
    assert!(
        output.all().contains("M308") && output.all().contains("`cascade` goes with `ensure: absent` only"),
        "{output}"
    );
}

#[test]
fn a_module_that_holds_hosts_is_kept() {
    let mut state = state();
    state["bk-cmdb"]["host_relations"] = pairs();
    let module = |name: &str| document("Module", &format!("business: demo, set: public, module: {name}"));
    refused(
        &state,
        &module("web"),
        "Module/x cannot be removed: 2 hosts lie in it",
        "move them to another module first",
    );
    let site = Site::with(&state, &[("one.yaml", &module("cache"))]);
    assert_eq!(operations(&site.apply()), json!({"delete_module": 1}));
    // Where the hosts cannot be read, the server has the last word.
    let site = Site::with(&state, &[("one.yaml", &module("web"))]);
    site.faults(
        &json!([{"operation": "find_host_topo_relation", "fault": "code", "code": 1_199_045, "message": "no"}]),
    );
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stdout.contains("code 1101030"), "{output}");
}

#[test]
fn a_built_in_module_is_kept() {
    let mut state = state();
    state["bk-cmdb"]["modules"][1]["default"] = json!(5);
    let manifest = document("Module", "business: demo, set: public, module: cache");
    refused(
        &state,
        &manifest,
        "Module/x cannot be removed: it is a built-in module, which the server never removes",
        "",
    );
}

#[test]
fn pruning_keeps_modules_with_hosts() {
    let mut state = state();
    state["bk-cmdb"]["host_relations"] = pairs();
    let site = Site::with(&state, &[]);
    site.configure("prune:\n  - {kind: Module, target: cmdb, business: demo, set: public}\n");
    site.write("keep.yaml", &crate::harness::switch("keep", "bk_asset_id: A1", "ports: 24"));
    let output = site.run(&["apply", "-y", "--prune", "--max-deletes", "5"]);
    assert!(output.stderr.contains("P143") && output.stderr.contains("2 hosts lie in it"), "{output}");
    assert_eq!(operations(&site.writes()), json!({"delete_module": 1}), "{output}");
}

#[test]
fn removed_fields_stand_in_one_column() {
    let process = document("ProcessTemplate", "business: demo, serviceTemplate: nginx, process: nginx");
    let output = Site::with(&state(), &[("one.yaml", &process)]).run(&["plan"]);
    let shown = |line: &&str| line.starts_with("    ") && line.contains(" - ");
    let columns: Vec<_> = output.stdout.lines().filter(shown).map(|line| line.find(" - ")).collect();
    let names = ["bk_process_name", "bk_func_name"].map(|name| format!("    {name} "));
    assert!(names.iter().all(|name| output.stdout.contains(name)), "{output}");
    assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{output}");
}

//! Objects that change the very names by which their documents find them.

use serde_json::{Value, json};

use crate::harness::{Site, operations, state, switch};

/// A document that renames a switch.
fn rename(name: &str, from: &str, to: &str) -> String {
    switch(name, &format!("bk_inst_name: {from}"), &format!("bk_inst_name: {to}"))
}

/// The names of switches by their ids.
fn names(site: &Site) -> Value {
    let state = site.sandbox().state();
    let rows = state["bk-cmdb"]["instances"]["bk_switch"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| (row["bk_inst_id"].to_string(), row["bk_inst_name"].clone())).collect()
}

#[test]
fn a_rename_converges_and_stays() {
    let site = Site::with(&state(), &[("one.yaml", &rename("a", "sw-1", "core-1"))]);
    assert_eq!(operations(&site.apply()), json!({"update_inst": 1}));
    assert_eq!(names(&site), json!({"1": "core-1", "2": "sw-2", "3": "sw-3"}));
    site.assert_converged();
}

#[test]
fn a_chain_converges_in_one_apply_and_stays() {
    // In the order of files and names as in the opposite one.
    for (first, second, third) in [("a", "b", "c"), ("c", "b", "a")] {
        let chain = [rename(first, "sw-1", "sw-2"), rename(second, "sw-2", "sw-3"), rename(third, "sw-3", "sw-4")];
        let site = Site::with(&state(), &[("chain.yaml", &chain.concat())]);
        assert_eq!(operations(&site.apply()), json!({"update_inst": 3}));
        assert_eq!(names(&site), json!({"1": "sw-2", "2": "sw-3", "3": "sw-4"}));
        site.assert_converged();
    }
}

#[test]
fn a_chain_that_broke_off_half_way_goes_on() {
    let chain = [rename("a", "sw-1", "sw-2"), rename("b", "sw-2", "sw-3"), rename("c", "sw-3", "sw-4")];
    let site = Site::with(&state(), &[("chain.yaml", &chain.concat())]);
    // The last link is done, the middle one is refused, the first waits for it.
    site.faults(&json!([{"operation": "update_inst", "nth": 2, "fault": "code", "code": 1_199_006, "message": "no"}]));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert_eq!(names(&site), json!({"1": "sw-1", "2": "sw-2", "3": "sw-4"}));
    site.faults(&json!([]));
    assert_eq!(operations(&site.apply()), json!({"update_inst": 2}));
    assert_eq!(names(&site), json!({"1": "sw-2", "2": "sw-3", "3": "sw-4"}));
    site.assert_converged();
}

#[test]
fn a_swap_is_refused() {
    let swap = [rename("a", "sw-1", "sw-2"), rename("b", "sw-2", "sw-1")];
    let site = Site::with(&state(), &[("swap.yaml", &swap.concat())]);
    insta::assert_snapshot!(site.plan(), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 2 blocked.   0 calls, 2 reads, [time]
    ------- stderr -------
    error[P105]: Instance/a could mean several live objects: bk_switch #1, bk_switch #2
     --> swap.yaml:6:25
      |
    6 |   match: {bk_inst_name: sw-1}
      |                         ^^^^
      |
      = help: give its id; a swap takes two applies with a third value between them

    error[P105]: Instance/b could mean several live objects: bk_switch #1, bk_switch #2
      --> swap.yaml:14:25
       |
    14 |   match: {bk_inst_name: sw-2}
       |                         ^^^^
       |
       = help: give its id; a swap takes two applies with a third value between them
    [exit status: 1]
    ");
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(operations(&site.writes()), json!({}));
}

#[test]
fn a_swap_of_objects_given_by_id_is_refused_too() {
    let by_id = |id: i64, name: &str| {
        rename(&format!("id-{id}"), "x", name).replace("match: {bk_inst_name: x}", &format!("id: {id}"))
    };
    let site = Site::with(&state(), &[("swap.yaml", &[by_id(1, "sw-2"), by_id(2, "sw-1")].concat())]);
    insta::assert_snapshot!(site.plan(), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 2 blocked.   0 calls, 3 reads, [time]
    ------- stderr -------
    error[P132]: each waits for a unique value of the next: Instance/id-1 → Instance/id-2 → Instance/id-1
     --> swap.yaml:7:26
      |
    7 |   fields: {bk_inst_name: sw-2}
      |                          ^^^^
      |
      = help: a swap takes two applies with a third value between them

    error[P132]: each waits for a unique value of the next: Instance/id-1 → Instance/id-2 → Instance/id-1
      --> swap.yaml:15:26
       |
    15 |   fields: {bk_inst_name: sw-1}
       |                          ^^^^
       |
       = help: a swap takes two applies with a third value between them
    [exit status: 1]
    ");
}

#[test]
fn a_name_that_an_undeclared_object_keeps_is_an_error() {
    let site = Site::with(&state(), &[("one.yaml", &switch("a", "bk_asset_id: A1", "bk_inst_name: sw-2"))]);
    insta::assert_snapshot!(site.plan(), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 1 blocked.   0 calls, 3 reads, [time]
    ------- stderr -------
    error[P130]: Instance/a cannot be as declared: bk_switch #2 has the name `sw-2` in bk_switch
     --> one.yaml:7:26
      |
    7 |   fields: {bk_inst_name: sw-2}
      |                          ^^^^
    [exit status: 1]
    ");
}

#[test]
fn chains_of_modules_processes_and_apps_converge() {
    let module = |name: &str, from: &str, to: &str| {
        format!(
            "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {{name: {name}}}\nspec: {{business: demo, set: public, \
             module: {from}, fields: {{bk_module_name: {to}}}}}\n---\n"
        )
    };
    let process = |name: &str, from: &str, to: &str| {
        format!(
            "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: {name}}}\nspec: {{business: demo, \
             serviceTemplate: nginx, process: {from}, properties: {{bk_process_name: {to}}}}}\n---\n"
        )
    };
    let app = |name: &str, from: &str, to: &str| {
        format!(
            "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{app: {from}, fields: {{name: \
             {to}}}}}\n---\n"
        )
    };
    let manifests = [
        module("a", "web", "cache"),
        module("b", "cache", "store"),
        process("a", "nginx", "redis"),
        process("b", "redis", "valkey"),
        app("a", "orders", "invoices"),
        app("b", "invoices", "bills"),
    ];
    let site = Site::with(&two_processes(), &[("all.yaml", &manifests.concat())]);
    let expected = json!({"update_module": 2, "update_proc_template": 2, "UpdateRomaApp": 2});
    assert_eq!(operations(&site.apply()), expected);
    site.assert_converged();
    assert_eq!(site.row("/bk-cmdb/modules", "bk_module_id", 31)["bk_module_name"], "cache");
    assert_eq!(site.row("/bk-cmdb/process_templates", "id", 50)["bk_process_name"], "redis");
    assert_eq!(site.row("/roma-connect/apps", "id", "a1")["name"], "invoices");
}

/// A state with a second process beside the first.
fn two_processes() -> Value {
    let mut state = state();
    let mut second = state["bk-cmdb"]["process_templates"][0].clone();
    second["id"] = json!(60);
    second["bk_process_name"] = json!("redis");
    second["property"]["bk_process_name"]["value"] = json!("redis");
    second["property"]["bk_func_name"]["value"] = json!("redis");
    state["bk-cmdb"]["process_templates"].as_array_mut().expect("a list").push(second);
    state
}

#[test]
fn a_process_given_by_id_is_no_candidate_for_another_document() {
    let by_name = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: a}
spec: {business: demo, serviceTemplate: nginx, process: nginx, properties: {bk_process_name: redis}}
---
";
    let by_id = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: b}
spec: {business: demo, id: 60, properties: {bk_process_name: valkey}}
";
    let site = Site::with(&two_processes(), &[("all.yaml", &format!("{by_name}{by_id}"))]);
    assert_eq!(operations(&site.apply()), json!({"update_proc_template": 2}));
    site.assert_converged();
    // Alone it would take a name that is held.
    let site = Site::with(&two_processes(), &[("one.yaml", &by_id.replace("valkey", "nginx"))]);
    insta::assert_snapshot!(site.plan(), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 1 blocked.   0 calls, 3 reads, [time]
    ------- stderr -------
    error[P130]: ProcessTemplate/b cannot be as declared: process template #50 has the name `nginx` in service template #51
     --> one.yaml:4:62
      |
    4 | spec: {business: demo, id: 60, properties: {bk_process_name: nginx}}
      |                                                              ^^^^^
    [exit status: 1]
    ");
    // And two documents that mean one process are told.
    let same = by_name.replace("redis", "nginx") + &by_id.replace("id: 60", "id: 50");
    let site = Site::with(&two_processes(), &[("all.yaml", &same)]);
    insta::assert_snapshot!(site.plan(), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 2 blocked.   0 calls, 4 reads, [time]
    ------- stderr -------
    error[P105]: ProcessTemplate/a means the same live object as another document
     --> all.yaml:1:1
      |
    1 | apiVersion: bk-cmdb/v1
      | ^^^^^^^^^^^^^^^^^^^^^^
    ...
    6 | apiVersion: bk-cmdb/v1
      | ---------------------- ProcessTemplate/b means it too

    error[P105]: ProcessTemplate/b means the same live object as another document
     --> all.yaml:6:1
      |
    1 | apiVersion: bk-cmdb/v1
      | ---------------------- ProcessTemplate/a means it too
    ...
    6 | apiVersion: bk-cmdb/v1
      | ^^^^^^^^^^^^^^^^^^^^^^
    [exit status: 1]
    ");
}

#[test]
fn an_end_given_by_the_name_of_a_renamed_instance_stays_its_end() {
    // By the name that the instance had, and by the one that it gets.
    for name in ["sw-1", "core-1"] {
        let link = format!(
            "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {{name: link}}
spec:
  association: switch_rack
  source: {{model: bk_switch, match: {{bk_inst_name: {name}}}}}
  targets: [{{model: bk_rack, id: 21}}]
"
        );
        let site = Site::with(&state(), &[("a.yaml", &rename("a", "sw-1", "core-1")), ("b.yaml", &link)]);
        assert_eq!(operations(&site.apply()), json!({"update_inst": 1, "add_instance_association": 1}), "{name}");
        site.assert_converged();
    }
}

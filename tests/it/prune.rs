//! `--prune`: what lies in the scopes of `reconcile.yaml` and no document means.

use serde_json::{Value, json};

use crate::harness::{Output, Site, operations, state, switch};

const INSTANCES: &str = "prune:\n  - {kind: Instance, model: bk_switch}\n";

/// A site with a configuration's scopes and one file of manifests.
fn site(state: &Value, scopes: &str, manifests: &str) -> Site {
    let site = Site::with(state, &[("all.yaml", manifests)]);
    site.configure(&format!("safety: {{maxDeletes: 100%}}\n{scopes}"));
    site
}

/// The addresses of what a plan removes.
fn removed(site: &Site, more: &[&str]) -> Vec<String> {
    let before = site.writes().len();
    let output = site.run(&[&["plan", "-o", "json"], more].concat());
    assert_eq!(site.writes().len(), before, "a plan wrote:\n{output}");
    let plan = output.json();
    let changes = plan["changes"].as_array().cloned().unwrap_or_default();
    let gone = changes.iter().filter(|change| change["action"] == "delete");
    gone.map(|change| change["address"].as_str().unwrap_or_default().to_owned()).collect()
}

fn ids(site: &Site, list: &str, key: &str) -> Vec<i64> {
    let state = site.sandbox().state();
    let rows = state.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
    rows.iter().filter_map(|row| row[key].as_i64()).collect()
}

/// Documents that mean two of the three switches.
fn two() -> String {
    [switch("a", "bk_inst_name: sw-1", "ports: 24"), switch("b", "bk_asset_id: A2", "bk_inst_name: core-2")].concat()
}

#[test]
fn only_what_no_document_means_goes_and_only_when_asked() {
    let site = site(&state(), INSTANCES, &two());
    assert_eq!(removed(&site, &[]), Vec::<String>::new());
    assert_eq!(removed(&site, &["--prune"]), ["Instance/pruned sw-3 (bk_switch #3)"]);
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"delete_inst": 1, "update_inst": 1}));
    assert_eq!(ids(&site, "/bk-cmdb/instances/bk_switch", "bk_inst_id"), [1, 2]);
    // Another model is none of its business.
    assert_eq!(ids(&site, "/bk-cmdb/instances/bk_rack", "bk_inst_id"), [21, 22]);
    assert_eq!(removed(&site, &["--prune"]), Vec::<String>::new());
}

#[test]
fn a_document_that_may_mean_a_removed_object_is_told_how() {
    let document =
        |matched: &str, fields: &str| switch("c", matched, fields).replace("spec:\n", "spec:\n  ensure: present\n");
    let new = document("bk_inst_name: core-3", "bk_asset_id: A3, ports: 24");
    let site = site(&state(), INSTANCES, &(two() + &new));
    let output = site.run(&["plan", "--prune"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.contains("1 to add, 1 to update, 1 to delete"), "nothing is guessed: {output}");
    let hint = "write `match: {bk_inst_name: sw-3}`, and `bk_inst_name: core-3` below `fields`";
    assert!(output.stderr.contains("warning[P163]: a new object like ") && output.stderr.contains(hint), "{output}");
    // What the hint says makes a rename of it.
    let renamed = document("bk_inst_name: sw-3", "bk_asset_id: A3, ports: 24, bk_inst_name: core-3");
    site.write("all.yaml", &(two() + &renamed));
    let output = site.run(&["plan", "--prune"]);
    assert!(output.stdout.contains("0 to add, 2 to update, 0 to delete"), "{output}");
    assert!(!output.stderr.contains("P163"), "{output}");
    // One that has little in common with it is another object.
    let other = document("bk_inst_name: core-3", "bk_asset_id: A9, ports: 96");
    site.write("all.yaml", &(two() + &other));
    let output = site.run(&["plan", "--prune"]);
    assert!(!output.stderr.contains("P163"), "{output}");
}

#[test]
fn a_removal_points_at_its_scope() {
    let site = site(&state(), INSTANCES, &two());
    insta::assert_snapshot!(site.run(&["plan", "--prune"]), @r#"
    ~ Instance b  (cmdb, bk_switch #2)                                  all.yaml:9
        bk_inst_name   "sw-2" → "core-2"                                all.yaml:15:26
    - Instance pruned sw-3 (bk_switch #3)  (cmdb, bk_switch #3)  (no document declares it)  reconcile.yaml:18
        bk_inst_name - "sw-3"
        bk_asset_id  - "A3"
        operator     - "alice"
        ports        - 24

    Plan: 0 to add, 1 to update, 1 to delete, 1 unchanged.   2 calls, 7 reads, [time]
    "#);
}

#[test]
fn the_environment_can_ask_for_it() {
    let site = site(&state(), INSTANCES, &two());
    let mut command = site.command(&["plan", "-o", "json"]);
    command.env("RECONCILE_PRUNE", "true");
    assert_eq!(site.end(command, "").json()["summary"]["delete"], 1);
}

#[test]
fn a_part_of_the_documents_is_not_enough() {
    let site = site(&state(), INSTANCES, &two());
    for filter in
        [["-l", "a=b"], ["-l", "a notin (b)"], ["-l", "!a"], ["--target", "Instance/a"], ["--exclude", "Instance/a"]]
    {
        let output = site.run(&[&["plan", "--prune"], filter.as_slice()].concat());
        assert_eq!(output.code, Some(64), "{output}");
    }
    assert_eq!(site.reads(), json!({}));
}

#[test]
fn a_document_that_is_not_understood_keeps_all_of_its_kind() {
    // Two switches fit the first document: either may be meant.
    let open = switch("open", "operator: alice", "ports: 24");
    let missing = switch("missing", "no_such_field: x", "ports: 24");
    // It may have got another name.
    let lost = switch("lost", "bk_inst_name: sw-9", "ports: 24");
    for document in [open, missing, lost] {
        let site = site(&state(), INSTANCES, &document);
        let output = site.run(&["plan", "--prune", "-o", "json"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert_eq!(output.json()["summary"]["delete"], 0, "{output}");
        assert!(output.stdout.contains("scope 1 of prune"), "{output}");
    }
}

#[test]
fn a_failed_read_removes_nothing() {
    let site = site(&state(), INSTANCES, &two());
    for nth in 1..=2 {
        site.faults(&json!([{"operation": "search_object_instances", "nth": nth, "fault": "code", "code": 1_199_045,
            "message": "no"}]));
        let output = site.run(&["plan", "--prune", "-o", "json"]);
        assert_eq!(output.code, Some(5), "{output}");
        assert_eq!(output.json()["summary"]["delete"], 0, "{output}");
    }
}

#[test]
fn more_than_a_page_is_read_to_its_end() {
    let mut state = state();
    let row = |id: i64| json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}"), "bk_asset_id": format!("A{id}")});
    state["bk-cmdb"]["instances"]["bk_switch"] = (1..=1001).map(row).collect();
    let site = site(&state, INSTANCES, &switch("a", "bk_inst_name: sw-1001", "ports: 24"));
    assert_eq!(removed(&site, &["--prune"]).len(), 1000);
    // One page for the document, three for the model.
    assert_eq!(site.reads()["search_object_instances"], 4);
    // Two for those that go, to see whether they can; one for what hangs below the one that changes.
    assert_eq!(site.reads()["search_instance_associations"], 3);
}

const LINKS: &str = "prune:
  - {kind: Instance, model: bk_switch}
  - {kind: InstanceAssociation, association: switch_rack}
";

/// The state with rows: switch 1 in rack 21, switch 3 in rack 22.
fn linked() -> Value {
    let mut state = state();
    let row = |id: i64, source: i64, target: i64| {
        json!({"id": id, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch",
        "bk_asst_obj_id": "bk_rack", "bk_inst_id": source, "bk_asst_inst_id": target})
    };
    state["bk-cmdb"]["instance_associations"] = json!([row(91, 1, 21), row(93, 3, 22)]);
    state
}

#[test]
fn an_instance_with_an_association_stays_unless_that_goes_first() {
    let site = site(&linked(), INSTANCES, &two());
    let output = site.run(&["plan", "--prune"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("association #93 depends on it"), "{output}");
    site.configure(&format!("safety: {{maxDeletes: 2}}\n{LINKS}"));
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(0), "{output}");
    let names: Vec<_> = site.writes().iter().map(|call| call.operation.clone()).collect();
    let at = |name: &str| names.iter().position(|text| text == name);
    assert!(at("delete_instance_association") < at("delete_inst"), "{names:?}");
    assert_eq!(ids(&site, "/bk-cmdb/instance_associations", "id"), Vec::<i64>::new());
    assert_eq!(ids(&site, "/bk-cmdb/instances/bk_switch", "bk_inst_id"), [1, 2]);
}

#[test]
fn the_ends_and_rows_of_documents_are_meant() {
    let row = "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: r}\nspec:\n  association: switch_rack\n  \
        source: {model: bk_switch, match: {bk_inst_name: sw-3}}\n  targets: [{model: bk_rack, id: 22}, {model: bk_rack, id: 21}]\n";
    let site = site(&linked(), LINKS, row);
    let mut gone = removed(&site, &["--prune"]);
    gone.sort();
    let switches = ["Instance/pruned sw-1 (bk_switch #1)", "Instance/pruned sw-2 (bk_switch #2)"];
    assert_eq!(gone, [switches.as_slice(), &["InstanceAssociation/pruned association #91"]].concat());
}

#[test]
fn a_name_that_pruning_frees_can_be_taken() {
    let site = site(&state(), INSTANCES, &switch("a", "bk_asset_id: A1", "bk_inst_name: sw-3"));
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1)["bk_inst_name"], "sw-3");
    assert_eq!(ids(&site, "/bk-cmdb/instances/bk_switch", "bk_inst_id"), [1]);
}

#[test]
fn modules_go_but_never_built_in_ones() {
    let mut state = state();
    let modules = state["bk-cmdb"]["modules"].as_array_mut().expect("a list");
    modules.push(json!({"bk_module_id": 33, "bk_module_name": "idle", "bk_set_id": 11, "bk_biz_id": 3, "default": 1,
        "service_template_id": 0}));
    let document = "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {name: web}\nspec: {business: demo, set: public, module: web, \
        fields: {operator: alice}}\n";
    for scope in ["business: demo, set: public", "business: 3, set: 11"] {
        let site = site(&state, &format!("prune:\n  - {{kind: Module, {scope}}}\n"), document);
        let gone = removed(&site, &["--prune"]);
        assert_eq!(gone.len(), 1, "{gone:?}");
        assert!(gone[0].starts_with("Module/pruned cache (") && gone[0].ends_with("#32)"), "{gone:?}");
        let output = site.run(&["apply", "-y", "--prune"]);
        assert_eq!(output.code, Some(0), "{output}");
        let left = ids(&site, "/bk-cmdb/modules", "bk_module_id");
        assert!(left.contains(&31) && left.contains(&33) && !left.contains(&32), "{left:?}");
    }
}

#[test]
fn process_templates_go_where_their_service_template_is_a_scope() {
    let mut state = state();
    let other = |id: i64, name: &str, template: i64| {
        json!({"id": id, "bk_process_name": name, "bk_biz_id": 3,
        "service_template_id": template, "property": {"bk_process_name": {"value": name, "as_default_value": true}}})
    };
    state["bk-cmdb"]["service_templates"] = json!([{"id": 51, "name": "nginx", "bk_biz_id": 3, "service_category_id": 2},
        {"id": 52, "name": "redis", "bk_biz_id": 3, "service_category_id": 2}]);
    let templates = state["bk-cmdb"]["process_templates"].as_array_mut().expect("a list");
    templates.extend([other(58, "old", 51), other(59, "redis", 52)]);
    let document = "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {name: nginx}\nspec: {business: demo, \
        serviceTemplate: nginx, process: nginx, properties: {user: root}}\n";
    let scope = "prune:\n  - {kind: ProcessTemplate, business: demo, serviceTemplate: nginx}\n";
    let site = site(&state, scope, document);
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"delete_proc_template": 1}));
    assert_eq!(ids(&site, "/bk-cmdb/process_templates", "id"), [50, 59]);
}

#[test]
fn apps_go_too() {
    let document =
        "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: o}\nspec: {app: orders, fields: {remark: x}}\n";
    let site = site(&state(), "prune:\n  - {kind: App}\n", document);
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"UpdateRomaApp": 1, "DeleteRomaApp": 1}));
    let state = site.sandbox().state();
    assert_eq!(state["roma-connect"]["apps"].as_array().map(Vec::len), Some(1));
    assert_eq!(state["roma-connect"]["apps"][0]["id"], "a1");
}

#[test]
fn without_a_word_nothing_may_go() {
    let site = site(&state(), "", &two());
    site.configure(INSTANCES);
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(3), "{output}");
    assert!(site.writes().is_empty(), "{output}");
}

#[test]
fn a_scope_that_is_not_there_is_an_error_at_its_line() {
    let scopes = "prune:
  - {kind: Module, business: demo, set: publik}
  - {kind: Instance, model: no_such}
  - {kind: Instance, model: host}
  - {kind: InstanceAssociation, association: bk_set_bk_mainline_x}
  - {kind: ProcessTemplate, business: dem, serviceTemplate: nginx}
";
    let site = site(&state(), scopes, "");
    insta::assert_snapshot!(site.run(&["plan", "--prune", "--allow-empty"]), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 5 blocked.   0 calls, 7 reads, [time]
    ------- stderr -------
    error[P109]: no set is named `publik`
      --> reconcile.yaml:18:41
       |
    18 |   - {kind: Module, business: demo, set: publik}
       |                                         ^^^^^^
       |
       = help: did you mean `public`?

    error[P102]: the model `no_such` does not exist
      --> reconcile.yaml:19:29
       |
    19 |   - {kind: Instance, model: no_such}
       |                             ^^^^^^^
       |
       = help: write the id of the model (`bk_obj_id`), such as `bk_switch`, and not its name

    error[P151]: `host` is a built-in model: nothing of it is pruned as an Instance
      --> reconcile.yaml:20:5
       |
    20 |   - {kind: Instance, model: host}
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error[P151]: `bk_set_bk_mainline_x` is part of the topology: nothing of it is pruned
      --> reconcile.yaml:21:5
       |
    21 |   - {kind: InstanceAssociation, association: bk_set_bk_mainline_x}
       |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error[P101]: no business is named `dem`
      --> reconcile.yaml:22:39
       |
    22 |   - {kind: ProcessTemplate, business: dem, serviceTemplate: nginx}
       |                                       ^^^
       |
       = help: did you mean `demo`?
    [exit status: 1]
    ");
}

#[test]
fn a_removal_shows_what_goes_in_all_forms() {
    let manifest = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: gone}\nspec: {ensure: absent, model: bk_switch, \
        match: {bk_inst_name: sw-3}}\n";
    let site = site(&state(), INSTANCES, manifest);
    let plan = site.run(&["plan", "-o", "json"]).json();
    let removal = plan["changes"].as_array().and_then(|all| all.iter().find(|row| row["action"] == "delete")).cloned();
    let removal = removal.expect("a removal is planned");
    let row = site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 3);
    let before = removal["before"].as_array().cloned().unwrap_or_default();
    assert_eq!(before[0], json!({"path": "bk_inst_name", "value": "sw-3"}), "the name comes first");
    for field in &before {
        let path = field["path"].as_str().unwrap_or_default();
        assert_eq!(field["value"], row.get(path).cloned().unwrap_or_default(), "{path}");
    }
    let known = |path: &str| before.iter().any(|field| field["path"] == path);
    assert!(known("bk_asset_id") && known("ports"), "undeclared fields are told too: {before:?}");
    for (form, line) in [("text", "    bk_inst_name - \"sw-3\""), ("markdown", "- bk_inst_name: \"sw-3\"")] {
        let output = site.run(&["plan", "-o", form]);
        assert!(output.stdout.contains(line), "{form}:\n{output}");
    }
}

#[test]
fn what_goes_is_named() {
    let scope = "prune:\n  - {kind: InstanceAssociation, association: switch_rack}\n";
    let site = site(&linked(), scope, &two());
    let ends = |output: &Output| {
        let plan = output.json();
        let change =
            plan["changes"].as_array().and_then(|all| all.iter().find(|change| change["id"]["id"] == 93)).cloned();
        let before = change.expect("the row goes")["before"].as_array().cloned().unwrap_or_default();
        let shown = before.iter().map(|field| field.get("display").unwrap_or(&field["value"]).clone());
        shown.collect::<Vec<_>>()
    };
    let plan = || site.run(&["plan", "--prune", "-o", "json"]);
    assert_eq!(ends(&plan()), ["sw-3 (bk_switch #3)", "机柜-2 (bk_rack #22)"]);
    let text = site.run(&["plan", "--prune"]).stdout;
    assert!(text.contains("    source       - sw-3 (bk_switch #3)"), "{text}");
    // Where names cannot be read the numbers are shown, and the plan stands.
    let reads = site.reads()["search_object_instances"].as_u64().expect("instances are read") / 2;
    let fault = |nth: u64| {
        json!({"operation": "search_object_instances", "nth": nth, "fault": "code", "code": 1_199_045,
        "message": "no"})
    };
    site.faults(&json!([fault(reads), fault(reads - 1)]));
    assert_eq!(ends(&plan()), ["bk_switch #3", "bk_rack #22"]);
}

//! Objects that come and go: what creates and removes them, in which order, and that nothing is left to do afterwards.

use serde_json::{Value, json};

use crate::harness::{Output, Site, bodies, operations, state};

/// A state with a second service template, a category, an association of each mapping, and rows: id, association,
/// switch, rack.
fn site_with(rows: &[(i64, &str, i64, i64)]) -> Value {
    let mut state = state();
    let cmdb = &mut state["bk-cmdb"];
    let push = |list: &mut Value, row: Value| list.as_array_mut().expect("a list").push(row);
    let category = json!({"id": 3, "name": "Web", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1});
    push(&mut cmdb["service_categories"], category);
    let template = json!({"id": 52, "name": "redis", "bk_biz_id": 3, "service_category_id": 3});
    push(&mut cmdb["service_templates"], template);
    for (at, (name, mapping)) in [("one_one", "1:1"), ("one_many", "1:n")].iter().enumerate() {
        push(
            &mut cmdb["object_associations"],
            json!({"id": 2 + at, "bk_obj_asst_id": name, "bk_obj_id": "bk_switch", "bk_asst_obj_id": "bk_rack",
                "bk_asst_id": "connect", "mapping": mapping, "on_delete": "none"}),
        );
    }
    let row = |(id, name, source, target): &(i64, &str, i64, i64)| {
        json!({"id": id, "bk_obj_asst_id": name, "bk_obj_id": "bk_switch", "bk_inst_id": source,
            "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": target, "bk_asst_id": "connect"})
    };
    cmdb["instance_associations"] = rows.iter().map(row).collect();
    state
}

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: bk-cmdb/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

/// The rows of a switch: its document's name, the association, the switch, the racks, whatever else.
fn rows(name: &str, association: &str, switch: i64, racks: &[i64], more: &str) -> String {
    let targets: Vec<_> = racks.iter().map(|rack| format!("{{model: bk_rack, id: {rack}}}")).collect();
    let spec = format!(
        "association: {association}, source: {{model: bk_switch, id: {switch}}}, targets: [{}]{more}",
        targets.join(", ")
    );
    document("InstanceAssociation", name, &spec)
}

/// Applies documents where deletes that none of them spells out are allowed.
fn site(state: &Value, manifest: &str) -> Site {
    let site = Site::with(state, &[("one.yaml", manifest)]);
    site.configure("safety: {maxDeletes: 10}\n");
    site
}

/// The writes in their order: the operation and what of the body tells the object.
fn told(site: &Site) -> Vec<String> {
    let text = |call: &reconcile_sandbox::LoggedCall| {
        let body = &call.body;
        let told = ["id", "bk_inst_id", "bk_asst_inst_id", "bk_inst_name"];
        let told: Vec<_> = told.iter().filter(|key| !body[**key].is_null()).map(|key| body[*key].to_string()).collect();
        format!("{} {}", call.operation, told.join(" "))
    };
    site.apply().iter().map(text).collect()
}

/// The live rows: association, switch, rack.
fn live(site: &Site) -> Vec<String> {
    let state = site.sandbox().state();
    let rows = state["bk-cmdb"]["instance_associations"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value| format!("{} {} {}", row["bk_obj_asst_id"], row["bk_inst_id"], row["bk_asst_inst_id"]);
    let mut rows: Vec<_> = rows.iter().map(|row| text(row).replace('"', "")).collect();
    rows.sort();
    rows
}

/// Plans documents that cannot be as declared; nothing is written.
fn refused(state: &Value, manifest: &str, told: &[&str]) -> Output {
    let site = site(state, manifest);
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1), "{manifest}{output}");
    assert_eq!(operations(&site.writes()), json!({}), "{output}");
    for text in told {
        assert!(output.stderr.contains(text), "{text} is not told\n{output}");
    }
    output
}

const NEW_MODULE: &str = "ensure: present, business: demo, set: public, module: jobs, serviceCategory: Web, fields: \
                          {operator: [alice, bob]}";
const NEW_FROM_TEMPLATE: &str = "ensure: present, business: demo, set: public, module: redis, serviceTemplate: redis";
const NEW_PROCESS: &str = "ensure: present, business: demo, serviceTemplate: nginx, process: exporter, properties: \
                           {bk_func_name: exporter, proc_num: 2, user: {value: app, as_default_value: true}, \
                           bind_info: [{ip: 0.0.0.0, port: 9113, protocol: tcp}]}";
const NEW_SWITCH: &str = "ensure: present, model: bk_switch, match: {bk_inst_name: sw-9}, fields: {ports: 48}";

#[test]
fn present_creates_each_kind() {
    let manifest = document("Instance", "i", NEW_SWITCH)
        + &document(
            "InstanceAssociation",
            "l",
            "association: switch_rack, source: {ref: i}, targets: [{model: bk_rack, id: 21}]",
        )
        + &document("Module", "m", NEW_MODULE)
        + &document("Module", "t", NEW_FROM_TEMPLATE)
        + &document("ProcessTemplate", "p", NEW_PROCESS);
    let site = site(&site_with(&[]), &manifest);
    assert_eq!(
        operations(&site.apply()),
        json!({"create_inst": 1, "add_instance_association": 1, "create_module": 2, "batch_create_proc_template": 1})
    );
    let module = |name: &str| site.row("/bk-cmdb/modules", "bk_module_name", name);
    let (jobs, redis) = (module("jobs"), module("redis"));
    assert_eq!((&jobs["service_category_id"], &jobs["operator"]), (&json!(3), &json!("alice,bob")));
    assert_eq!((&redis["service_category_id"], &redis["service_template_id"]), (&json!(3), &json!(52)));
    let process = site.row("/bk-cmdb/process_templates", "bk_process_name", "exporter")["property"].clone();
    assert_eq!(process["bk_func_name"], json!({"value": "exporter", "as_default_value": true}));
    assert_eq!(process["user"], json!({"value": "app", "as_default_value": true}));
    assert_eq!(process["bind_info"]["value"][0]["row_id"], 1);
    assert_eq!(
        live(&site),
        [format!("switch_rack {} 21", site.row("/bk-cmdb/instances/bk_switch", "bk_inst_name", "sw-9")["bk_inst_id"])]
    );
    site.assert_converged();
}

#[test]
fn what_cannot_be_created_is_told_at_its_line() {
    let check = |kind: &str, spec: &str, told: &[&str]| refused(&site_with(&[]), &document(kind, "x", spec), told);
    let renamed = NEW_FROM_TEMPLATE.replace("module: redis", "module: cache-2");
    check(
        "Module",
        &renamed,
        &["P118", "is named after it, not `cache-2`", "write \"redis\", or leave out", "one.yaml:4:"],
    );
    check("Module", &NEW_MODULE.replace("Web", "Wob"), &["P111", "no service category", "did you mean `Web`?"]);
    check("Module", &NEW_MODULE.replace("jobs", "'a b'"), &["white space", "one.yaml:4:"]);
    check("Module", &NEW_MODULE.replace("module: jobs", "module: 77"), &["M306", "an id cannot be chosen"]);
    let unnamed = NEW_PROCESS.replace("bk_func_name: exporter, ", "");
    check("ProcessTemplate", &unnamed, &["P115", "needs `bk_func_name`", "add `bk_func_name: NAME` to `properties`"]);
    check("ProcessTemplate", &NEW_PROCESS.replace("value: app", "value: ' app'"), &["P116", "blank"]);
    let nameless = "ensure: present, model: bk_switch, match: {bk_asset_id: A9}, fields: {ports: 48}";
    check("Instance", nameless, &["P106", "needs `bk_inst_name`"]);
}

#[test]
fn absent_removes_rows_before_what_they_hang_on() {
    let state = site_with(&[(7, "switch_rack", 1, 21), (8, "one_many", 1, 22)]);
    let instances = document("Instance", "a", "ensure: absent, model: bk_switch, id: 1")
        + &document("Instance", "b", "ensure: absent, model: bk_rack, match: {bk_inst_name: rack-1}");
    let others = document("Module", "m", "ensure: absent, business: demo, set: public, module: cache")
        + &document("ProcessTemplate", "p", "ensure: absent, business: demo, serviceTemplate: nginx, process: nginx");
    let links =
        rows("x", "switch_rack", 1, &[21], ", ensure: absent") + &rows("y", "one_many", 1, &[22], ", ensure: absent");
    // A row that no document names stands in the way: told before anything is sent.
    let text = rows("x", "switch_rack", 1, &[21], ", ensure: absent");
    let site = site(&state, &(instances.clone() + &text));
    let output = site.plan();
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("Instance/a cannot be removed: association #8 depends on it"), "{output}");
    site.write("one.yaml", &(instances + &others + &links));
    let mut written = told(&site);
    let mut instances =
        written.split_off(written.iter().position(|call| call.starts_with("delete_inst ")).expect("one"));
    instances.sort();
    assert_eq!(instances, ["delete_inst 1", "delete_inst 21"]);
    written.sort();
    let first =
        ["delete_instance_association 7", "delete_instance_association 8", "delete_module ", "delete_proc_template "];
    assert_eq!(written, first);
    site.assert_converged();
}

#[test]
fn exact_removes_other_rows_of_the_source() {
    let state = site_with(&[(7, "switch_rack", 1, 21), (8, "switch_rack", 1, 22), (9, "switch_rack", 2, 22)]);
    // By itself `add` leaves them, and a delete that no document spells out needs leave.
    let site = Site::with(&state, &[("one.yaml", &rows("x", "switch_rack", 1, &[21], ""))]);
    site.assert_converged();
    site.write("one.yaml", &rows("x", "switch_rack", 1, &[21], ", mode: exact"));
    let output = site.run(&["apply", "-y"]);
    assert_eq!((output.code, site.writes().len()), (Some(3), 0), "{output}");
    site.configure("safety: {maxDeletes: 1}\n");
    assert_eq!(told(&site), ["delete_instance_association 8"]);
    assert_eq!(live(&site), ["switch_rack 1 21", "switch_rack 2 22"]);
    site.assert_converged();
}

#[test]
fn moves_remove_before_they_add() {
    // The source goes to another target; the target to another source, declared or not; both at once.
    let check = |before: &[(i64, &str, i64, i64)], manifest: &str, calls: &[&str], after: &[&str]| {
        let site = site(&site_with(before), manifest);
        assert_eq!(told(&site), calls, "{manifest}");
        assert_eq!(live(&site), after);
        site.assert_converged();
    };
    for name in ["one_one", "one_many"] {
        let now = |ends: &str| format!("{name} {ends}");
        check(
            &[(7, name, 2, 21)],
            &rows("x", name, 1, &[21], ", mode: exact"),
            &["delete_instance_association 7", "add_instance_association 1 21"],
            &[&now("1 21")],
        );
        // A ring of two, in which each gives its target to the other.
        let site = site(
            &site_with(&[(7, name, 1, 21), (8, name, 2, 22)]),
            &(rows("x", name, 1, &[22], ", mode: exact") + &rows("y", name, 2, &[21], ", mode: exact")),
        );
        let calls = told(&site);
        assert!(calls[..2].iter().all(|call| call.starts_with("delete_")), "{calls:?}");
        assert_eq!(live(&site), [now("1 22"), now("2 21")]);
        site.assert_converged();
    }
    let there = ["delete_instance_association 7", "add_instance_association 1 22"];
    check(&[(7, "one_one", 1, 21)], &rows("x", "one_one", 1, &[22], ", mode: exact"), &there, &["one_one 1 22"]);
    // A source of 1:n may have both for a moment, so nobody waits.
    let site = site(&site_with(&[(7, "one_many", 1, 21)]), &rows("x", "one_many", 1, &[22], ", mode: exact"));
    assert_eq!(told(&site).len(), 2);
    assert_eq!(live(&site), ["one_many 1 22"]);
    site.assert_converged();
    // `absent` and `add` say the same in two documents.
    let spelt = rows("x", "one_one", 1, &[21], ", ensure: absent") + &rows("y", "one_one", 1, &[22], "");
    check(&[(7, "one_one", 1, 21)], &spelt, &there, &["one_one 1 22"]);
    // Where nobody gives it up, it stays.
    let held = site_with(&[(7, "one_one", 1, 21)]);
    refused(&held, &rows("x", "one_one", 1, &[22], ""), &["P130", "association #7 has the source bk_switch #1"]);
}

#[test]
fn lost_answers_of_creates_are_looked_up() {
    let link = "association: one_one, source: {ref: i}, targets: [{model: bk_rack, id: 21}]";
    let cases = [
        ("create_module", document("Module", "m", NEW_MODULE)),
        ("create_module", document("Module", "t", NEW_FROM_TEMPLATE)),
        ("batch_create_proc_template", document("ProcessTemplate", "p", NEW_PROCESS)),
        ("create_inst", document("Instance", "i", NEW_SWITCH) + &document("InstanceAssociation", "l", link)),
        (
            "add_instance_association",
            document("Instance", "i", NEW_SWITCH) + &document("InstanceAssociation", "l", link),
        ),
        ("add_instance_association", rows("l", "one_many", 1, &[21, 22], "")),
    ];
    for (operation, manifest) in &cases {
        for fault in ["reset_after", "applied_504", "cut", "garbage"] {
            let site = site(&site_with(&[]), manifest);
            site.faults(&json!([{"operation": operation, "nth": 1, "fault": fault}]));
            let output = site.run(&["apply", "-y"]);
            assert_eq!(output.code, Some(0), "{operation} {fault}: {output}");
            site.assert_converged();
        }
        // Somebody else was faster: the code alone does not say that it is as wanted.
        let fresh = site(&site_with(&[]), manifest);
        let sent = fresh.apply().into_iter().find(|call| call.operation == *operation).expect("it is sent").body;
        if manifest.contains("ref: i") {
            continue;
        }
        let site = site(&site_with(&[]), manifest);
        let first = json!({"operation": operation, "body": sent});
        site.faults(&json!([{"operation": operation, "nth": 1, "fault": "second_writer", "edit": first}]));
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(0), "{operation}: {output}");
        site.faults(&json!([]));
        site.assert_converged();
    }
}

#[test]
fn a_create_that_was_refused_stays_refused_where_what_is_there_is_another() {
    let site = site(&site_with(&[]), &document("Instance", "i", NEW_SWITCH));
    let other =
        json!({"operation": "create_inst", "body": {"bk_obj_id": "bk_switch", "bk_inst_name": "sw-9", "ports": 7}});
    site.faults(&json!([{"operation": "create_inst", "nth": 1, "fault": "second_writer", "edit": other}]));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stdout.contains("code 1199014"), "{output}");
    assert_eq!(operations(&site.writes()), json!({"create_inst": 1}));
    // The next run knows it.
    site.faults(&json!([]));
    assert_eq!(bodies(&site.apply())[0]["ports"], 48);
    site.assert_converged();
}

#[test]
fn what_is_protected_stays() {
    let state = site_with(&[(7, "switch_rack", 1, 21)]);
    let check =
        |kind: &str, spec: &str| refused(&state, &document(kind, "x", spec), &["P140", "is protected", "one.yaml:1:"]);
    check("Instance", "ensure: absent, protect: true, model: bk_switch, id: 2");
    check("Module", "ensure: absent, protect: true, business: demo, set: public, module: cache");
    check("ProcessTemplate", "ensure: absent, protect: true, business: demo, serviceTemplate: nginx, process: nginx");
    let spelt = rows("x", "switch_rack", 1, &[21], ", ensure: absent, protect: true");
    refused(&state, &spelt, &["P140", "is protected"]);
    // Nor do its other rows go.
    let site = site(&state, &rows("x", "switch_rack", 1, &[22], ", mode: exact, protect: true"));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert!(output.stderr.contains("P140"), "{output}");
    assert_eq!(live(&site), ["switch_rack 1 21", "switch_rack 1 22"]);
}

#[test]
fn exact_keeps_rows_that_unselected_documents_name() {
    let before = [(7, "switch_rack", 1, 21), (8, "switch_rack", 1, 22), (9, "one_one", 2, 22)];
    let mut state = site_with(&before);
    let racks = state["bk-cmdb"]["instances"]["bk_rack"].as_array_mut().expect("a list");
    racks.push(json!({"bk_inst_id": 23, "bk_inst_name": "rack-3"}));
    let extra = json!({"id": 10, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch", "bk_inst_id": 1,
        "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": 23, "bk_asst_id": "connect"});
    state["bk-cmdb"]["instance_associations"].as_array_mut().expect("a list").push(extra);
    let manifest = rows("x", "switch_rack", 1, &[21], ", mode: exact") + &rows("y", "switch_rack", 1, &[22], "");
    for filter in [&["--target", "InstanceAssociation/x*"][..], &["--exclude", "InstanceAssociation/y*"]] {
        let site = site(&state, &manifest);
        let output = site.run(&[&["apply", "-y"], filter].concat());
        assert_eq!(output.code, Some(0), "{filter:?}: {output}");
        assert_eq!(live(&site), ["one_one 2 22", "switch_rack 1 21", "switch_rack 1 22"], "{filter:?}: {output}");
        site.assert_converged();
    }
    // And what only an unselected document would remove, stays.
    let site = site(&state, &manifest);
    let output = site.run(&["apply", "-y", "--target", "InstanceAssociation/y*"]);
    assert_eq!((output.code, site.writes().len()), (Some(0), 0), "{output}");
}

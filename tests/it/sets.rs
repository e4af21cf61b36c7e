//! Sets: made, changed and removed, alone and together with the modules in them.

use serde_json::{Value, json};

use crate::{
    harness::{Site, bodies, operations, state},
    removals::layered,
};

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: bk-cmdb/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

fn set(name: &str, spec: &str) -> String {
    document("Set", name, spec)
}

fn module(name: &str, spec: &str) -> String {
    document("Module", name, spec)
}

/// Adds the model of sets with some attributes to a state, and a second set.
pub(crate) fn with_sets(mut state: Value) -> Value {
    let cmdb = &mut state["bk-cmdb"];
    let push = |list: &mut Value, row: Value| list.as_array_mut().expect("a list").push(row);
    push(&mut cmdb["objects"], json!({"bk_obj_id": "set", "bk_obj_name": "Set"}));
    let attribute = |name: &str, kind: &str, option: Value| {
        json!({"bk_obj_id": "set", "bk_property_id": name, "bk_property_name": name, "bk_property_type": kind,
            "editable": true, "isrequired": name == "bk_set_name", "ismultiple": false, "option": option})
    };
    let environments = json!([{"id": "1", "name": "testing", "is_default": false, "type": "text"},
        {"id": "3", "name": "formal", "is_default": true, "type": "text"}]);
    for attribute in [
        attribute("bk_set_name", "singlechar", json!("")),
        attribute("bk_set_env", "enum", environments),
        attribute("bk_capacity", "int", json!({"min": 1, "max": 999_999_999})),
        attribute("description", "longchar", json!("")),
    ] {
        push(&mut cmdb["attributes"], attribute);
    }
    state
}

fn site(state: &Value, documents: &[String]) -> Site {
    Site::with(state, &[("one.yaml", &documents.concat())])
}

fn demo() -> Value {
    with_sets(state())
}

#[test]
fn a_set_is_made_before_the_modules_in_it() {
    let documents = [
        module("api", "ensure: present, business: demo, set: prod-1, module: api"),
        module("nginx", "ensure: present, business: 3, set: prod-1, module: nginx, serviceTemplate: nginx"),
        set("s", "ensure: present, business: demo, set: prod-1, fields: {bk_set_env: testing, bk_capacity: 200}"),
    ];
    let site = site(&demo(), &documents);
    let output = site.run(&["validate", "--online"]);
    assert_eq!(output.code, Some(0), "{output}");
    let writes = site.apply();
    let names: Vec<&str> = writes.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(names, ["create_set", "create_module", "create_module"]);
    assert_eq!(
        bodies(&writes[..1]),
        json!([{"bk_biz_id": 3,
            "data": {"bk_parent_id": 3, "bk_set_name": "prod-1", "bk_set_env": "1", "bk_capacity": 200}}])
    );
    let made = site.row("/bk-cmdb/sets", "bk_set_name", "prod-1")["bk_set_id"].clone();
    for name in ["api", "nginx"] {
        assert_eq!(site.row("/bk-cmdb/modules", "bk_module_name", name)["bk_set_id"], made, "{name}");
    }
    site.assert_converged();
    // Chosen alone, a module still finds its set; without it, it waits in vain.
    let alone = self::site(&demo(), &documents);
    let output = alone.run(&["plan", "--target", "Module/api"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.all().contains("Set/s"), "{output}");
    assert!(!output.all().contains("no set is named"), "{output}");
}

#[test]
fn fields_and_the_name_change() {
    let rename =
        set("s", "business: demo, set: public, fields: {bk_set_name: front, bk_set_env: formal, bk_capacity: 7}");
    // Both names mean the set, before and after.
    let documents = [
        rename,
        module("w", "business: demo, set: front, module: web, fields: {operator: [alice]}"),
        module("c", "business: demo, set: public, module: cache, fields: {operator: [alice]}"),
    ];
    let site = site(&demo(), &documents);
    assert_eq!(operations(&site.apply()), json!({"update_set": 1, "update_module": 2}));
    let row = site.row("/bk-cmdb/sets", "bk_set_id", 11);
    assert_eq!(
        (&row["bk_set_name"], &row["bk_set_env"], &row["bk_capacity"]),
        (&json!("front"), &json!("3"), &json!(7))
    );
    site.assert_converged();
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_sent() {
    let mut state = demo();
    let rows = state["bk-cmdb"]["sets"].as_array_mut().expect("a list");
    rows.push(json!({"bk_set_id": 12, "bk_set_name": "空闲机池", "bk_biz_id": 3, "bk_parent_id": 3, "default": 1}));
    rows.push(json!({"bk_set_id": 13, "bk_set_name": "spare", "bk_biz_id": 3, "bk_parent_id": 3}));
    let check = |documents: &[String], expected: &[&str]| {
        let site = site(&state, documents);
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(1), "{output}");
        for text in expected {
            assert!(output.stderr.contains(text), "`{text}` is not told\n{output}");
        }
        assert_eq!(operations(&site.writes()), json!({}), "{output}");
    };
    let taken = |set: &str| format!("business: demo, set: {set}, fields: {{bk_set_name: spare}}");
    check(&[set("a", &taken("11"))], &["P130", "the name `spare` below #3"]);
    check(&[set("a", &taken("public"))], &["P105", "set #11, set #13"]);
    check(
        &[set("a", "business: demo, set: idle pool, fields: {bk_capacity: 2}")],
        &["P107", "set #12 is a built-in set"],
    );
    check(&[set("a", "business: demo, set: 12, fields: {bk_capacity: 2}")], &["P107"]);
    check(&[set("a", "ensure: absent, business: demo, set: 12")], &["P143", "the built-in set"]);
    check(&[set("a", "business: demo, set: publik, fields: {bk_capacity: 2}")], &["did you mean `public`?"]);
    check(&[set("a", "business: demo, set: public, fields: {bk_capacity: 0}")], &["P104"]);
    check(&[set("a", "business: demo, set: public, fields: {capacity: 1}")], &["P103"]);
    check(&[set("a", "business: demo, set: public, fields: {bk_set_name: 'a b'}")], &["M310", "white space"]);
    check(&[set("a", "ensure: present, business: demo, set: 77")], &["M306"]);
    check(&[set("a", "business: demo, set: public, cascade: true, fields: {}")], &["M308"]);
    check(&[set("a", "ensure: present, business: demo, set: x, parent: north")], &["P126", "no layer lies between"]);
    check(&[set("a", "business: demo, set: public, fields: {bk_parent_id: 4}")], &["M304"]);
    let twice = [set("a", "ensure: present, business: demo, set: x"), set("b", "ensure: present, business: 3, set: x")];
    check(&twice, &["P131", "both to have the name `x` below #3"]);
    let instance = document("Instance", "i", "model: set, match: {bk_inst_name: x}, fields: {}");
    check(&[instance], &["M307", "use kind `Set`"]);
}

#[test]
fn a_set_goes_behind_its_modules_and_never_over_hosts() {
    let absent = "ensure: absent, business: demo, set: public";
    let gone = ["web", "cache"].map(|name| module(name, &format!("{absent}, module: {name}")));
    let refused = |state: &Value, documents: &[String], expected: &[&str]| {
        let site = site(state, documents);
        site.configure("safety: {maxDeletes: 10}\n");
        let output = site.run(&["apply", "-y"]);
        assert_ne!(output.code, Some(0), "{output}");
        expected.iter().for_each(|text| assert!(output.stderr.contains(text), "`{text}` is not told\n{output}"));
        assert!(!operations(&site.writes()).as_object().expect("a map").contains_key("delete_set"), "{output}");
    };
    refused(&demo(), &[set("s", absent)], &["P141", "module `web` #31", "module `cache` #32"]);
    refused(&demo(), &[set("s", absent), gone[0].clone()], &["P141", "module `cache` #32"]);
    let kept = module("k", "business: demo, set: public, module: web, fields: {operator: [bob]}");
    refused(&demo(), &[set("s", &format!("{absent}, cascade: true")), kept], &["P141", "#31"]);
    let mut hosts = demo();
    hosts["bk-cmdb"]["host_relations"] =
        json!([{"bk_host_id": 1, "bk_module_id": 31, "bk_set_id": 11, "bk_biz_id": 3}]);
    refused(&hosts, &[set("s", &format!("{absent}, cascade: true"))], &["P143", "1 host lies in its modules"]);

    let check = |documents: &[String], expected: &[&str]| {
        let site = site(&demo(), documents);
        site.configure("safety: {maxDeletes: 10}\n");
        let names: Vec<_> = site.apply().iter().map(|call| call.operation.clone()).collect();
        assert_eq!(names, expected);
        assert_eq!(site.sandbox().state()["bk-cmdb"]["sets"], json!([]));
        site.assert_converged();
    };
    check(&[gone.concat(), set("s", absent)], &["delete_module", "delete_module", "delete_set"]);
    check(&[set("s", &format!("{absent}, cascade: true"))], &["delete_set"]);
}

#[test]
fn modules_of_a_set_template_are_left_to_it() {
    let mut state = demo();
    state["bk-cmdb"]["set_templates"] = json!([{"id": 7, "name": "small", "bk_biz_id": 3}]);
    state["bk-cmdb"]["sets"][0]["set_template_id"] = json!(7);
    let check = |spec: &str, code: &str| {
        let site = site(&state, &[module("m", spec)]);
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(code) && output.stderr.contains("set template #7"), "{output}");
        assert!(site.writes().is_empty());
    };
    check("ensure: present, business: demo, set: public, module: jobs", "P125");
    check("ensure: absent, business: demo, set: public, module: web", "P143");
    let site = site(&state, &[set("s", "business: demo, set: public, fields: {description: ours}")]);
    assert_eq!(operations(&site.apply()), json!({"update_set": 1}));
}

#[test]
fn below_a_custom_layer_a_set_needs_its_parent() {
    let state = with_sets(layered(&json!([])));
    let check = |spec: &str, expected: &str| {
        let site = site(&state, &[set("s", spec)]);
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains("error[P126]") && output.stderr.contains(expected), "{output}");
        assert!(site.writes().is_empty());
    };
    check("ensure: present, business: demo, set: new", "sets lie below instances of `room` here");
    check("ensure: present, business: demo, set: new, parent: nowhere", "no instance \"nowhere\" of `room`");
    check("business: demo, set: 11, parent: r2, fields: {bk_capacity: 2}", "set #11 lies below #51, and not below #52");
    let site = site(&state, &[set("s", "ensure: present, business: demo, set: new, parent: r2")]);
    assert_eq!(operations(&site.apply()), json!({"create_set": 1}));
    let room = site.row("/bk-cmdb/instances/room", "bk_inst_name", "r2")["bk_inst_id"].clone();
    assert_eq!(site.row("/bk-cmdb/sets", "bk_set_name", "new")["bk_parent_id"], room);
    site.assert_converged();
}

#[test]
fn what_hangs_below_a_set_is_counted() {
    let mut state = demo();
    state["bk-cmdb"]["host_relations"] =
        (1..=3).map(|host| json!({"bk_host_id": host, "bk_module_id": 31, "bk_set_id": 11, "bk_biz_id": 3})).collect();
    let site = site(&state, &[set("s", "business: demo, set: public, fields: {bk_capacity: 9}")]);
    let output = site.run(&["plan"]);
    assert!(output.stdout.contains("impact: 3 hosts, 2 modules"), "{output}");
    let refused = site.run(&["apply", "-y", "--max-impact", "hosts=2"]);
    assert_eq!(refused.code, Some(3), "{refused}");
}

#[test]
fn what_no_document_means_is_pruned() {
    let mut state = demo();
    let rows = state["bk-cmdb"]["sets"].as_array_mut().expect("a list");
    rows.push(json!({"bk_set_id": 12, "bk_set_name": "空闲机池", "bk_biz_id": 3, "bk_parent_id": 3, "default": 1}));
    rows.push(json!({"bk_set_id": 13, "bk_set_name": "spare", "bk_biz_id": 3, "bk_parent_id": 3}));
    let site = site(&state, &[set("s", "business: demo, set: public, fields: {bk_capacity: 9}")]);
    site.configure("safety: {maxDeletes: 10}\nprune:\n  - {kind: Set, business: demo}\n");
    let output = site.run(&["apply", "-y", "--prune"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"update_set": 1, "delete_set": 1}));
    let left = site.sandbox().state()["bk-cmdb"]["sets"].as_array().map(Vec::len);
    assert_eq!(left, Some(2));
}

#[test]
fn a_lost_answer_makes_no_second_set() {
    let documents = [
        set("s", "ensure: present, business: demo, set: prod-1"),
        module("m", "ensure: present, business: demo, set: prod-1, module: api"),
    ];
    for fault in ["reset_after", "cut"] {
        let site = site(&demo(), &documents);
        site.faults(&json!([{"operation": "create_set", "nth": 1, "fault": fault},
            {"operation": "create_module", "nth": 1, "fault": fault}]));
        assert_eq!(operations(&site.apply()), json!({"create_set": 1, "create_module": 1}), "{fault}");
        site.assert_converged();
    }
}

#[test]
fn a_snapshot_and_a_saved_plan_say_the_same() {
    let documents = [
        set("s", "ensure: present, business: demo, set: prod-1, fields: {bk_capacity: 4}"),
        set("p", "business: demo, set: public, fields: {bk_capacity: 9, description: ours}"),
        module("m", "ensure: present, business: demo, set: prod-1, module: api"),
    ];
    let site = site(&demo(), &documents);
    let live = site.run(&["plan"]);
    let output = site.run(&["snapshot", "--out", "snap.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let kept = site.run(&["plan", "--against", "snap.json"]);
    let changes = |text: &str| text.split("Plan:").next().map(str::to_owned);
    assert_eq!(changes(&kept.stdout), changes(&live.stdout), "{kept}");
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
    let applied = site.run(&["apply", "plan.json", "-y"]);
    assert_eq!(applied.code, Some(0), "{applied}");
    assert_eq!(operations(&site.writes()), json!({"create_set": 1, "update_set": 1, "create_module": 1}));
    site.assert_converged();
}

#[test]
fn who_changed_a_set_is_told() {
    let site = site(&demo(), &[set("s", "business: demo, set: public, fields: {bk_capacity: 9}")]);
    site.edit("update_set", &json!({"bk_biz_id": 3, "bk_set_id": 11, "data": {"bk_capacity": 4}}));
    let output = site.run(&["drift"]);
    assert!(output.stdout.contains("bk_capacity") && output.stdout.contains('4'), "{output}");
    assert!(output.stdout.contains("changed"), "{output}");
}

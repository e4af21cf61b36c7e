//! Hosts: fields in batches, each host judged for itself, and moves between modules.

use serde_json::{Value, json};

use crate::harness::{Site, bodies, operations, repository, state};

fn document(kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: bk-cmdb/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

fn host(name: &str, spec: &str) -> String {
    document("Host", name, spec)
}

/// Returns a document of a host by its address.
fn by_address(at: i64, more: &str) -> String {
    let id = format!("business: demo, match: {{bk_host_innerip: 10.0.0.{at}, bk_cloud_id: 0}}");
    host(&format!("h{at}"), &format!("{id}, {more}"))
}

/// Adds the model of hosts, the built-in modules and some hosts to a state: 1 and 2 in `web`, 3 in `web` and `nginx`, 4
/// idle, 5 in the resource pool, 6 in another business.
pub(crate) fn with_hosts(mut state: Value) -> Value {
    let cmdb = &mut state["bk-cmdb"];
    let push = |list: &mut Value, row: Value| {
        if !list.is_array() {
            *list = json!([]);
        }
        list.as_array_mut().expect("a list").push(row);
    };
    push(&mut cmdb["objects"], json!({"bk_obj_id": "host", "bk_obj_name": "Host"}));
    let attribute = |name: &str, kind: &str, editable: bool| {
        json!({"bk_obj_id": "host", "bk_property_id": name, "bk_property_name": name, "bk_property_type": kind,
            "editable": editable, "isrequired": false, "ismultiple": kind == "objuser"})
    };
    for attribute in [
        attribute("bk_host_innerip", "singlechar", false),
        attribute("bk_cloud_id", "foreignkey", false),
        attribute("bk_asset_id", "singlechar", false),
        attribute("bk_host_name", "singlechar", true),
        attribute("operator", "objuser", true),
        attribute("bk_cpu", "int", true),
        attribute("bk_comment", "longchar", true),
    ] {
        push(&mut cmdb["attributes"], attribute);
    }
    push(&mut cmdb["businesses"], json!({"bk_biz_id": 4, "bk_biz_name": "other"}));
    for business in [3, 4] {
        let set = business * 100;
        push(
            &mut cmdb["sets"],
            json!({"bk_set_id": set, "bk_set_name": "idle pool", "bk_biz_id": business, "default": 1}),
        );
        for (default, name) in [(1, "idle host"), (2, "fault host"), (3, "recycle host")] {
            push(
                &mut cmdb["modules"],
                json!({"bk_module_id": set + default, "bk_module_name": name, "bk_set_id": set,
                    "bk_biz_id": business, "default": default}),
            );
        }
    }
    push(
        &mut cmdb["modules"],
        json!({"bk_module_id": 34, "bk_module_name": "nginx", "bk_set_id": 11, "bk_biz_id": 3, "service_template_id": 51,
            "service_category_id": 2}),
    );
    cmdb["instances"]["host"] = (1..=6)
        .map(|at| {
            let address = if at == 2 { "10.0.0.2,10.0.1.2".to_owned() } else { format!("10.0.0.{at}") };
            json!({"bk_host_id": 70 + at, "bk_host_innerip": address, "bk_cloud_id": 0, "bk_asset_id": format!("A{at}"),
                "bk_host_name": format!("host-{at}"), "operator": "bob", "bk_cpu": 4, "bk_comment": ""})
        })
        .collect();
    for (host, module, set, business) in [
        (71, 31, 11, 3),
        (72, 31, 11, 3),
        (73, 31, 11, 3),
        (73, 34, 11, 3),
        (74, 301, 300, 3),
        (75, 1, 1, 1),
        (76, 401, 400, 4),
    ] {
        push(
            &mut cmdb["host_relations"],
            json!({"bk_host_id": host, "bk_module_id": module, "bk_set_id": set, "bk_biz_id": business}),
        );
    }
    state
}

fn site(documents: &[String]) -> Site {
    Site::with(&with_hosts(state()), &[("one.yaml", &documents.concat())])
}

/// Returns the modules that a host is in.
fn modules(site: &Site, host: i64) -> Vec<i64> {
    let answer =
        site.ask("find_host_topo_relation", &json!({"bk_host_ids": [host], "page": {"start": 0, "limit": 100}}));
    let rows = answer["data"]["data"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<i64> = rows.iter().filter_map(|row| row["bk_module_id"].as_i64()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn fields_of_hosts_change_in_one_call() {
    let site = site(&[
        by_address(1, "fields: {operator: [alice], bk_cpu: 8}"),
        host("second", "business: 3, match: {bk_host_innerip: 10.0.1.2, bk_cloud_id: 0}, fields: {operator: [alice]}"),
        host("third", "business: demo, match: {bk_asset_id: A3}, fields: {bk_comment: rack 7}"),
        host("fourth", "business: demo, match: {bk_host_id: 74}, fields: {operator: [bob]}"),
    ]);
    let writes = site.apply();
    assert_eq!(operations(&writes), json!({"batch_update_host": 1}));
    assert_eq!(
        bodies(&writes),
        json!([{"update": [
            {"bk_host_id": 71, "properties": {"operator": "alice", "bk_cpu": 8}},
            {"bk_host_id": 72, "properties": {"operator": "alice"}},
            {"bk_host_id": 73, "properties": {"bk_comment": "rack 7"}},
        ]}])
    );
    site.assert_converged();
}

#[test]
fn hosts_move_with_as_few_calls_as_there_are_targets() {
    let site = site(&[
        by_address(1, "modules: [public/nginx]"),
        by_address(2, "modules: [34]"),
        by_address(3, "modules: [fault]"),
        by_address(4, "modules: [public/web, public/nginx]"),
    ]);
    let plan = site.run(&["plan"]);
    assert!(plan.stdout.contains("[public/web] → [public/nginx]"), "{plan}");
    assert!(plan.stdout.contains("[public/web, public/nginx] → [fault]"), "{plan}");
    assert!(plan.stdout.contains("1 service instance"), "{plan}");
    let writes = site.apply();
    assert_eq!(operations(&writes), json!({"transfer_host_module": 2, "transfer_host_to_faultmodule": 1}));
    let mut bodies = bodies(&writes).as_array().cloned().expect("a list");
    bodies.sort_by_key(|body| body["bk_host_id"][0].as_i64());
    assert_eq!(
        Value::from(bodies),
        json!([
            {"bk_biz_id": 3, "bk_host_id": [71, 72], "bk_module_id": [34], "is_increment": false},
            {"bk_biz_id": 3, "bk_host_id": [73]},
            {"bk_biz_id": 3, "bk_host_id": [74], "bk_module_id": [31, 34], "is_increment": true},
        ])
    );
    assert_eq!([71, 72, 73, 74].map(|host| modules(&site, host)), [vec![34], vec![34], vec![302], vec![31, 34]]);
    site.assert_converged();
}

#[test]
fn modules_are_only_added_where_the_document_says_so() {
    let site = site(&[
        by_address(1, "mode: add, modules: [public/cache]"),
        by_address(3, "mode: add, modules: [public/cache]"),
        by_address(4, "mode: add, modules: [public/cache]"),
        by_address(2, "mode: add, modules: [public/web]"),
    ]);
    let writes = site.apply();
    assert_eq!(
        bodies(&writes),
        json!([{"bk_biz_id": 3, "bk_host_id": [71, 73, 74], "bk_module_id": [32], "is_increment": true}])
    );
    assert_eq!([71, 73, 74].map(|host| modules(&site, host)), [vec![31, 32], vec![31, 32, 34], vec![32]]);
    site.assert_converged();
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_sent() {
    let check = |documents: &[String], expected: &[&str]| {
        let site = site(documents);
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(1), "{output}");
        for text in expected {
            assert!(output.stderr.contains(text), "`{text}` is not told\n{output}");
        }
        assert_eq!(operations(&site.writes()), json!({}), "{output}");
    };
    let one = |spec: &str| [host("h", spec)];
    check(&[by_address(5, "fields: {bk_cpu: 8}")], &["P180", "host #75 is in the resource pool"]);
    check(&[by_address(6, "modules: [public/web]")], &["P180", "host #76 is in business #4"]);
    check(&[by_address(9, "fields: {bk_cpu: 8}")], &["P180", "no such host is known"]);
    check(&[by_address(1, "modules: [public/wep]")], &["P181", "did you mean `web`?"]);
    check(&[by_address(1, "modules: [publik/web]")], &["P181", "no set is named `publik`"]);
    check(&[by_address(1, "modules: [77]")], &["P181", "no module #77"]);
    check(&[by_address(1, "modules: [301]")], &["P181", "built-in module", "modules: [idle]"]);
    check(&[by_address(1, "modules: [31, public/web]")], &["P181", "named twice"]);
    check(&[by_address(1, "fields: {bk_host_innerip: 10.0.0.8}")], &["P104", "not editable"]);
    check(&[by_address(1, "fields: {cpu: 8}")], &["P103"]);
    check(
        &[by_address(1, "fields: {bk_cpu: 1}"), one("business: 3, match: {bk_host_id: 71}, fields: {}")[0].clone()],
        &["P105"],
    );
    check(&[by_address(1, "modules: [idle, public/web]")], &["M351", "in no other"]);
    check(&[by_address(1, "mode: add, modules: [idle]")], &["M352"]);
    check(&[by_address(1, "mode: add, fields: {}")], &["M352"]);
    check(&[by_address(1, "modules: []")], &["M351", "[idle]"]);
    check(&[by_address(1, "modules: [web]")], &["M351", "SET/MODULE"]);
    check(&[by_address(1, "ensure: absent")], &["M301", "neither created nor removed"]);
    check(&one("business: 3, match: {bk_host_innerip: 10.0.0.1}, fields: {}"), &["M350", "bk_cloud_id: 0"]);
    check(&one("business: 3, match: {bk_host_name: a}, fields: {}"), &["M350"]);
    check(&one("business: 3, match: {bk_host_id: x}, fields: {}"), &["M350", "whole number"]);
    let ips = "match: {bk_host_innerip: '10.0.0.2,10.0.1.2', bk_cloud_id: 0}";
    check(&one(&format!("business: 3, {ips}, fields: {{}}")), &["M350", "found by each of them"]);
}

#[test]
fn one_host_that_is_refused_keeps_no_other_from_being_written() {
    let site = site(&(1..=4).map(|at| by_address(at, "fields: {bk_cpu: 8}")).collect::<Vec<_>>());
    // The batch, one of its halves, and one of the hosts in that.
    let refused = |nth: u64| json!({"operation": "batch_update_host", "nth": nth, "fault": "code", "code": 1_199_011});
    site.faults(&json!([refused(1), refused(2), refused(4)]));
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(5), "{output}");
    let outcomes: Vec<Value> =
        output.json()["outcomes"].as_array().expect("a list").iter().map(|change| change["outcome"].clone()).collect();
    let count = |name: &str| outcomes.iter().filter(|outcome| **outcome == name).count();
    assert_eq!((count("applied"), count("refused")), (3, 1), "{output}");
    assert_eq!(operations(&site.writes()), json!({"batch_update_host": 5}));
    let written = (71..=74).filter(|id| site.row("/bk-cmdb/instances/host", "bk_host_id", *id)["bk_cpu"] == 8).count();
    assert_eq!(written, 3);
}

#[test]
fn a_lost_answer_is_looked_up_and_nothing_is_moved_twice() {
    for (fault, calls) in [("reset_after", 1), ("applied_504", 1), ("reset_before", 2)] {
        let site = site(&(1..=4).map(|at| by_address(at, "modules: [public/cache]")).collect::<Vec<_>>());
        site.faults(&json!([{"operation": "transfer_host_module", "nth": 1, "fault": fault}]));
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(0), "{output}");
        assert_eq!(site.writes().len(), calls, "{fault}\n{output}");
        assert_eq!((71..=74).map(|host| modules(&site, host)).collect::<Vec<_>>(), vec![vec![32]; 4]);
    }
}

#[test]
fn modules_of_one_name_are_told_apart_by_their_ids() {
    let mut state = with_hosts(state());
    let rows = state["bk-cmdb"]["sets"].as_array_mut().expect("a list");
    rows.push(json!({"bk_set_id": 12, "bk_set_name": "public", "bk_biz_id": 3, "bk_parent_id": 4}));
    let rows = state["bk-cmdb"]["modules"].as_array_mut().expect("a list");
    rows.push(json!({"bk_module_id": 35, "bk_module_name": "cache", "bk_set_id": 12, "bk_biz_id": 3}));
    let site = Site::with(&state, &[("one.yaml", &by_address(1, "modules: [public/cache]"))]);
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("several modules are named \"public/cache\": #32, #35"), "{output}");
    site.write("one.yaml", &by_address(1, "modules: [35]"));
    site.apply();
    assert_eq!(modules(&site, 71), [35]);
    site.assert_converged();
}

#[test]
fn process_templates_change_before_hosts_come_into_their_modules() {
    let process = "business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 3}";
    let documents = [by_address(1, "modules: [public/nginx]"), document("ProcessTemplate", "p", process)];
    let site = site(&documents);
    let names: Vec<String> = site.apply().iter().map(|call| call.operation.clone()).collect();
    assert_eq!(names, ["update_proc_template", "transfer_host_module"]);
    // Where that change fails, the host stays: it would get processes of the old template.
    let site = self::site(&documents);
    site.faults(&json!([{"operation": "update_proc_template", "fault": "code", "code": 1_199_006}]));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(modules(&site, 71), [31]);
}

#[test]
fn a_module_that_is_to_go_takes_no_hosts() {
    let site = site(&[
        by_address(1, "modules: [public/cache]"),
        document("Module", "m", "ensure: absent, business: demo, set: public, module: cache"),
    ]);
    let output = site.run(&["plan"]);
    assert!(output.stderr.contains("is to be removed by Module/m"), "{output}");
    assert_eq!(output.code, Some(1), "{output}");
}

/// Returns the state of an example.
fn example(directory: &str) -> Value {
    let text = std::fs::read_to_string(repository().join(directory).join("sandbox.yaml")).expect("an example");
    serde_saphyr::from_str(&text).expect("the state is right")
}

/// A site with the documents of the example of a whole business.
fn whole_business() -> Site {
    let directory = repository().join("examples/business");
    let read = |file: &str| std::fs::read_to_string(directory.join(file)).expect("an example");
    let files = ["business.yaml", "hosts.yaml"].map(|file| (file, read(file)));
    Site::with(&example("examples/business"), &files.each_ref().map(|(file, text)| (*file, text.as_str())))
}

#[test]
fn a_business_is_made_whole_by_one_apply() {
    let site = whole_business();
    let output = site.run(&["validate", "--online"]);
    assert_eq!(output.code, Some(0), "{output}");
    let writes = site.apply();
    let names: Vec<&str> = writes.iter().map(|call| call.operation.as_str()).collect();
    let at = |name: &str| names.iter().position(|other| *other == name).expect(name);
    let last = |name: &str| names.iter().rposition(|other| *other == name).expect(name);
    assert_eq!(
        operations(&writes),
        json!({"create_set": 1, "create_service_template": 1, "batch_create_proc_template": 2, "create_module": 2,
            "batch_update_host": 1, "transfer_host_module": 2}),
        "{names:?}"
    );
    assert!(at("create_set") < at("create_module"), "{names:?}");
    assert!(at("create_service_template") < at("batch_create_proc_template"), "{names:?}");
    assert!(last("create_module") < last("transfer_host_module"), "{names:?}");
    assert!(last("batch_create_proc_template") < at("transfer_host_module"), "{names:?}");
    // Each host in the module has both processes at once.
    let nginx = site.row("/bk-cmdb/modules", "bk_module_name", "nginx")["bk_module_id"].clone();
    let services = site.sandbox().state()["bk-cmdb"]["service_instances"].as_array().cloned().expect("a list");
    let of_nginx: Vec<&Value> = services.iter().filter(|row| row["bk_module_id"] == nginx).collect();
    assert_eq!(of_nginx.len(), 3);
    let processes = |row: &&&Value| row["process_instances"].as_array().map(Vec::len) == Some(2);
    assert_eq!(of_nginx.iter().filter(processes).count(), 3);
    site.assert_converged();
}

/// Plans, takes a snapshot, and runs the plan against simulated servers that fail.
fn rehearse(site: &Site) {
    for arguments in [
        &["plan", "--out", "plan.json"][..],
        &["snapshot", "--out", "live.json"],
        &["rehearse", "plan.json", "--against", "live.json", "--seeds", "12"],
    ] {
        let output = site.run(arguments);
        assert_eq!(output.code, Some(0), "{output}");
    }
}

#[test]
fn a_business_is_rehearsed_from_nothing_and_through_a_roll_out() {
    let site = whole_business();
    rehearse(&site);
    site.apply();
    let text = std::fs::read_to_string(site.path().join("business.yaml")).expect("the example");
    site.write("business.yaml", &text.replace("port: \"80\"", "port: \"8080\""));
    rehearse(&site);
    let writes = site.apply();
    let expected = json!({"update_proc_template": 1, "sync_service_template_to_service_instance": 1});
    assert_eq!(operations(&writes), expected);
    let services = site.sandbox().state()["bk-cmdb"]["service_instances"].to_string();
    assert_eq!(services.matches(r#""port":"8080""#).count(), 3, "{services}");
    site.assert_converged();
}

#[test]
fn a_host_chosen_alone_waits_for_the_module_that_is_not_there() {
    let site = whole_business();
    let output = site.run(&["plan", "--target", "Host/front-1"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.all().contains("needs Module/nginx"), "{output}");
    let output = site.run(&["plan", "--target", "Host/spare-1"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stdout.contains("Host spare-1 "), "{output}");
}

#[test]
fn a_module_that_is_refused_keeps_its_hosts_where_they_are() {
    let site = whole_business();
    site.faults(&json!([{"operation": "create_module", "fault": "code", "code": 1_199_011}]));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert_eq!(operations(&site.writes()).get("transfer_host_module"), None, "{output}");
    assert!(output.all().contains("skipped"), "{output}");
    site.faults(&json!([]));
    site.apply();
    site.assert_converged();
}

#[test]
fn moves_are_put_back() {
    let documents = [
        by_address(1, "fields: {bk_cpu: 8}, modules: [public/cache]"),
        by_address(3, "mode: add, modules: [public/cache]"),
        by_address(4, "modules: [public/cache]"),
    ];
    let site = site(&documents);
    site.apply();
    let run = site.runs().pop().expect("a run");
    let output = site.run(&["undo", &run, "--out", "undo.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let output = site.run(&["apply", "undo.json", "-y"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!([71, 73, 74].map(|host| modules(&site, host)), [vec![31], vec![31, 34], vec![301]], "{output}");
    assert_eq!(site.row("/bk-cmdb/instances/host", "bk_host_id", 71)["bk_cpu"], 4);
    // What somebody moved since stays.
    let site = self::site(&documents[..1]);
    site.apply();
    site.edit(
        "transfer_host_module",
        &json!({"bk_biz_id": 3, "bk_host_id": [71], "bk_module_id": [34], "is_increment": false}),
    );
    let run = site.runs().pop().expect("a run");
    let output = site.run(&["undo", &run, "--out", "again.json"]);
    assert!(output.all().contains("it was changed since"), "{output}");
    assert_eq!(modules(&site, 71), [34]);
}

#[test]
fn a_saved_plan_leaves_out_the_hosts_that_moved_since() {
    let site =
        site(&(1..=4).map(|at| by_address(at, "fields: {bk_cpu: 8}, modules: [public/cache]")).collect::<Vec<_>>());
    let output = site.run(&["plan", "--out", "plan.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    site.edit(
        "transfer_host_module",
        &json!({"bk_biz_id": 3, "bk_host_id": [72], "bk_module_id": [34], "is_increment": false}),
    );
    site.edit("batch_update_host", &json!({"update": [{"bk_host_id": 73, "properties": {"bk_cpu": 2}}]}));
    site.sandbox().clear_calls();
    let output = site.run(&["apply", "plan.json", "-y", "--partial-stale=skip"]);
    assert_eq!(output.code, Some(4), "{output}");
    assert_eq!([71, 72, 73, 74].map(|host| modules(&site, host)), [vec![32], vec![34], vec![32], vec![32]], "{output}");
    let cpu = |id: i64| site.row("/bk-cmdb/instances/host", "bk_host_id", id)["bk_cpu"].clone();
    assert_eq!([71, 72, 73, 74].map(cpu), [8, 8, 2, 8].map(Value::from), "{output}");
}

#[test]
fn a_snapshot_gives_the_plan_of_the_server() {
    let site = site(&[
        by_address(1, "fields: {bk_cpu: 8}, modules: [public/nginx]"),
        host("second", "business: 3, match: {bk_host_innerip: 10.0.1.2, bk_cloud_id: 0}, fields: {operator: [alice]}"),
        by_address(3, "modules: [idle]"),
        by_address(4, "modules: [301]"),
    ]);
    site.write(
        "one.yaml",
        &[
            by_address(1, "fields: {bk_cpu: 8}, modules: [public/nginx]"),
            host(
                "second",
                "business: 3, match: {bk_host_innerip: 10.0.1.2, bk_cloud_id: 0}, fields: {operator: [alice]}",
            ),
            by_address(3, "modules: [idle]"),
        ]
        .concat(),
    );
    let output = site.run(&["snapshot", "--out", "taken.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    let of = |arguments: &[&str]| {
        let output = site.run(arguments);
        assert_eq!(output.code, Some(0), "{output}");
        let plan = output.json();
        (plan["changes"].clone(), plan["calls"].clone())
    };
    assert_eq!(of(&["plan", "-o", "json", "--against", "taken.json"]), of(&["plan", "-o", "json"]));
}

#[test]
fn drift_names_who_moved_a_host_and_who_changed_a_field() {
    let site = site(&[by_address(1, "fields: {bk_cpu: 4}, modules: [public/web]")]);
    site.edit(
        "transfer_host_module",
        &json!({"bk_biz_id": 3, "bk_host_id": [71], "bk_module_id": [34], "is_increment": false}),
    );
    site.edit("batch_update_host", &json!({"update": [{"bk_host_id": 71, "properties": {"bk_cpu": 2}}]}));
    let output = site.run(&["drift"]);
    assert_eq!(output.stdout.matches("zoe").count(), 2, "{output}");
}

//! The roll-out of service templates, hosts that move, and what differs by access and option.

use reconcile_sandbox::{
    Sandbox,
    bk_cmdb::Simulator,
    simulator::{Misbehaviour, Request, Simulator as _},
};
use serde_json::{Value, json};

use crate::cmdb::{esb, send};

/// A business with a template, two modules of it and three hosts, all in line.
fn state() -> Value {
    let locked = |value: Value| json!({"value": value, "as_default_value": true});
    let pair = |host: i64, module: i64, set: i64| json!({"bk_host_id": host, "bk_module_id": module, "bk_set_id": set, "bk_biz_id": 3});
    json!({
        "businesses": [{"bk_biz_id": 3, "bk_biz_name": "shop"}],
        "sets": [
            {"bk_set_id": 4, "bk_set_name": "idle pool", "bk_biz_id": 3, "default": 1},
            {"bk_set_id": 5, "bk_set_name": "prod", "bk_biz_id": 3},
        ],
        "modules": [
            {"bk_module_id": 6, "bk_module_name": "idle host", "bk_set_id": 4, "default": 1},
            {"bk_module_id": 7, "bk_module_name": "web", "bk_set_id": 5, "service_template_id": 1},
            {"bk_module_id": 8, "bk_module_name": "free", "bk_set_id": 5},
        ],
        "service_templates": [{"id": 1, "name": "web", "bk_biz_id": 3}],
        "process_templates": [{"id": 1, "service_template_id": 1, "bk_process_name": "nginx", "property": {
            "proc_num": locked(json!(1)),
            "bind_info": locked(json!([{"row_id": 1, "ip": locked(json!("3")), "port": locked(json!("80")),
                "protocol": locked(json!("1")), "enable": locked(json!(true))}])),
        }}],
        "instances": {"host": [
            {"bk_host_id": 1, "bk_host_innerip": "10.0.0.1"},
            {"bk_host_id": 2, "bk_host_innerip": "10.0.0.2,10.9.0.2"},
            {"bk_host_id": 3, "bk_host_innerip": "10.0.0.3"},
        ]},
        "host_relations": [pair(2, 7, 5), pair(1, 7, 5), pair(3, 6, 4)],
    })
}

fn simulator() -> Simulator {
    let simulator = Simulator::new();
    simulator.set_option("clock", &json!({"frozen": "2026-01-02T03:04:05Z"})).expect("an option");
    simulator.load(&state()).expect("the state is fine");
    simulator
}

fn data(simulator: &Simulator, operation: &str, body: &Value) -> Value {
    let answer = esb(simulator, operation, body);
    assert_eq!(answer["code"], 0, "{operation} {body}: {answer}");
    answer["data"].clone()
}

/// Changes a locked value of the process template.
fn change(simulator: &Simulator, property: &str, value: i64) {
    let body = json!({"bk_biz_id": 3, "process_template_id": 1,
        "process_property": {property: {"value": value, "as_default_value": true}}});
    data(simulator, "update_proc_template", &body);
}

const SYNC: &str = "sync_service_template_to_service_instance";

fn sync_body() -> Value {
    json!({"bk_biz_id": 3, "service_template_id": 1, "bk_module_ids": [7]})
}

fn status(simulator: &Simulator) -> String {
    let found = data(simulator, "list_service_template_sync_status", &sync_body());
    found[0]["status"].as_str().expect("a status").to_owned()
}

fn needs_sync(simulator: &Simulator) -> Value {
    let found = data(simulator, "list_service_template_difference", &json!({"bk_biz_id": 3, "bk_module_ids": [7]}));
    found["modules"][0]["need_sync"].clone()
}

/// A property of the processes of the module by host.
fn processes(simulator: &Simulator, property: &str) -> Vec<(i64, Value)> {
    let body = json!({"bk_biz_id": 3, "bk_module_id": 7, "page": {"limit": 10, "sort": "bk_host_id"}});
    let found = data(simulator, "list_service_instance_detail", &body);
    let rows = found["info"].as_array().expect("rows").iter();
    rows.map(|row| {
        (row["bk_host_id"].as_i64().expect("an id"), row["process_instances"][0]["process"][property].clone())
    })
    .collect()
}

fn seconds(simulator: &Simulator, seconds: i64) {
    simulator.set_option("clock-offset-seconds", &json!(seconds)).expect("an option");
}

#[test]
fn a_state_without_service_instances_gets_those_of_its_hosts() {
    let simulator = simulator();
    let found = data(&simulator, "list_service_instance", &json!({"bk_biz_id": 3, "page": {"sort": "bk_host_id"}}));
    let names: Vec<&Value> = found["info"].as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["10.0.0.1_nginx_80", "10.0.0.2,10.9.0.2_nginx_80"], "none for the host in the idle module");
    let addresses: Vec<Value> =
        processes(&simulator, "bind_info").into_iter().map(|(_, rows)| rows[0]["ip"].clone()).collect();
    assert_eq!(addresses, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(needs_sync(&simulator), false);
    let saved = simulator.state();
    simulator.load(&saved).expect("its own state loads");
    assert_eq!(simulator.state(), saved);
}

#[test]
fn processes_of_a_state_may_leave_out_what_their_templates_have() {
    let mut state = state();
    let process = json!({"process": {"bk_process_id": 1, "proc_num": 7}, "relation": {"bk_process_id": 1, "process_template_id": 1}});
    state["host_relations"] = json!([{"bk_host_id": 1, "bk_module_id": 7, "bk_set_id": 5, "bk_biz_id": 3}]);
    state["service_instances"] = json!([{"id": 1, "bk_biz_id": 3, "bk_module_id": 7, "bk_host_id": 1, "name": "own",
        "service_template_id": 1, "process_instances": [process]}]);
    let simulator = Simulator::new();
    simulator.load(&state).expect("the state is fine");
    assert_eq!(processes(&simulator, "proc_num"), [(1, json!(7))]);
    assert_eq!(processes(&simulator, "bk_process_name"), [(1, json!("nginx"))]);
    assert_eq!(processes(&simulator, "bind_info")[0].1[0]["port"], "80");
    assert_eq!(needs_sync(&simulator), true, "the number is locked");
    change(&simulator, "proc_num", 7);
    assert_eq!(needs_sync(&simulator), false);
}

#[test]
fn a_task_waits_for_the_clock() {
    let simulator = simulator();
    change(&simulator, "proc_num", 2);
    assert_eq!((status(&simulator).as_str(), needs_sync(&simulator)), ("need_sync", json!(true)));
    data(&simulator, SYNC, &sync_body());
    assert_eq!(status(&simulator), "new");
    assert_eq!(esb(&simulator, SYNC, &sync_body())["code"], 1_117_008);
    assert_eq!(processes(&simulator, "proc_num"), [(1, json!(1)), (2, json!(1))]);
    seconds(&simulator, 1);
    assert_eq!((status(&simulator).as_str(), needs_sync(&simulator)), ("finished", json!(false)));
    assert_eq!(processes(&simulator, "proc_num"), [(1, json!(2)), (2, json!(2))]);
    simulator.set_option("task_delay", &json!(0)).expect("an option");
    change(&simulator, "proc_num", 3);
    data(&simulator, SYNC, &sync_body());
    assert_eq!(status(&simulator), "finished");
}

#[test]
fn a_task_is_no_part_of_the_state() {
    let simulator = simulator();
    change(&simulator, "proc_num", 2);
    data(&simulator, SYNC, &sync_body());
    let saved = simulator.state();
    simulator.load(&saved).expect("its own state loads");
    assert_eq!(status(&simulator), "need_sync");
}

fn twisted(simulator: &Simulator, misbehaviour: &Misbehaviour, operation: &str, body: &Value) -> Value {
    let path = format!("/api/c/compapi/v2/cc/{operation}/");
    let body = body.to_string().into_bytes();
    let request = Request { method: "POST".to_owned(), path, body, ..Request::default() };
    serde_json::from_slice(&simulator.answer_twisted(&request, misbehaviour).body).expect("an envelope")
}

#[test]
fn a_task_that_fails_leaves_what_it_has_done() {
    let simulator = simulator();
    change(&simulator, "proc_num", 2);
    assert_eq!(twisted(&simulator, &Misbehaviour::TaskFails { after: 1 }, SYNC, &sync_body())["code"], 0);
    seconds(&simulator, 1);
    assert_eq!((status(&simulator).as_str(), needs_sync(&simulator)), ("failure", json!(true)));
    // The host that came to the module first has it.
    assert_eq!(processes(&simulator, "proc_num"), [(1, json!(1)), (2, json!(2))]);
    data(&simulator, SYNC, &sync_body());
    seconds(&simulator, 2);
    assert_eq!((status(&simulator).as_str(), needs_sync(&simulator)), ("finished", json!(false)));
}

#[test]
fn processes_that_change_are_events() {
    let simulator = simulator();
    simulator.set_option("task_delay", &json!(0)).expect("an option");
    let events = |resource: &str, field: &str| -> Vec<String> {
        let found = data(&simulator, "resource_watch", &json!({"bk_resource": resource, "bk_start_from": 1}));
        let rows = found["bk_events"].as_array().expect("events").clone();
        rows.iter().map(|event| format!("{} {}", event["bk_event_type"], event["bk_detail"][field])).collect()
    };
    change(&simulator, "proc_num", 2);
    data(&simulator, SYNC, &sync_body());
    assert_eq!(events("process", "proc_num"), ["\"update\" 2", "\"update\" 2"]);
    assert_eq!(events("process_instance_relation", "bk_host_id"), ["\"\" null"], "nothing but a cursor");
    data(&simulator, "transfer_host_to_idlemodule", &json!({"bk_biz_id": 3, "bk_host_id": [1]}));
    assert_eq!(events("process_instance_relation", "bk_host_id"), ["\"delete\" 1"]);
    let body = json!({"bk_resource": "host_relation", "bk_start_from": 1, "bk_event_types": ["create"]});
    let moved = data(&simulator, "resource_watch", &body)["bk_events"][0]["bk_detail"].clone();
    assert_eq!(moved["bk_module_id"], 6, "{moved}");
}

#[test]
fn a_task_that_hangs_is_put_back() {
    let simulator = simulator();
    change(&simulator, "proc_num", 2);
    assert_eq!(twisted(&simulator, &Misbehaviour::TaskHangs { ms: 10_000 }, SYNC, &sync_body())["code"], 0);
    for (after, expected) in [(0, "new"), (1, "executing"), (10, "executing"), (11, "waiting"), (12, "finished")] {
        seconds(&simulator, after);
        assert_eq!(status(&simulator), expected, "after {after} s");
        let open = expected != "finished";
        assert_eq!(esb(&simulator, SYNC, &sync_body())["code"] == json!(1_117_008), open, "after {after} s");
    }
}

#[test]
fn a_value_that_processes_refuse_fails_the_task() {
    let simulator = simulator();
    change(&simulator, "bk_start_check_secs", 601);
    data(&simulator, SYNC, &sync_body());
    seconds(&simulator, 1);
    assert_eq!(status(&simulator), "failure");
}

#[test]
fn older_servers_do_it_at_once() {
    let simulator = simulator();
    simulator.set_option("version", &json!("3.9")).expect("a version");
    change(&simulator, "proc_num", 2);
    assert_eq!(esb(&simulator, SYNC, &sync_body())["code"], 1_306_404, "its component came later");
    let answer = direct(&simulator, "PUT", "/update/proc/service_instance/sync", &sync_body());
    assert_eq!(answer["bk_error_code"], 0, "{answer}");
    assert_eq!(processes(&simulator, "proc_num"), [(1, json!(2)), (2, json!(2))]);
}

fn direct(simulator: &Simulator, method: &str, path: &str, body: &Value) -> Value {
    let headers = [("bk_user", "amy"), ("http_bk_supplier_account", "0")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let body = body.to_string().into_bytes();
    let path = format!("/api/v3{path}");
    send(simulator, &Request { method: method.to_owned(), path, headers, body, ..Request::default() }).1
}

fn gateway(simulator: &Simulator, method: &str, path: &str, body: &Value) -> Value {
    let path = format!("/api/bk-cmdb/prod/api/v3{path}");
    let body = body.to_string().into_bytes();
    send(simulator, &Request { method: method.to_owned(), path, body, ..Request::default() }).1
}

#[test]
fn hidden_operations_are_served_or_not() {
    let simulator = simulator();
    let path = "/update/proc/service_instance/sync";
    simulator.set_option("hidden_operations", &json!(false)).expect("an option");
    assert_eq!(esb(&simulator, SYNC, &sync_body())["code"], 1_306_404);
    assert_eq!(gateway(&simulator, "PUT", path, &sync_body())["code"], 1_640_401);
    assert_eq!(gateway(&simulator, "POST", "/findmany/audit_list", &json!({}))["code"], 1_640_401);
    assert_eq!(direct(&simulator, "PUT", path, &sync_body())["bk_error_code"], 0);
    // Somebody else has whatever access it takes.
    let edit = simulator.edit("carol", "list_service_template_attribute", &json!({"bk_biz_id": 3, "id": 1}));
    let edit: Value = serde_json::from_slice(&edit.expect("an operation").body).expect("an envelope");
    assert_eq!(edit["data"], json!({"attributes": []}), "{edit}");
    seconds(&simulator, 1);
    simulator.set_option("hidden_operations", &json!(true)).expect("an option");
    assert_eq!(esb(&simulator, SYNC, &sync_body())["code"], 0);
    seconds(&simulator, 2);
    assert_eq!(gateway(&simulator, "PUT", path, &sync_body())["code"], 0);
}

#[test]
fn a_comparison_can_lose_a_row() {
    let simulator = simulator();
    let body = json!({"bk_biz_id": 3, "bk_module_ids": [7]});
    let answer = twisted(&simulator, &Misbehaviour::LostRow, "list_service_template_difference", &body);
    assert_eq!(answer["data"], json!({"service_templates": null, "modules": []}));
}

/// What a call leaves in the audit records: resource types and actions.
fn audited(simulator: &Simulator, operation: &str, body: &Value) -> Vec<String> {
    let all = || {
        let condition = json!({"operation_time": {"start": "2020-01-01 00:00:00", "end": "2030-01-01 00:00:00"}});
        let found = data(
            simulator,
            "list_operation_audit",
            &json!({"condition": condition, "page": {"limit": 200, "sort": "id"}}),
        );
        let rows = found["info"].as_array().expect("rows").clone();
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        rows.iter().map(|row| format!("{} {}", text(&row["action"]), text(&row["resource_type"]))).collect::<Vec<_>>()
    };
    let before = all().len();
    data(simulator, operation, body);
    all().split_off(before)
}

#[test]
fn audit_records_of_each_call() {
    let transfer =
        |module: i64| json!({"bk_biz_id": 3, "bk_host_id": [3], "bk_module_id": [module], "is_increment": false});
    let simulator = simulator();
    simulator.set_option("task_delay", &json!(0)).expect("an option");
    for (operation, body, expected) in [
        ("update_service_template", json!({"id": 1, "name": "web2"}), vec![]),
        ("create_service_template", json!({"bk_biz_id": 3, "name": "db", "service_category_id": 2}), vec![]),
        ("create_service_category", json!({"bk_biz_id": 3, "name": "Own"}), vec![]),
        ("create_set_template", json!({"bk_biz_id": 3, "name": "small", "service_template_ids": [1]}), vec![]),
        ("update_host", json!({"bk_host_id": [1, 3], "data": {}}), vec!["update host", "update host"]),
        (
            "batch_update_host",
            json!({"update": [{"bk_host_id": 1, "properties": {"operator": "amy"}}]}),
            vec!["update host"],
        ),
        ("transfer_host_module", transfer(7), vec!["create service_instance", "transfer_host_module host"]),
        ("transfer_host_module", transfer(7), vec!["transfer_host_module host"]),
        ("transfer_host_module", transfer(8), vec!["delete service_instance", "transfer_host_module host"]),
        (SYNC, sync_body(), vec![]),
        (
            "delete_service_instance",
            json!({"bk_biz_id": 3, "service_instance_ids": [1]}),
            vec!["delete service_instance"],
        ),
        (SYNC, sync_body(), vec!["create service_instance"]),
        ("update_object_attribute", json!({"id": 1}), vec!["update model_attribute"]),
        ("create_set", json!({"bk_biz_id": 3, "data": {"bk_set_name": "n", "bk_parent_id": 3}}), vec!["create set"]),
        ("update_set", json!({"bk_biz_id": 3, "bk_set_id": 5, "data": {}}), vec!["update set"]),
    ] {
        assert_eq!(audited(&simulator, operation, &body), expected, "{operation} {body}");
    }
}

#[test]
fn hosts_are_found_by_each_of_their_addresses() {
    let simulator = simulator();
    let ids = |operation: &str, operator: &str, value: Value| -> Vec<i64> {
        let rule = json!({"field": "bk_host_innerip", "operator": operator, "value": value});
        let filter =
            json!({"condition": "AND", "rules": [rule, {"field": "bk_cloud_id", "operator": "equal", "value": 0}]});
        let body =
            json!({"bk_biz_id": 3, "host_property_filter": filter, "fields": ["bk_host_id"], "page": {"limit": 10}});
        let found = data(&simulator, operation, &body);
        found["info"].as_array().expect("rows").iter().map(|row| row["bk_host_id"].as_i64().expect("an id")).collect()
    };
    for operation in ["list_biz_hosts", "list_hosts_without_biz"] {
        for (operator, value, expected) in [
            ("equal", json!("10.9.0.2"), vec![2]),
            ("in", json!(["10.0.0.2", "10.0.0.3", "10.0.0.9"]), vec![2, 3]),
            ("equal", json!("10.0.0.2,10.9.0.2"), vec![]),
            ("in", json!([]), vec![]),
        ] {
            assert_eq!(ids(operation, operator, value.clone()), expected, "{operation} {operator} {value}");
        }
    }
    // Without a filter pages are cut in the order of arrival, and sorted only then.
    let page = |start: i64, sort: &str| {
        let body =
            json!({"bk_biz_id": 3, "fields": ["bk_host_id"], "page": {"start": start, "limit": 1, "sort": sort}});
        data(&simulator, "list_biz_hosts", &body)["info"][0]["bk_host_id"].clone()
    };
    assert_eq!([page(0, ""), page(1, "bk_host_id"), page(2, "")], [json!(2), json!(1), json!(3)]);
    assert_eq!([page(0, "-bk_host_id"), page(2, "-bk_host_id")], [json!(3), json!(1)]);
}

#[test]
fn the_esb_shapes_calls_about_hosts() {
    let simulator = simulator();
    let whole = json!({"bk_biz_id": 3, "bk_host_id": [3], "bk_module_id": [7], "is_increment": true, "disable_auto_create": true});
    let mut bare = whole.clone();
    bare.as_object_mut().expect("an object").remove("is_increment");
    assert_eq!(esb(&simulator, "transfer_host_module", &bare)["code"], 1_306_406, "all four are needed");
    let count =
        |simulator: &Simulator| data(simulator, "list_service_instance", &json!({"bk_biz_id": 3}))["count"].clone();
    assert_eq!(direct(&simulator, "POST", "/hosts/modules", &whole)["bk_error_code"], 0);
    assert_eq!((count(&simulator), needs_sync(&simulator)), (json!(2), json!(true)));
    data(&simulator, "transfer_host_to_idlemodule", &json!({"bk_biz_id": 3, "bk_host_id": [3]}));
    data(&simulator, "transfer_host_module", &whole);
    assert_eq!((count(&simulator), needs_sync(&simulator)), (json!(3), json!(false)), "the ESB cuts the fifth");
    data(&simulator, "update_host", &json!({"bk_host_id": [1, 2], "data": {"operator": "amy"}}));
    let operators: Vec<Value> = simulator.state()["instances"]["host"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["operator"].clone())
        .collect();
    assert_eq!(operators, [json!("amy"), json!("amy"), Value::Null]);
}

#[test]
fn what_is_left_of_deleted_things_survives_a_round() {
    let simulator = simulator();
    data(&simulator, "transfer_host_to_idlemodule", &json!({"bk_biz_id": 3, "bk_host_id": [1, 2]}));
    data(&simulator, "create_set_template", &json!({"bk_biz_id": 3, "name": "small", "service_template_ids": [1]}));
    data(&simulator, "delete_module", &json!({"bk_biz_id": 3, "bk_set_id": 5, "bk_module_id": 7}));
    data(&simulator, "delete_service_template", &json!({"bk_biz_id": 3, "service_template_id": 1}));
    let attributes =
        data(&simulator, "search_object_attribute", &json!({"bk_obj_id": "set", "bk_property_id": "description"}));
    data(&simulator, "delete_object_attribute", &json!({"id": attributes[0]["id"]}));
    let saved = simulator.state();
    simulator.load(&saved).expect("its own state loads");
    assert_eq!(simulator.state(), saved);
    let left = data(&simulator, "list_proc_template", &json!({"bk_biz_id": 3, "service_template_id": 1}));
    assert_eq!(left["count"], 1, "process templates outlive their service template");
    assert_eq!(saved["sets"][1].get("description"), None);
}

#[test]
fn options_and_faults_have_names() {
    let sandbox = Sandbox::new();
    for (option, wrong) in [("task-delay", json!(-1)), ("hidden-operations", json!("no"))] {
        assert!(sandbox.set_option(option, &wrong).is_err(), "{option}");
        assert!(sandbox.options().contains_key(&option.replace('-', "_")), "{option}");
    }
    let faults = json!([
        {"operation": SYNC, "nth": 1, "fault": "task_fails", "after": 2},
        {"operation": SYNC, "nth": 2, "fault": "task_hangs"},
        {"operation": "list_service_template_difference", "fault": "lost_row"},
    ]);
    assert_eq!(sandbox.set_faults(&faults), Ok(()));
    assert!(sandbox.set_faults(&json!([{"fault": "task_fails", "after": -1}])).is_err());
}

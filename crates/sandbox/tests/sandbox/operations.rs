//! Every operation of the contract's table through every access that has it, and what differs by version.

use std::collections::BTreeSet;

use reconcile_sandbox::{bk_cmdb::Simulator, simulator::Simulator as _};
use serde_json::{Value, json};

use crate::{
    accesses::{ACCESSES, Access, Esb, Operation, equal, is_envelope, operations},
    cmdb::{esb, send},
};

/// A state on which each operation has something to do.
fn state() -> Value {
    json!({
        "businesses": [{"bk_biz_id": 3, "bk_biz_name": "demo"}, {"bk_biz_id": 4, "bk_biz_name": "other"}],
        "sets": [
            {"bk_set_id": 1, "bk_set_name": "idle pool", "bk_biz_id": 3, "default": 1},
            {"bk_set_id": 5, "bk_set_name": "a", "bk_biz_id": 3},
            {"bk_set_id": 6, "bk_set_name": "made", "bk_biz_id": 3, "set_template_id": 1},
        ],
        "modules": [
            {"bk_module_id": 1, "bk_module_name": "idle host", "bk_set_id": 1, "default": 1},
            {"bk_module_id": 2, "bk_module_name": "fault host", "bk_set_id": 1, "default": 2},
            {"bk_module_id": 3, "bk_module_name": "recycle host", "bk_set_id": 1, "default": 3},
            {"bk_module_id": 7, "bk_module_name": "m", "bk_set_id": 5},
            {"bk_module_id": 8, "bk_module_name": "web", "bk_set_id": 5, "service_template_id": 1},
            {"bk_module_id": 9, "bk_module_name": "other", "bk_set_id": 5},
        ],
        "objects": [{"bk_obj_id": "rack"}, {"bk_obj_id": "server"}],
        "attributes": [
            {"bk_obj_id": "rack", "bk_property_id": "room", "bk_property_type": "singlechar", "id": 800},
            {"bk_obj_id": "module", "bk_property_id": "zone", "bk_property_type": "singlechar", "id": 810},
            {"bk_obj_id": "rack", "bk_property_id": "disks", "bk_property_type": "innertable",
                "option": {"header": [
                    {"bk_property_id": "name", "bk_property_name": "Name", "bk_property_type": "singlechar"},
                    {"bk_property_id": "size", "bk_property_name": "Size", "bk_property_type": "int"},
                ]}},
        ],
        "object_associations": [
            {"bk_obj_id": "server", "bk_asst_id": "in", "bk_asst_obj_id": "rack", "mapping": "n:n"},
            {"bk_obj_id": "set", "bk_asst_id": "bk_mainline", "bk_asst_obj_id": "biz", "mapping": "1:1"},
        ],
        "instances": {
            "rack": [{"bk_inst_id": 1, "bk_inst_name": "r1", "room": "a"}, {"bk_inst_id": 2, "bk_inst_name": "r2"}],
            "server": [{"bk_inst_id": 3, "bk_inst_name": "s3"}],
            "host": [
                {"bk_host_id": 1, "bk_host_innerip": "10.0.0.1"},
                {"bk_host_id": 2, "bk_host_innerip": "10.0.0.2,10.1.0.2"},
                {"bk_host_id": 3, "bk_host_innerip": "10.0.0.3"},
                {"bk_host_id": 4, "bk_host_innerip": "10.0.0.4"},
            ],
        },
        "host_relations": [
            {"bk_host_id": 1, "bk_module_id": 8, "bk_set_id": 5, "bk_biz_id": 3},
            {"bk_host_id": 2, "bk_module_id": 9, "bk_set_id": 5, "bk_biz_id": 3},
            {"bk_host_id": 3, "bk_module_id": 1, "bk_set_id": 1, "bk_biz_id": 3},
            {"bk_host_id": 4, "bk_module_id": 1, "bk_set_id": 1, "bk_biz_id": 1},
        ],
        "service_instances": [{"id": 1, "bk_biz_id": 3, "name": "own", "labels": null, "service_template_id": 0,
            "bk_host_id": 2, "bk_module_id": 9, "bk_supplier_account": "0",
            "process_instances": [{"process": {"bk_process_id": 1, "bk_process_name": "p"},
                "relation": {"bk_process_id": 1, "process_template_id": 0}}]}],
        "service_categories": [{"id": 30, "name": "Own", "bk_biz_id": 3}],
        "set_templates": [{"id": 1, "name": "standard", "bk_biz_id": 3}, {"id": 2, "name": "unused", "bk_biz_id": 3}],
        "set_template_service_templates": [{"set_template_id": 1, "service_template_id": 1}],
        "service_template_attributes": [{"service_template_id": 1, "bk_attribute_id": 810, "bk_property_value": "z-1"}],
        "quoted_instances": {"rack": {"disks": [{"id": 1, "bk_inst_id": 1, "name": "sda", "size": 10}]}},
        "instance_associations": [{"id": 4, "bk_obj_asst_id": "server_in_rack", "bk_inst_id": 3, "bk_asst_inst_id": 1}],
        "service_templates": [
            {"id": 1, "name": "web", "bk_biz_id": 3, "service_category_id": 2},
            {"id": 2, "name": "spare", "bk_biz_id": 3, "service_category_id": 2},
        ],
        "process_templates": [{"id": 1, "service_template_id": 1, "bk_process_name": "nginx"}],
    })
}

fn simulator() -> Simulator {
    let simulator = Simulator::new();
    simulator.set_option("clock", &json!({"frozen": "2026-01-02T03:04:05Z"})).expect("an option");
    simulator.set_option("task_delay", &json!(0)).expect("an option");
    simulator.load(&state()).expect("the state is fine");
    simulator
}

fn named(name: &str) -> Operation {
    operations().into_iter().find(|operation| operation.name == name).expect("an operation of the table")
}

#[test]
fn every_operation_through_every_access() {
    for operation in operations() {
        let mut data = Vec::new();
        for access in ACCESSES {
            let Some(request) = operation.request(access, &operation.vars, &operation.body) else { continue };
            let simulator = simulator();
            let noted = simulator.peek(&request);
            assert_eq!(noted.operation, operation.name, "{access:?}");
            let before = simulator.state();
            let answer = send(&simulator, &request).1;
            assert!(is_envelope(access, &answer), "{} {access:?}: {answer}", operation.name);
            assert_eq!(answer["result"], json!(true), "{} {access:?}: {answer}", operation.name);
            let changed = simulator.state() != before;
            assert_eq!(changed, noted.write, "{} {access:?} changes the state if it writes", operation.name);
            // Users differ by access, nothing else does.
            data.push(answer["data"].to_string().replace("\"admin\"", "\"amy\""));
        }
        assert!(data.windows(2).all(|pair| pair[0] == pair[1]), "{}: {data:?}", operation.name);
        assert!(data[0] != "null" || simulator_writes(&operation), "{} reads nothing", operation.name);
    }
}

fn simulator_writes(operation: &Operation) -> bool {
    let request = operation.request(Access::Direct, &operation.vars, &operation.body).expect("every one is direct");
    simulator().peek(&request).write
}

#[test]
fn every_operation_refuses_what_is_no_json() {
    for operation in operations() {
        for access in ACCESSES {
            let Some(mut request) = operation.request(access, &operation.vars, &operation.body) else { continue };
            if operation.method == "GET" {
                continue;
            }
            request.body = b"{\"a\": 1} x".to_vec();
            let answer = send(&simulator(), &request).1;
            let code = answer.get("code").or(answer.get("bk_error_code"));
            let ignored = operation.method == "DELETE" && answer["result"] == json!(true);
            let expected = if access == Access::Esb { 1_306_406 } else { 1_199_000 };
            // Some operations take everything from the path and never look.
            let bodiless = ["get_proc_template", "search_object_unique"].contains(&operation.name);
            assert!(ignored || bodiless || code == Some(&json!(expected)), "{} {access:?}: {answer}", operation.name);
        }
    }
}

/// The versions that have an operation: those from one on.
#[test]
fn operations_by_version() {
    let newer: BTreeSet<&str> = [
        "search_object_instances",
        "count_object_instances",
        "search_instance_associations",
        "count_instance_associations",
        "batch_create_inst",
        "batch_create_instance_association",
        "list_quoted_inst",
        "batch_update_quoted_inst",
        "list_service_template_attribute",
        "update_service_template_attribute",
        "delete_service_template_attribute",
        "get_service_template_all_info",
        "create_service_template_all_info",
        "update_service_template_all_info",
        "list_service_template_sync_status",
        "list_service_template_difference",
        "get_service_template_general_difference",
    ]
    .into();
    // Their ESB components came later.
    let components: BTreeSet<&str> = [
        "sync_service_template_to_service_instance",
        "list_service_template_sync_status",
        "list_service_template_difference",
    ]
    .into();
    for version in ["3.9", "3.10", "3.14"] {
        for operation in operations() {
            let simulator = simulator();
            simulator.set_option("version", &json!(version)).expect("a version");
            let mut vars = operation.vars.clone();
            let mut operation = operation;
            if operation.name == "delete_instance_association" && version == "3.9" {
                (operation.direct, operation.gateway) =
                    ("/delete/instassociation/{id}", "/delete/instassociation/{id}");
                vars = json!({"id": 4});
            }
            let has = version != "3.9" || !newer.contains(operation.name);
            for access in ACCESSES {
                let Some(request) = operation.request(access, &vars, &operation.body) else { continue };
                let answer = send(&simulator, &request).1;
                let late = access == Access::Esb && version != "3.14" && components.contains(operation.name);
                let has = has && !late;
                assert_eq!(answer["result"] == json!(true), has, "{version} {} {access:?}: {answer}", operation.name);
                // Before 3.14 the api-server does not rename for the gateway.
                let names = if access == Access::Direct || (access == Access::Gateway && version != "3.14") {
                    "bk_error_code"
                } else {
                    "code"
                };
                assert!(!has || answer[names] == json!(0), "{version} {} {access:?}: {answer}", operation.name);
                simulator.load(&state()).expect("the state is fine");
            }
        }
    }
}

#[test]
fn behaviour_by_version() {
    let empty_in = json!({"condition": "AND", "rules": [{"field": "bk_inst_id", "operator": "in", "value": []}]});
    let many = |count: usize, group: &str| json!({"condition": group, "rules": vec![json!({"field": "bk_inst_id", "operator": "equal", "value": 1}); count]});
    let search = |tree: Value| json!({"bk_obj_id": "rack", "conditions": tree, "page": {"limit": 5}});
    let build = |operator: &str, value: Value| {
        search(json!({"condition": "AND", "rules": [{"field": "room", "operator": operator, "value": value}]}))
    };
    let bind = |ip: &str, protocol: &str| {
        json!({"bk_biz_id": 3, "process_template_id": 1, "process_property": {
        "bind_info": {"value": [{"ip": {"value": ip}, "port": {"value": "80"}, "protocol": {"value": protocol}}]}}})
    };
    let padded = json!({"bk_biz_id": 3, "service_template_id": 1, "processes": [
        {"spec": {"bk_process_name": {"value": "p "}, "bk_func_name": {"value": "p"}}}]});
    let priority = |value: i64| json!({"bk_biz_id": 3, "process_template_id": 1, "process_property": {"priority": {"value": value}}});
    let watch = json!({"bk_resource": "inst_asst"});
    let exact = json!({"bk_biz_id": 3, "search": "we", "is_exact": true, "page": {"limit": 5}});
    // Rows that no longer exist, or never did, are ignored.
    let gone = json!({"bk_biz_id": 3, "process_template_id": 1, "process_property": {"auto_time_gap": {"value": 5}}});
    let missing_model = json!({"condition": {}});
    let (ok, absent) = (0, 1_306_404);
    // Operation, body, code on 3.9, 3.10 and 3.14.
    for (operation, body, codes) in [
        ("search_object_instances", search(empty_in.clone()), [absent, ok, 1_199_006]),
        ("search_object_instances", search(many(50, "AND")), [absent, ok, ok]),
        ("search_object_instances", search(many(51, "AND")), [absent, ok, 1_199_006]),
        ("search_object_instances", search(many(20, "OR")), [absent, ok, ok]),
        ("search_object_instances", search(many(21, "OR")), [absent, 1_199_006, ok]),
        ("search_object_instances", search(many(51, "OR")), [absent, 1_199_006, 1_199_006]),
        ("search_object_instances", build("contains_s", json!("a")), [absent, 1_199_006, ok]),
        ("search_object_instances", build("begins_with", json!("a")), [absent, ok, ok]),
        ("search_object_instances", build("between", json!([1, 2])), [absent, 1_199_006, 1_199_006]),
        ("search_instance_associations", search(many(21, "OR")), [absent, 1_199_006, 1_199_006]),
        ("search_instance_associations", search(empty_in), [absent, ok, ok]),
        ("find_instance_association", missing_model, [ok, 1_199_010, 1_199_010]),
        ("update_proc_template", bind("5", "3"), [1_199_006, 1_199_006, ok]),
        ("update_proc_template", bind("1", "3"), [1_199_006, 1_199_006, 1_199_006]),
        ("update_proc_template", bind("4", "2"), [ok, ok, ok]),
        ("update_proc_template", priority(-100), [ok, ok, ok]),
        ("update_proc_template", priority(-101), [1_199_006, 1_199_006, 1_199_006]),
        ("update_proc_template", gone, [ok, ok, ok]),
        ("batch_create_proc_template", padded, [ok, ok, 1_199_998]),
        ("resource_watch", watch, [1_199_006, ok, ok]),
        ("list_service_template", exact, [ok, ok, ok]),
    ] {
        for (version, expected) in ["3.9", "3.10", "3.14"].into_iter().zip(codes) {
            let simulator = simulator();
            simulator.set_option("version", &json!(version)).expect("a version");
            assert_eq!(esb(&simulator, operation, &body)["code"], json!(expected), "{version} {operation} {body}");
        }
    }
}

#[test]
fn rows_of_inner_tables() {
    let simulator = simulator();
    let table = json!({"bk_obj_id": "rack", "bk_property_id": "disks"});
    let with = |more: Value| {
        let mut body = table.clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    let list = |more: Value| esb(&simulator, "list_quoted_inst", &with(more));
    assert_eq!(list(json!({"page": {"limit": 5}}))["data"]["info"][0]["size"], 10);
    assert_eq!(list(json!({"page": {"enable_count": true}}))["data"], json!({"count": 1, "info": []}));
    assert_eq!(list(json!({"page": {"limit": 501}}))["code"], 1_199_006);
    assert_eq!(list(json!({"page": {"limit": 5}, "filter": equal("size", 11)}))["data"]["info"], json!([]));
    for (body, code) in [
        (json!({"ids": [1], "data": {"size": 30, "nothing": 1}}), 0),
        (json!({"ids": [1, 9], "data": {"size": 40}}), 1_199_019),
        (json!({"ids": [1], "data": {"size": "40"}}), 1_199_011),
        (json!({"ids": [], "data": {"size": 40}}), 1_199_089),
        (json!({"ids": [1], "data": {}}), 1_199_010),
    ] {
        assert_eq!(esb(&simulator, "batch_update_quoted_inst", &with(body.clone()))["code"], code, "{body}");
    }
    assert_eq!(simulator.state()["quoted_instances"]["rack"]["disks"][0]["size"], 30, "all or nothing");
    // An update of the instance drops the attribute.
    let update = json!({"bk_obj_id": "rack", "bk_inst_id": 1, "disks": [{"name": "x"}]});
    assert_eq!(esb(&simulator, "update_inst", &update)["code"], 0);
    assert_eq!(simulator.state()["instances"]["rack"][0].get("disks"), None);
    let saved = simulator.state();
    simulator.load(&saved).expect("its own state loads");
    assert_eq!(simulator.state(), saved);
}

/// A custom layer between business and set.
fn layered() -> Simulator {
    let mut state = state();
    let add = |state: &mut Value, list: &str, row: Value| state[list].as_array_mut().expect("a list").push(row);
    for list in ["sets", "modules"] {
        state[list].as_array_mut().expect("a list").retain(|row| {
            ![2, 3, 9].contains(&row["bk_module_id"].as_i64().unwrap_or(0)) && row["bk_set_id"] != json!(6)
        });
    }
    state["service_instances"] = json!([]);
    add(&mut state, "objects", json!({"bk_obj_id": "floor"}));
    state["object_associations"][1] =
        json!({"bk_obj_id": "set", "bk_asst_id": "bk_mainline", "bk_asst_obj_id": "floor", "mapping": "1:1"});
    add(
        &mut state,
        "object_associations",
        json!({"bk_obj_id": "floor", "bk_asst_id": "bk_mainline", "bk_asst_obj_id": "biz", "mapping": "1:1"}),
    );
    state["instances"]["floor"] = json!([
        {"bk_inst_id": 11, "bk_inst_name": "f1", "bk_parent_id": 3, "bk_biz_id": 3},
        {"bk_inst_id": 12, "bk_inst_name": "f1", "bk_parent_id": 4, "bk_biz_id": 4},
        {"bk_inst_id": 13, "bk_inst_name": "f2", "bk_parent_id": 3, "bk_biz_id": 3},
    ]);
    state["sets"][1]["bk_parent_id"] = json!(11);
    state["host_relations"] = json!([{"bk_host_id": 1, "bk_module_id": 8, "bk_set_id": 5, "bk_biz_id": 3}]);
    let simulator = Simulator::new();
    simulator.load(&state).expect("names are unique below a parent only");
    simulator
}

#[test]
fn custom_layers_of_the_main_line() {
    let simulator = layered();
    let update = |id: i64, fields: Value| {
        let mut body = json!({"bk_obj_id": "floor", "bk_inst_id": id});
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        esb(&simulator, "update_inst", &body)["code"].clone()
    };
    assert_eq!(update(13, json!({"bk_inst_name": "f1"})), 1_199_014);
    assert_eq!(update(13, json!({"bk_inst_name": "f 3"})), 1_199_011, "the rules of module names");
    assert_eq!(update(13, json!({"bk_inst_name": " f3 ", "bk_parent_id": 4})), 0);
    let floors = simulator.state()["instances"]["floor"].clone();
    assert_eq!((&floors[2]["bk_inst_name"], &floors[2]["bk_parent_id"]), (&json!("f3"), &json!(3)));
    let batch = json!({"bk_obj_id": "floor", "details": [{"bk_inst_name": "x"}]});
    assert_eq!(esb(&simulator, "batch_create_inst", &batch)["code"], 1_199_075);
    let create = json!({"bk_obj_id": "floor", "bk_inst_name": "f9", "bk_parent_id": 3, "bk_biz_id": 3});
    assert_eq!(esb(&simulator, "create_inst", &create)["data"]["bk_parent_id"], 3);

    let resource = |name: &str| json!({"bk_resource": name, "bk_start_from": 1});
    let events = |name: &str| esb(&simulator, "resource_watch", &resource(name))["data"]["bk_watched"].clone();
    assert_eq!((events("mainline_instance"), events("object_instance")), (json!(true), json!(false)));

    let delete =
        |id: i64| esb(&simulator, "delete_inst", &json!({"bk_obj_id": "floor", "bk_inst_id": id}))["code"].clone();
    assert_eq!(delete(11), 1_101_030, "a host lies below");
    let mut state = simulator.state();
    assert_eq!(state["sets"].as_array().expect("a list").len(), 2, "nothing is done");
    state["host_relations"] = json!([]);
    simulator.load(&state).expect("the state is fine");
    assert_eq!(delete(11), 0);
    let state = simulator.state();
    assert_eq!((state["sets"].as_array().map(Vec::len), state["modules"].as_array().map(Vec::len)), (Some(1), Some(1)));
}

#[test]
fn attributes_that_a_service_template_configures() {
    let simulator = simulator();
    let attributes =
        esb(&simulator, "search_object_attribute", &json!({"bk_obj_id": "module", "bk_property_id": "operator"}));
    let mut state = state();
    state["service_template_attributes"] = json!([{"id": 1, "bk_biz_id": 3, "service_template_id": 1, "bk_attribute_id": attributes["data"][0]["id"], "bk_property_value": "amy"}]);
    simulator.load(&state).expect("the state is fine");
    let update = |module: i64, data: Value| {
        let body = json!({"bk_biz_id": 3, "bk_set_id": 5, "bk_module_id": module, "data": data});
        esb(&simulator, "update_module", &body)
    };
    let refused = update(8, json!({"operator": "bob"}));
    assert_eq!((&refused["code"], &refused["message"]), (&json!(1_199_083), &json!("modify field operator forbidden")));
    assert_eq!(update(8, json!({"operator": null}))["code"], 0, "an equal value is fine");
    assert_eq!(update(8, json!({"bk_bak_operator": "bob"}))["code"], 0);
    assert_eq!(update(7, json!({"operator": "bob"}))["code"], 0, "no module of the template");
    let list = |body: Value| {
        let operation = named("list_service_template_attribute");
        send(&simulator, &operation.request(Access::Direct, &json!({}), &body).expect("the server lists them")).1
    };
    let rows = list(json!({"bk_biz_id": 3, "id": 1}))["data"]["attributes"].clone();
    assert_eq!(rows, state["service_template_attributes"]);
    let rows = list(json!({"bk_biz_id": 3, "id": 1, "fields": ["bk_property_value"]}))["data"]["attributes"].clone();
    assert_eq!((&rows[0]["bk_property_value"], &rows[0]["bk_attribute_id"]), (&json!("amy"), &json!(0)));
    assert_eq!(list(json!({"bk_biz_id": 4, "id": 1}))["bk_error_code"], 1_199_006);
    assert_eq!(list(json!({"bk_biz_id": 3}))["bk_error_code"], 1_199_010);
    let saved = simulator.state();
    simulator.load(&saved).expect("its own state loads");
    assert_eq!(simulator.state(), saved);
    simulator.set_option("version", &json!("3.9")).expect("a version");
    assert_eq!(update(8, json!({"operator": "bob"}))["code"], 0, "since 3.10");
    state["service_template_attributes"][0]["bk_attribute_id"] = json!(800);
    state["service_template_attributes"][0]["service_template_id"] = json!(9);
    let mistakes = simulator.load(&state).expect_err("another model's attribute, and no such template");
    let pointers: Vec<&str> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/service_template_attributes/0/service_template_id", "/service_template_attributes/0/bk_attribute_id"]
    );
}

#[test]
fn watches_of_every_resource() {
    let simulator = simulator();
    for (resource, filter, write) in [
        ("object_instance", "rack", "update_inst"),
        ("inst_asst", "rack", "add_instance_association"),
        ("inst_asst", "server", "delete_instance_association"),
        ("module", "", "update_module"),
        ("set", "", "update_set"),
        ("biz", "", "update_business"),
    ] {
        let watch = |cursor: &Value, types: Value| {
            json!({"bk_resource": resource, "bk_fields": ["bk_biz_id", "bk_inst_id"], "bk_cursor": cursor,
                "bk_event_types": types, "bk_filter": {"bk_sub_resource": filter}})
        };
        let ask = |body: &Value| esb(&simulator, "resource_watch", body);
        let first = ask(&watch(&json!(""), json!([])));
        let cursor = &first["data"]["bk_events"][0]["bk_cursor"];
        assert_eq!(first["data"]["bk_watched"], json!(false), "{resource}");
        let operation = named(write);
        let request =
            operation.request(Access::Esb, &operation.vars, &operation.body).expect("every one has a component");
        assert_eq!(send(&simulator, &request).1["result"], json!(true), "{write}");
        let answer = ask(&watch(cursor, json!([])));
        let events = answer["data"]["bk_events"].as_array().expect("events");
        assert_eq!((events.len(), &answer["data"]["bk_watched"]), (1, &json!(true)), "{resource}: {answer}");
        let kind = events[0]["bk_event_type"].clone();
        let detail = events[0]["bk_detail"].as_object().expect("a row");
        assert!(!detail.is_empty() && detail.keys().all(|name| ["bk_biz_id", "bk_inst_id"].contains(&name.as_str())));
        let other = if kind == "update" { "delete" } else { "update" };
        assert_eq!(
            ask(&watch(cursor, json!([other])))["data"]["bk_watched"],
            json!(false),
            "{resource} of another type"
        );
        if !filter.is_empty() {
            let mut body = watch(cursor, json!([]));
            body["bk_filter"]["bk_sub_resource"] = json!("nothing");
            assert_eq!(ask(&body)["data"]["bk_watched"], json!(false), "{resource} of another model");
        }
        let mut both = watch(cursor, json!([]));
        both["bk_start_from"] = json!(1);
        assert_eq!(ask(&both)["code"], 1_199_006);
        // Events live six hours.
        simulator.set_option("clock-offset-seconds", &json!(6 * 3600 + 60)).expect("an option");
        assert_eq!(ask(&watch(cursor, json!([])))["code"], 1_103_007, "{resource}");
        simulator.set_option("clock-offset-seconds", &json!(0)).expect("an option");
    }
    for (resource, code) in [
        ("process_template", 1_199_006),
        ("service_template", 1_199_006),
        ("module", 1_199_006),
        ("object_instance", 0),
    ] {
        assert_eq!(
            esb(&simulator, "resource_watch", &json!({"bk_resource": resource}))["code"],
            code,
            "{resource} without fields"
        );
    }
    assert_eq!(named("search_module").esb, Esb::Flat);
}

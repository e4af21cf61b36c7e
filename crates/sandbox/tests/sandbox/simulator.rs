//! The CMDB's simulator under random operations.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use reconcile_sandbox::{
    bk_cmdb::Simulator,
    simulator::{Request, Simulator as _},
};
use serde_json::{Value, json};

use crate::accesses::{self, Access};

fn state() -> Value {
    json!({
        "businesses": [{"bk_biz_id": 3, "bk_biz_name": "demo"}, {"bk_biz_id": 4, "bk_biz_name": "other"}],
        "sets": [{"bk_set_id": 5, "bk_set_name": "a", "bk_biz_id": 3}, {"bk_set_id": 6, "bk_set_name": "b", "bk_biz_id": 4}],
        "modules": [
            {"bk_module_id": 7, "bk_module_name": "m", "bk_set_id": 5},
            {"bk_module_id": 8, "bk_module_name": "idle", "bk_set_id": 5, "default": 1},
            {"bk_module_id": 9, "bk_module_name": "web", "bk_set_id": 6, "service_template_id": 1},
        ],
        "objects": [{"bk_obj_id": "rack"}, {"bk_obj_id": "server"}],
        "attributes": [
            {"bk_obj_id": "rack", "bk_property_id": "room", "bk_property_type": "singlechar", "id": 900},
            {"bk_obj_id": "rack", "bk_property_id": "units", "bk_property_type": "int", "option": {"min": "1", "max": "60"}},
            {"bk_obj_id": "rack", "bk_property_id": "tags", "bk_property_type": "enummulti",
                "option": [{"id": "x", "name": "X", "is_default": true}, {"id": "y", "name": "Y"}]},
            {"bk_obj_id": "server", "bk_property_id": "since", "bk_property_type": "time"},
            {"bk_obj_id": "server", "bk_property_id": "load", "bk_property_type": "float"},
        ],
        "uniques": [{"bk_obj_id": "rack", "keys": [{"key_kind": "property", "key_id": 900}]}],
        "object_associations": [
            {"bk_obj_id": "server", "bk_asst_id": "in", "bk_asst_obj_id": "rack", "mapping": "1:1"},
            {"bk_obj_id": "rack", "bk_asst_id": "next", "bk_asst_obj_id": "rack", "mapping": "1:n"},
            {"bk_obj_id": "server", "bk_asst_id": "uses", "bk_asst_obj_id": "server", "mapping": "n:n"},
        ],
        "instances": {
            "rack": [{"bk_inst_id": 1, "bk_inst_name": "r1", "room": "1"}],
            "server": [{"bk_inst_id": 2, "bk_inst_name": "s1"}],
            "host": [{"bk_host_id": 1, "bk_host_innerip": "10.0.0.1"}, {"bk_host_id": 2, "bk_host_innerip": "10.0.0.2"}],
        },
        "host_relations": [
            {"bk_host_id": 1, "bk_module_id": 9, "bk_set_id": 6, "bk_biz_id": 4},
            {"bk_host_id": 2, "bk_module_id": 8, "bk_set_id": 5, "bk_biz_id": 3},
        ],
        "service_templates": [{"id": 1, "name": "web", "bk_biz_id": 4}],
        "process_templates": [{"id": 1, "service_template_id": 1, "bk_process_name": "nginx"}],
    })
}

fn call(simulator: &Simulator, operation: &str, body: &[u8]) -> Result<Value, String> {
    let answer = simulator.answer(&Request {
        method: "POST".to_owned(),
        path: format!("/api/c/compapi/v2/cc/{operation}/"),
        body: body.to_vec(),
        ..Request::default()
    });
    serde_json::from_slice(&answer.body).map_err(|error| format!("{operation}: {error}"))
}

const OPERATIONS: [&str; 58] = [
    "update_inst",
    "update_inst",
    "create_inst",
    "create_inst",
    "delete_inst",
    "batch_update_inst",
    "batch_create_inst",
    "batch_delete_inst",
    "add_instance_association",
    "add_instance_association",
    "batch_create_instance_association",
    "delete_instance_association",
    "delete_related_inst_asso",
    "create_module",
    "update_module",
    "delete_module",
    "create_set",
    "update_set",
    "delete_set",
    "update_proc_template",
    "update_proc_template",
    "batch_create_proc_template",
    "delete_proc_template",
    "create_service_template",
    "search_inst",
    "search_inst_by_object",
    "search_object_instances",
    "count_object_instances",
    "search_instance_associations",
    "count_instance_associations",
    "find_instance_association",
    "find_instassociation_with_inst",
    "search_related_inst_asso",
    "search_business",
    "search_set",
    "search_module",
    "find_module_batch",
    "list_proc_template",
    "list_service_template",
    "search_objects",
    "search_object_attribute",
    "find_object_association",
    "list_operation_audit",
    "resource_watch",
    "update_service_template",
    "delete_service_template",
    "update_host",
    "transfer_host_module",
    "transfer_host_to_idlemodule",
    "sync_service_template_to_service_instance",
    "list_service_template_sync_status",
    "list_service_template_difference",
    "update_object_attribute",
    "delete_object_attribute",
    "create_service_category",
    "delete_service_category",
    "create_set_template",
    "sync_set_template_to_set",
];

/// Values that fit somewhere, and some that fit nowhere.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => (0..12i64).prop_map(Value::from),
        4 => prop::sample::select(vec!["rack", "server", "r1", "s1", "x", "y", "1", "80", "", " a ", "2024-01-02 03:04:05"])
            .prop_map(Value::from),
        2 => prop::sample::select(vec!["server_in_rack", "rack_next_rack", "server_uses_server", "nginx", "equal", "in"])
            .prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Names of arguments and attributes.
fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "bk_obj_id",
        "bk_inst_id",
        "bk_inst_name",
        "room",
        "units",
        "tags",
        "since",
        "load",
        "details",
        "update",
        "datas",
        "inst_id",
        "delete",
        "inst_ids",
        "bk_asst_obj_id",
        "bk_asst_inst_id",
        "bk_obj_asst_id",
        "id",
        "data",
        "bk_biz_id",
        "bk_set_id",
        "bk_module_id",
        "bk_module_name",
        "bk_set_name",
        "bk_parent_id",
        "service_template_id",
        "default",
        "process_template_id",
        "process_property",
        "bind_info",
        "value",
        "row_id",
        "port",
        "protocol",
        "processes",
        "spec",
        "bk_func_name",
        "bk_process_name",
        "process_templates",
        "condition",
        "conditions",
        "rules",
        "field",
        "operator",
        "page",
        "limit",
        "start",
        "sort",
        "fields",
        "$in",
        "$or",
        "name",
        "rack",
        "bk_resource",
        "bk_cursor",
    ])
    .prop_map(str::to_owned)
}

/// A body that is often right for one of the writes, with noise on top.
fn body() -> impl Strategy<Value = Value> {
    let model = prop::sample::select(vec!["rack", "server", "host", "nope"]);
    let pair = (0..8i64, 0..8i64);
    let asst = prop::sample::select(vec!["server_in_rack", "rack_next_rack", "server_uses_server"]);
    let noise = prop::collection::btree_map(name(), value(), 0..5);
    (model, pair, asst, "[a-c][0-3]", noise).prop_map(|(model, (number, other), asst, text, noise)| {
        let process = json!({"bk_process_name": {"value": text}, "bk_func_name": {"value": text},
            "bind_info": {"value": [{"port": {"value": "80"}, "protocol": {"value": "1"}, "row_id": number}]}});
        let mut body = json!({
            "bk_obj_id": model, "bk_inst_id": number, "bk_asst_inst_id": other, "bk_obj_asst_id": asst, "id": number,
            "bk_inst_name": text, "room": text, "details": [{"bk_inst_name": text}, {"bk_inst_id": other}],
            "update": [{"inst_id": number, "datas": {"bk_inst_name": text}}, {"inst_id": other, "datas": {"room": text}}],
            "delete": {"inst_ids": [number]}, "bk_biz_id": 3 + number % 2, "bk_set_id": 5 + number % 2, "bk_module_id": 7 + other,
            "data": {"bk_module_name": text, "bk_set_name": text, "bk_parent_id": 5 + number % 2},
            "process_template_id": 1 + number % 3, "process_property": process, "service_template_id": 1,
            "processes": [{"spec": process}], "process_templates": [1 + number], "name": text, "service_category_id": 2,
            "page": {"start": 0, "limit": 10}, "fields": ["id"], "bk_resource": "object_instance",
            "bk_host_id": [1 + other % 2], "bk_module_ids": [7 + other], "bk_module_id": [7 + other % 3], "service_template_ids": [1],
            "bk_host_innerip": text, "option": "", "bk_property_name": text, "set_template_ids": [number],
        });
        for (name, value) in noise {
            body[name] = value;
        }
        body
    })
}

/// Checks what must hold after any call.
fn check(state: &Value, before: &mut BTreeMap<String, i64>) {
    let section = &state["instances"];
    let mut instances: BTreeSet<(String, i64)> = BTreeSet::new();
    for (model, rows) in section.as_object().expect("instances by model").iter().filter(|(model, _)| *model != "host") {
        let mut names = BTreeSet::new();
        let mut rooms = BTreeSet::new();
        for row in rows.as_array().expect("rows") {
            instances.insert((model.clone(), row["bk_inst_id"].as_i64().expect("an id")));
            assert!(names.insert(row["bk_inst_name"].to_string()), "{model} has a name twice");
            if row["room"].is_string() {
                assert!(rooms.insert(row["room"].to_string()), "{model} has a room twice");
            }
        }
    }
    let (mut sources, mut targets) = (BTreeSet::new(), BTreeSet::new());
    for row in state["instance_associations"].as_array().expect("associations") {
        for (model, id) in [("bk_obj_id", "bk_inst_id"), ("bk_asst_obj_id", "bk_asst_inst_id")] {
            let end = (row[model].as_str().expect("a model").to_owned(), row[id].as_i64().expect("an id"));
            assert!(instances.contains(&end), "{row} has a missing end");
        }
        let asst = row["bk_obj_asst_id"].as_str().expect("an id");
        if asst == "server_in_rack" {
            assert!(sources.insert(row["bk_inst_id"].to_string()), "1:1 source twice");
        }
        if asst != "server_uses_server" {
            assert!(targets.insert((asst.to_owned(), row["bk_asst_inst_id"].to_string())), "target twice");
        }
    }
    for (sequence, next) in state["next_ids"].as_object().expect("counters") {
        let next = next.as_i64().expect("a number");
        let last = before.insert(sequence.clone(), next).unwrap_or(0);
        assert!(next >= last, "{sequence} went back");
    }
}

proptest! {
    #![proptest_config(crate::proptest_config(96))]

    #[test]
    fn random_operations(calls in prop::collection::vec((prop::sample::select(OPERATIONS.to_vec()), body()), 1..40)) {
        let simulator = Simulator::new();
        simulator.load(&state()).expect("the state is fine");
        simulator.set_option("task_delay", &json!(0)).expect("an option");
        let mut counters = BTreeMap::new();
        for (operation, body) in calls {
            let answer = call(&simulator, operation, body.to_string().as_bytes());
            let answer = answer.map_err(TestCaseError::fail)?;
            prop_assert!(answer["result"].is_boolean() && answer["code"].is_i64(), "{}: {}", operation, answer);
            check(&simulator.state(), &mut counters);
        }
        let saved = simulator.state();
        let again = Simulator::new();
        prop_assert_eq!(again.load(&saved), Ok(()));
        prop_assert_eq!(again.state(), saved);
    }

    #[test]
    fn random_operations_through_all_doors(
        calls in prop::collection::vec(
            (prop::sample::select(accesses::operations()), prop::sample::select(accesses::ACCESSES.to_vec()), body(), any::<bool>()),
            1..30,
        ),
        version in prop::sample::select(vec!["3.14", "3.14", "3.10"]),
    ) {
        let simulator = Simulator::new();
        simulator.load(&state()).expect("the state is fine");
        simulator.set_option("version", &json!(version)).expect("an option");
        simulator.set_option("task_delay", &json!(0)).expect("an option");
        let mut counters = BTreeMap::new();
        for (operation, access, noise, own) in calls {
            // The table's own call, or one with other ids and whatever fields.
            let mut vars = operation.vars.clone();
            for (name, value) in vars.as_object_mut().into_iter().flatten() {
                let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                if let Some(other) = noise.get(name).filter(|other| other.is_i64() || other.as_str().is_some_and(plain)) {
                    *value = other.clone();
                }
            }
            let body = if own { operation.body.clone() } else { noise };
            let Some(request) = operation.request(access, &vars, &body) else { continue };
            let answer = simulator.answer(&request);
            let answer: Value = serde_json::from_slice(&answer.body).map_err(|error| TestCaseError::fail(format!("{}: {error}", operation.name)))?;
            let access = if access == Access::Gateway && version != "3.14" { Access::Direct } else { access };
            prop_assert!(accesses::is_envelope(access, &answer), "{} {:?}: {}", operation.name, access, answer);
            check(&simulator.state(), &mut counters);
        }
        let saved = simulator.state();
        prop_assert_eq!(simulator.load(&saved), Ok(()));
        prop_assert!(simulator.state() == saved, "the state does not survive a round");
    }

    #[test]
    fn any_request_is_answered(method in "GET|PUT|POST|DELETE|PATCH|[A-Z]{1,6}", path in "(/api/(v3|bk-cmdb/prod/api/v3|c/compapi/v2/cc))?(/[a-z%0-9_{}.$]{0,12}){0,5}/?", body in prop::collection::vec(any::<u8>(), 0..40)) {
        let simulator = Simulator::new();
        let headers = vec![("x-bkcmdb-user".to_owned(), "a".to_owned()), ("x-bkcmdb-supplier-account".to_owned(), "0".to_owned())];
        let answer = simulator.answer(&Request { method, path, body, headers, ..Request::default() });
        prop_assert!(answer.status >= 200);
    }
}

#[test]
fn mistakes_have_places() {
    let simulator = Simulator::new();
    let mistakes = |section: &str, value: Value| -> Vec<String> {
        let mut state = state();
        state[section] = value;
        simulator.load(&state).err().unwrap_or_default().into_iter().map(|mistake| mistake.pointer).collect()
    };
    assert_eq!(mistakes("weather", json!([])), ["/weather"]);
    assert_eq!(
        mistakes("businesses", json!({})),
        ["/businesses", "/sets/0/bk_biz_id", "/sets/1/bk_biz_id", "/service_templates/0/bk_biz_id"]
    );
    assert_eq!(
        mistakes(
            "instances",
            json!({"rack": [{"bk_inst_id": 1, "bk_inst_name": "a"}, {"bk_inst_id": 1, "bk_inst_name": "b"}]})
        ),
        ["/instances/rack/1/bk_inst_id"]
    );
    assert_eq!(
        mistakes(
            "instances",
            json!({"rack": [{"bk_inst_id": 1, "bk_inst_name": "a"}, {"bk_inst_id": 2, "bk_inst_name": "a"}]})
        ),
        ["/instances/rack/1"]
    );
    assert_eq!(
        mistakes(
            "instance_associations",
            json!([{"id": 1, "bk_obj_asst_id": "server_in_rack", "bk_inst_id": 2, "bk_asst_inst_id": 9}])
        ),
        ["/instance_associations/0/bk_asst_inst_id"]
    );
    assert_eq!(
        mistakes(
            "process_templates",
            json!([{"id": 1, "service_template_id": 1, "bk_process_name": "p", "property": {"proc_num": {"value": "3"}, "zzz": {}}}])
        ),
        ["/process_templates/0/property/zzz", "/process_templates/0/property/proc_num"]
    );
    assert_eq!(mistakes("next_ids", json!({"rack": 1})), ["/next_ids/rack"]);
}

//! Rules of the CMDB's contract beyond the recordings: accesses, audit records, versions, traps.

use reconcile_sandbox::{
    bk_cmdb::Simulator,
    simulator::{Misbehaviour, Request, Simulator as _},
};
use serde_json::{Value, json};

use crate::cmdb::{esb, send};

fn simulator() -> Simulator {
    let simulator = Simulator::new();
    let state = json!({
        "businesses": [{"bk_biz_id": 3, "bk_biz_name": "demo"}],
        "sets": [{"bk_set_id": 5, "bk_set_name": "a", "bk_biz_id": 3}],
        "modules": [{"bk_module_id": 7, "bk_module_name": "m", "bk_set_id": 5}],
        "objects": [{"bk_obj_id": "rack"}],
        "attributes": [
            {"bk_obj_id": "rack", "bk_property_id": "room", "bk_property_type": "singlechar"},
            {"bk_obj_id": "rack", "bk_property_id": "kind", "bk_property_type": "singlechar", "id": 800},
        ],
        "uniques": [{"bk_obj_id": "rack", "keys": [{"key_kind": "property", "key_id": 800}]}],
        "object_associations": [
            {"bk_obj_id": "rack", "bk_asst_id": "next", "bk_asst_obj_id": "rack", "mapping": "n:n"},
            {"bk_obj_id": "set", "bk_asst_id": "bk_mainline", "bk_asst_obj_id": "biz", "mapping": "1:1"},
        ],
        "instances": {"rack": [{"bk_inst_id": 1, "bk_inst_name": "r1"}, {"bk_inst_id": 2, "bk_inst_name": "r2"}]},
        "service_templates": [{"id": 1, "name": "web", "bk_biz_id": 3}],
        "process_templates": [{"id": 1, "service_template_id": 1, "bk_process_name": "nginx"}],
    });
    simulator.load(&state).expect("the state is fine");
    simulator
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        ..Request::default()
    }
}

/// Calls the api-server; returns the code, 0 for success, or -1 for what is no envelope.
fn code(simulator: &Simulator, method: &str, path: &str, body: &Value) -> i64 {
    let headers = [("x-bkcmdb-user", "amy"), ("x-bkcmdb-supplier-account", "0")];
    send(simulator, &request(method, path, &headers, body)).1["bk_error_code"].as_i64().unwrap_or(-1)
}

#[test]
fn codes() {
    let row = |bind: Value| json!({"bk_biz_id": 3, "process_template_id": 1, "process_property": {"bind_info": bind}});
    let rules = |count: usize| json!({"condition": "AND", "rules": vec![json!({"field": "id", "operator": "equal", "value": 1}); count]});
    for (method, path, body, expected) in [
        ("PUT", "/api/v3/update/instance/object/rack/inst/1", json!({"room": " a "}), 0),
        ("PUT", "/api/v3/update/instance/object/rack/inst/1.5", json!({}), 1_199_009),
        ("PUT", "/api/v3/update/instance/object/plat/inst/abc", json!({}), 1_199_084),
        ("PUT", "/api/v3/updatemany/instance/object/rack", json!({"update": [{"inst_id": 1}]}), 1_199_999),
        (
            "POST",
            "/api/v3/createmany/instassociation",
            json!({"bk_obj_id": "rack", "bk_asst_obj_id": "rack", "bk_obj_asst_id": "x", "details": [{}]}),
            1_199_999,
        ),
        (
            "POST",
            "/api/v3/create/instassociation",
            json!({"bk_obj_asst_id": "set_bk_mainline_biz", "bk_inst_id": 5, "bk_asst_inst_id": 3}),
            0,
        ),
        (
            "PUT",
            "/api/v3/update/proc/proc_template",
            json!({"bk_biz_id": 3, "process_template_id": 9, "process_property": {"proc_num": 5}}),
            1_199_019,
        ),
        ("PUT", "/api/v3/update/proc/proc_template", row(json!([])), 1_199_000),
        (
            "PUT",
            "/api/v3/update/proc/proc_template",
            row(json!({"value": [{"port": {"value": "80-90,90"}, "protocol": {"value": "1"}}]})),
            1_199_006,
        ),
        (
            "POST",
            "/api/v3/search/instance_associations/object/rack",
            json!({"conditions": rules(60), "page": {"limit": 1}}),
            0,
        ),
        (
            "POST",
            "/api/v3/search/instances/object/rack",
            json!({"conditions": rules(51), "page": {"limit": 1}}),
            1_199_006,
        ),
        (
            "POST",
            "/api/v3/find/instassociation/object/rack",
            json!({"condition": {"rack": [{"field": "a", "operator": "$where", "value": 1}]}}),
            1_199_998,
        ),
        (
            "POST",
            "/api/v3/findmany/module/with_relation/biz/3",
            json!({"bk_set_ids": vec![5; 201], "fields": ["a"]}),
            1_199_015,
        ),
        ("POST", "/api/v3/module/3/5", json!({"bk_module_name": "n", "bk_parent_id": 6}), 1_199_006),
        ("POST", "/api/v3/module/3/5", json!({"bk_module_name": "n", "bk_parent_id": 5, "default": 0}), 1_199_999),
        (
            "POST",
            "/api/v3/module/3/5",
            json!({"bk_module_name": "n", "bk_parent_id": 5, "service_template_id": 1, "service_category_id": 1}),
            1_108_036,
        ),
        ("POST", "/api/v3/find/audit", json!({"id": []}), 1_199_010),
        ("POST", "/api/v3/find/audit", json!({"id": [999]}), -1),
        ("POST", "/api/v3/findmany/audit_list", json!({"page": {"limit": 5}}), 1_199_010),
        (
            "POST",
            "/api/v3/findmany/audit_list",
            json!({"condition": {"operation_time": {"start": "2020-01-01 00:00:00"}}, "page": {"limit": 201}}),
            1_199_059,
        ),
    ] {
        assert_eq!(code(&simulator(), method, path, &body), expected, "{method} {path} {body}");
    }
}

#[test]
fn doors_turn_away() {
    let simulator = simulator();
    let sent = |method: &str, path: &str, headers: &[(&str, &str)]| {
        send(&simulator, &request(method, path, headers, &json!({})))
    };
    let me = [("bk_user", "amy"), ("http_bk_supplier_account", "0")];
    assert_eq!(sent("PATCH", "/api/v3/find/object", &me).0, 405);
    assert_eq!(sent("POST", "/api/v3//find/object", &me).0, 307);
    assert_eq!(sent("POST", "/api/v3/find/object", &[("accept", "application/xml"), me[0], me[1]]).0, 406);
    assert_eq!(sent("POST", "/api/v3/find/object", &me).1["result"], json!(true));
    assert_eq!(sent("GET", "/api/bk-cmdb/prod/api/v3/find/object", &[]).0, 404);
    assert_eq!(sent("POST", "/api/bk-cmdb/prod/api/v3/findmany/module/biz/3", &[]).1["code"], json!(1_640_401));
    let nobody = [("x-bkapi-authorization", "{\"bk_app_code\":\"a\",\"bk_app_secret\":\"b\"}")];
    assert_eq!(sent("POST", "/api/bk-cmdb/prod/api/v3/find/object", &nobody).1["bk_error_code"], json!(1_100_004));
    assert_eq!(sent("POST", "/api/c/compapi/v2/cc/find_object/", &[]).1["code"], json!(1_306_404));
    let broken = [("x-bkapi-authorization", "{")];
    assert_eq!(sent("POST", "/api/c/compapi/v2/cc/search_objects/", &broken).1["code"], json!(1_306_406));
    assert_eq!(esb(&simulator, "update_inst", &json!({"bk_obj_id": "rack"}))["code"], json!(1_306_406));
    let flat = json!({"bk_biz_id": 3, "bk_set_id": 5, "bk_module_id": 7, "bk_module_name": "n"});
    assert_eq!(esb(&simulator, "update_module", &flat)["code"], json!(1_199_999));
    let get = Request {
        query: "service_template_id=1".to_owned(),
        ..request("GET", "/api/c/compapi/v2/cc/get_service_template/", &[], &Value::Null)
    };
    assert_eq!(send(&simulator, &get).1["data"]["name"], "web");
    let double = esb(&simulator, "find_audit_by_id", &json!({"id": [77]}));
    assert_eq!(double["code"], json!(1_306_000), "two documents in one body");
}

#[test]
fn every_accepted_write_moves_times_and_is_audited() {
    let simulator = simulator();
    let time = || {
        esb(&simulator, "search_inst_by_object", &json!({"bk_obj_id": "rack", "condition": {"bk_inst_id": 1}}))["data"]
            ["info"][0]["last_time"]
            .clone()
    };
    let before = time();
    let body =
        json!({"bk_username": "zoe", "bk_app_code": "app", "bk_obj_id": "rack", "bk_inst_id": 1, "nothing": " x "});
    assert_eq!(esb(&simulator, "update_inst", &body)["result"], json!(true));
    assert_ne!(time(), before);
    let refused = json!({"bk_obj_id": "rack", "bk_inst_id": 1, "bk_inst_name": "r2"});
    assert_eq!(esb(&simulator, "update_inst", &refused)["code"], json!(1_199_014));
    let mixed =
        json!({"bk_obj_id": "rack", "update": [{"inst_id": 1, "datas": {"room": "z"}}, {"inst_id": 99, "datas": {}}]});
    assert_eq!(esb(&simulator, "batch_update_inst", &mixed)["code"], json!(1_199_019));
    esb(&simulator, "update_proc_template", &json!({"bk_biz_id": 3, "process_template_id": 1, "process_property": {}}));
    esb(
        &simulator,
        "add_instance_association",
        &json!({"bk_obj_asst_id": "rack_next_rack", "bk_inst_id": 1, "bk_asst_inst_id": 2}),
    );
    let list = json!({"condition": {"operation_time": {"start": "2020-01-01 00:00:00"}}, "page": {"limit": 200, "sort": "-id"}});
    let records = esb(&simulator, "list_operation_audit", &list)["data"].clone();
    assert_eq!(records["count"], json!(2), "no record of refused calls, of a roll-back, of process templates");
    assert_eq!(records["info"][1]["operation_detail"], Value::Null);
    let details = esb(&simulator, "find_audit_by_id", &json!({"id": [1, 2]}))["data"].clone();
    assert_eq!(details[0]["user"], "zoe");
    assert_eq!(details[0]["code"], "app");
    assert_eq!(
        details[0]["operation_detail"]["details"]["update_fields"],
        json!({"nothing": " x "}),
        "the body as sent"
    );
    assert_eq!(details[0]["operation_detail"]["details"]["pre_data"]["bk_inst_name"], "r1");
    assert_eq!(details[1]["resource_type"], "instance_association");
    assert_eq!(details[1]["operation_detail"]["dest_inst_name"], "r2");
}

#[test]
fn versions_differ() {
    let simulator = simulator();
    let me = [("x-bkcmdb-user", "amy"), ("x-bkcmdb-supplier-account", "0")];
    let old = [("bk_user", "amy"), ("http_bk_supplier_account", "0")];
    let find =
        |headers: &[(&str, &str)]| send(&simulator, &request("POST", "/api/v3/find/object", headers, &json!({}))).0;
    let empty_in = json!({"bk_obj_id": "rack", "page": {"limit": 1},
        "conditions": {"condition": "AND", "rules": [{"field": "bk_inst_id", "operator": "in", "value": []}]}});
    assert_eq!(esb(&simulator, "search_object_instances", &empty_in)["code"], json!(1_199_006));
    assert_eq!(simulator.set_option("version", &json!("3.10")), Ok(true));
    assert_eq!(esb(&simulator, "search_object_instances", &empty_in)["code"], json!(0));
    assert_eq!((find(&me), find(&old)), (500, 200));
    let gateway = send(&simulator, &request("POST", "/api/bk-cmdb/prod/api/v3/find/object", &[], &json!({}))).1;
    assert_eq!(gateway["bk_error_code"], json!(0));
    assert_eq!(simulator.set_option("version", &json!("3.9")), Ok(true));
    assert_eq!(esb(&simulator, "search_object_instances", &empty_in)["code"], json!(1_306_404));
    esb(
        &simulator,
        "add_instance_association",
        &json!({"bk_obj_asst_id": "rack_next_rack", "bk_inst_id": 1, "bk_asst_inst_id": 2}),
    );
    assert_eq!(esb(&simulator, "find_instance_association", &json!({"condition": {}}))["data"][0]["id"], json!(1));
    assert_eq!(esb(&simulator, "delete_instance_association", &json!({"id": 1}))["code"], json!(0));
    assert_eq!(esb(&simulator, "find_instance_association", &json!({"condition": {}}))["data"], json!([]));
    assert!(simulator.set_option("version", &json!("2.0")).is_err());
}

#[test]
fn twists() {
    let simulator = simulator();
    let update = json!({"bk_obj_id": "rack", "bk_inst_id": 1, "room": "new"});
    esb(&simulator, "update_inst", &update);
    let search = json!({"bk_obj_id": "rack", "fields": ["bk_inst_id", "room"], "page": {"start": 1, "limit": 1, "sort": "bk_inst_id"}});
    let search = request("POST", "/api/c/compapi/v2/cc/search_object_instances/", &[], &search);
    let twisted = |misbehaviour: Misbehaviour| -> Value {
        let answer = simulator.answer_twisted(&search, &misbehaviour);
        serde_json::from_slice(&answer.body).expect("an envelope")
    };
    assert_eq!(twisted(Misbehaviour::PageShift { skip: false })["data"]["info"][0]["room"], "new");
    assert_eq!(twisted(Misbehaviour::PageShift { skip: true })["data"]["info"], Value::Null);
    let all = json!({"bk_obj_id": "rack", "page": {"limit": 9, "sort": "bk_inst_id"}});
    let all = request("POST", "/api/c/compapi/v2/cc/search_object_instances/", &[], &all);
    let past = simulator.answer_twisted(&all, &Misbehaviour::Lag { ms: 60_000 });
    let past: Value = serde_json::from_slice(&past.body).expect("an envelope");
    assert_eq!(past["data"]["info"][0]["room"], "");
}

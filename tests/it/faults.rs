//! Faults on the way: each object has its outcome, and nothing that was done is sent twice.

use serde_json::{Value, json};

use crate::harness::{Site, operations, state, switch, wait_until};

const MODULE: &str = "apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: web}
spec: {business: demo, set: public, module: web, fields: {operator: alice}}
";
const PROCESS: &str = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec: {business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 4}}
";
const APP: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: new}}
";
const NEW_APP: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: payments}
spec: {ensure: present, app: payments, fields: {remark: new}}
";
const NEW_SWITCH: &str = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: new}
spec: {ensure: present, model: bk_switch, match: {bk_inst_name: sw-9}, fields: {ports: 48}}
";
const LINK: &str = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: rack}
spec:
  association: switch_rack
  source: {model: bk_switch, id: 1}
  targets: [{model: bk_rack, id: 21}]
";

/// Every write there is: its operation and a manifest that needs it once.
fn each_write() -> Vec<(&'static str, String)> {
    vec![
        ("update_inst", switch("core", "bk_asset_id: A1", "ports: 48")),
        ("create_inst", NEW_SWITCH.to_owned()),
        ("add_instance_association", LINK.to_owned()),
        ("update_module", MODULE.to_owned()),
        ("update_proc_template", PROCESS.to_owned()),
        ("UpdateRomaApp", APP.to_owned()),
        ("CreateRomaApp", NEW_APP.to_owned()),
    ]
}

#[test]
fn a_lost_answer_is_looked_up_and_the_write_not_repeated() {
    for (operation, manifest) in each_write() {
        for fault in ["reset_after", "applied_504", "cut", "garbage"] {
            let site = Site::with(&state(), &[("one.yaml", &manifest)]);
            site.faults(&json!([{"operation": operation, "nth": 1, "fault": fault}]));
            let output = site.run(&["apply", "-y"]);
            assert_eq!(output.code, Some(0), "{operation} {fault}: {output}");
            assert_eq!(operations(&site.writes()), json!({operation: 1}), "{fault}: {output}");
            site.assert_converged();
        }
    }
}

#[test]
fn an_error_without_a_code_of_the_platform_is_looked_up() {
    for (operation, manifest) in each_write() {
        for status in [403, 408, 503, 520] {
            let site = Site::with(&state(), &[("one.yaml", &manifest)]);
            site.faults(&json!([{"operation": operation, "nth": 1, "fault": "applied_status", "status": status}]));
            let output = site.run(&["apply", "-y"]);
            assert_eq!(output.code, Some(0), "{operation} {status}: {output}");
            assert!(output.stdout.contains("Applied: 1 of 1"), "{operation} {status}: {output}");
            assert_eq!(operations(&site.writes()), json!({operation: 1}), "{status}: {output}");
            site.assert_converged();
        }
    }
}

#[test]
fn an_update_that_did_not_arrive_is_sent_again_and_a_create_is_not() {
    for (operation, manifest) in each_write() {
        let site = Site::with(&state(), &[("one.yaml", &manifest)]);
        site.faults(&json!([{"operation": operation, "nth": 1, "fault": "reset_before"}]));
        let output = site.run(&["apply", "-y"]);
        let update = operation.to_lowercase().starts_with("update");
        if update {
            assert_eq!(output.code, Some(0), "{operation}: {output}");
            assert_eq!(operations(&site.writes()), json!({operation: 2}), "{output}");
        } else {
            // It may still come about: nobody knows, so nobody sends it twice.
            assert_eq!(output.code, Some(5), "{operation}: {output}");
            assert_eq!(operations(&site.writes()), json!({operation: 1}), "{output}");
            assert!(output.stdout.contains("whether it was done is unknown"), "{output}");
        }
    }
}

#[test]
fn a_refusal_behind_a_lost_attempt_leaves_open_what_became_of_that() {
    let site = Site::with(&state(), &[("one.yaml", MODULE)]);
    site.faults(&json!([
        {"operation": "update_module", "nth": 1, "fault": "reset_before"},
        {"operation": "update_module", "nth": 2, "fault": "code", "code": 1_199_045, "message": "no"},
    ]));
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(5), "{output}");
    let outcome = &output.json()["outcomes"][0];
    assert_eq!(outcome["outcome"], "unknown", "{output}");
    assert!(output.stdout.contains("may still be carried out"), "{output}");
}

#[test]
fn a_write_that_a_limiter_refused_is_sent_again() {
    for (operation, manifest) in each_write() {
        let site = Site::with(&state(), &[("one.yaml", &manifest)]);
        site.faults(&json!([{"operation": operation, "nth": 1, "fault": "rate_limit", "retry_after": 0}]));
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(0), "{operation}: {output}");
        assert_eq!(operations(&site.writes()), json!({operation: 2}), "{output}");
        site.assert_converged();
    }
}

#[test]
fn a_dropped_field_is_booked_as_dropped() {
    for (operation, manifest) in each_write() {
        if !operation.to_lowercase().starts_with("update") {
            continue;
        }
        let site = Site::with(&state(), &[("one.yaml", &manifest)]);
        site.faults(&json!([{"operation": operation, "fault": "drop"}]));
        let output = site.run(&["apply", "-y", "-o", "json"]);
        assert_eq!(output.code, Some(1), "{operation}: {output}");
        assert_eq!(output.json()["outcomes"][0]["outcome"], "dropped", "{operation}: {output}");
        assert_eq!(operations(&site.writes()), json!({operation: 1}));
    }
}

/// A name in a document is compared by its id, which has to be looked up once more when the module is read back.
#[test]
fn a_dropped_service_category_is_booked_as_dropped() {
    let mut state = state();
    let web = json!({"id": 3, "name": "Web", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1});
    state["bk-cmdb"]["service_categories"].as_array_mut().expect("a list").push(web);
    let both: &[&str] = &["operator", "service_category_id"];
    for (fields, expected) in [("", &both[1..]), ("operator: alice", both)] {
        let module =
            MODULE.replace("fields: {operator: alice}", &format!("serviceCategory: Web, fields: {{{fields}}}"));
        let site = Site::with(&state, &[("one.yaml", &module)]);
        site.faults(&json!([{"operation": "update_module", "fault": "drop"}]));
        let output = site.run(&["apply", "-y", "-o", "json"]);
        assert_eq!(output.code, Some(1), "{output}");
        let outcome = &output.json()["outcomes"][0];
        assert_eq!(outcome["outcome"], "dropped", "{output}");
        let message = outcome["message"].as_str().expect("a message");
        assert!(expected.iter().all(|path| message.contains(path)), "{output}");
        assert_eq!(operations(&site.writes()), json!({"update_module": 1}));
        // Once the server keeps it, it is applied and stays.
        site.faults(&json!([]));
        let output = site.run(&["apply", "-y", "-o", "json"]);
        assert_eq!((output.code, &output.json()["outcomes"][0]["outcome"]), (Some(0), &json!("applied")), "{output}");
        site.assert_converged();
    }
}

#[test]
fn an_equivalent_is_booked_as_normalised_and_stays() {
    let site = Site::with(&state(), &[("one.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
    site.faults(&json!([{"operation": "update_inst", "fault": "normalise"}]));
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(output.json()["outcomes"][0]["outcome"], "normalised", "{output}");
    site.faults(&json!([]));
    site.assert_converged();
}

#[test]
fn somebody_else_in_between_is_told() {
    let site = Site::with(&state(), &[("one.yaml", &switch("core", "bk_asset_id: A1", "ports: 48, remark: ours"))]);
    let theirs = json!({"operation": "update_inst",
        "body": {"bk_obj_id": "bk_switch", "bk_inst_id": 1, "remark": "theirs"}});
    site.faults(&json!([{"operation": "search_inst_by_object", "nth": 1, "fault": "second_writer", "edit": theirs}]));
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert_eq!(output.json()["outcomes"][0]["outcome"], "overtaken", "{output}");
}

#[test]
fn a_refused_object_holds_up_only_what_needs_it() {
    let link = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: new-rack}
spec:
  association: switch_rack
  source: {ref: new}
  targets: [{model: bk_rack, id: 21}]
";
    let manifests = [("a.yaml", NEW_SWITCH), ("b.yaml", link), ("c.yaml", MODULE), ("d.yaml", APP), ("e.yaml", LINK)];
    let site = Site::with(&state(), &manifests);
    site.faults(&json!([{"operation": "create_inst", "fault": "code", "code": 1_199_014, "message": "duplicated"}]));
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(5), "{output}");
    let outcomes = output.json()["outcomes"].as_array().expect("outcomes").clone();
    let outcome = |address: &str| {
        let value =
            outcomes.iter().find(|outcome| outcome["address"].as_str().is_some_and(|text| text.starts_with(address)));
        value.map(|row| row["outcome"].clone()).unwrap_or_default()
    };
    assert_eq!(outcome("Instance/new"), "refused", "{output}");
    assert_eq!(outcome("InstanceAssociation/new-rack"), "skipped");
    assert_eq!(outcome("InstanceAssociation/rack"), "applied");
    assert_eq!(outcome("Module/web"), "applied");
    assert_eq!(outcome("App/orders"), "applied");
    let expected = json!({"create_inst": 1, "update_module": 1, "UpdateRomaApp": 1, "add_instance_association": 1});
    assert_eq!(operations(&site.writes()), expected);
}

#[test]
fn where_nothing_was_applied_the_run_failed() {
    let site = Site::with(&state(), &[("a.yaml", MODULE)]);
    site.faults(&json!([{"operation": "update_module", "fault": "code", "code": 1_199_014, "message": "duplicated"}]));
    let output = site.run(&["apply", "-y", "-q"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stdout.contains("✗ Module/web: refused: duplicated (code 1199014, request rec"), "{output}");
    assert_eq!(operations(&site.writes()), json!({"update_module": 1}));
}

#[test]
fn what_cannot_be_read_is_unknown_and_never_absent() {
    let check = |operation: &str, manifest: &str, fault: Value| {
        let site =
            Site::with(&state(), &[("one.yaml", manifest), ("other.yaml", &switch("other", "bk_asset_id: A2", ""))]);
        let mut fault = fault;
        fault["operation"] = json!(operation);
        site.faults(&json!([fault]));
        for command in [&["plan"][..], &["apply", "-y"]] {
            let output = site.run(command);
            assert_eq!(output.code, Some(5), "{operation} {command:?}: {output}");
            assert!(output.stdout.contains("could not be read"), "{operation} {command:?}: {output}");
            assert!(!output.all().contains("does not exist"), "{operation} {command:?}: {output}");
        }
        assert_eq!(operations(&site.writes()), json!({}), "{operation}");
    };
    let refused = json!({"fault": "code", "code": 1_199_006, "message": "no"});
    check("search_object_instances", NEW_SWITCH, refused.clone());
    check("search_object_attribute", NEW_SWITCH, refused.clone());
    check("search_business", MODULE, refused.clone());
    check("search_set", MODULE, refused.clone());
    check("search_module", MODULE, refused.clone());
    check("list_service_template", PROCESS, refused.clone());
    check("list_proc_template", PROCESS, refused.clone());
    check("find_object_association", LINK, refused.clone());
    check("search_instance_associations", LINK, refused);
    check(
        "ListRomaApp",
        NEW_APP,
        json!({"fault": "status", "status": 403, "body": {"error_code": "ROMA.1", "error_msg": "no"}}),
    );
}

#[test]
fn a_read_that_fails_for_a_moment_is_repeated() {
    let site = Site::with(&state(), &[("one.yaml", MODULE)]);
    site.faults(&json!([
        {"operation": "search_module", "nth": 1, "fault": "reset_before"},
        {"operation": "search_set", "nth": 1, "fault": "status", "status": 502, "body": "bad gateway"},
        {"operation": "search_business", "nth": 1, "fault": "cut"},
    ]));
    let output = site.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(output.code, Some(2), "{output}");
}

#[test]
fn a_replica_that_lags_is_given_time() {
    let site = Site::with(&state(), &[("link.yaml", LINK)]);
    site.sandbox().set_option("replica_lag", &json!(600)).expect("the option is there");
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(output.json()["outcomes"][0]["outcome"], "applied", "{output}");
    assert_eq!(operations(&site.writes()), json!({"add_instance_association": 1}));
}

#[test]
fn a_lost_call_is_not_sent_again_over_what_others_wrote_since() {
    let remove = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: old}
spec: {ensure: absent, model: bk_switch, match: {bk_asset_id: A1}}
";
    let cases = [("update_inst", switch("core", "bk_asset_id: A1", "ports: 48")), ("delete_inst", remove.to_owned())];
    for (operation, manifest) in cases {
        for saved in [false, true] {
            let site = Site::with(&state(), &[("one.yaml", &manifest)]);
            site.configure("safety: {maxChanges: 100%, maxDeletes: 100%}");
            assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
            site.sandbox().clear_calls();
            let theirs = json!({"user": "zoe", "operation": "update_inst",
                "body": {"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 99, "bk_asset_id": "A77"}});
            // The read that looks for the lost write; a saved plan reads at its start and right before the call, too.
            let nth = if saved { 3 } else { 1 };
            site.faults(&json!([
                {"operation": operation, "nth": 1, "fault": "reset_before"},
                {"operation": "search_inst_by_object", "nth": nth, "fault": "second_writer", "edit": theirs},
            ]));
            let file: &[&str] = if saved { &["plan.json"] } else { &[] };
            let output = site.run(&[&["apply", "-y", "-o", "json"], file].concat());
            assert_eq!(site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1)["ports"], 99, "{operation}: {output}");
            assert_eq!(operations(&site.writes()), json!({operation: 1}), "saved: {saved}: {output}");
            assert_eq!(output.json()["outcomes"][0]["outcome"], "unknown", "{operation}: {output}");
            assert_eq!(output.code, Some(5), "{operation}: {output}");
        }
    }
}

#[test]
fn a_write_that_had_to_wait_is_not_sent_over_what_others_wrote_meanwhile() {
    let slow = [
        json!({"operation": "update_inst", "nth": 1, "fault": "rate_limit", "retry_after": 6}),
        json!({"operation": "update_inst", "nth": 1, "fault": "status", "status": 503,
            "headers": {"retry-after": "6"}, "body": {"result": false, "code": 1_113_053, "message": "locked"}}),
    ];
    for fault in slow {
        for moved in [false, true] {
            let site = Site::with(&state(), &[("one.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
            assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
            site.sandbox().clear_calls();
            site.faults(&json!([fault]));
            let output = std::thread::scope(|scope| {
                scope.spawn(|| {
                    wait_until("the write was refused", || !site.writes().is_empty());
                    let ports = if moved { 99 } else { 24 };
                    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": ports}));
                });
                site.run(&["apply", "plan.json", "-y", "-o", "json", "--events", "events.ndjson"])
            });
            let outcome = &output.json()["outcomes"][0]["outcome"];
            assert_eq!(outcome, if moved { "stale" } else { "applied" }, "{fault}: {output}");
            assert_eq!(output.code, Some(if moved { 4 } else { 0 }), "{output}");
            let ports = if moved { 99 } else { 48 };
            assert_eq!(site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1)["ports"], ports, "{fault}");
            let events = std::fs::read_to_string(site.path().join("events.ndjson")).expect("they were written");
            assert_eq!(events.matches("\"apply_start\"").count(), 1, "{events}");
        }
    }
}

#[test]
fn a_wait_until_a_date_is_kept_by_the_clock_of_the_server() {
    let switch = switch("core", "bk_asset_id: A1", "ports: 48");
    let busy = json!({"result": false, "code": 1_113_053, "message": "busy"});
    for (operation, manifest, body) in
        [("search_object_attribute", switch.as_str(), busy), ("ListRomaApp", APP, json!({"error_code": "APIG.0308"}))]
    {
        for (until, code, expected) in [
            ("Sun, 06 Nov 1994 12:00:02 GMT", 0, "sent again in 2.0 s"),
            ("Sun, 06 Nov 1994 13:00:00 GMT", 5, "the server asks to wait 3600 s"),
        ] {
            let site = Site::with(&state(), &[("one.yaml", manifest)]);
            let headers = json!({"date": "Sun, 06 Nov 1994 12:00:00 GMT", "retry-after": until});
            site.faults(&json!([{"operation": operation, "nth": 1, "fault": "status", "status": 503, "body": body,
                "headers": headers}]));
            let output = site.run(&["plan"]);
            assert_eq!(output.code, Some(code), "{operation}: {output}");
            assert!(output.all().contains(expected), "{operation}: {output}");
        }
    }
}

#[test]
fn a_slow_pace_carries_out_a_saved_plan_to_its_end() {
    let switches: String = [("one", "A1"), ("two", "A2"), ("three", "A3")]
        .map(|(name, key)| switch(name, &format!("bk_asset_id: {key}"), "ports: 48"))
        .concat();
    let site = Site::with(&state(), &[("net.yaml", &switches)]);
    assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
    site.sandbox().clear_calls();
    // A turn every other second: not all of three writes leave before what was read for them is too old.
    let output = site.run(&["apply", "plan.json", "-y", "--rate", "0.5"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"update_inst": 3}));
    site.assert_converged();
}

//! Every question that the contract leaves open can be answered either way.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::{SWITCHES, Setting, Simulator};
use super::{create, header, read, request, send, send_as, shared, start, start_with};
use crate::simulator::Simulator as _;

/// Creates an application in a simulator with some switches, sends a PUT, and returns what it answers.
fn updated(options: &Value, body: &Value) -> Value {
    let simulator = start(options);
    let app = create(&simulator, &json!({"name": "a", "remark": "r", "favorite": true, "key": "TEI9123458UM"}));
    let (status, app) = send(&simulator, "PUT", &format!("apps/{}", app["id"].as_str().unwrap_or_default()), body);
    assert_eq!(status, 200, "{app}");
    app
}

#[test]
fn an_update_merges_or_replaces() {
    let cases = [
        (json!({}), json!({"name": "b"}), json!(["b", "r", true])),
        (json!({"put-omitted": "replace"}), json!({"name": "b"}), json!(["b", "", false])),
        (json!({"put-omitted": "replace"}), json!({"remark": "s", "favorite": true}), json!(["a", "s", true])),
        (json!({}), json!({"remark": ""}), json!(["a", "", true])),
        (json!({"put-empty-remark": "ignored"}), json!({"remark": ""}), json!(["a", "r", true])),
        (json!({"put-empty-remark": "ignored"}), json!({"remark": "s"}), json!(["a", "s", true])),
        (json!({}), json!({"remark": null, "favorite": null}), json!(["a", "r", true])),
    ];
    for (options, body, expected) in cases {
        let app = updated(&options, &body);
        assert_eq!(json!([app["name"], app["remark"], app["favorite"]]), expected, "{options} {body}");
    }
}

#[test]
fn answers_look_as_the_switches_say() {
    let all = "read, access, delete, modify, admin";
    let cases = [
        (json!({}), "remark", json!("")),
        (json!({"empty-remark": "null"}), "remark", Value::Null),
        (json!({"roles": "joined"}), "roles", json!([all])),
        (json!({"key": "masked"}), "key", json!("TEI9****8UM")),
        (json!({"time-digits": "seconds"}), "update_time", json!("2026-01-02T03:04:05Z")),
    ];
    for (options, field, expected) in cases {
        let app = updated(&options, &json!({"remark": ""}));
        assert_eq!(app.get(field), Some(&expected), "{options}");
    }
    assert_eq!(updated(&json!({"empty-remark": "absent"}), &json!({"remark": ""})).get("remark"), None);
    assert_eq!(updated(&json!({"empty-remark": "absent"}), &json!({}))["remark"], "r");
}

#[test]
fn a_delete_answers_as_the_switch_says() {
    for (value, status, body) in
        [("message", 200, r#"{"Message":"success"}"#), ("empty", 200, ""), ("no-content", 204, "")]
    {
        let simulator = start(&json!({"delete-answer": value}));
        let app = create(&simulator, &json!({"name": "a"}));
        let path = format!("apps/{}", app["id"].as_str().unwrap_or_default());
        let answer = simulator.answer(&request("DELETE", &path, &[], &Value::Null));
        assert_eq!((answer.status, answer.body.as_slice()), (status, body.as_bytes()), "{value}");
        assert_eq!(header(&answer, "Content-Type").is_some(), !body.is_empty());
        assert!(header(&answer, "X-Request-Id").is_some());
    }
}

#[test]
fn refusals_look_as_the_switches_say() {
    let duplicate = ("POST", "apps", json!({"name": "a"}));
    let upper = ("POST", "apps", json!({"name": "A"}));
    let full = ("DELETE", "apps/full", Value::Null);
    let wrong = ("GET", "apps/wrong", Value::Null);
    let nowhere = ("GET", "nowhere", Value::Null);
    let cases = [
        (json!({}), &duplicate, 400, "ROMA.00014011"),
        (json!({"duplicate-name": "conflict"}), &duplicate, 409, "ROMA.00014011"),
        (json!({"code-spelling": "short"}), &duplicate, 400, "ROMA.14011"),
        (json!({}), &upper, 201, ""),
        (json!({"name-comparison": "case-insensitive"}), &upper, 400, "ROMA.00014011"),
        (json!({}), &full, 400, "ROMA.00014021"),
        (json!({"delete-with-resources": "allowed"}), &full, 200, ""),
        (json!({}), &wrong, 404, "ROMA.00014001"),
        (json!({"unknown-app": "forbidden"}), &wrong, 403, "ROMA.00000101"),
        (json!({"unknown-app": "bad-request"}), &wrong, 400, "ROMA.00013000"),
        (json!({"code-spelling": "short", "unknown-app": "forbidden"}), &wrong, 403, "ROMA.101"),
        (json!({}), &nowhere, 404, "APIGW.0101"),
        (json!({"gateway-prefix": "APIC"}), &nowhere, 404, "APIC.0101"),
    ];
    let apps =
        json!([{"instance_id": "i1", "name": "a"}, {"instance_id": "i1", "name": "b", "id": "full", "resources": 2}]);
    for (options, (method, target, body), status, code) in cases {
        let simulator = start_with(&json!({"instances": [{"id": "i1"}], "apps": apps}), &options);
        let (found, answer) = send(&simulator, method, target, body);
        assert_eq!((found, answer["error_code"].as_str().unwrap_or_default()), (status, code), "{options} {target}");
    }
}

#[test]
fn favourites_are_everybodys_or_each_callers_own() {
    for (value, seen_by_bob) in [("per-app", true), ("per-caller", false)] {
        let simulator = start_with(&shared(), &json!({"favorite": value}));
        let (_, app) = send_as(&simulator, "ann", "POST", "apps", &json!({"name": "a"}));
        let path = format!("apps/{}", app["id"].as_str().unwrap_or_default());
        let users = json!({"users": [{"id": "u3", "roles": ["admin"]}]});
        send_as(&simulator, "ann", "PUT", &format!("{path}/users"), &users);
        send_as(&simulator, "ann", "PUT", &path, &json!({"favorite": true}));
        for (user, expected) in [("ann", true), ("bob", seen_by_bob)] {
            let (_, app) = send_as(&simulator, user, "GET", &path, &Value::Null);
            assert_eq!(app["favorite"], expected, "{value} {user}");
            let (_, list) = send_as(&simulator, user, "GET", "apps?favorite=true", &Value::Null);
            assert_eq!(list["total"], u32::from(expected), "{value} {user}");
        }
    }
}

#[test]
fn every_so_many_calls_one_is_throttled() {
    for (after, expected) in [(0, None), (7, Some("7"))] {
        let simulator = start(&json!({"throttle-every": 3, "throttle-retry-after": after}));
        let answers: Vec<_> = (0..6).map(|_| simulator.answer(&request("GET", "apps", &[], &Value::Null))).collect();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [200, 200, 429, 200, 200, 429]);
        assert_eq!(header(&answers[2], "Retry-After"), expected);
        let (_, body) = read(&answers[2]);
        assert_eq!((&body["error_code"], &answers[2].record.code), (&json!("APIGW.0308"), &json!("APIGW.0308")));
    }
}

#[test]
fn every_so_many_writes_one_is_done_without_saying_so() {
    let simulator = start(&json!({"lose-answer-every": 2}));
    let status = |name: &str| send(&simulator, "POST", "apps", &json!({"name": name})).0;
    assert_eq!((status("a"), status("a"), status("b"), status("c")), (201, 400, 504, 201));
    assert_eq!(send(&simulator, "GET", "apps", &Value::Null).1["total"], 3);
    assert_eq!(status("d"), 504);
}

#[test]
fn members_may_be_limited() {
    let users = json!({"users": [{"id": "u1", "roles": []}, {"id": "u2", "roles": []}]});
    for (limit, status) in [(0, 200), (1, 400), (2, 200)] {
        let simulator = start(&json!({"member-limit": limit}));
        let app = create(&simulator, &json!({"name": "a"}));
        let path = format!("apps/{}/users", app["id"].as_str().unwrap_or_default());
        assert_eq!(send(&simulator, "PUT", &path, &users).0, status, "{limit}");
    }
}

#[test]
fn options_are_all_listed_and_all_checked() {
    let simulator = Simulator::new();
    let options = simulator.options();
    let listed: BTreeSet<&str> = options.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(listed, SWITCHES.iter().map(|switch| switch.name).collect());
    assert_eq!(listed.len(), SWITCHES.len(), "no name is there twice");
    simulator.set_options(&options).expect("its own options hold");
    for switch in SWITCHES {
        for value in match switch.setting {
            Setting::Choice(values) => values.iter().map(|value| json!(value)).collect(),
            Setting::Flag(_) => vec![json!(true), json!(false)],
            Setting::Number(_, least, greatest) => vec![json!(least), json!(greatest)],
        } {
            simulator.set_options(&json!({switch.name: value})).expect("each of its values holds");
            assert_eq!(simulator.options()[switch.name], value);
        }
        let before = simulator.options();
        let errors = simulator.set_options(&json!({switch.name: {"no": "value"}})).expect_err("not a value");
        assert_eq!(errors[0].pointer, format!("/{}", switch.name));
        assert_eq!(simulator.options(), before);
    }
}

#[test]
fn wrong_options_change_nothing() {
    let simulator = Simulator::new();
    let before = simulator.options();
    let wrong = json!({"roles": "joined", "quota": -1, "nonsense": 1, "clock": "noon"});
    let errors = simulator.set_options(&wrong).expect_err("wrong options");
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/clock", "/nonsense", "/quota"]);
    assert_eq!(simulator.options(), before);
    let errors = simulator.set_credentials(&json!({"ak_sk": {"A": 1}})).expect_err("wrong credentials");
    assert_eq!(errors[0].pointer, "/ak_sk/A");
    simulator.set_options(&json!({"put_omitted": "replace"})).expect("an underscore is a hyphen");
    assert_eq!(simulator.options()["put-omitted"], "replace");
    assert_eq!(simulator.set_options(&json!([])).expect_err("no object")[0].pointer, "");
}

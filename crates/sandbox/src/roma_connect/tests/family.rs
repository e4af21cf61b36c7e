//! The application family: create, show, update, delete, secrets, members, instances.

use serde_json::{Value, json};

use super::{create, header, names, read, request, send, send_as, shared, start, start_with};
use crate::simulator::Simulator as _;

#[test]
fn an_application_lives_its_life() {
    let simulator = start(&json!({}));
    let app = create(&simulator, &json!({"name": "订单 (1)", "remark": "r", "secret": "s3cr3t-s3cr3t"}));
    let expected = json!({
        "id": app["id"], "name": "订单 (1)", "remark": "r", "roles": ["read", "access", "delete", "modify", "admin"],
        "create_time": "2026-01-02T03:04:05.000Z", "update_time": "2026-01-02T03:04:05.000Z",
        "created_user": {"user_id": "sandbox", "user_name": "sandbox"},
        "last_updated_user": {"user_id": "sandbox", "user_name": "sandbox"},
        "owner": true, "key": app["key"], "favorite": false,
    });
    assert_eq!(app, expected, "and never a secret");
    let path = format!("apps/{}", app["id"].as_str().unwrap_or_default());
    assert_eq!(send(&simulator, "GET", &path, &Value::Null), (200, app.clone()));

    simulator.set_options(&json!({"clock-offset-seconds": 60})).expect("the option is known");
    let (status, updated) = send(&simulator, "PUT", &path, &json!({"remark": "", "favorite": true}));
    assert_eq!((status, &updated["name"], &updated["remark"]), (200, &json!("订单 (1)"), &json!("")));
    assert_eq!((&updated["favorite"], &updated["update_time"]), (&json!(true), &json!("2026-01-02T03:05:05.000Z")));
    assert_eq!(updated["create_time"], app["create_time"]);

    let secret = format!("{path}/secret");
    assert_eq!(send(&simulator, "GET", &secret, &Value::Null).1, json!({"id": app["id"], "secret": "s3cr3t-s3cr3t"}));
    let (_, first) = send(&simulator, "PUT", &secret, &json!({}));
    let (_, second) = send(&simulator, "PUT", &secret, &json!({"secret": null}));
    assert_ne!(first["secret"], second["secret"], "every reset without a value makes another secret");
    assert_eq!(send(&simulator, "PUT", &secret, &json!({"secret": "abcdefgh"})).1["secret"], "abcdefgh");
    assert_eq!(send(&simulator, "GET", &secret, &Value::Null).1["secret"], "abcdefgh");

    assert_eq!(send(&simulator, "DELETE", &path, &Value::Null), (200, json!({"Message": "success"})));
    for method in ["GET", "DELETE"] {
        let (status, body) = send(&simulator, method, &path, &Value::Null);
        assert_eq!((status, &body["error_code"]), (404, &json!("ROMA.00014001")), "{method}");
    }
}

#[test]
fn answers_have_the_headers_and_errors_the_body_of_the_contract() {
    let simulator = start(&json!({}));
    let answer = simulator.answer(&request("GET", "apps/nonsense", &[], &Value::Null));
    let (_, body) = read(&answer);
    assert_eq!(header(&answer, "Content-Type"), Some("application/json;charset=utf-8"));
    assert_eq!(header(&answer, "X-Request-Id"), body["request_id"].as_str());
    for part in ["error_code", "error_msg", "error_details", "request_id"] {
        let length = body[part].as_str().map_or(0, |text| text.chars().count());
        assert!((1..=128).contains(&length), "{part} in {body}");
    }
}

#[test]
fn ids_and_keys_are_the_same_in_every_run() {
    let apps = |_| {
        let simulator = start(&json!({}));
        [create(&simulator, &json!({"name": "a"})), create(&simulator, &json!({"name": "b"}))]
    };
    let runs: Vec<_> = (0..2).map(apps).collect();
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0][0]["id"], runs[0][1]["id"]);
    let id = runs[0][0]["id"].as_str().unwrap_or_default();
    assert_eq!(id.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
}

#[test]
fn instances_keep_their_applications_apart() {
    let simulator = start_with(&json!({"instances": [{"id": "i1"}, {"id": "i2"}]}), &json!({}));
    let app = create(&simulator, &json!({"name": "a", "key": "key"}));
    let (status, _) = send(&simulator, "POST", "/v2/p1/instances/i2/apps", &json!({"name": "a", "key": "key"}));
    assert_eq!(status, 201);
    let other = format!("/v2/p1/instances/i2/apps/{}", app["id"].as_str().unwrap_or_default());
    assert_eq!(send(&simulator, "GET", &other, &Value::Null).0, 404);
}

#[test]
fn validate_finds_what_the_caller_does_not_see() {
    let simulator = start_with(&shared(), &json!({}));
    let (_, app) = send_as(&simulator, "ann", "POST", "apps", &json!({"name": "a", "remark": "r", "key": "key"}));
    let found = json!({"id": app["id"], "name": "a", "remark": "r"});
    let id = format!("validate-apps?id={}", app["id"].as_str().unwrap_or_default());
    let cases = [
        ("validate-apps?name=a", 200),
        ("validate-apps?key=key", 200),
        (id.as_str(), 200),
        ("validate-apps?name=A", 404),
        ("validate-apps?name=a&key=other", 404),
        ("validate-apps", 400),
    ];
    for (target, status) in cases {
        let (answered, body) = send_as(&simulator, "bob", "GET", target, &Value::Null);
        assert_eq!(answered, status, "{target}: {body}");
        assert!(status != 200 || body == found, "{target}: {body}");
    }
    let (status, body) = send_as(&simulator, "bob", "POST", "apps", &json!({"name": "a"}));
    assert_eq!((status, &body["error_code"]), (400, &json!("ROMA.00014011")));
    assert_eq!(send_as(&simulator, "bob", "GET", "apps", &Value::Null).1["total"], 0);
}

#[test]
fn roles_decide_what_a_member_may_do() {
    let cases: [(&[&str], &[&str], [u16; 4]); 6] = [
        // Given, kept, and what show, show secret, update, delete come to.
        (&[], &["read"], [200, 400, 400, 400]),
        (&["access"], &["read", "access"], [200, 200, 400, 400]),
        (&["modify"], &["read", "modify"], [200, 400, 200, 400]),
        (&["delete"], &["read", "delete"], [200, 400, 400, 200]),
        (&["admin"], &["read", "access", "delete", "modify", "admin"], [200, 200, 200, 200]),
        (&["admin", "read"], &["read", "access", "delete", "modify", "admin"], [200, 200, 200, 200]),
    ];
    for (given, kept, statuses) in cases {
        let simulator = start_with(&shared(), &json!({}));
        let (_, app) = send_as(&simulator, "ann", "POST", "apps", &json!({"name": "a"}));
        let path = format!("apps/{}", app["id"].as_str().unwrap_or_default());
        let users = json!({"users": [{"id": "u3", "roles": given}]});
        let (status, members) = send_as(&simulator, "ann", "PUT", &format!("{path}/users"), &users);
        assert_eq!(status, 200, "{members}");
        let expected = json!({"total": 1, "id": app["id"], "users": [{"id": "u3", "name": "bob", "roles": kept}]});
        assert_eq!(members, expected);
        let (_, seen) = send_as(&simulator, "bob", "GET", &path, &Value::Null);
        assert_eq!((&seen["roles"], &seen["owner"]), (&json!(kept), &json!(false)));
        let secret = format!("{path}/secret");
        let calls = [
            ("GET", &path, Value::Null),
            ("GET", &secret, Value::Null),
            ("PUT", &path, json!({"remark": "x"})),
            ("DELETE", &path, Value::Null),
        ];
        for ((method, path, body), status) in calls.iter().zip(statuses) {
            let (found, body) = send_as(&simulator, "bob", method, path, body);
            assert_eq!(found, status, "{given:?} {method} {path}: {body}");
            assert!(status == 200 || body["error_code"] == "ROMA.00012001", "{body}");
        }
    }
}

#[test]
fn members_are_replaced_as_a_whole() {
    let simulator = start_with(&shared(), &json!({}));
    let (_, app) = send_as(&simulator, "ann", "POST", "apps", &json!({"name": "a"}));
    let path = format!("apps/{}", app["id"].as_str().unwrap_or_default());
    let users = format!("{path}/users");
    let set = |token: &str, rows: Value| send_as(&simulator, token, "PUT", &users, &json!({"users": rows}));
    let both = json!([{"id": "u1", "roles": ["read"]}, {"id": "u3", "roles": ["access"]}]);
    assert_eq!(set("ann", both).1["total"], 2);
    let (_, found) = send_as(&simulator, "ann", "GET", &format!("{users}?user_name=bob"), &Value::Null);
    assert_eq!((&found["total"], &found["users"][0]["id"]), (&json!(1), &json!("u3")));
    assert_eq!(send_as(&simulator, "ann", "GET", &format!("{users}?user_name=bo"), &Value::Null).1["total"], 0);

    let candidates = |query: &str| {
        let (_, body) = send_as(&simulator, "ann", "GET", &format!("{path}/candidates{query}"), &Value::Null);
        body["users"].as_array().expect("a list of users").len()
    };
    assert_eq!((candidates(""), candidates("?filter=members")), (2, 0));

    let (status, body) = set("bob", json!([]));
    assert_eq!(
        (status, &body["error_code"]),
        (400, &json!("ROMA.00012001")),
        "only the creator and the account may share"
    );
    assert_eq!(set("ops", json!([{"id": "u3", "roles": ["read"]}])).1["total"], 1);
    for wrong in [
        json!([{"id": "nobody", "roles": ["read"]}]),
        json!([{"id": "u3", "roles": ["write"]}]),
        json!([{"id": "u3"}]),
        json!([{"roles": ["read"]}]),
        json!([{"id": "u3", "roles": []}, {"id": "u3", "roles": []}]),
        json!("u3"),
    ] {
        let (status, body) = set("ann", wrong.clone());
        assert_eq!((status, &body["error_code"]), (400, &json!("ROMA.00013000")), "{wrong}");
    }
    assert_eq!(set("ann", json!([])).1["total"], 0);
    assert_eq!(names(&send_as(&simulator, "bob", "GET", "apps", &Value::Null).1), Vec::<&str>::new());
}

#[test]
fn instances_are_listed_by_project_and_status() {
    let state = json!({"instances": [
        {"id": "i1", "project_id": "p1", "status": "RUNNING", "flavor_type": "platinum"},
        {"id": "i2", "project_id": "p1", "status": "FROZEN"},
        {"id": "i3", "project_id": "p2"},
    ]});
    let simulator = start_with(&state, &json!({}));
    let cases = [
        ("/v2/p1/instances", 200, json!(["i1", "i2"])),
        ("/v2/p1/instances?status=RUNNING", 200, json!(["i1"])),
        ("/v2/p1/instances?offset=1&limit=1", 200, json!(["i2"])),
        ("/v2/p1/instances?limit=0", 200, json!([])),
        ("/v2/p1/instances?limit=101", 400, json!([])),
        ("/v3/p1/roma/instances?status=FROZEN&category=roma", 200, json!(["i2"])),
        ("/v3/p2/roma/instances", 200, json!(["i3"])),
    ];
    for (target, status, ids) in cases {
        let (found, body) = send(&simulator, "GET", target, &Value::Null);
        let rows: Vec<&Value> = body["instances"].as_array().into_iter().flatten().collect();
        assert_eq!((found, json!(rows.iter().map(|row| &row["id"]).collect::<Vec<_>>())), (status, ids), "{target}");
        assert!(status != 200 || body["size"] == rows.len());
    }
    let (_, body) = send(&simulator, "GET", "/v2/p1/instances", &Value::Null);
    assert_eq!(body["instances"][0]["flavor_type"], "platinum");
    assert_eq!(body["instances"][1]["project_id"], "p1");
}

#[test]
fn calls_are_noted_with_their_names_and_without_credentials() {
    let simulator = start(&json!({}));
    let app = create(&simulator, &json!({"name": "a"}));
    let path = format!("apps/{}", app["id"].as_str().unwrap_or_default());
    let with_secret = json!({"name": "b", "key": "key", "secret": "s3cr3t-s3cr3t"});
    let cases = [
        ("GET", "apps", Value::Null, "ListRomaApp", Value::Null),
        ("POST", "apps", with_secret, "CreateRomaApp", json!({"name": "b"})),
        ("GET", &path, Value::Null, "CheckRomaAppDetails", Value::Null),
        ("PUT", &path, json!({"remark": "x"}), "UpdateRomaApp", json!({"remark": "x"})),
        ("GET", "validate-apps?name=a", Value::Null, "ValidateRomaApp", Value::Null),
        ("GET", &format!("{path}/secret"), Value::Null, "CheckRomaAppSecret", Value::Null),
        ("PUT", &format!("{path}/secret"), json!({"secret": "s3cr3t-s3cr3t"}), "ResetRomaAppSecret", json!({})),
        ("GET", &format!("{path}/users"), Value::Null, "CheckAuthUsersOfApp", Value::Null),
        ("PUT", &format!("{path}/users"), json!({"users": []}), "AddUserToApp", json!({"users": []})),
        ("GET", &format!("{path}/candidates"), Value::Null, "CheckCanAuthUsersOfApp", Value::Null),
        ("GET", "/v2/p1/instances", Value::Null, "CheckRomaInstanceListV2", Value::Null),
        ("DELETE", &path, Value::Null, "DeleteRomaApp", Value::Null),
    ];
    for (method, target, body, operation, noted) in cases {
        let record = simulator.answer(&request(method, target, &[], &body)).record;
        assert_eq!((record.access, record.operation.as_str(), record.write), ("roma", operation, method != "GET"));
        assert_eq!((record.code, record.body), (Value::Null, noted), "{operation}");
    }
    let record = simulator.answer(&request("DELETE", &path, &[], &Value::Null)).record;
    assert_eq!((record.write, record.code), (true, json!("ROMA.00014001")));
    assert_eq!(simulator.answer(&request("PATCH", &path, &[], &Value::Null)).record.operation, "");
}

#[test]
fn paths_of_the_platform_are_served_and_no_others() {
    let simulator = start(&json!({}));
    for (path, served) in [
        ("/v2/p1/instances", true),
        ("/v2/p1/instances/i1/apps", true),
        ("/v2/p1/instances/i1/anything/else", true),
        ("/v3/auth/tokens", true),
        ("/v3/projects", true),
        ("/v3/p1/roma/instances", true),
        ("/v2/p1/apic/instances/i1/apps", false),
        ("/api/v3/find/instances", false),
        ("/_sandbox/state", false),
        ("/", false),
    ] {
        assert_eq!(simulator.serves(path), served, "{path}");
    }
}

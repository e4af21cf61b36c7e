//! The state: out and in without loss, and every mistake with its place.

use serde_json::{Value, json};

use super::super::Simulator;
use super::{create, send, shared, start_with};
use crate::simulator::Simulator as _;

#[test]
fn a_state_survives_being_written_and_read() {
    let state = json!({
        "projects": [{"id": "p1", "name": "cn-north-4", "description": "kept"}],
        "instances": [{"id": "i1", "project_id": "p1", "status": "RUNNING", "vpc_id": "v"}, {"id": "i2", "status": "FROZEN"}],
        "apps": [
            {"instance_id": "i1", "name": "bare"},
            {"instance_id": "i1", "id": "x", "name": "full", "remark": "r", "key": "key", "secret": "s3cr3t-s3cr3t",
             "favorite": true, "favorite_of": ["u2"], "create_time": "2019-12-06T06:49:04Z",
             "update_time": "2019-12-06T06:49:04.123Z", "created_user": {"user_id": "u2", "user_name": "ann"},
             "last_updated_user": {"user_id": "z", "user_name": "gone"}, "resources": 3, "app_type": "unknown field",
             "users": [{"id": "u3", "name": "bob", "roles": ["read", "delete"]}]},
        ],
        "credentials": {
            "ak_sk": {"AK": "SK", "T": {"sk": "SK", "user": "u2", "security_token": "t", "expires_at": "2026-01-02T04:00:00Z"}},
            "users": [
                {"id": "u2", "name": "ann", "password": "p", "domain": "acme"},
                {"id": "u3", "name": "bob", "administrator": true},
            ],
            "tokens": {"tok": {"user": "bob", "project_id": "p1", "expires_at": "2026-01-02T04:00:00Z"}, "any": {}},
        },
        "counters": {"app": 7, "secret": 9},
    });
    let simulator = start_with(&state, &json!({}));
    let first = simulator.state();
    for (pointer, expected) in [
        ("/apps/0/created_user/user_name", json!("ann")),
        ("/apps/0/create_time", json!("2026-01-02T03:04:05.000Z")),
        ("/apps/1/app_type", json!("unknown field")),
        ("/apps/1/create_time", json!("2019-12-06T06:49:04.000Z")),
        ("/instances/0/vpc_id", json!("v")),
        ("/projects/0/description", json!("kept")),
        (
            "/credentials",
            json!({
                "ak_sk": state["credentials"]["ak_sk"], "tokens": state["credentials"]["tokens"],
                "users": [
                    {"id": "u2", "name": "ann", "password": "p", "domain": "acme", "administrator": true},
                    {"id": "u3", "name": "bob", "password": "", "domain": "", "administrator": true},
                ],
            }),
        ),
        ("/counters", json!({"app": 8, "secret": 10})),
    ] {
        assert_eq!(first.pointer(pointer), Some(&expected), "{pointer}");
    }
    let other = Simulator::new();
    other.load(&first).expect("its own state loads");
    assert_eq!(other.state(), first);

    // Both go on in the same way.
    simulator.load(&first).expect("its own state loads");
    other.set_options(&json!({"clock": {"frozen": super::NOW}})).expect("the clock can be set");
    let request = json!({"instance_id": "i1", "name": "next"});
    for simulator in [&simulator, &other] {
        assert_eq!(simulator.edit("ann", "CreateRomaApp", &request).status, 201);
    }
    assert_eq!(simulator.state(), other.state());
}

#[test]
fn reading_leaves_the_state_alone() {
    let simulator = start_with(&json!({"instances": [{"id": "i1"}]}), &json!({}));
    create(&simulator, &json!({"name": "a"}));
    let before = simulator.state();
    for target in ["apps", "apps?limit=0", "apps/x", "validate-apps?name=a", "/v2/p1/instances", "/v3/projects?name=x"]
    {
        send(&simulator, "GET", target, &Value::Null);
    }
    assert_eq!(simulator.state(), before);
}

#[test]
fn rows_as_a_server_shows_them_load_as_they_are() {
    let mut state = shared();
    state["apps"] = json!([
        {"instance_id": "i1", "id": "b2e6b145-4f3f-4a80-aa45-f4b8029f95a3", "name": "AppName", "remark": null,
         "roles": ["read, access, delete, modify, admin"], "create_time": "2019-12-06T06:49:04.000Z",
         "update_time": "2019-12-06T06:49:04Z", "created_user": {"user_id": "string", "user_name": "string"},
         "last_updated_user": {"user_id": "string", "user_name": "string"}, "owner": false, "key": "TEI9****8UM",
         "favorite": true},
    ]);
    let simulator = start_with(&state, &json!({}));
    let path = "apps/b2e6b145-4f3f-4a80-aa45-f4b8029f95a3";
    let (_, app) = super::send_as(&simulator, "ops", "GET", path, &Value::Null);
    assert_eq!((&app["name"], &app["remark"], &app["favorite"]), (&json!("AppName"), &json!(""), &json!(true)));
    assert_eq!(app["created_user"], json!({"user_id": "string", "user_name": "string"}));
    assert!(app["key"].as_str().is_some_and(|key| !key.contains('*')), "a masked key says nothing");
    assert_eq!(super::send_as(&simulator, "ann", "GET", path, &Value::Null).0, 400);
}

#[test]
fn every_mistake_is_reported_with_its_place() {
    let app = |fields: Value| {
        let mut row = json!({"instance_id": "i1", "name": "a"});
        row.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        json!({"instances": [{"id": "i1"}], "apps": [row]})
    };
    let cases = [
        (json!([]), "", "expected an object"),
        (json!({"app": []}), "/app", "no such part of the state"),
        (json!({"apps": {}}), "/apps", "expected a list"),
        (json!({"apps": [1]}), "/apps/0", "expected an object"),
        (json!({"projects": [{"name": "x"}]}), "/projects/0", "id is missing"),
        (json!({"projects": [{"id": "p"}, {"id": "p"}]}), "/projects/1/id", "the project p is listed twice"),
        (json!({"instances": [{"id": 1}]}), "/instances/0/id", "expected a text of 1 to 64 characters"),
        (json!({"instances": [{"id": "i"}, {"id": "i"}]}), "/instances/1/id", "the instance i is listed twice"),
        (
            json!({"projects": [{"id": "p"}], "instances": [{"id": "i", "project_id": "q"}]}),
            "/instances/0/project_id",
            "the project q is not listed",
        ),
        (json!({"apps": [{"instance_id": "i", "name": "a"}]}), "/apps/0/instance_id", "the instance i is not listed"),
        (json!({"instances": [{"id": "i1"}], "apps": [{"instance_id": "i1"}]}), "/apps/0", "name is missing"),
        (app(json!({"instance_id": null})), "/apps/0", "instance_id is missing"),
        (app(json!({"id": ""})), "/apps/0/id", "expected a text of 1 to 64 characters"),
        (
            app(json!({"key": "-"})),
            "/apps/0/key",
            "expected 3 to 200 of Chinese characters, letters, digits, and -_@. behind the first",
        ),
        (app(json!({"secret": "short"})), "/apps/0/secret", "expected 8 to 128 of letters, digits and !@#$%+=.-/"),
        (app(json!({"remark": "a".repeat(256)})), "/apps/0/remark", "expected at most 255 characters"),
        (app(json!({"favorite": "yes"})), "/apps/0/favorite", "expected true or false"),
        (app(json!({"create_time": "noon"})), "/apps/0/create_time", "expected a time such as 2019-12-06T06:49:04Z"),
        (app(json!({"created_user": {}})), "/apps/0/created_user", "expected user_id and user_name"),
        (app(json!({"roles": ["write"]})), "/apps/0/roles", "no role is called write"),
        (app(json!({"users": [{"name": "x"}]})), "/apps/0/users/0", "id is missing"),
        (app(json!({"resources": -1})), "/apps/0/resources", "expected a whole number from 0"),
        (json!({"credentials": {"keys": {}}}), "/credentials/keys", "no such kind of credentials"),
        (json!({"credentials": {"users": [{"id": "u"}]}}), "/credentials/users/0", "name is missing"),
        (json!({"credentials": {"users": [{"name": "u", "pw": 1}]}}), "/credentials/users/0/pw", "no such field"),
        (
            json!({"credentials": {"ak_sk": {"A/K~": 1}}}),
            "/credentials/ak_sk/A~1K~0",
            "expected a secret key, or an object with sk, user, security_token, expires_at",
        ),
        (json!({"credentials": {"ak_sk": {"A": {}}}}), "/credentials/ak_sk/A", "sk is missing"),
        (
            json!({"credentials": {"ak_sk": {"A": {"sk": "s", "user": "u"}}}}),
            "/credentials/ak_sk/A/user",
            "the user u is not listed",
        ),
        (json!({"credentials": {"tokens": {"t": 1}}}), "/credentials/tokens/t", "expected an object"),
        (json!({"counters": {"app": "x"}}), "/counters/app", "expected a whole number from 0"),
        (json!({"counters": {"apps": 1}}), "/counters/apps", "no such field"),
    ];
    let simulator = start_with(&shared(), &json!({}));
    let before = simulator.state();
    for (state, pointer, message) in cases {
        let errors = simulator.load(&state).expect_err("a wrong state");
        let found: Vec<_> = errors.iter().map(|error| (error.pointer.as_str(), error.message.as_str())).collect();
        assert_eq!(found, [(pointer, message)], "{state}");
        assert_eq!(simulator.state(), before, "a wrong state changes nothing");
    }
}

#[test]
fn mistakes_are_reported_all_at_once() {
    let state = json!({
        "instances": [{"id": "i1"}, {}],
        "apps": [
            {"instance_id": "i1", "name": "a", "id": "x", "key": "key"},
            {"instance_id": "i1", "name": "a", "id": "x", "key": "key"},
            {"instance_id": "no", "name": "a/b", "favorite": 1},
        ],
        "counters": 1,
    });
    let errors = Simulator::new().load(&state).expect_err("a wrong state");
    let pointers: Vec<&str> = errors.iter().map(|error| error.pointer.as_str()).collect();
    let expected = [
        "/instances/1",
        "/counters",
        "/apps/1/id",
        "/apps/1/name",
        "/apps/1/key",
        "/apps/2/instance_id",
        "/apps/2/name",
        "/apps/2/favorite",
    ];
    assert_eq!(pointers, expected);
}

#[test]
fn a_section_may_be_empty() {
    for state in [json!({}), json!({"apps": null, "credentials": null, "counters": null})] {
        let simulator = Simulator::new();
        simulator.load(&state).expect("an empty state loads");
        assert_eq!(send(&simulator, "GET", "apps", &Value::Null).1["error_code"], "ROMA.00015001");
    }
}

#[test]
fn generated_ids_keep_clear_of_listed_ones() {
    let simulator = start_with(&json!({"instances": [{"id": "i1"}]}), &json!({}));
    let first = create(&simulator, &json!({"name": "a"}));
    let row = json!({"instance_id": "i1", "name": "b", "id": first["id"], "key": first["key"]});
    let state = json!({"instances": [{"id": "i1"}], "apps": [{"instance_id": "i1", "name": "bare"}, row]});
    let simulator = start_with(&state, &json!({}));
    let apps = &simulator.state()["apps"];
    assert_ne!(apps[0]["id"], apps[1]["id"]);
    assert_ne!(apps[0]["key"], apps[1]["key"]);
}

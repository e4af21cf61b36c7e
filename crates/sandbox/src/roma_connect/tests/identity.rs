//! IAM: tokens by password and the list of projects.

use serde_json::{Value, json};

use super::super::Simulator;
use super::{header, read, request, start_with};
use crate::simulator::{Answer, Simulator as _};

fn bench() -> Simulator {
    let state = json!({
        "projects": [{"id": "p1", "name": "cn-north-4"}, {"id": "p2", "name": "cn-north-1"}],
        "instances": [{"id": "i1", "project_id": "p1"}],
        "credentials": {"users": [{"id": "u1", "name": "ops", "password": "pass", "domain": "acme"}]},
    });
    start_with(&state, &json!({}))
}

fn login(user: &Value, scope: &Value) -> Value {
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    if scope.is_null() {
        json!({"auth": {"identity": identity}})
    } else {
        json!({"auth": {"identity": identity, "scope": scope}})
    }
}

fn ops() -> Value {
    json!({"name": "ops", "password": "pass", "domain": {"name": "acme"}})
}

fn ask(simulator: &Simulator, body: &Value) -> Answer {
    simulator.answer(&request("POST", "/v3/auth/tokens", &[], body))
}

fn status_with(simulator: &Simulator, token: &str) -> u16 {
    simulator.answer(&request("GET", "apps", &[("x-auth-token", token)], &Value::Null)).status
}

#[test]
fn a_token_is_issued_and_opens_its_project() {
    let simulator = bench();
    for project in [json!({"name": "cn-north-4"}), json!({"id": "p1"})] {
        let answer = ask(&simulator, &login(&ops(), &json!({"project": project})));
        let (status, body) = read(&answer);
        assert_eq!(status, 201);
        assert_eq!(body["token"]["expires_at"], "2026-01-03T03:04:05.000000Z");
        assert_eq!(body["token"]["issued_at"], "2026-01-02T03:04:05.000000Z");
        assert_eq!(body["token"]["project"]["id"], "p1");
        assert_eq!(body["token"]["user"]["id"], "u1");
        assert_eq!(body["token"]["catalog"], json!([]));
        let token = header(&answer, "X-Subject-Token").expect("the token is in a header");
        assert!((4090..4110).contains(&token.len()), "{}", token.len());
        assert_eq!(status_with(&simulator, token), 200);
        assert_eq!(status_with(&simulator, &token.replace('+', "+a")), 401);
        assert_eq!(answer.record.operation, "KeystoneCreateUserTokenByPassword");
        assert_eq!((answer.record.access, answer.record.write, &answer.record.body), ("iam", false, &Value::Null));
    }
}

#[test]
fn a_token_ends_by_the_clock_by_a_new_password_and_by_its_scope() {
    let simulator = bench();
    let issue = |scope: &Value| {
        let answer = ask(&simulator, &login(&ops(), scope));
        header(&answer, "X-Subject-Token").expect("the token is in a header").to_owned()
    };
    let token = issue(&json!({"project": {"name": "cn-north-4"}}));
    assert_eq!(status_with(&simulator, &issue(&json!({"project": {"name": "cn-north-1"}}))), 403);
    assert_eq!(status_with(&simulator, &issue(&Value::Null)), 403);
    assert_eq!(status_with(&simulator, &issue(&json!({"domain": {"name": "acme"}}))), 403);

    simulator.set_options(&json!({"clock-offset-seconds": 86_399})).expect("the option is known");
    assert_eq!(status_with(&simulator, &token), 200);
    simulator.set_options(&json!({"clock-offset-seconds": 86_400})).expect("the option is known");
    assert_eq!(status_with(&simulator, &token), 401);

    simulator.set_options(&json!({"clock-offset-seconds": 0})).expect("the option is known");
    let state = simulator.state();
    simulator.load(&state).expect("its own state loads");
    assert_eq!(status_with(&simulator, &token), 200, "a token outlives a new state");
    let changed = json!({"users": [{"id": "u1", "name": "ops", "password": "new", "domain": "acme"}]});
    simulator.set_credentials(&changed).expect("the credentials hold");
    assert_eq!(status_with(&simulator, &token), 401);
}

#[test]
fn wrong_logins_are_refused_in_both_shapes() {
    let scope = json!({"project": {"name": "cn-north-4"}});
    let cases = [
        (json!({"name": "ops", "password": "x", "domain": {"name": "acme"}}), scope.clone(), 401),
        (json!({"name": "eve", "password": "pass", "domain": {"name": "acme"}}), scope.clone(), 401),
        (json!({"name": "ops", "password": "pass", "domain": {"name": "other"}}), scope.clone(), 401),
        (json!({"name": "ops", "password": "pass"}), scope.clone(), 401),
        (json!({"name": "ops"}), scope.clone(), 400),
        (ops(), json!({"project": {"name": "nowhere"}}), 401),
        (json!({"id": "u1", "password": "pass"}), scope, 201),
    ];
    for (shape, pointer) in [("nested", "/error/code"), ("flat", "/error_code")] {
        let simulator = bench();
        simulator.set_options(&json!({"iam-errors": shape})).expect("the option is known");
        for (user, scope, status) in &cases {
            let (found, body) = read(&ask(&simulator, &login(user, scope)));
            assert_eq!(found, *status, "{user}: {body}");
            assert_eq!(body.pointer(pointer).is_some(), *status != 201, "{user}: {body}");
        }
        for body in [json!({}), json!({"auth": {"identity": {"methods": ["token"]}}}), Value::Null] {
            assert_eq!(ask(&simulator, &body).status, 400, "{body}");
        }
    }
}

#[test]
fn without_configured_credentials_any_login_does() {
    let simulator = start_with(&json!({"instances": [{"id": "i1", "project_id": "p1"}]}), &json!({}));
    let user = json!({"name": "ann", "password": "x", "domain": {"name": "acme"}});
    let answer = ask(&simulator, &login(&user, &json!({"project": {"name": "cn-north-4"}})));
    let (status, body) = read(&answer);
    assert_eq!((status, &body["token"]["project"]["id"]), (201, &json!("p1")), "the only project there is");
    let token = header(&answer, "X-Subject-Token").expect("the token is in a header");
    let request = request("POST", "apps", &[("x-auth-token", token)], &json!({"name": "a"}));
    assert_eq!(read(&simulator.answer(&request)).1["created_user"]["user_name"], "ann");
}

#[test]
fn projects_are_listed_by_exact_name() {
    let simulator = bench();
    let token = ask(&simulator, &login(&ops(), &Value::Null));
    let token = header(&token, "X-Subject-Token").expect("the token is in a header");
    for (target, ids) in [
        ("/v3/projects?name=cn-north-4", json!(["p1"])),
        ("/v3/projects?name=cn-north", json!([])),
        ("/v3/projects", json!(["p1", "p2"])),
    ] {
        let answer = simulator.answer(&request("GET", target, &[("x-auth-token", token)], &Value::Null));
        let (status, body) = read(&answer);
        let found: Vec<&Value> = body["projects"].as_array().into_iter().flatten().map(|row| &row["id"]).collect();
        assert_eq!((status, json!(found)), (200, ids), "{target}");
        assert_eq!((answer.record.access, answer.record.operation.as_str()), ("iam", "KeystoneListProjects"));
    }
    assert_eq!(simulator.answer(&request("GET", "/v3/projects", &[], &Value::Null)).status, 401);
}

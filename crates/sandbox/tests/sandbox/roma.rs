//! The simulator of ROMA Connect under random operations.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use reconcile_sandbox::{
    roma_connect::Simulator,
    simulator::{Answer, Misbehaviour, Request, Simulator as _},
};
use serde_json::{Value, json};

/// Applications that an instance may have here.
const QUOTA: u64 = 6;

fn state() -> Value {
    json!({
        "projects": [{"id": "p1", "name": "cn-north-4"}],
        "instances": [{"id": "i1", "project_id": "p1"}, {"id": "i2", "project_id": "p1"}],
        "apps": [
            {"instance_id": "i1", "id": "a1", "name": "one", "key": "key-1"},
            {"instance_id": "i1", "id": "a2", "name": "two", "key": "key-2", "users": [{"id": "u2", "name": "ann", "roles": ["read"]}]},
            {"instance_id": "i2", "id": "a3", "name": "one", "key": "key-1"},
        ],
        "credentials": {
            "users": [
                {"id": "u1", "name": "ops", "password": "pass", "domain": "acme"},
                {"id": "u2", "name": "ann", "password": "pass", "domain": "acme"},
            ],
            "tokens": {"ops": {"user": "u1"}, "ann": {"user": "u2"}},
        },
    })
}

/// Names that meet often, and some that no rule allows.
fn text() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => prop::sample::select(vec!["one", "two", "three", "key-1", "key-2", "s3cr3t-s3cr3t", "订单", "", " a ", "a/b"]).prop_map(Value::from),
        1 => "\\PC{0,20}".prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<i64>().prop_map(Value::from),
    ]
}

fn body() -> impl Strategy<Value = Value> {
    let truth = prop_oneof![4 => any::<bool>().prop_map(Value::from), 1 => text()];
    let role = prop::sample::select(vec!["read", "access", "delete", "modify", "admin", "nothing"]);
    let users =
        prop::collection::vec((prop::sample::select(vec!["u1", "u2", "u9"]), prop::collection::vec(role, 0..3)), 0..3);
    let fields = prop::sample::subsequence(vec!["name", "remark", "key", "secret", "favorite", "users"], 0..=6);
    (text(), text(), text(), text(), truth, users, fields).prop_map(|(name, remark, key, secret, favorite, users, fields)| {
        let users: Vec<Value> = users.into_iter().map(|(id, roles)| json!({"id": id, "roles": roles})).collect();
        let all = json!({"name": name, "remark": remark, "key": key, "secret": secret, "favorite": favorite, "users": users});
        fields.into_iter().map(|field| (field.to_owned(), all[field].clone())).collect()
    })
}

/// Method and target.
fn target() -> impl Strategy<Value = (&'static str, String)> {
    let app = prop::sample::select(vec!["a1", "a2", "a3", "new", "nope"]);
    let instance = prop::sample::select(vec!["i1", "i1", "i1", "i2", "i9"]);
    let call = prop::sample::select(vec![
        ("POST", "apps"),
        ("POST", "apps"),
        ("POST", "apps"),
        ("PUT", "apps/{}"),
        ("PUT", "apps/{}"),
        ("DELETE", "apps/{}"),
        ("GET", "apps/{}"),
        ("GET", "apps?limit=500"),
        ("GET", "apps?name=o&owner=true&favorite=false&offset=1&limit=2&auth_role=modify&user_name=ann"),
        ("GET", "apps?limit=0"),
        ("GET", "validate-apps?name=one"),
        ("GET", "validate-apps"),
        ("GET", "apps/{}/secret"),
        ("PUT", "apps/{}/secret"),
        ("GET", "apps/{}/users"),
        ("PUT", "apps/{}/users"),
        ("GET", "apps/{}/candidates?filter=members"),
        ("PATCH", "apps/{}"),
    ]);
    (app, instance, call).prop_map(|(app, instance, (method, path))| {
        (method, format!("/v2/p1/instances/{instance}/{}", path.replace("{}", app)))
    })
}

/// A code is a text, a message, and the request's id is in the header and in the body.
fn is_envelope(answer: &Answer, body: &Value) -> bool {
    let id = answer.headers.iter().find(|(name, _)| name == "X-Request-Id").map(|(_, value)| value.as_str());
    let refused = body["error_code"].is_string() && body["error_msg"].is_string() && body["request_id"].as_str() == id;
    id.is_some() && if answer.status < 300 { body.get("error_code").is_none() } else { answer.status < 600 && refused }
}

/// Checks what must hold after any call.
fn check(state: &Value, counters: &mut BTreeMap<String, u64>) {
    let (mut ids, mut names, mut keys, mut counts) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeMap::<String, u64>::new());
    for app in state["apps"].as_array().expect("applications") {
        let text = |name: &str| app[name].as_str().expect("a text").to_owned();
        let instance = text("instance_id");
        assert!(ids.insert(text("id")), "an id twice");
        assert!(names.insert((instance.clone(), text("name"))), "a name twice: {state}");
        assert!(keys.insert((instance.clone(), text("key"))), "a key twice: {state}");
        assert!(text("name").chars().count() <= 256 && !text("name").is_empty());
        assert!((8..=128).contains(&text("secret").len()));
        for user in app["users"].as_array().expect("members") {
            let roles = user["roles"].as_array().expect("roles");
            assert!(roles.contains(&json!("read")) && (roles.len() == 5 || !roles.contains(&json!("admin"))));
        }
        *counts.entry(instance).or_default() += 1;
    }
    assert!(counts.values().all(|count| *count <= QUOTA), "more than the quota: {counts:?}");
    for (name, value) in state["counters"].as_object().expect("counters") {
        let value = value.as_u64().expect("a number");
        let last = counters.insert(name.clone(), value).unwrap_or(0);
        assert!(value >= last, "{name} went back");
    }
}

proptest! {
    #![proptest_config(crate::proptest_config(128))]

    #[test]
    fn random_operations(
        calls in prop::collection::vec(
            (target(), body(), prop::sample::select(vec!["ops", "ops", "ann", "nobody"]), 0..12usize),
            1..40,
        ),
        put in prop::sample::select(vec!["merge", "replace"]),
        favorite in prop::sample::select(vec!["per-app", "per-caller"]),
    ) {
        let simulator = Simulator::new();
        simulator.load(&state()).expect("the state is fine");
        simulator.set_options(&json!({"quota": QUOTA, "put-omitted": put, "favorite": favorite})).expect("options");
        let mut counters = BTreeMap::new();
        let mut newest = "a1".to_owned();
        for ((method, target), body, token, misbehaviour) in calls {
            let target = target.replace("/new", &format!("/{newest}"));
            let (path, query) = target.split_once('?').unwrap_or((&target, ""));
            let bare = method == "GET" || method == "DELETE";
            let request = Request {
                method: method.to_owned(),
                path: path.to_owned(),
                query: query.to_owned(),
                headers: vec![("x-auth-token".to_owned(), token.to_owned())],
                body: if bare { Vec::new() } else { body.to_string().into_bytes() },
            };
            let before = simulator.state();
            let misbehaviour = [Misbehaviour::Drop, Misbehaviour::Normalise, Misbehaviour::Lag { ms: 5000 }, Misbehaviour::PageShift { skip: true }].into_iter().nth(misbehaviour);
            let answer = match &misbehaviour {
                Some(misbehaviour) => simulator.answer_twisted(&request, misbehaviour),
                None => simulator.answer(&request),
            };
            let body: Value = serde_json::from_slice(&answer.body)
                .map_err(|error| TestCaseError::fail(format!("{method} {target}: {error}")))?;
            prop_assert!(is_envelope(&answer, &body), "{} {}: {} {}", method, target, answer.status, body);
            prop_assert!(target.ends_with("/secret") || !body.to_string().contains("\"secret\""), "{} shows a secret", target);
            if answer.status == 201 {
                newest = body["id"].as_str().expect("an id").to_owned();
            }
            let after = simulator.state();
            if answer.status >= 300 || method == "GET" || misbehaviour == Some(Misbehaviour::Drop) {
                prop_assert_eq!(&after["apps"], &before["apps"], "{} {} changes something", method, target);
            }
            check(&after, &mut counters);
        }
        let saved = simulator.state();
        let again = Simulator::new();
        prop_assert_eq!(again.load(&saved), Ok(()));
        prop_assert_eq!(again.state(), saved);
    }
}

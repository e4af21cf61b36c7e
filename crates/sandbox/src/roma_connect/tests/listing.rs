//! The list: filters, order, pages.

use serde_json::{Value, json};

use super::super::Simulator;
use super::{names, send, send_as, shared, start, start_with};
use crate::simulator::Simulator as _;

fn check(simulator: &Simulator, token: &str, query: &str, expected: &[&str]) {
    let (status, list) = send_as(simulator, token, "GET", &format!("apps?{query}"), &Value::Null);
    assert_eq!(status, 200, "{query}: {list}");
    assert_eq!(names(&list), expected, "{token} {query}");
    assert_eq!(list["size"], expected.len(), "{query}");
}

/// Returns a simulator in which `ann` owns three applications and shares two of them with `bob`, who owns one.
fn bench() -> Simulator {
    let ann = json!({"user_id": "u2"});
    let mut state = shared();
    state["apps"] = json!([
        {"instance_id": "i1", "name": "orders", "key": "key-o", "created_user": ann, "create_time": "2020-01-03T00:00:00Z"},
        {"instance_id": "i1", "name": "Orders 2", "key": "key-p", "created_user": ann, "create_time": "2020-01-02T00:00:00Z",
         "users": [{"id": "u3", "roles": ["access"]}]},
        {"instance_id": "i1", "name": "bills_1", "created_user": ann, "create_time": "2020-01-01T00:00:00Z", "favorite": true,
         "users": [{"id": "u3", "roles": ["admin"]}]},
        {"instance_id": "i1", "name": "own", "created_user": {"user_name": "bob"}, "create_time": "2020-01-04T00:00:00Z"},
    ]);
    start_with(&state, &json!({}))
}

#[test]
fn filters_combine() {
    let simulator = bench();
    let cases: [(&str, &str, &[&str]); 21] = [
        ("ops", "", &["bills_1", "Orders 2", "orders", "own"]),
        ("ann", "", &["bills_1", "Orders 2", "orders"]),
        ("bob", "", &["bills_1", "Orders 2", "own"]),
        ("bob", "owner=true", &["own"]),
        ("bob", "owner=false", &["bills_1", "Orders 2"]),
        ("ops", "owner=true", &[]),
        ("ops", "favorite=true", &["bills_1"]),
        ("ops", "favorite=false", &["Orders 2", "orders", "own"]),
        ("bob", "auth_role=access", &["bills_1", "Orders 2", "own"]),
        ("bob", "auth_role=modify", &["bills_1", "own"]),
        ("bob", "auth_role=nonsense", &[]),
        ("ops", "name=rders", &["Orders 2", "orders"]),
        ("ops", "name=orders", &["orders"]),
        ("ops", "name=Orders%202", &["Orders 2"]),
        ("ops", "name=b%25s", &[]),
        ("ops", "key=key-", &["Orders 2", "orders"]),
        ("ops", "user_name=bob", &["bills_1", "Orders 2", "own"]),
        ("ann", "user_name=bob", &["bills_1", "Orders 2"]),
        ("ann", "user_name=nobody", &[]),
        ("ann", "user_name=bob&favorite=true&name=bill", &["bills_1"]),
        ("ops", "unknown=1", &["bills_1", "Orders 2", "orders", "own"]),
    ];
    for (token, query, expected) in cases {
        check(&simulator, token, query, expected);
    }
}

#[test]
fn names_match_as_the_switches_say() {
    let cases: [(&str, bool, &str, &[&str]); 7] = [
        ("case-insensitive", false, "ORDERS", &["Orders 2", "orders"]),
        ("case-insensitive", false, "b%25", &[]),
        ("case-insensitive", true, "o%25R_ERS", &["Orders 2", "orders"]),
        ("substring", true, "b%25_1", &["bills_1"]),
        ("substring", true, "_", &["bills_1", "Orders 2", "orders", "own"]),
        ("substring", true, "o%25_%25n", &["own"]),
        ("substring", false, "_", &["bills_1"]),
    ];
    let simulator = bench();
    for (filter, wildcards, name, expected) in cases {
        let options = json!({"name-filter": filter, "name-filter-wildcards": wildcards});
        simulator.set_options(&options).expect("the options hold");
        check(&simulator, "ops", &format!("name={name}"), expected);
    }
}

#[test]
fn pages_have_bounds() {
    let simulator = bench();
    check(&simulator, "ops", "limit=2", &["bills_1", "Orders 2"]);
    check(&simulator, "ops", "limit=2&offset=2", &["orders", "own"]);
    check(&simulator, "ops", "offset=10000", &[]);
    for (query, clamped) in [("limit=0", 1), ("limit=501", 4), ("limit=-1", 1), ("offset=-1", 4), ("offset=10001", 0)] {
        simulator.set_options(&json!({"page-bounds": "refused"})).expect("the option is known");
        let (status, body) = send_as(&simulator, "ops", "GET", &format!("apps?{query}"), &Value::Null);
        assert_eq!((status, &body["error_code"]), (400, &json!("ROMA.00013000")), "{query}");
        simulator.set_options(&json!({"page-bounds": "clamped"})).expect("the option is known");
        let (status, body) = send_as(&simulator, "ops", "GET", &format!("apps?{query}"), &Value::Null);
        assert_eq!((status, &body["size"], &body["total"]), (200, &json!(clamped), &json!(4)), "{query}");
    }
    for query in ["limit=x", "limit=", "offset=1.5", "favorite=1", "owner=True", &format!("name={}", "a".repeat(257))] {
        let (status, body) = send_as(&simulator, "ops", "GET", &format!("apps?{query}"), &Value::Null);
        assert_eq!((status, &body["error_code"]), (400, &json!("ROMA.00013000")), "{query}");
    }
}

#[test]
fn ten_rows_are_a_page_unless_asked_otherwise() {
    let apps: Vec<Value> = (0..12).map(|n| json!({"instance_id": "i1", "name": format!("a{n}")})).collect();
    let simulator = start_with(&json!({"instances": [{"id": "i1"}], "apps": apps}), &json!({}));
    let (_, list) = send(&simulator, "GET", "apps", &Value::Null);
    assert_eq!((&list["total"], &list["size"]), (&json!(12), &json!(10)));
    assert_eq!(names(&list)[..2], ["a0", "a1"]);
}

#[test]
fn the_order_behind_the_favourites_is_a_switch() {
    let apps: Vec<Value> =
        (0..30).map(|n| json!({"instance_id": "i1", "name": format!("a{n}"), "favorite": n == 29})).collect();
    let state = json!({"instances": [{"id": "i1"}], "apps": apps});
    let order = |simulator: &Simulator| {
        let (_, list) = send(simulator, "GET", "apps?limit=500", &Value::Null);
        names(&list).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let created = order(&start_with(&state, &json!({})));
    assert_eq!(created[..2], ["a29", "a0"]);
    for (value, is_stable) in [("shuffled", true), ("unstable", false)] {
        let simulator = start_with(&state, &json!({"list-order": value}));
        let (first, second) = (order(&simulator), order(&simulator));
        assert_eq!(first[0], "a29");
        assert_ne!(first, created);
        assert_eq!(first == second, is_stable, "{value}");
    }
}

#[test]
fn a_new_application_may_show_up_late() {
    let simulator = start(&json!({"list-delay-ms": 1500}));
    let app = super::create(&simulator, &json!({"name": "a"}));
    let total = || send(&simulator, "GET", "apps", &Value::Null).1["total"].clone();
    assert_eq!(total(), 0);
    let path = format!("apps/{}", app["id"].as_str().unwrap_or_default());
    assert_eq!(send(&simulator, "GET", &path, &Value::Null).0, 200, "only the list is late");
    simulator.set_options(&json!({"clock-offset-seconds": 1})).expect("the option is known");
    assert_eq!(total(), 0);
    simulator.set_options(&json!({"clock-offset-seconds": 2})).expect("the option is known");
    assert_eq!(total(), 1);
    assert!(simulator.state()["apps"].as_array().is_some_and(|apps| apps.len() == 1));
}

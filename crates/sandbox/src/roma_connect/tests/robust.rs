//! Nothing that arrives makes the simulator panic, and what it accepts as a state survives a round.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::Simulator;
use super::{request, shared, start_with};
use crate::simulator::Simulator as _;

/// Returns values whose members have names and texts that mean something here.
fn values() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "",
        "i1",
        "u1",
        "a",
        "read",
        "admin,read",
        "key-1",
        "TEI9****8UM",
        "2020-01-01T00:00:00Z",
        "AKEXAMPLE",
        "订单",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        words.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let names = prop::sample::select(vec![
        "projects",
        "instances",
        "apps",
        "credentials",
        "counters",
        "ak_sk",
        "users",
        "tokens",
        "id",
        "name",
        "instance_id",
        "project_id",
        "remark",
        "key",
        "secret",
        "favorite",
        "favorite_of",
        "roles",
        "created_user",
        "user_id",
        "sk",
        "expires_at",
        "auth",
        "identity",
        "methods",
        "password",
        "user",
        "scope",
        "project",
        "app_id",
        "resources",
    ]);
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_request_is_answered(
        method in "GET|POST|PUT|DELETE",
        target in "(apps|apps/x|apps/x/users|apps/x/secret|validate-apps|/v3/auth/tokens|/v3/projects)(\\?[a-z=&%_0-9é]{0,20})?",
        authorization in "(SDK-HMAC-SHA256 )?(Access=A, SignedHeaders=[a-z;-]{0,9}, Signature=.{0,5}|.{0,20})",
        token in ".{0,9}|MIIR[0-9a-fé]{0,8}[+][a-z]{0,3}-[0-9a-f]{0,4}",
        body in values(),
    ) {
        let simulator = start_with(&shared(), &json!({}));
        let headers = [("authorization", authorization.as_str()), ("x-sdk-date", &token)];
        simulator.answer(&request(&method, &target, &headers, &body));
        simulator.answer(&request(&method, &target, &[("x-auth-token", &token)], &body));
        let answer = simulator.answer(&request(&method, &target, &[("x-auth-token", "ops")], &body));
        prop_assert!((200..600).contains(&answer.status));
        simulator.edit("eve", "UpdateRomaApp", &body);
    }

    #[test]
    fn any_state_is_refused_or_survives_a_round(state in values()) {
        let simulator = Simulator::new();
        match simulator.load(&state) {
            Ok(()) => {
                let first = simulator.state();
                prop_assert_eq!(simulator.load(&first), Ok(()));
                prop_assert_eq!(simulator.state(), first);
            }
            Err(errors) => prop_assert!(!errors.is_empty()),
        }
    }

    #[test]
    fn any_application_row_is_refused_or_survives_a_round(row in values(), name in "[a-z]{1,5}") {
        let simulator = Simulator::new();
        let mut row = row.as_object().cloned().unwrap_or_default();
        row.extend([("instance_id".to_owned(), json!("i1")), ("name".to_owned(), json!(name))]);
        let mut state = shared();
        state["apps"] = json!([row, {"instance_id": "i1", "name": "other app"}]);
        if simulator.load(&state).is_ok() {
            let first = simulator.state();
            prop_assert_eq!(simulator.load(&first), Ok(()));
            prop_assert_eq!(simulator.state(), first);
        }
    }
}

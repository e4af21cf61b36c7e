//! The rules for fields, on the way in and with the codes of the way out.

use serde_json::{Value, json};

use super::{create, read, request, send, start};
use crate::simulator::Simulator as _;

#[test]
fn fields_obey_their_rules() {
    let long = |count: usize| "a".repeat(count);
    let name = |text: &str| json!({"name": text});
    let with = |field: &str, value: Value| json!({"name": "a", field: value});
    let cases = [
        (name("a"), true),
        (name(&long(256)), true),
        (name(&"订".repeat(256)), true),
        (name(&long(257)), false),
        (name(""), false),
        (name("a-b_c.d (e)（f）"), true),
        (name("a/b"), false),
        (name("a\n"), false),
        (name("é"), false),
        (name(" a "), true),
        (json!({}), false),
        (json!({"name": null}), false),
        (json!({"name": 1}), false),
        (with("remark", json!("")), true),
        (with("remark", json!("any <thing>\n☃")), true),
        (with("remark", json!("☃".repeat(255))), true),
        (with("remark", json!("☃".repeat(256))), false),
        (with("remark", json!(1)), false),
        (with("remark", Value::Null), true),
        (with("key", json!("ab")), false),
        (with("key", json!("abc")), true),
        (with("key", json!("订-_@.")), true),
        (with("key", json!("-abc")), false),
        (with("key", json!("a b")), false),
        (with("key", json!(long(200))), true),
        (with("key", json!(long(201))), false),
        (with("key", Value::Null), true),
        (with("secret", json!("abcdefg")), false),
        (with("secret", json!("a!@#$%+=.-/1")), true),
        (with("secret", json!("abcdefgh_")), false),
        (with("secret", json!(long(128))), true),
        (with("secret", json!(long(129))), false),
        (with("secret", Value::Null), true),
        (with("favorite", json!(true)), true),
        (with("favorite", json!("true")), false),
        (with("unknown", json!(1)), true),
    ];
    for (body, holds) in cases {
        let (status, answer) = send(&start(&json!({})), "POST", "apps", &body);
        assert_eq!(status, if holds { 201 } else { 400 }, "{body}: {answer}");
        assert!(holds || answer["error_code"] == "ROMA.00013000", "{body}: {answer}");
    }
}

#[test]
fn a_refused_parameter_is_named() {
    let simulator = start(&json!({}));
    for field in ["remark", "key", "secret", "favorite"] {
        let (_, body) = send(&simulator, "POST", "apps", &json!({"name": "a", field: 1}));
        assert_eq!(body["error_msg"], format!("Invalid parameter: {field}"));
    }
}

#[test]
fn names_and_keys_are_unique() {
    let simulator = start(&json!({}));
    let app = create(&simulator, &json!({"name": "a", "key": "key"}));
    create(&simulator, &json!({"name": "b"}));
    let path = format!("apps/{}", app["id"].as_str().unwrap_or_default());
    let cases = [
        ("POST", "apps", json!({"name": "a"}), 400, "ROMA.00014011"),
        ("POST", "apps", json!({"name": "c", "key": "key"}), 400, "ROMA.00014012"),
        ("PUT", &path, json!({"name": "b"}), 400, "ROMA.00014011"),
        ("PUT", &path, json!({"name": "a"}), 200, ""),
        ("PUT", &path, json!({}), 200, ""),
        ("POST", "apps", json!({"name": "A"}), 201, ""),
    ];
    for (method, target, body, status, code) in cases {
        let (found, answer) = send(&simulator, method, target, &body);
        assert_eq!((found, answer["error_code"].as_str().unwrap_or_default()), (status, code), "{method} {body}");
    }
}

#[test]
fn the_quota_holds_per_instance() {
    let simulator = start(&json!({"quota": 2}));
    create(&simulator, &json!({"name": "a"}));
    let app = create(&simulator, &json!({"name": "b"}));
    let (status, body) = send(&simulator, "POST", "apps", &json!({"name": "c"}));
    assert_eq!((status, &body["error_code"]), (400, &json!("ROMA.00014020")));
    send(&simulator, "DELETE", &format!("apps/{}", app["id"].as_str().unwrap_or_default()), &Value::Null);
    create(&simulator, &json!({"name": "c"}));
    assert_eq!(start(&json!({})).options()["quota"], 100);
}

#[test]
fn bodies_are_read_with_their_media_type() {
    let cases = [
        ("application/json", r#"{"name":"a"}"#, 201, ""),
        ("application/json;charset=UTF-8", r#"{"name":"a"}"#, 201, ""),
        ("Application/JSON ; charset=utf-8", "{\"name\":\"a\"}\n", 201, ""),
        ("text/plain", r#"{"name":"a"}"#, 400, "ROMA.00013000"),
        ("application/json", "", 400, "ROMA.00013001"),
        ("application/json", "null", 400, "ROMA.00013000"),
        ("application/json", "[]", 400, "ROMA.00013000"),
        ("application/json", "{", 400, "ROMA.00013000"),
        ("application/json", r#"{"name":"\u8ba2"}"#, 201, ""),
    ];
    for (media_type, body, status, code) in cases {
        let mut request = request("POST", "apps", &[("content-type", media_type)], &Value::Null);
        request.body = body.as_bytes().to_vec();
        let (found, answer) = read(&start(&json!({})).answer(&request));
        let found = (found, answer["error_code"].as_str().unwrap_or_default());
        assert_eq!(found, (status, code), "{media_type} {body}");
    }
}

#[test]
fn ids_in_paths_have_at_most_64_characters() {
    let simulator = start(&json!({}));
    for (length, code) in [(64, "ROMA.00014001"), (65, "ROMA.00013000")] {
        let (_, body) = send(&simulator, "GET", &format!("apps/{}", "a".repeat(length)), &Value::Null);
        assert_eq!(body["error_code"], code);
    }
}

//! Authentication: tokens, signatures, projects, lockout, throttle.

use serde_json::{Value, json};

use super::super::{
    Simulator,
    signature::{canonical_requests, hmac_sha256, string_to_sign},
};
use super::{NOW, read, request, send, send_as, start_with};
use crate::simulator::{Request, Simulator as _};

/// Signs a request as a client does.
fn signed(mut request: Request, access_key: &str, secret: &str, date: &str, headers: &[(&str, &str)]) -> Request {
    let dated = [("x-sdk-date", date)];
    let headers = headers.iter().chain(&dated);
    request.headers.extend(headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut names: Vec<String> = request.headers.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    let canonical = canonical_requests(&request, &names).expect("the request can be signed");
    let signature = hmac_sha256(secret.as_bytes(), string_to_sign(date, &canonical[0]).as_bytes());
    let names = names.join(";");
    let value = format!("SDK-HMAC-SHA256 Access={access_key}, SignedHeaders={names}, Signature={signature}");
    request.headers.push(("authorization".to_owned(), value));
    request
}

fn list() -> Request {
    request("GET", "apps", &[], &Value::Null)
}

/// Returns a simulator that knows the lasting key `AK` and the temporary key `TEMP`.
fn bench() -> Simulator {
    let state = json!({
        "projects": [{"id": "p1", "name": "cn-north-4"}, {"id": "p2", "name": "cn-north-1"}],
        "instances": [{"id": "i1", "project_id": "p1"}],
        "credentials": {
            "ak_sk": {
                "AK": "SK",
                "TEMP": {"sk": "SK2", "security_token": "T0K3N", "expires_at": "2026-01-02T04:00:00Z"},
            },
            "users": [{"id": "u1", "name": "ops", "password": "pass", "domain": "acme"}],
            "tokens": {
                "any": null,
                "other": {"project_id": "p2"},
                "old": {"expires_at": "2026-01-02T03:00:00Z"},
            },
        },
    });
    start_with(&state, &json!({}))
}

/// Returns status and message of an answer.
fn message(simulator: &Simulator, request: &Request) -> (u16, String) {
    let (status, body) = read(&simulator.answer(request));
    (status, body["error_msg"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn without_configured_credentials_everybody_is_the_default_user() {
    let simulator = start_with(&json!({"instances": [{"id": "i1"}]}), &json!({}));
    let (_, app) = send(&simulator, "POST", "apps", &json!({"name": "a"}));
    assert_eq!(app["created_user"], json!({"user_id": "sandbox", "user_name": "sandbox"}));
    for headers in [[("x-auth-token", "whatever")], [("authorization", "SDK-HMAC-SHA256 Access=X")]] {
        let (status, list) = read(&simulator.answer(&request("GET", "apps", &headers, &Value::Null)));
        assert_eq!((status, &list["apps"][0]["owner"]), (200, &json!(true)));
    }
}

#[test]
fn tokens_are_checked() {
    let simulator = bench();
    let cases = [
        ("any", 200, ""),
        ("nonsense", 401, "Incorrect IAM authentication information: decrypt token fail"),
        ("", 401, "Incorrect IAM authentication information: decrypt token fail"),
        ("old", 401, "The token must be updated"),
        ("other", 403, "No permission on this project"),
    ];
    for (token, status, text) in cases {
        let request = request("GET", "apps", &[("x-auth-token", token)], &Value::Null);
        let (found, message) = message(&simulator, &request);
        assert_eq!(found, status, "{token}: {message}");
        assert!(message.contains(text), "{token}: {message}");
    }
    let (status, body) = send(&simulator, "GET", "apps", &Value::Null);
    assert_eq!((status, &body["error_code"]), (401, &json!("APIGW.0301")));

    simulator.set_options(&json!({"token-errors": "service"})).expect("the option is known");
    let (_, body) = send(&simulator, "GET", "apps", &Value::Null);
    assert_eq!(body["error_code"], "ROMA.00001000");
    let (status, body) = send_as(&simulator, "nonsense", "GET", "apps", &Value::Null);
    assert_eq!((status, &body["error_code"]), (400, &json!("ROMA.00001002")));
}

#[test]
fn signatures_are_checked_against_the_clock() {
    let simulator = bench();
    let cases = [
        ("20260102T030405Z", 200, ""),
        ("20260102T031905Z", 200, ""),
        ("20260102T024905Z", 200, ""),
        ("20260102T031906Z", 401, "signature expired"),
        ("20260102T024904Z", 401, "signature expired"),
        ("2026-01-02T03:04:05Z", 401, "malformed"),
        ("20260132T030405Z", 401, "malformed"),
    ];
    for (date, status, text) in cases {
        let (found, message) = message(&simulator, &signed(list(), "AK", "SK", date, &[]));
        assert_eq!(found, status, "{date}: {message}");
        assert!(message.contains(text), "{date}: {message}");
    }
    simulator.set_options(&json!({"clock-offset-seconds": 3600})).expect("the option is known");
    let (status, _) = message(&simulator, &signed(list(), "AK", "SK", "20260102T040405Z", &[]));
    assert_eq!(status, 200);
}

#[test]
fn the_date_has_to_be_there_and_signed() {
    let simulator = bench();
    let mut request = signed(list(), "AK", "SK", "20260102T030405Z", &[("host", "h")]);
    request.headers.retain(|(name, _)| name != "x-sdk-date");
    assert!(message(&simulator, &request).1.contains("x-sdk-date not found"));
    let mut request = signed(list(), "AK", "SK", "20260102T030405Z", &[("host", "h")]);
    for (_, value) in request.headers.iter_mut().filter(|(name, _)| name == "authorization") {
        *value = value.replace("host;x-sdk-date", "host");
    }
    assert!(message(&simulator, &request).1.contains("not among the signed headers"));
}

#[test]
fn a_mismatch_shows_the_servers_canonical_request() {
    let simulator = bench();
    let (_, message) = message(&simulator, &signed(list(), "AK", "WRONG", "20260102T030405Z", &[]));
    let expected =
        "verify aksk signature fail, canonicalRequest:GET|/v2/p1/instances/i1/apps/||x-sdk-date:20260102T030405Z||";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn temporary_credentials_need_their_token_until_they_expire() {
    let simulator = bench();
    let date = "20260102T030405Z";
    let cases = [
        ("TEMP", "SK2", Some("T0K3N"), 200, ""),
        ("TEMP", "SK2", Some("other"), 401, "decrypt token fail"),
        ("TEMP", "SK2", None, 401, "err:ak not exist"),
        // Beside a lasting key a token means nothing.
        ("AK", "SK", Some("T0K3N"), 200, ""),
        ("AK", "SK2", Some("T0K3N"), 401, "verify aksk signature fail"),
    ];
    for (access_key, secret, token, status, text) in cases {
        let headers: Vec<_> = token.map(|token| ("x-security-token", token)).into_iter().collect();
        let (found, message) = message(&simulator, &signed(list(), access_key, secret, date, &headers));
        assert_eq!(found, status, "{access_key} {token:?}: {message}");
        assert!(message.contains(text), "{access_key} {token:?}: {message}");
    }
    simulator.set_options(&json!({"clock": {"frozen": "2026-01-02T04:00:00Z"}})).expect("the clock can be set");
    let request = signed(list(), "TEMP", "SK2", "20260102T040000Z", &[("x-security-token", "T0K3N")]);
    assert!(message(&simulator, &request).1.contains("the temporary credentials expired at 2026-01-02T04:00:00Z"));
}

#[test]
fn more_than_five_failures_in_a_row_lock_the_key() {
    let simulator = bench();
    let at = |date: &str, secret: &str| message(&simulator, &signed(list(), "AK", secret, date, &[])).1;
    let date = "20260102T030405Z";
    for _ in 0..5 {
        assert!(at(date, "WRONG").contains("verify aksk"));
    }
    assert_eq!(at(date, "SK"), "", "five failures lock nothing, and a success forgets them");
    for _ in 0..6 {
        assert!(at(date, "WRONG").contains("verify aksk"));
    }
    let locked = "Incorrect IAM authentication information: AK access failed to reach the limit,forbidden";
    assert_eq!(at(date, "SK"), locked);
    let other = signed(list(), "TEMP", "SK2", date, &[("x-security-token", "T0K3N")]);
    assert_eq!(message(&simulator, &other).0, 200, "the other key is not locked");

    simulator.set_options(&json!({"clock-offset-seconds": 299})).expect("the option is known");
    assert_eq!(at("20260102T030904Z", "SK"), locked);
    simulator.set_options(&json!({"clock-offset-seconds": 300})).expect("the option is known");
    assert!(at("20260102T030905Z", "WRONG").contains("verify aksk"), "counting starts anew");
    assert_eq!(at("20260102T030905Z", "SK"), "");
}

#[test]
fn the_lockout_can_be_shortened_and_switched_off() {
    let simulator = bench();
    let at = |secret: &str| message(&simulator, &signed(list(), "AK", secret, "20260102T030405Z", &[])).1;
    simulator.set_options(&json!({"lockout-failures": 0, "lockout-seconds": 60})).expect("the options are known");
    assert!(at("WRONG").contains("verify aksk"));
    assert!(at("SK").contains("reach the limit"));
    simulator.set_options(&json!({"lockout": false})).expect("the option is known");
    assert_eq!(at("SK"), "");
}

#[test]
fn the_project_of_the_header_is_that_of_the_path() {
    let simulator = bench();
    for (project, status) in [("p1", 200), ("p2", 403), ("nonsense", 403)] {
        let request = request("GET", "apps", &[("x-auth-token", "any"), ("x-project-id", project)], &Value::Null);
        assert_eq!(message(&simulator, &request).0, status, "{project}");
    }
    let cases = [
        ("/v2/p1/instances/i1/apps", 200, Value::Null),
        ("/v2/p2/instances/i1/apps", 404, json!("ROMA.00015001")),
        ("/v2/nonsense/instances/i1/apps", 403, json!("ROMA.00012000")),
        ("/v2/p1/instances/nonsense/apps", 404, json!("ROMA.00015001")),
        ("/v2/p1/nonsense", 404, json!("APIGW.0101")),
        ("/v2/p1/instances/i1/apps/", 404, json!("APIGW.0101")),
    ];
    for (target, status, code) in cases {
        let (found, body) = send_as(&simulator, "any", "GET", target, &Value::Null);
        assert_eq!((found, &body["error_code"]), (status, &code), "{target}");
    }
}

#[test]
fn a_signed_request_may_carry_a_token_as_one_more_header() {
    let simulator = bench();
    let request = signed(list(), "AK", "SK", "20260102T030405Z", &[("x-auth-token", "nonsense")]);
    assert_eq!(message(&simulator, &request), (200, String::new()));
}

#[test]
fn requests_beyond_the_gateways_limits_are_refused() {
    let simulator = start_with(&json!({"instances": [{"id": "i1"}]}), &json!({"clock": {"frozen": NOW}}));
    let mut large = request("POST", "apps", &[], &Value::Null);
    large.body = vec![b' '; 12 * 1024 * 1024 + 1];
    assert_eq!(message(&simulator, &large).0, 413);
    let long = request("GET", &format!("apps?name={}", "a".repeat(33_000)), &[], &Value::Null);
    assert_eq!(message(&simulator, &long).0, 414);
}

//! The recorded signatures of the official clients, and edits of them that have to be refused.

use serde_json::{Value, json};

use super::super::{
    Simulator, clock,
    signature::{Claim, canonical_requests, string_to_sign, verify},
};
use super::{read, start_with};
use crate::simulator::{Request, Simulator as _};

const VECTORS: &str = include_str!("../../../tests/fixtures/sdk-hmac-sha256-vectors.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).expect("the vectors are JSON")
}

fn rows<'a>(vectors: &'a Value, parts: &[&str]) -> Vec<&'a Value> {
    let rows: Vec<&Value> =
        parts.iter().flat_map(|part| vectors[*part].as_array().expect("a part is a list")).collect();
    assert!(!rows.is_empty());
    rows
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} is a text in {value}"))
}

/// Returns the request that a vector's client sends.
fn request(input: &Value, expected: &Value) -> Request {
    let target = expected["request_target"].as_str().map_or_else(|| target(input), str::to_owned);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers: Vec<(String, String)> = Vec::new();
    for part in [&input["headers"], &expected["added_headers"]] {
        let part = part.as_object().into_iter().flatten();
        headers.extend(part.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap_or_default().to_owned())));
    }
    headers.push(("authorization".to_owned(), text(expected, "/authorization").to_owned()));
    Request {
        method: text(input, "/method").to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: text(input, "/body").as_bytes().to_vec(),
    }
}

fn target(input: &Value) -> String {
    let encoded = |text: &Value| {
        let text = text.as_str().expect("a pair has texts");
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let pairs = input["query"].as_array().expect("a query is a list");
    let pairs: Vec<String> = pairs.iter().map(|pair| format!("{}={}", encoded(&pair[0]), encoded(&pair[1]))).collect();
    format!("{}?{}", text(input, "/path"), pairs.join("&"))
}

/// Returns a simulator whose clock stands where the vectors were made, and which knows their keys.
fn bench(vectors: &Value) -> Simulator {
    let mut keys = json!({});
    for row in rows(vectors, &["vectors", "other_clients"]) {
        keys[text(row, "/input/ak")] = row["input"]["sk"].clone();
    }
    let instance =
        json!({"id": "11111111-2222-3333-4444-555555555555", "project_id": "0123456789abcdef0123456789abcdef"});
    let state = json!({"instances": [instance], "credentials": {"ak_sk": keys}});
    start_with(&state, &json!({"lockout": false}))
}

#[test]
fn recorded_signatures_verify() {
    let vectors = vectors();
    let simulator = bench(&vectors);
    let mut answered = 0;
    for row in rows(&vectors, &["vectors", "other_clients"]) {
        let name = text(row, "/name");
        let request = request(&row["input"], &row["expected"]);
        let claim = Claim::read(request.header("authorization").unwrap_or_default()).expect(name);
        let canonical = canonical_requests(&request, &claim.signed).expect(name);
        assert_eq!(canonical[0], text(row, "/expected/canonical_request"), "{name}");
        let date = text(row, "/input/date");
        assert_eq!(string_to_sign(date, &canonical[0]), text(row, "/expected/string_to_sign"), "{name}");
        let now = clock::read_sdk_date(date).expect(name);
        assert_eq!(verify(&request, &claim, text(row, "/input/sk"), now, 900), Ok(()), "{name}");

        let (status, body) = read(&simulator.answer(&request));
        if body["error_code"] != "APIGW.0101" {
            answered += 1;
            assert_ne!(status, 401, "{name}: {body}");
        }
    }
    assert!(answered > 20, "only {answered} vectors went through the front door");
}

#[test]
fn edited_requests_are_refused() {
    let vectors = vectors();
    let simulator = bench(&vectors);
    let known = rows(&vectors, &["vectors"]);
    for row in rows(&vectors, &["must_reject"]) {
        let name = text(row, "/name");
        let from = known.iter().find(|known| known["name"] == row["from"]).expect(name);
        let (mut input, mut expected) = (from["input"].clone(), from["expected"].clone());
        expected["request_target"] = Value::Null;
        for (part, value) in row["change"].as_object().expect(name) {
            match (part.as_str(), value.as_object()) {
                ("authorization_ak", _) => {
                    let access =
                        (format!("Access={}", text(&input, "/ak")), format!("Access={}", value.as_str().expect(name)));
                    expected["authorization"] = text(&expected, "/authorization").replace(&access.0, &access.1).into();
                }
                (part, Some(fields)) => fields.iter().for_each(|(name, value)| input[part][name] = value.clone()),
                (part, None) => input[part] = value.clone(),
            }
        }
        let (status, body) = read(&simulator.answer(&request(&input, &expected)));
        assert_eq!((status, &body["error_code"]), (401, &json!("APIGW.0301")), "{name}: {body}");
        let reason = if name == "unknown-ak" { "ak:AKUNKNOWN,err:ak not exist" } else { "verify aksk signature fail" };
        let message = text(&body, "/error_msg");
        assert!(message.starts_with("Incorrect IAM authentication information: "), "{name}: {message}");
        assert!(message.contains(reason), "{name}: {message}");
    }
}

#[test]
fn every_other_scheme_is_refused_by_name() {
    let vectors = vectors();
    let simulator = bench(&vectors);
    let derived = rows(&vectors, &["derived_vectors"]);
    let mut arrivals: Vec<Request> = derived.iter().map(|row| request(&row["input"], &row["expected"])).collect();
    for scheme in ["SDK-HMAC-SM3", "SDK-ECDSA-P256-SHA256", "SDK-SM2-SM3", "Bearer"] {
        let mut other = arrivals[0].clone();
        other.headers.retain(|(name, _)| name != "authorization");
        other.headers.push(("authorization".to_owned(), format!("{scheme} Access=A, SignedHeaders=b, Signature=c")));
        arrivals.push(other);
    }
    for request in arrivals {
        let authorization = request.header("authorization").unwrap_or_default();
        let scheme = authorization.split(' ').next().unwrap_or_default();
        let (status, body) = read(&simulator.answer(&request));
        assert_eq!(status, 401);
        assert!(text(&body, "/error_msg").contains(&format!("signing algorithm {scheme} is not supported")), "{body}");
    }
}

#[test]
fn a_header_without_a_part_is_refused() {
    let cases = [
        ("SDK-HMAC-SHA256", "Access not found in authorization"),
        ("SDK-HMAC-SHA256 SignedHeaders=a, Signature=b", "Access not found in authorization"),
        ("SDK-HMAC-SHA256 Access=A, Signature=b", "SignedHeaders not found in authorization"),
        ("SDK-HMAC-SHA256 Access=A, SignedHeaders=x", "Signature not found in authorization"),
        ("", "signing algorithm  is not supported, use SDK-HMAC-SHA256"),
    ];
    for (header, reason) in cases {
        assert_eq!(Claim::read(header), Err(reason.to_owned()), "{header}");
    }
}

#[test]
fn a_declared_hash_counts_where_it_is_signed() {
    let signed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let request = |hash: &str, body: &str| Request {
        headers: vec![("x-sdk-content-sha256".to_owned(), hash.to_owned())],
        body: body.as_bytes().to_vec(),
        ..Request::default()
    };
    let last = |text: &String| text.rsplit('\n').next().unwrap_or_default().to_owned();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let hash_of_x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let cases: [(&str, &str, &[&str], &[&str]); 5] = [
        ("UNSIGNED-PAYLOAD", "x", &["x-sdk-content-sha256"], &["UNSIGNED-PAYLOAD"]),
        ("UNSIGNED-PAYLOAD", "x", &["x-sdk-date"], &[hash_of_x]),
        ("UNSIGNED-PAYLOAD", "", &["x-sdk-content-sha256"], &[empty, "UNSIGNED-PAYLOAD"]),
        (hash_of_x, "x", &["x-sdk-content-sha256"], &[hash_of_x]),
        (hash_of_x, "y", &["x-sdk-content-sha256"], &[]),
    ];
    for (hash, body, names, expected) in cases {
        let found = canonical_requests(&request(hash, body), &signed(names)).unwrap_or_default();
        assert_eq!(found.iter().map(last).collect::<Vec<_>>(), expected, "{hash} {body}");
    }
}

//! The way in: REST under `/v2/{project_id}/instances/{instance_id}/apps`, with `X-Auth-Token` (contract sections 2,
//! 4 and 5).

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    kind::{Endpoint, Prepared, Reply, Stamp},
    model::{Refusal, Request, Retry},
};

/// Operations by their names in the vendor's SDKs: method, and whether the path goes on to one application.
const OPERATIONS: &[(&str, &str, bool)] = &[
    ("ListRomaApp", "GET", false),
    ("CheckRomaAppDetails", "GET", true),
    ("CreateRomaApp", "POST", false),
    ("UpdateRomaApp", "PUT", true),
];

/// Arguments of `ListRomaApp` that go into the query.
const QUERY: &[&str] = &["limit", "offset"];

/// Says whether an operation only reads.
pub(super) fn is_read(operation: &str) -> bool {
    OPERATIONS.iter().any(|(name, method, _)| *name == operation && *method == "GET")
}

/// Writes a request. `instance_id` and `app_id` of the arguments go into the path, the rest into query or body.
pub(super) fn prepare(request: &Request, endpoint: &Endpoint, stamp: Stamp<'_>) -> Result<Prepared, Refusal> {
    let Some((_, method, of_app)) = OPERATIONS.iter().find(|(name, _, _)| *name == request.operation) else {
        return Err(Refusal::new(None, format!("unknown operation `{}`", request.operation)));
    };
    let Value::Object(mut arguments) = request.arguments.clone() else {
        return Err(Refusal::new(None, "arguments of a call have to be an object"));
    };
    let project = segment(endpoint.settings.get("projectId").map(String::as_str), "projectId")?;
    let instance = arguments.remove("instance_id");
    let instance = segment(instance.as_ref().and_then(Value::as_str), "instance_id")?;
    let mut url = format!("{}/v2/{project}/instances/{instance}/apps", endpoint.url);
    if *of_app {
        let app = arguments.remove("app_id");
        url = format!("{url}/{}", segment(app.as_ref().and_then(Value::as_str), "app_id")?);
    }
    let query: Vec<_> = QUERY.iter().filter_map(|key| Some(format!("{key}={}", arguments.remove(*key)?))).collect();
    if !query.is_empty() {
        url = format!("{url}?{}", query.join("&"));
    }
    let mut headers = vec![
        ("content-type", "application/json;charset=utf-8".to_owned()),
        ("accept", "application/json".to_owned()),
        ("x-request-id", stamp.request_id.to_owned()),
    ];
    if let Some(token) = endpoint.secrets.get("token") {
        headers.push(("x-auth-token", token.expose_secret().to_owned()));
    }
    let body = if *method == "GET" { Vec::new() } else { Value::Object(arguments).to_string().into_bytes() };
    Ok(Prepared { method, url, headers, body })
}

/// Ids with anything else in them are split or re-encoded by the vendor's own SDKs (contract section 6).
fn segment<'a>(id: Option<&'a str>, what: &str) -> Result<&'a str, Refusal> {
    let id = id.unwrap_or_default();
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fits { Ok(id) } else { Err(Refusal::new(None, format!("`{what}` is not an id: `{id}`"))) }
}

/// Reads an answer. Codes lie under several names, depending on the layer that answered (contract section 4).
pub(super) fn interpret(reply: &Reply<'_>) -> Result<Value, Refusal> {
    let body: Option<Value> = serde_json::from_slice(reply.body).ok();
    if (200..300).contains(&reply.status) {
        return match body {
            Some(body) => Ok(body),
            None if reply.body.is_empty() => Ok(Value::Null),
            None => Err(Refusal {
                code: None,
                message: format!("answered HTTP {} with something that is not JSON", reply.status),
                retry: Retry::Soon,
                lost: true,
                request_id: None,
            }),
        };
    }
    let told = body.as_ref().and_then(|body| {
        std::iter::once(body).chain(body.as_object().into_iter().flat_map(|body| body.values())).find_map(code)
    });
    let (code, message) = told.unwrap_or_else(|| (reply.status.to_string(), "without a message".to_owned()));
    let retry = match (reply.status, reply.retry_after()) {
        (429 | 503, Some(pause)) => Retry::After(pause),
        (429 | 500 | 502 | 503 | 504, _) => Retry::Soon,
        _ => Retry::Never,
    };
    Err(Refusal {
        code: Some(code.into()),
        message: format!("answered HTTP {}: {message}", reply.status),
        retry,
        lost: matches!(reply.status, 500 | 502 | 504),
        request_id: None,
    })
}

fn code(body: &Value) -> Option<(String, String)> {
    [("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message")].iter().find_map(|(code, message)| {
        let code = match body.get(code)? {
            Value::String(code) => short(code),
            other => other.to_string(),
        };
        Some((code, body.get(message)?.as_str()?.to_owned()))
    })
}

/// One code has two spellings, `ROMA.13000` and `ROMA.00013000`: zeros behind the dot do not count.
fn short(code: &str) -> String {
    match code.split_once('.') {
        Some((prefix, number)) => format!("{prefix}.{}", number.trim_start_matches('0')),
        None => code.to_owned(),
    }
}

/// Returns the arguments of one page of applications.
pub(super) fn page(instance: &str, offset: usize, limit: usize) -> Value {
    json!({"instance_id": instance, "offset": offset, "limit": limit})
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp<'_> = Stamp { request_id: "r1", now: jiff::Timestamp::UNIX_EPOCH };

    #[test]
    fn answers() {
        let check = |status: u16, body: &str, expected: &str| {
            let told = match interpret(&Reply { status, headers: &[], body: body.as_bytes() }) {
                Ok(data) => data.to_string(),
                Err(refusal) => format!("{refusal}; {:?}, lost: {}", refusal.retry, refusal.lost),
            };
            assert_eq!(told, expected, "{status} {body}");
        };
        check(200, r#"{"id":"a"}"#, r#"{"id":"a"}"#);
        check(204, "", "null");
        check(
            400,
            r#"{"error_code":"ROMA.00014011","error_msg":"name exists","request_id":"x"}"#,
            "answered HTTP 400: name exists (code ROMA.14011); Never, lost: false",
        );
        check(
            401,
            r#"{"error":{"code":401,"message":"no","title":"Unauthorized"}}"#,
            "answered HTTP 401: no (code 401); Never, lost: false",
        );
        check(502, "<html>", "answered HTTP 502: without a message (code 502); Soon, lost: true");
    }

    #[test]
    fn ids_are_checked_before_they_go_into_a_path() {
        let endpoint = Endpoint {
            url: "https://roma".to_owned(),
            settings: [("projectId", "p1".to_owned())].into(),
            secrets: [("token", "canary".into())].into(),
        };
        let request = |arguments: Value| Request { operation: "UpdateRomaApp", arguments, repeatable: true };
        let prepared = prepare(&request(json!({"instance_id": "i1", "app_id": "a1", "name": "x"})), &endpoint, STAMP);
        let prepared = prepared.expect("prepared");
        assert_eq!(prepared.url, "https://roma/v2/p1/instances/i1/apps/a1");
        assert_eq!(prepared.body, br#"{"name":"x"}"#);
        assert!(!format!("{prepared:?}").contains("canary"));
        let refused = prepare(&request(json!({"instance_id": "i1", "app_id": "a/1"})), &endpoint, STAMP);
        assert_eq!(refused.expect_err("a slash").to_string(), "`app_id` is not an id: `a/1`");
    }
}

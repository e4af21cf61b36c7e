//! The way in through the ESB: `POST /api/c/compapi/v2/cc/<operation>/`, credentials in the body, the truth in
//! `result` and `code` whatever the HTTP status says.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::{
    kind::{Endpoint, Prepared, Reply, Stamp},
    model::{Refusal, Request, Retry},
};

/// Components of the ESB that take the attributes in `data` instead of a flat body (contract section 1.1).
const WITH_DATA: &[&str] = &["create_set", "update_set", "create_module", "update_module"];

/// Argument of every request to a [`WITH_DATA`] operation that holds the attributes; it is spread where the door
/// wants a flat body.
pub(super) const DATA: &str = "data";

/// Codes after which the same request may well succeed: limiters, locks, transactions that could not start, and hops
/// that could not be reached (contract section 5).
const PASSING: &[i64] = &[1_199_065, 1_199_066, 1_113_053, 1_199_997, 1_306_201, 1_306_429, 1_199_002, 1_199_998];

/// Codes that leave open whether a write was carried out.
const OPEN: &[i64] = &[1_199_002, 1_199_066, 1_199_998, 1_199_999, 1_306_000, 1_306_201, 1_306_208];

/// Writes a request for the ESB.
pub(super) fn prepare(request: &Request, endpoint: &Endpoint, stamp: Stamp<'_>) -> Result<Prepared, Refusal> {
    let Value::Object(mut body) = request.arguments.clone() else {
        return Err(Refusal::new(None, "arguments of a call have to be an object"));
    };
    if !WITH_DATA.contains(&request.operation)
        && let Some(Value::Object(data)) = body.remove(DATA)
    {
        body.extend(data);
    }
    for (key, setting) in
        [("bk_app_code", "appCode"), ("bk_username", "username"), ("bk_supplier_account", "supplierAccount")]
    {
        if let Some(value) = endpoint.settings.get(setting) {
            body.insert(key.to_owned(), json!(value));
        }
    }
    for (key, secret) in [("bk_app_secret", "appSecret"), ("bk_token", "token")] {
        if let Some(value) = endpoint.secrets.get(secret) {
            body.insert(key.to_owned(), json!(value.expose_secret()));
        }
    }
    Ok(Prepared {
        method: "POST",
        url: format!("{}/api/c/compapi/v2/cc/{}/", endpoint.url, request.operation),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json".to_owned()),
            ("blueking-language", "en".to_owned()),
            ("x-request-id", stamp.request_id.to_owned()),
        ],
        body: Value::Object(body).to_string().into_bytes(),
    })
}

/// Reads an answer of any door: `code`/`message` or `bk_error_code`/`bk_error_msg`, numbers also as text; anything
/// that is no envelope is a refusal, also under HTTP 200 (contract sections 1.1 to 1.3).
pub(super) fn interpret(reply: &Reply<'_>) -> Result<Value, Refusal> {
    let envelope = serde_json::from_slice(reply.body).ok().and_then(|body| match body {
        Value::Object(envelope) => Some(envelope),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    });
    let Some(mut envelope) = envelope else {
        let text: String = String::from_utf8_lossy(reply.body).trim().chars().take(200).collect();
        let text = if text.is_empty() { "an empty body".to_owned() } else { format!("`{text}`") };
        let passing = matches!(reply.status, 408 | 429 | 500..);
        return Err(Refusal {
            code: None,
            message: format!("answered HTTP {} with {text} instead of an envelope", reply.status),
            retry: if passing { wait(reply) } else { Retry::Never },
            lost: reply.status != 429 && (passing || reply.status == 200),
            request_id: None,
        });
    };
    let code = ["code", "bk_error_code"].iter().find_map(|key| number(envelope.get(*key)?));
    if envelope.get("result") == Some(&Value::Bool(true)) && code.unwrap_or(0) == 0 && reply.status < 300 {
        return Ok(envelope.remove("data").unwrap_or(Value::Null));
    }
    let message = ["message", "bk_error_msg"]
        .iter()
        .find_map(|key| envelope.get(*key)?.as_str())
        .filter(|message| !message.is_empty())
        .map_or_else(|| format!("answered HTTP {} without a message", reply.status), str::to_owned);
    let passing = matches!(reply.status, 429 | 502 | 503 | 504) || code.is_some_and(|code| PASSING.contains(&code));
    let open = matches!(reply.status, 502 | 504) || code.is_some_and(|code| OPEN.contains(&code));
    Err(Refusal {
        code: code.map(|code| code.to_string().into()),
        message,
        retry: if passing { wait(reply) } else { Retry::Never },
        lost: open,
        request_id: None,
    })
}

fn wait(reply: &Reply<'_>) -> Retry {
    reply.retry_after().map_or(Retry::Soon, Retry::After)
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp<'_> = Stamp { request_id: "r1", now: jiff::Timestamp::UNIX_EPOCH };

    #[test]
    fn answers() {
        let check = |status: u16, body: &str, expected: &str| {
            let headers = [("retry-after".to_owned(), "7".to_owned())];
            let headers: &[_] = if status == 429 { &headers } else { &[] };
            let reply = Reply { status, headers, body: body.as_bytes() };
            let told = match interpret(&reply) {
                Ok(data) => data.to_string(),
                Err(refusal) => format!("{refusal}; {:?}, lost: {}", refusal.retry, refusal.lost),
            };
            assert_eq!(told, expected, "{status} {body}");
        };
        check(200, r#"{"result":true,"code":0,"message":"success","data":{"id":5}}"#, r#"{"id":5}"#);
        check(200, r#"{"result":true,"bk_error_code":0,"bk_error_msg":"success","data":null}"#, "null");
        check(
            200,
            r#"{"result":false,"code":"1199019","message":"No relevant data found","data":null}"#,
            "No relevant data found (code 1199019); Never, lost: false",
        );
        check(
            200,
            r#"{"result":false,"bk_error_code":1199997,"bk_error_msg":"too many requests"}"#,
            "too many requests (code 1199997); Soon, lost: false",
        );
        check(
            200,
            "405: Method Not Allowed",
            "answered HTTP 200 with `405: Method Not Allowed` instead of an envelope; Never, lost: true",
        );
        check(
            429,
            r#"{"code":1642903,"code_name":"RATE_LIMIT_RESTRICTION","message":"slow down","result":false}"#,
            "slow down (code 1642903); After(7s), lost: false",
        );
        check(504, "", "answered HTTP 504 with an empty body instead of an envelope; Soon, lost: true");
    }

    #[test]
    fn credentials_go_into_the_body_and_attributes_where_the_component_wants_them() {
        let endpoint = Endpoint {
            url: "http://esb".to_owned(),
            settings: [("appCode", "app".to_owned()), ("username", "admin".to_owned())].into(),
            secrets: [("appSecret", "canary".into())].into(),
        };
        let check = |operation: &'static str, arguments: Value, expected: &str| {
            let request = Request { operation, arguments, repeatable: true };
            let prepared = prepare(&request, &endpoint, STAMP).expect("prepared");
            let body = String::from_utf8(prepared.body.clone()).expect("text");
            assert_eq!(format!("{} {} {body}", prepared.method, prepared.url), expected);
            assert!(!format!("{prepared:?}").contains("canary"));
        };
        check(
            "update_inst",
            json!({"bk_obj_id": "m", "bk_inst_id": 7, "data": {"bk_inst_name": "x"}}),
            r#"POST http://esb/api/c/compapi/v2/cc/update_inst/ {"bk_app_code":"app","bk_app_secret":"canary","bk_inst_id":7,"bk_inst_name":"x","bk_obj_id":"m","bk_username":"admin"}"#,
        );
        check(
            "update_module",
            json!({"bk_module_id": 3, "data": {"bk_module_name": "x"}}),
            r#"POST http://esb/api/c/compapi/v2/cc/update_module/ {"bk_app_code":"app","bk_app_secret":"canary","bk_module_id":3,"bk_username":"admin","data":{"bk_module_name":"x"}}"#,
        );
    }
}

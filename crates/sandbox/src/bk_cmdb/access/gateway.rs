//! The API gateway (section 1.2).

use serde_json::{Value, json};

use super::super::{
    call::{Call, Payload},
    operation::{Route, route},
    world::Version,
};
use super::{
    Admitted, Envelope, Keys, Request, Turned, authorization,
    direct::{language, rid},
    note, segments,
};

/// An error that the gateway makes itself.
fn refused(status: u16, code: i64, name: &str, message: &str) -> Turned {
    let body = json!({"code": code, "code_name": name, "message": message, "result": false, "data": null});
    Turned::json(status, code, &body)
}

fn invalid(message: &str) -> Turned {
    refused(400, 1_640_001, "INVALID_ARGS", message)
}

pub(super) fn admit(request: &Request, keys: &Keys<'_>) -> Result<Admitted, Turned> {
    let stage = request.path.strip_prefix("/api/bk-cmdb/").unwrap_or("");
    let (stage, path) = stage.split_once('/').unwrap_or((stage, ""));
    let route = path
        .strip_prefix("api/v3")
        .filter(|_| stage == "prod")
        .map_or(Route::Unknown, |path| route(true, &request.method, &segments(path), keys.offer));
    let Route::Found(operation, vars) = route else {
        let text = format!("API not found [method={} path={}]", request.method, request.path);
        return Err(refused(404, 1_640_401, "API_NOT_FOUND", &text));
    };
    let known = |mut turned: Turned| {
        turned.operation = Some(operation);
        turned
    };
    let identity = match request.header("x-bkapi-authorization").map(authorization) {
        Some(Some(identity)) => identity,
        Some(None) => {
            return Err(known(invalid(
                "Parameters error [reason=\"request header X-Bkapi-Authorization is not a valid JSON\"]",
            )));
        }
        None => serde_json::Map::new(),
    };
    let text = |name: &str| identity.get(name).and_then(Value::as_str).unwrap_or("");
    let apps = &keys.credentials.apps;
    if !apps.is_empty() {
        if text("bk_app_code").is_empty() {
            return Err(known(invalid("Parameters error [reason=\"app code cannot be empty\"]")));
        }
        if apps.get(text("bk_app_code")).map(String::as_str) != Some(text("bk_app_secret")) {
            return Err(known(invalid("Parameters error [reason=\"app code or app secret is wrong\"]")));
        }
    }
    let token = text("access_token");
    if !token.is_empty() && !keys.credentials.tokens.is_empty() && !keys.credentials.tokens.contains_key(token) {
        return Err(known(invalid("Parameters error [reason=\"access_token is invalid\"]")));
    }
    let named = [text("bk_username"), keys.credentials.tokens.get(token).map_or("", String::as_str)];
    // The user need not be proven, but the CMDB wants one named.
    let user = match named.into_iter().find(|user| !user.is_empty()) {
        Some(user) => user.to_owned(),
        None if keys.credentials.apps.is_empty() && request.header("x-bkapi-authorization").is_none() => {
            "admin".to_owned()
        }
        None => {
            let body = json!({"result": false, "bk_error_code": 1_100_004,
                "bk_error_msg": "call source authentication failed.", "permission": null, "data": null});
            return Err(known(Turned::json(200, 1_100_004, &body)));
        }
    };
    let payload = if operation.method == "GET" { Payload::Empty } else { Payload::of(&request.body) };
    let note = note(&payload);
    let app = Some(text("bk_app_code").to_owned()).filter(|app| !app.is_empty());
    let call =
        Call { vars, payload, user, app, rid: rid(request, keys), language: language(request, keys.offer.version) };
    // Up to 3.13 the api-server does not know the gateway's header and keeps its own names.
    let envelope = if keys.offer.version >= Version::V3_14 { Envelope::Gateway } else { Envelope::Direct };
    Ok(Admitted { operation, call, envelope, foreign: false, note })
}

//! The ESB (section 1.1).

use serde_json::{Map, Value, json};

use super::super::{
    call::{Call, Language, Payload},
    operation::{self, Component},
};
use super::{Admitted, Answer, Envelope, Keys, Request, Turned, authorization, plain};

/// Keys that the ESB takes out of a body before it passes the body on.
const CONSUMED: [&str; 12] = [
    "bk_app_code",
    "app_code",
    "bk_app_secret",
    "app_secret",
    "bk_token",
    "bk_username",
    "username",
    "bk_signature",
    "signature",
    "bk_nonce",
    "bk_timestamp",
    "bk_supplier_account",
];

fn refused(keys: &Keys<'_>, code: i64, message: &str) -> Turned {
    let body = json!({"result": false, "code": code, "message": message, "permission": null,
        "request_id": keys.rid, "data": null});
    Turned::json(200, code, &body)
}

/// Returns the ESB's answer where the CMDB's answer is not JSON.
pub(super) fn not_json(rid: &str) -> Answer {
    let message = "Request interface error, the response content is not a json string";
    let body = json!({"result": false, "code": 1_306_000, "message": message, "permission": null,
        "request_id": rid, "data": null});
    plain(200, body.to_string(), "application/json", rid)
}

pub(super) fn admit(request: &Request, keys: &Keys<'_>) -> Result<Admitted, Turned> {
    let name = request.path.strip_prefix("/api/c/compapi/v2/cc/").unwrap_or("");
    let name = name.strip_suffix('/').unwrap_or(name);
    let known = operation::component(name, keys.offer).map(|(operation, _)| operation);
    let get = known.is_some_and(|operation| operation.esb == Component::Get);
    let method = request.method == "POST" || (get && request.method == "GET");
    let Some(operation) = known.filter(|_| method) else {
        return Err(refused(keys, 1_306_404, "Component class not found by path"));
    };
    let with = |mut turned: Turned| {
        turned.operation = Some(operation);
        turned
    };
    let body = if request.method == "GET" {
        query(&request.query)
    } else if request.body.is_empty() {
        Map::new()
    } else {
        let read = serde_json::from_slice(&request.body);
        read.map_err(|_| {
            with(refused(keys, 1_306_406, "Request JSON string is wrong in format, which cannot be analyzed"))
        })?
    };
    // With the header the body is not looked at for credentials: nothing is merged.
    let header = request.header("x-bkapi-authorization");
    let identity = match header.map(authorization) {
        Some(Some(identity)) => identity,
        Some(None) => {
            return Err(with(refused(keys, 1_306_406, "request header X-Bkapi-Authorization is not a valid JSON")));
        }
        None => body.clone(),
    };
    let text = |names: [&str; 2]| names.into_iter().find_map(|name| identity.get(name)?.as_str()).unwrap_or("");
    let (app, secret) = (text(["bk_app_code", "app_code"]), text(["bk_app_secret", "app_secret"]));
    let credentials = keys.credentials;
    if !credentials.apps.is_empty() && (app.is_empty() || credentials.apps.get(app).map(String::as_str) != Some(secret))
    {
        let text = if app.is_empty() {
            "Parameters error [reason=\"bk_app_code cannot be empty\"]"
        } else {
            "Parameters error [reason=\"bk_app_code or bk_app_secret is incorrect\"]"
        };
        return Err(with(refused(keys, 1_306_406, text)));
    }
    let token = text(["bk_token", "access_token"]);
    let named = text(["bk_username", "username"]);
    let user = credentials.tokens.get(token).map_or(named, String::as_str);
    let verified = !credentials.apps.is_empty() || !credentials.users.is_empty();
    let unknown = !credentials.users.is_empty() && !credentials.users.iter().any(|known| known == user);
    if verified && (user.is_empty() || unknown) {
        let text = "User authentication failed, please provide a valid user identity, such as bk_username, bk_token";
        return Err(with(refused(keys, 1_306_406, text)));
    }
    let user = if user.is_empty() { "admin" } else { user }.to_owned();
    let app = Some(app.to_owned()).filter(|app| !app.is_empty());
    let mut admitted = component(name, body, user, app, keys)?;
    admitted.call.language = Language::of(request.header("blueking-language"));
    Ok(admitted)
}

/// Hands a body on to a component.
pub(super) fn component(
    name: &str,
    mut body: Map<String, Value>,
    user: String,
    app: Option<String>,
    keys: &Keys<'_>,
) -> Result<Admitted, Turned> {
    let Some((operation, names)) = operation::component(name, keys.offer) else {
        return Err(refused(keys, 1_306_404, "Component class not found by path"));
    };
    let account = body.get("bk_supplier_account").and_then(Value::as_str).unwrap_or("0").to_owned();
    for consumed in CONSUMED {
        body.remove(consumed);
    }
    let mut note = body.clone();
    // A token is no business of the list of calls, although the ESB hands it on.
    note.remove("access_token");
    let note = Value::Object(note);
    let mut vars = Vec::with_capacity(names.len());
    for name in names {
        let value = match body.remove(name) {
            Some(Value::String(text)) => text,
            Some(Value::Null) | None if name == "bk_supplier_account" => account.clone(),
            Some(Value::Null) | None => {
                let mut turned = refused(keys, 1_306_406, &format!("param {name} is required"));
                turned.operation = Some(operation);
                return Err(turned);
            }
            Some(other) => other.to_string(),
        };
        vars.push((name, value));
    }
    let payload = match operation.esb {
        // Without a component only calls come that need none.
        Component::Flat | Component::None => Payload::Json(Value::Object(body)),
        Component::Data => Payload::Json(body.remove("data").unwrap_or(Value::Null)),
        Component::Only(wanted) => {
            body.retain(|name, _| wanted.contains(&name.as_str()));
            Payload::Json(Value::Object(body))
        }
        Component::Exactly(wanted) => {
            if let Some(missing) = wanted.iter().find(|name| body.get(**name).is_none_or(Value::is_null)) {
                let mut turned = refused(keys, 1_306_406, &format!("param {missing} is required"));
                turned.operation = Some(operation);
                return Err(turned);
            }
            body.retain(|name, _| wanted.contains(&name.as_str()));
            Payload::Json(Value::Object(body))
        }
        Component::Hosts => Payload::Json(with_hosts(body)),
        Component::Get => Payload::Empty,
    };
    let call = Call { vars, payload, user, app, rid: keys.rid.clone(), language: Language::default() };
    Ok(Admitted { operation, call, envelope: Envelope::Esb, foreign: account != "0", note })
}

/// Returns the `data` of a body with the ids of its hosts, which a list has joined by comma.
fn with_hosts(mut body: Map<String, Value>) -> Value {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let ids = match body.remove("bk_host_id") {
        Some(Value::Array(ids)) => ids.iter().map(text).collect::<Vec<_>>().join(","),
        Some(id) => text(&id),
        None => return body.remove("data").unwrap_or(Value::Null),
    };
    let mut data = body.remove("data").and_then(|data| data.as_object().cloned()).unwrap_or_default();
    data.insert("bk_host_id".to_owned(), ids.into());
    Value::Object(data)
}

/// Reads a query string as an object of texts.
fn query(query: &str) -> Map<String, Value> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value).into()))
        .collect()
}

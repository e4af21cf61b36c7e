//! The api-server itself (section 1.3).

use serde_json::{Value, json};

use super::super::{
    call::{Call, Language, Payload},
    operation::{Route, begins_known, route},
    world::Version,
};
use super::{Admitted, Envelope, Keys, Request, Turned, note, segments};

/// The header with its legacy name.
fn header<'a>(request: &'a Request, version: Version, new: &str, legacy: &[&str]) -> Option<&'a str> {
    let new = if version >= Version::V3_14 { request.header(new) } else { None };
    new.or_else(|| legacy.iter().find_map(|name| request.header(name))).filter(|value| !value.is_empty())
}

/// Errors of the api-server itself, which keep their names behind every access.
fn refused(code: i64, text: &str) -> Turned {
    let body = json!({"result": false, "bk_error_code": code, "bk_error_msg": text, "permission": null, "data": null});
    let mut turned = Turned::json(500, code, &body);
    turned.kind = "text/plain";
    turned
}

/// The language that a request asks for. The server's own default is Chinese; here it is English, as in the recordings.
pub(super) fn language(request: &Request, version: Version) -> Language {
    Language::of(header(request, version, "x-bkcmdb-language", &["http_blueking_language"]))
}

/// The request id that a request brings.
pub(super) fn rid(request: &Request, keys: &Keys<'_>) -> String {
    let sent =
        ["x-request-id", "x-bkapi-request-id", "cc_request_id"].into_iter().find_map(|name| request.header(name));
    sent.map_or_else(|| keys.rid.clone(), str::to_owned)
}

pub(super) fn admit(request: &Request, keys: &Keys<'_>) -> Result<Admitted, Turned> {
    let Some(path) = request.path.strip_prefix("/api/v3").filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return Err(Turned::text(404, "404: Page Not Found"));
    };
    if request.path.contains("//") {
        let mut clean = request.path.clone();
        while clean.contains("//") {
            clean = clean.replace("//", "/");
        }
        let mut turned = Turned::text(307, "");
        turned.headers.push(("location".to_owned(), clean));
        return Err(turned);
    }
    let accept = request.header("accept").unwrap_or("*/*");
    if !(accept.is_empty() || accept.contains("json") || accept.contains("*/*") || accept.contains("application/*")) {
        return Err(Turned::text(406, "406: Not Acceptable"));
    }
    if request.method == "HEAD" {
        return Err(Turned::text(405, ""));
    }
    if request.method == "PATCH" {
        return Err(Turned::text(405, "405: Method Not Allowed"));
    }
    let segments = segments(path);
    let route = route(false, &request.method, &segments, keys.offer);
    // By its beginning a path goes to some service, which then may not know the rest. Nor is the root looked for.
    let handed_on = segments.first().is_some_and(|first| first == "api") || begins_known(&segments);
    if matches!(route, Route::Unknown) && !handed_on {
        return Err(refused(1_199_998, "rewrite request failed, unknown requested with backend process"));
    }
    let operation = if let Route::Found(operation, _) = &route { Some(*operation) } else { None };
    let missing = |what: &str| {
        let mut turned = refused(1_199_027, &format!("'{what}' authorization information query failed"));
        turned.operation = operation;
        turned
    };
    let Some(user) = header(request, keys.offer.version, "x-bkcmdb-user", &["bk_user"]) else {
        return Err(missing("user"));
    };
    let legacy = ["http_bk_supplier_account", "http_blueking_supplier_id"];
    let Some(account) = header(request, keys.offer.version, "x-bkcmdb-supplier-account", &legacy) else {
        return Err(missing("owner_id"));
    };
    match route {
        Route::WrongMethod => Err(Turned::text(200, "405: Method Not Allowed")),
        Route::Unknown => Err(Turned::text(200, "404: Page Not Found")),
        Route::Found(operation, vars) => {
            let payload = if operation.method == "GET" { Payload::Empty } else { Payload::of(&request.body) };
            let note: Value = note(&payload);
            let app = header(request, keys.offer.version, "x-bkcmdb-app-code", &["bk-app-code"]).map(str::to_owned);
            let language = language(request, keys.offer.version);
            let call = Call { vars, payload, user: user.to_owned(), app, rid: rid(request, keys), language };
            Ok(Admitted { operation, call, envelope: Envelope::Direct, foreign: account != "0", note })
        }
    }
}

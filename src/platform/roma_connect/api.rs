//! The way in: REST under `/v2/{project_id}/instances`, with `X-Auth-Token` or signed with an access key (contract
//! sections 2, 4 and 6).

use secrecy::ExposeSecret;
use serde_json::Value;

use super::{
    codes,
    sign::{self, Subject, sign},
};
use crate::{
    model::{Json, KeyPool, Refusal, Request, Retry},
    provider::{
        CredentialStatus, Endpoint,
        Method::{self, Delete, Get, Post, Put},
        Prepared, Reply, RequestContext,
    },
};

/// Operations by their names in the vendor's SDKs: method, path behind the project, and the arguments that go into the
/// query. What stands in braces is taken from the arguments.
const OPERATIONS: &[(&str, Method, &str, &[&str])] = &[
    ("CheckRomaInstanceListV2", Get, "instances", &["limit", "offset"]),
    ("ListRomaApp", Get, "instances/{instance_id}/apps", &["limit", "offset"]),
    ("CheckRomaAppDetails", Get, "instances/{instance_id}/apps/{app_id}", &[]),
    ("ValidateRomaApp", Get, "instances/{instance_id}/validate-apps", &["id", "name"]),
    ("CheckAuthUsersOfApp", Get, "instances/{instance_id}/apps/{app_id}/users", &[]),
    ("CreateRomaApp", Post, "instances/{instance_id}/apps", &[]),
    ("UpdateRomaApp", Put, "instances/{instance_id}/apps/{app_id}", &[]),
    ("DeleteRomaApp", Delete, "instances/{instance_id}/apps/{app_id}", &[]),
    ("AddUserToApp", Put, "instances/{instance_id}/apps/{app_id}/users", &[]),
];

/// Returns the name of an operation as this table spells it.
pub(super) fn operation(name: &str) -> Option<&'static str> {
    OPERATIONS.iter().map(|(known, ..)| *known).find(|known| *known == name)
}

/// Returns true if an operation only reads.
pub(super) fn is_read(operation: &str) -> bool {
    OPERATIONS.iter().any(|(name, method, ..)| *name == operation && *method == Get)
}

/// Writes a request. Arguments go into the path and the query where the operation has places for them, those of a
/// write into the body.
pub(super) fn prepare(request: &Request, endpoint: &Endpoint, stamp: RequestContext<'_>) -> Result<Prepared, Refusal> {
    let Some((_, method, path, query)) = OPERATIONS.iter().find(|(name, ..)| *name == request.operation) else {
        return Err(Refusal::new(None, format!("unknown operation `{}`", request.operation)));
    };
    let Value::Object(mut arguments) = request.arguments.clone() else {
        return Err(Refusal::new(None, "arguments of a call have to be an object"));
    };
    let project = segment(endpoint.settings.get("projectId").map(String::as_str), "projectId")?;
    let mut full = format!("/v2/{project}");
    for part in path.split('/') {
        full.push('/');
        let Some(name) = part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else {
            full.push_str(part);
            continue;
        };
        let value = arguments.remove(name).unwrap_or_default();
        // An app that the run creates is known by its whole handle.
        full.push_str(segment(value["app"].as_str().or_else(|| value.as_str()), name)?);
    }
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let query: Vec<_> = query.iter().filter_map(|key| Some((*key, text(arguments.remove(*key)?)))).collect();
    let query = sign::query(query.iter().map(|(key, value)| (*key, value.as_str())).collect());
    let has_body = matches!(*method, Post | Put);
    let body = if has_body { Value::Object(arguments).to_string().into_bytes() } else { Vec::new() };
    let draft = Draft {
        method: *method,
        url: &endpoint.url,
        path: full,
        query,
        content_type: JSON,
        body,
        project: Some(project),
    };
    Ok(authorized(draft, endpoint, stamp))
}

/// The type of all bodies.
const JSON: &str = "application/json;charset=utf-8";

/// A request without its credentials.
pub(super) struct Draft<'a> {
    /// Method.
    pub(super) method: Method,
    /// Root of the service.
    pub(super) url: &'a str,
    /// Path below the root, encoded.
    pub(super) path: String,
    /// Query as [`sign::query`] writes it.
    pub(super) query: String,
    /// Type of the body.
    pub(super) content_type: &'static str,
    /// Body; empty for none.
    pub(super) body: Vec<u8>,
    /// The project that is called.
    pub(super) project: Option<&'a str>,
}

/// Adds the credentials: a signature where there is an access key, else the token.
///
/// Signed is only what nobody on the way has reason to rewrite.
pub(super) fn authorized(draft: Draft<'_>, endpoint: &Endpoint, stamp: RequestContext<'_>) -> Prepared {
    let Draft { method, url, path, query, content_type, body, project } = draft;
    let mut headers = vec![
        ("content-type", content_type.to_owned()),
        ("accept", "application/json".to_owned()),
        ("x-request-id", stamp.request_id.to_owned()),
    ];
    let secret = |key: &str| endpoint.secrets.get(key).map(ExposeSecret::expose_secret);
    if let (Some(access), Some(key)) = (secret("ak"), secret("sk")) {
        let (host, root) = split(url);
        let mut signed = vec![("host", host), ("x-sdk-date", sign::date(stamp.now))];
        signed.extend(project.map(|project| ("x-project-id", project.to_owned())));
        signed.extend(secret("securityToken").map(|token| ("x-security-token", token.to_owned())));
        let sent = signed.len();
        if !body.is_empty() {
            signed.push(("content-type", content_type.to_owned()));
        }
        let subject = Subject {
            method: method.as_str(),
            path: &format!("{root}{path}"),
            query: &query,
            headers: signed.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            body: &body,
        };
        let signature = sign(&subject, access, key);
        signed.truncate(sent);
        headers.extend(signed.into_iter().skip(1));
        headers.extend(signature.added.map(|(name, value)| (name, value.to_owned())));
        headers.push(("authorization", signature.authorization));
    } else if let Some(token) = secret("token") {
        headers.push(("x-auth-token", token.to_owned()));
    }
    let mark = if query.is_empty() { "" } else { "?" };
    Prepared { method, url: format!("{url}{path}{mark}{query}"), headers, body }
}

/// Splits a root into the host, as the `Host` header has it, and the path.
fn split(url: &str) -> (String, &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.to_ascii_lowercase();
    let default = if scheme.eq_ignore_ascii_case("http") { ":80" } else { ":443" };
    (host.strip_suffix(default).map_or_else(|| host.clone(), str::to_owned), path)
}

/// Ids with anything else in them are split or re-encoded by the vendor's own SDKs (contract section 6).
pub(super) fn segment<'a>(id: Option<&'a str>, what: &str) -> Result<&'a str, Refusal> {
    let id = id.unwrap_or_default();
    let fits = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if fits { Ok(id) } else { Err(Refusal::new(None, format!("`{what}` is not an id: `{id}`"))) }
}

/// Reads an answer. Codes lie under several names, depending on the layer that answered (contract section 4).
pub(super) fn interpret(reply: &Reply<'_>, keys: &mut KeyPool) -> Result<Json, Refusal> {
    if (200..300).contains(&reply.status) {
        return match reply.json(keys) {
            Ok(body) => Ok(body),
            Err(_) if reply.body.is_empty() => Ok(Json::NULL),
            Err(_) => Err(Refusal {
                code: None,
                message: format!("answered HTTP {} with something that is not JSON", reply.status),
                retry: Retry::Soon,
                lost: true,
                request_id: None,
            }),
        };
    }
    Err(refusal(reply, "answered"))
}

/// Reads why there is no data in an answer; `who` begins the message.
pub(super) fn refusal(reply: &Reply<'_>, who: &str) -> Refusal {
    let body: Option<Value> = serde_json::from_slice(reply.body).ok();
    let told = body.as_ref().and_then(|body| {
        std::iter::once(body).chain(body.as_object().into_iter().flat_map(|body| body.values())).find_map(code)
    });
    let (code, message) = told.unwrap_or_else(|| (reply.status.to_string(), "without a message".to_owned()));
    let meaning = codes::meaning(&code, reply.status);
    let hint = codes::hint(&code, &message).map(|hint| format!(": {hint}")).unwrap_or_default();
    let message = format!("{who} HTTP {}: {}{hint}", reply.status, redacted(message.trim_end_matches('.')));
    let request_id = reply.header("x-request-id").map(Into::into);
    let (retry, lost) = (meaning.retry(reply.retry_after()), meaning.is_open());
    Refusal { code: Some(code.into()), message, retry, lost, request_id }
}

fn code(body: &Value) -> Option<(String, String)> {
    [("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message")].iter().find_map(|(code, message)| {
        let code = match body.get(code)? {
            Value::String(code) => short(code),
            other => other.to_string(),
        };
        let message = body.get(message)?.as_str()?;
        let details = body.get("error_details").and_then(Value::as_str).filter(|details| *details != message);
        Some((code, details.map_or_else(|| message.to_owned(), |details| format!("{message} ({details})"))))
    })
}

/// Takes tokens out of a canonical request that the gateway shows, with `|` between its lines.
fn redacted(message: &str) -> String {
    let mut parts: Vec<&str> = message.split('|').collect();
    for part in &mut parts {
        for header in ["x-security-token:", "x-auth-token:"] {
            if let Some(at) = part.to_ascii_lowercase().find(header) {
                *part = &part[..at + header.len()];
            }
        }
    }
    parts.join("|")
}

/// Says what a refusal means for the credentials: a key that is not accepted is not to be tried again.
pub(super) fn credential_status(endpoint: &Endpoint, refusal: &Refusal) -> CredentialStatus {
    if !codes::is_unauthorized(refusal) {
        CredentialStatus::Sound
    } else if endpoint.secrets.contains_key("ak") {
        CredentialStatus::Rejected
    } else {
        CredentialStatus::Stale
    }
}

/// One code has two spellings, `ROMA.13000` and `ROMA.00013000`: zeros behind the dot do not count.
fn short(code: &str) -> String {
    match code.split_once('.') {
        Some((prefix, number)) => format!("{prefix}.{}", number.trim_start_matches('0')),
        None => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STAMP: RequestContext<'_> = RequestContext { request_id: "r1", now: jiff::Timestamp::UNIX_EPOCH };

    #[test]
    fn answers() {
        let check = |status: u16, body: &str, expected: &str| {
            let received = jiff::Timestamp::UNIX_EPOCH;
            let reply = Reply { status, headers: &[], body: body.as_bytes(), parsed: None, received };
            let told = match interpret(&reply, &mut KeyPool::default()) {
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
            "answered HTTP 400: name exists: an app of this instance has the name, perhaps one that this identity does not \
             see (code ROMA.14011); Never, lost: false",
        );
        check(
            401,
            r#"{"error":{"code":401,"message":"no","title":"Unauthorized"}}"#,
            "answered HTTP 401: no (code 401); Never, lost: false",
        );
        check(
            401,
            r#"{"error_code":"APIC.0301","error_msg":"verify aksk signature fail, GET|x-security-token:canary|x-sdk-date:1"}"#,
            "answered HTTP 401: verify aksk signature fail, GET|x-security-token:|x-sdk-date:1: the secret key is wrong, \
             or something on the way rewrites requests (code APIC.301); Never, lost: false",
        );
        for status in [408, 500, 502, 503, 504, 520, 522, 524, 599] {
            let expected = format!("answered HTTP {status}: without a message (code {status}); Soon, lost: true");
            check(status, "<html>", &expected);
        }
        check(
            503,
            r#"{"error_code":"APIG.0204","error_msg":"busy"}"#,
            "answered HTTP 503: busy (code APIG.204); Soon, lost: false",
        );
        check(
            504,
            r#"{"error_code":"APIG.0201","error_msg":"Backend timeout"}"#,
            "answered HTTP 504: Backend timeout (code APIG.201); Soon, lost: true",
        );
        check(404, "<html>", "answered HTTP 404: without a message (code 404); Never, lost: false");
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

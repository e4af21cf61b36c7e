//! Answers: three envelopes, errors of the gateway, plain text under HTTP 200 (contract sections 1 and 5).
//!
//! Codes decide, never texts, and the HTTP status only where there is no code.

use serde_json::{Map, Value};

use super::table;
use crate::{
    model::{Refusal, Request, Retry},
    provider::Reply,
};

/// Codes of limiters.
const SLOWER: &[i64] = &[1_199_997, 1_306_429, 1_642_901, 1_642_902, 1_642_903, 1_642_904];
/// Codes after which the same request may well succeed: locks, transactions, hops that could not be reached.
const PASSING: &[i64] = &[1_199_002, 1_199_065, 1_199_066, 1_113_053, 1_306_201, 1_650_200, 1_650_201, 1_650_401];
/// Codes that leave open whether a write was carried out.
const OPEN: &[i64] =
    &[1_199_002, 1_199_066, 1_199_999, 1_306_000, 1_306_201, 1_306_208, 1_650_200, 1_650_201, 1_650_401];
/// Codes of the ESB and the gateway for an operation that they do not have.
const ABSENT: &[i64] = &[1_306_404, NO_ROUTE];
/// Code of the gateway for a path that it does not know, such as one of another stage.
const NO_ROUTE: i64 = 1_640_401;
/// Code of the ESB for an answer of the server that is no JSON.
const NO_JSON: i64 = 1_306_000;
/// Code for what has no code of its own. With HTTP 500 it is the server's front: it does not know the path, or could
/// not reach the service behind it.
const UNCODED: i64 = 1_199_998;
/// The server's front on a path that it does not know. Its code does not tell that from a service it cannot reach.
const NO_PATH: &str = "rewrite request failed";
/// Code for a field that a template owns.
const FIXED: i64 = 1_199_083;
/// Code for a missing permission.
const FORBIDDEN: i64 = 9_900_403;

/// Reads an answer of any access.
pub(in crate::platform::bk_cmdb) fn interpret(request: &Request, reply: &Reply<'_>) -> Result<Value, Refusal> {
    let envelope = match serde_json::from_slice(reply.body) {
        Ok(Value::Object(envelope)) => Envelope(envelope),
        _ => return Err(Refusal { request_id: id(None, reply), ..bare(request, reply) }),
    };
    // A number that is an HTTP status was put there by something on the way.
    let code = envelope.code().filter(|code| !open(reply.status) || !(100..600).contains(code));
    if envelope.0.get("result") == Some(&Value::Bool(true)) && code.unwrap_or(0) == 0 && reply.status < 300 {
        return Ok(envelope.data());
    }
    let message = envelope.message(reply.status);
    let request_id = id(Some(&envelope), reply);
    // A read that came with a later version and fails in a way that an older server would have too is done in the
    // older way.
    let maybe_absent = table::since(request.operation).is_some() && table::is_read(request.operation);
    let is_absent = match code {
        Some(NO_JSON) => maybe_absent,
        Some(UNCODED) => maybe_absent && reply.status >= 500,
        Some(code) => ABSENT.contains(&code),
        None => false,
    };
    if is_absent {
        let code = code.unwrap_or_default();
        let is_stage = code == NO_ROUTE && table::since(request.operation).is_none();
        let message = if is_stage { format!("{message}; check `stage` and `endpoint`") } else { message };
        return Err(Refusal { request_id, ..Refusal::absent(request.operation, &format!("{message} (code {code})")) });
    }
    if code == Some(UNCODED) && message.starts_with(NO_PATH) {
        let message = format!("{message}; check `endpoint`: it is the root of the server, without a path");
        return Err(Refusal { request_id, ..Refusal::new(Some(UNCODED.to_string().into()), message) });
    }
    let front = code == Some(UNCODED) && (reply.status >= 500 || envelope.is_esb());
    let known = |codes: &[i64]| code.is_some_and(|code| codes.contains(&code));
    let retry = if known(SLOWER) || reply.status == 429 {
        Retry::Slower(reply.retry_after())
    } else if known(PASSING) || front || (code.is_none() && open(reply.status)) {
        wait(reply)
    } else {
        Retry::Never
    };
    Err(Refusal {
        code: code.map(|code| code.to_string().into()),
        message: match (envelope.needed(), advice(request, code)) {
            (Some(needed), _) => format!("{message}; needed: {needed}"),
            (None, Some(advice)) => format!("{message}; {advice}"),
            (None, None) => message,
        },
        retry,
        lost: known(OPEN) || front || (code.is_none() && open(reply.status)),
        request_id,
    })
}

/// Returns what people can do about a refusal that does not say it.
fn advice(request: &Request, code: Option<i64>) -> Option<&'static str> {
    let is_fixed = request.operation == "update_module" && code == Some(FIXED);
    is_fixed.then_some(
        "the module's service template fixes it: change it there and sync the module, or leave it out of the manifest",
    )
}

/// An answer that is an object.
struct Envelope(Map<String, Value>);

impl Envelope {
    /// `code` or `bk_error_code`, a number or a text of one.
    fn code(&self) -> Option<i64> {
        let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
        ["code", "bk_error_code"].iter().find_map(|key| number(self.0.get(*key)?))
    }

    fn message(&self, status: u16) -> String {
        let text = |key: &&str| self.0.get(*key)?.as_str().filter(|text| !text.is_empty());
        let found = ["message", "bk_error_msg"].iter().find_map(text);
        found.map_or_else(|| format!("answered HTTP {status} without a message"), str::to_owned)
    }

    fn data(mut self) -> Value {
        self.0.remove("data").unwrap_or(Value::Null)
    }

    /// The ESB alone puts its request id into the body.
    fn is_esb(&self) -> bool {
        self.0.contains_key("request_id")
    }

    /// The actions that the account would have to be allowed.
    fn needed(&self) -> Option<String> {
        if self.code() != Some(FORBIDDEN) {
            return None;
        }
        let actions = self.0.get("permission")?.get("actions")?.as_array()?;
        let name = |action: &Value| {
            let id = action.get("id")?.as_str()?;
            let name = action.get("name").and_then(Value::as_str).filter(|name| !name.is_empty() && *name != id);
            Some(name.map_or_else(|| format!("`{id}`"), |name| format!("`{id}` ({name})")))
        };
        let names: Vec<_> = actions.iter().filter_map(name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }
}

/// An answer without an envelope.
fn bare(request: &Request, reply: &Reply<'_>) -> Refusal {
    let text: String = String::from_utf8_lossy(reply.body).trim().chars().take(200).collect();
    // The server's front puts the status into the text, and 200 into the status.
    let said = text.split_once(": ").and_then(|(code, _)| code.parse::<u16>().ok());
    let maybe_absent = table::since(request.operation).is_some() && table::is_read(request.operation);
    let is_garbled = reply.status == 200 && text.starts_with('{');
    if matches!(said, Some(404 | 405)) && matches!(reply.status, 200 | 404 | 405) || (maybe_absent && is_garbled) {
        return Refusal::absent(request.operation, &format!("answered `{text}`"));
    }
    let text = if text.is_empty() { "an empty body".to_owned() } else { format!("`{text}`") };
    Refusal {
        code: None,
        message: format!("answered HTTP {} with {text} instead of an envelope", reply.status),
        retry: match reply.status {
            429 => Retry::Slower(reply.retry_after()),
            status if open(status) => wait(reply),
            _ => Retry::Never,
        },
        lost: open(reply.status) || reply.status == 200,
        request_id: None,
    }
}

/// Returns true for statuses that anything on the way may give, whether or not the server got the request. A proxy says
/// 503 too when the connection broke behind it.
fn open(status: u16) -> bool {
    matches!(status, 408 | 500..)
}

fn wait(reply: &Reply<'_>) -> Retry {
    reply.retry_after().map_or(Retry::Soon, Retry::After)
}

/// The platform's own id of the request.
fn id(envelope: Option<&Envelope>, reply: &Reply<'_>) -> Option<std::sync::Arc<str>> {
    let body = envelope.and_then(|envelope| envelope.0.get("request_id")?.as_str());
    let header = || ["x-bkapi-request-id", "x-request-id"].iter().find_map(|name| reply.header(name));
    body.or_else(header).filter(|id| !id.is_empty()).map(Into::into)
}

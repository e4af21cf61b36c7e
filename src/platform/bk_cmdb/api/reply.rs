//! Answers: three envelopes, errors of the gateway, plain text under HTTP 200 (contract sections 1 and 5).
//!
//! Codes decide, never texts, and the HTTP status only where there is no code.

use super::table;
use crate::{
    model::{Json, KeyPool, Refusal, Request},
    platform::bk_cmdb::codes::{
        CODES, FIXED, FORBIDDEN, FRONT, GARBLED, NEWER_READ, NEWER_READ_5XX, NO_ENVELOPE, NO_PATH, NO_ROUTE, REASON,
        REWRITE_FAILED, UNKNOWN_PATH, WRAPPED,
    },
    provider::{
        Reply,
        codes::{Meaning, of_code, of_status},
    },
};

/// Reads an answer of any access.
pub(in crate::platform::bk_cmdb) fn interpret(
    request: &Request,
    reply: &Reply<'_>,
    keys: &mut KeyPool,
) -> Result<Json, Refusal> {
    let envelope = match reply.json(keys) {
        Ok(envelope) if envelope.is_object() => Envelope(envelope),
        _ => return Err(Refusal { request_id: id(None, reply), ..bare(request, reply) }),
    };
    // A number that is an HTTP status was put there by something on the way.
    let code = envelope.code().filter(|code| !is_open(reply.status) || !(100..600).contains(code));
    if envelope.0["result"] == true && code.unwrap_or(0) == 0 && reply.status < 300 {
        return Ok(envelope.data());
    }
    let message = envelope.message(reply.status);
    let request_id = id(Some(&envelope), reply);
    let case = |case: &str| match case {
        NEWER_READ => is_newer_read(request),
        NEWER_READ_5XX => is_newer_read(request) && reply.status >= 500,
        UNKNOWN_PATH => message.starts_with(REWRITE_FAILED),
        WRAPPED => request.operation == "transfer_host_module" && message.contains(REASON),
        FRONT => reply.status >= 500 || envelope.is_esb(),
        _ => false,
    };
    let by_status = || of_status(CODES, reply.status, case).map_or(Meaning::Stop, |row| row.meaning);
    let row = code.and_then(|code| of_code(CODES, &code.to_string(), case));
    let meaning = match (row, code) {
        (Some(row), _) if row.meaning == Meaning::Missing || reply.status != 429 => row.meaning,
        (None, Some(_)) if reply.status != 429 => Meaning::Stop,
        _ => by_status(),
    };
    if meaning == Meaning::Missing {
        let code = code.unwrap_or_default();
        let is_stage = code == NO_PATH && table::since(request.operation).is_none();
        let message = if is_stage { format!("{message}; check `stage` and `endpoint`") } else { message };
        return Err(Refusal { request_id, ..Refusal::absent(request.operation, &format!("{message} (code {code})")) });
    }
    let message = if row.is_some_and(|row| row.case == UNKNOWN_PATH) {
        format!("{message}; check `endpoint`: it is the root of the server, without a path")
    } else {
        match (envelope.needed(), advice(request, code)) {
            (Some(needed), _) => format!("{message}; needed: {needed}"),
            (None, Some(advice)) => format!("{message}; {advice}"),
            (None, None) => message,
        }
    };
    Err(Refusal {
        code: code.map(|code| code.to_string().into()),
        message,
        retry: meaning.retry(reply.retry_after()),
        lost: meaning.is_open(),
        request_id,
    })
}

/// Returns true for a read that came with a later version. One that fails in a way that an older server would have too is
/// done in the older way.
fn is_newer_read(request: &Request) -> bool {
    table::since(request.operation).is_some() && table::is_read(request.operation)
}

/// Returns what people can do about a refusal that does not say it.
fn advice(request: &Request, code: Option<i64>) -> Option<&'static str> {
    let is_fixed = request.operation == "update_module" && code == Some(FIXED);
    is_fixed.then_some(
        "the module's service template fixes it: change it there and sync the module, or leave it out of the manifest",
    )
}

/// An answer that is an object.
struct Envelope(Json);

impl Envelope {
    /// `code` or `bk_error_code`, a number or a text of one.
    fn code(&self) -> Option<i64> {
        let number = |value: &Json| value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
        ["code", "bk_error_code"].iter().find_map(|key| number(self.0.get(key)?))
    }

    fn message(&self, status: u16) -> String {
        let text = |key: &&str| self.0.get(key)?.as_str().filter(|text| !text.is_empty());
        let found = ["message", "bk_error_msg"].iter().find_map(text);
        found.map_or_else(|| format!("answered HTTP {status} without a message"), str::to_owned)
    }

    fn data(&self) -> Json {
        self.0["data"].clone()
    }

    /// The ESB alone puts its request id into the body.
    fn is_esb(&self) -> bool {
        self.0.get("request_id").is_some()
    }

    /// The actions that the account would have to be allowed.
    fn needed(&self) -> Option<String> {
        if self.code() != Some(FORBIDDEN) {
            return None;
        }
        let actions = self.0.get("permission")?.get("actions")?.as_array()?;
        let name = |action: &Json| {
            let id = action.get("id")?.as_str()?;
            let name = action.get("name").and_then(Json::as_str).filter(|name| !name.is_empty() && *name != id);
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
    let case = |case: &str| match case {
        NO_ROUTE => matches!(said, Some(404 | 405)),
        GARBLED => is_newer_read(request) && text.starts_with('{'),
        NO_ENVELOPE => true,
        _ => false,
    };
    let meaning = of_status(CODES, reply.status, case).map_or(Meaning::Stop, |row| row.meaning);
    if meaning == Meaning::Missing {
        return Refusal::absent(request.operation, &format!("answered `{text}`"));
    }
    let text = if text.is_empty() { "an empty body".to_owned() } else { format!("`{text}`") };
    Refusal {
        code: None,
        message: format!("answered HTTP {} with {text} instead of an envelope", reply.status),
        retry: meaning.retry(reply.retry_after()),
        lost: meaning.is_open(),
        request_id: None,
    }
}

/// Returns true for statuses that anything on the way may give, whether or not the server got the request.
fn is_open(status: u16) -> bool {
    of_status(CODES, status, |_| false).is_some_and(|row| row.meaning.is_open())
}

/// The platform's own id of the request.
fn id(envelope: Option<&Envelope>, reply: &Reply<'_>) -> Option<std::sync::Arc<str>> {
    let body = envelope.and_then(|envelope| envelope.0.get("request_id")?.as_str());
    let header = || ["x-bkapi-request-id", "x-request-id"].iter().find_map(|name| reply.header(name));
    body.or_else(header).filter(|id| !id.is_empty()).map(Into::into)
}

//! The three accesses: how a request becomes a call, and how its outcome becomes an answer (section 1).

use serde_json::{Map, Value, json};

use crate::simulator::{Answer, Request};

use super::{
    call::{Call, Payload},
    operation::{Offer, Operation},
    refusal::{Outcome, Reply},
};

mod direct;
mod esb;
mod gateway;

/// The envelope of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    Esb,
    Gateway,
    Direct,
}

/// A request that is to run.
pub(super) struct Admitted {
    pub(super) operation: &'static Operation,
    pub(super) call: Call,
    pub(super) envelope: Envelope,
    /// True if the call belongs to another supplier account, which sees no data.
    pub(super) foreign: bool,
    /// The body for the list of calls, without credentials.
    pub(super) note: Value,
}

/// A request that an access turned away.
pub(super) struct Turned {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) kind: &'static str,
    pub(super) code: Value,
    pub(super) headers: Vec<(String, String)>,
    /// The operation asked for, where that is known.
    pub(super) operation: Option<&'static Operation>,
}

impl Turned {
    fn text(status: u16, text: &str) -> Self {
        Self::new(status, text.to_owned(), "text/plain", Value::Null)
    }

    fn new(status: u16, body: String, kind: &'static str, code: Value) -> Self {
        Self { status, body, kind, code, headers: Vec::new(), operation: None }
    }

    fn json(status: u16, code: i64, body: &Value) -> Self {
        Self::new(status, body.to_string(), "application/json", code.into())
    }
}

/// The parts of the state that an access needs.
pub(super) struct Keys<'a> {
    pub(super) credentials: &'a super::world::Credentials,
    pub(super) offer: Offer,
    /// A request id for requests that bring none.
    pub(super) rid: String,
}

/// Says which access a path belongs to.
pub(super) fn envelope(path: &str) -> Envelope {
    if path.starts_with("/api/c/") {
        Envelope::Esb
    } else if path.starts_with("/api/bk-cmdb/") {
        Envelope::Gateway
    } else {
        Envelope::Direct
    }
}

/// The access's name in the list of calls.
pub(super) fn name(envelope: Envelope) -> &'static str {
    match envelope {
        Envelope::Esb => "esb",
        Envelope::Gateway => "gateway",
        Envelope::Direct => "direct",
    }
}

/// Lets a request in or turns it away.
pub(super) fn admit(request: &Request, keys: &Keys<'_>) -> Result<Admitted, Turned> {
    match envelope(&request.path) {
        Envelope::Esb => esb::admit(request, keys),
        Envelope::Gateway => gateway::admit(request, keys),
        Envelope::Direct => direct::admit(request, keys),
    }
}

/// Makes a call to an ESB component in a user's name, without any credential.
pub(super) fn component(name: &str, body: Map<String, Value>, user: &str, keys: &Keys<'_>) -> Result<Admitted, Turned> {
    esb::component(name, body, user.to_owned(), None, keys)
}

/// The identity in `X-Bkapi-Authorization`, or `None` if the header is not a JSON object.
fn authorization(header: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(header).ok()
}

/// Splits a path below a prefix into decoded segments; a slash at the end does not count.
fn segments(path: &str) -> Vec<String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    path.split('/').skip(1).map(decode).collect()
}

/// The code of an outcome for the list of calls.
pub(super) fn code(outcome: &Outcome) -> Value {
    outcome.as_ref().err().map_or(Value::Null, |refusal| refusal.code.into())
}

/// Writes an outcome in an access's envelope.
pub(super) fn answer(outcome: Outcome, envelope: Envelope, rid: &str) -> Answer {
    let (result, code, message, data) = match outcome {
        Ok(Reply::Body(body)) if envelope == Envelope::Esb => {
            let _ = body;
            return esb::not_json(rid);
        }
        Ok(Reply::Body(body)) => return plain(200, body, "application/json", rid),
        Ok(Reply::Nothing) => (true, 0, "success".to_owned(), "null".to_owned()),
        Ok(Reply::Json(value)) => (true, 0, "success".to_owned(), value.to_string()),
        Ok(Reply::Text(text)) => (true, 0, "success".to_owned(), text),
        Err(refusal) => (false, refusal.code, refusal.text, "null".to_owned()),
    };
    plain(200, wrap(envelope, result, code, &message, &data, rid), "application/json", rid)
}

/// Writes an envelope in the order in which the access does.
fn wrap(envelope: Envelope, result: bool, code: i64, message: &str, data: &str, rid: &str) -> String {
    let message = json!(message);
    match envelope {
        Envelope::Esb => format!(
            "{{\"result\":{result},\"code\":{code},\"message\":{message},\"permission\":null,\"request_id\":{},\
             \"data\":{data}}}",
            json!(rid)
        ),
        Envelope::Gateway => {
            format!("{{\"result\":{result},\"permission\":null,\"data\":{data},\"code\":{code},\"message\":{message}}}")
        }
        Envelope::Direct => format!(
            "{{\"result\":{result},\"bk_error_code\":{code},\"bk_error_msg\":{message},\"permission\":null,\
             \"data\":{data}}}"
        ),
    }
}

/// Makes an answer of a body.
pub(super) fn plain(status: u16, body: String, kind: &str, rid: &str) -> Answer {
    Answer {
        status,
        headers: vec![("content-type".to_owned(), kind.to_owned()), ("x-request-id".to_owned(), rid.to_owned())],
        body: body.into_bytes(),
        ..Answer::default()
    }
}

/// Writes what an access turned away.
pub(super) fn turned(turned: Turned, rid: &str) -> Answer {
    let mut answer = plain(turned.status, turned.body, turned.kind, rid);
    answer.headers.extend(turned.headers);
    answer
}

/// The body of a call as the list of calls shows it.
fn note(payload: &Payload) -> Value {
    match payload {
        Payload::Json(value) => value.clone(),
        Payload::Empty | Payload::Broken => Value::Null,
    }
}

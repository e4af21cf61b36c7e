//! The result of an operation and its way onto the wire: three layers, each with its own shape of errors.

use serde_json::{Value, json};

use super::option::Options;
use crate::simulator::{Answer, Record};

/// An operation that was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Success {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    /// None leaves without a body.
    pub(super) body: Option<Value>,
}

impl Success {
    /// Returns a 200 with a body.
    pub(super) fn ok(body: Value) -> Self {
        Self { status: 200, headers: Vec::new(), body: Some(body) }
    }
}

/// An operation that was refused, by the layer that refused it (contract, section 4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The application service.
    Service { status: u16, number: u32, message: String, details: String },
    /// The gateway in front of every call.
    Gateway { status: u16, number: &'static str, message: String, retry_after: Option<i64> },
    /// IAM.
    Identity { status: u16, message: String },
    /// Whatever a fault says, in the shape of the layer that its code belongs to.
    Injected { status: u16, code: String, message: String },
}

impl Failure {
    /// Returns a refusal of the application service.
    pub(super) fn service(status: u16, number: u32, message: impl Into<String>, details: impl Into<String>) -> Self {
        Self::Service { status, number, message: message.into(), details: details.into() }
    }

    /// Returns a refusal of the gateway.
    pub(super) fn gateway(status: u16, number: &'static str, message: impl Into<String>) -> Self {
        Self::Gateway { status, number, message: message.into(), retry_after: None }
    }

    /// Returns a refusal of IAM.
    pub(super) fn identity(status: u16, message: impl Into<String>) -> Self {
        Self::Identity { status, message: message.into() }
    }

    /// Returns the gateway's refusal of a call too many.
    pub(super) fn throttled(retry_after: Option<i64>) -> Self {
        let message = "The throttling threshold has been reached: policy user over ratelimit,limit:1,time:1 second";
        Self::Gateway { status: 429, number: "0308", message: message.to_owned(), retry_after }
    }

    /// Returns a refusal with a code that a fault names, with the status that belongs to it (contract, section 4).
    ///
    /// A whole number is one of the service's codes or, at IAM, a status.
    pub(super) fn injected(identity: bool, code: &Value, message: &str) -> Self {
        let text = code.as_str().map_or_else(|| code.to_string(), str::to_owned);
        let number = text.rsplit('.').next().and_then(|digits| digits.parse::<u32>().ok()).unwrap_or_default();
        if identity && !code.is_string() {
            let status = u16::try_from(number).ok().filter(|status| (400..=599).contains(status));
            return Self::identity(status.unwrap_or(400), message);
        }
        let gateway = ["APIGW.", "APIG.", "APIC."].iter().any(|prefix| text.starts_with(prefix));
        let status = match (gateway, number) {
            (true, 301) => 401,
            (true, 101) | (false, 14001 | 15001) => 404,
            (true, 308) => 429,
            (false, 101 | 12000) => 403,
            (false, 11000) => 500,
            _ => 400,
        };
        if !code.is_string() {
            return Self::service(status, number, message, "injected");
        }
        Self::Injected { status, code: text, message: message.to_owned() }
    }

    /// Returns the gateway's refusal of a caller: `0301` (contract, section 4).
    pub(super) fn caller(reason: impl AsRef<str>) -> Self {
        Self::gateway(401, "0301", format!("Incorrect IAM authentication information: {}", reason.as_ref()))
    }

    /// Returns the refusal of a parameter, which the message names.
    pub(super) fn parameter(name: &str, details: impl Into<String>) -> Self {
        Self::service(400, 13000, format!("Invalid parameter: {name}"), details)
    }

    /// Returns the refusal of a caller who lacks a role on an application.
    pub(super) fn no_permission(details: impl Into<String>) -> Self {
        Self::service(400, 12001, "No permission on this application", details)
    }

    /// Returns the refusal of a project. The contract names no code for it; that of the instance list is used.
    pub(super) fn project(details: impl Into<String>) -> Self {
        Self::service(403, 12000, "No permission on this project", details)
    }

    /// Returns the answer to a path that leads nowhere.
    pub(super) fn no_such_api() -> Self {
        Self::gateway(404, "0101", "The API does not exist or has not been published in the environment")
    }
}

/// Writes an outcome as the answer that leaves.
pub(super) fn answer(outcome: Result<Success, Failure>, options: &Options, request_id: &str, record: Record) -> Answer {
    let (success, code) = match outcome {
        Ok(success) => (success, Value::Null),
        Err(failure) => refused(failure, options, request_id),
    };
    let mut headers = vec![("X-Request-Id".to_owned(), request_id.to_owned())];
    let body = success.body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    if !body.is_empty() {
        headers.push(("Content-Type".to_owned(), "application/json;charset=utf-8".to_owned()));
    }
    headers.extend(success.headers);
    Answer { status: success.status, headers, body, record: Record { code, ..record } }
}

fn refused(failure: Failure, options: &Options, request_id: &str) -> (Success, Value) {
    match failure {
        Failure::Service { status, number, message, details } => {
            let code = if options.is("code-spelling", "short") {
                format!("ROMA.{number}")
            } else {
                format!("ROMA.{number:08}")
            };
            let body = json!({
                "error_code": code, "error_msg": brief(&message), "error_details": brief(&details), "request_id": request_id,
            });
            (Success { status, headers: Vec::new(), body: Some(body) }, code.into())
        }
        Failure::Gateway { status, number, message, retry_after } => {
            let code = format!("{}.{number}", options.text("gateway-prefix"));
            let body = json!({"error_code": code, "error_msg": message, "request_id": request_id});
            let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
            (Success { status, headers: headers.into_iter().collect(), body: Some(body) }, code.into())
        }
        Failure::Injected { status, code, message } => {
            let mut body = json!({"error_code": code, "error_msg": message});
            if !code.starts_with("IAM.") {
                body["request_id"] = request_id.into();
            }
            if code.starts_with("ROMA.") {
                body["error_details"] = "injected".into();
            }
            (Success { status, headers: Vec::new(), body: Some(body) }, code.into())
        }
        Failure::Identity { status, message } if options.is("iam-errors", "flat") => {
            // Invented: the contract knows the shape and the prefix of the code, not its numbers.
            let code = format!("IAM.{status:04}");
            let body = json!({"error_code": code, "error_msg": message});
            (Success { status, headers: Vec::new(), body: Some(body) }, code.into())
        }
        Failure::Identity { status, message } => {
            let title = match status {
                401 => "Unauthorized",
                403 => "Forbidden",
                404 => "Not Found",
                429 => "Too Many Requests",
                _ => "Bad Request",
            };
            let body = json!({"error": {"code": status, "message": message, "title": title}});
            (Success { status, headers: Vec::new(), body: Some(body) }, status.into())
        }
    }
}

/// Cuts a text to the 128 characters that the service allows in an error (contract, section 4).
fn brief(text: &str) -> String {
    text.chars().take(128).collect()
}

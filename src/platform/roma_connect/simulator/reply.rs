//! What an operation comes to, and its way onto the wire: three layers, each with its own shape of errors.

use serde_json::{Value, json};

use super::option::Options;
use crate::sandbox::simulator::{Answer, Record};

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

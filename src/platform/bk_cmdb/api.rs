//! The accesses to the server: a request, which knows none of them, becomes what one of them wants, and the answer of any
//! of them becomes data or a refusal.

mod direct;
mod esb;
mod gateway;
mod reply;
mod table;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

pub(super) use reply::interpret;
pub(super) use table::{is_read, operation, since};

use super::version::Version;
use crate::{
    model::{Refusal, Request},
    provider::{Endpoint, Prepared, RequestContext},
};

/// Argument that holds the attributes; it is spread where the access wants a flat body.
pub(super) const DATA: &str = "data";
/// Argument that tells the answers to a repeated question apart. No server gets it.
pub(super) const AGAIN: &str = "again";

/// Writes a request for the access of the endpoint.
pub(super) fn prepare(request: &Request, endpoint: &Endpoint, stamp: RequestContext<'_>) -> Result<Prepared, Refusal> {
    let Value::Object(mut arguments) = request.arguments.clone() else {
        return Err(Refusal::new(None, "arguments of a call have to be an object"));
    };
    arguments.remove(AGAIN);
    let version = endpoint.settings.get("version").and_then(|version| Version::parse(version));
    let operation = table::find(request.operation, &arguments, version)?;
    match endpoint.settings.get("access").map(String::as_str) {
        Some("gateway") => gateway::prepare(operation, arguments, endpoint, stamp),
        Some("direct") => direct::prepare(operation, arguments, endpoint, stamp),
        _ => esb::prepare(operation, arguments, endpoint, stamp),
    }
}

/// Puts the attributes beside the other arguments.
fn flatten_attributes(arguments: &mut Map<String, Value>) {
    match arguments.remove(DATA) {
        Some(Value::Object(data)) => arguments.extend(data),
        Some(other) => _ = arguments.insert(DATA.to_owned(), other),
        None => {}
    }
}

/// The supplier account of an endpoint.
fn account(endpoint: &Endpoint) -> &str {
    endpoint.settings.get("supplierAccount").map_or("0", String::as_str)
}

/// The language of the names that the server translates, such as those of options of built-in models.
fn language(endpoint: &Endpoint) -> String {
    endpoint.settings.get("language").map_or("en", String::as_str).to_owned()
}

/// The application and the user, as the ESB and the gateway want them.
fn identity(endpoint: &Endpoint) -> Map<String, Value> {
    let settings = [("bk_app_code", "appCode"), ("bk_username", "username")];
    let settings = settings.iter().filter_map(|(key, name)| Some((*key, json!(endpoint.settings.get(name)?))));
    let secrets = [("bk_app_secret", "appSecret"), ("bk_token", "token")];
    let secrets =
        secrets.iter().filter_map(|(key, name)| Some((*key, json!(endpoint.secrets.get(name)?.expose_secret()))));
    settings.chain(secrets).map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests;

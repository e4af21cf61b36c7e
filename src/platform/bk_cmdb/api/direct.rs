//! The server itself: `/api/v3/…`, the user in a header (contract section 1.3).

use serde_json::{Map, Value};

use super::{RequestContext, account, flatten_attributes, table::Operation};
use crate::{
    model::Refusal,
    provider::{Endpoint, Method, Prepared},
};

pub(super) fn prepare(
    operation: &Operation,
    mut arguments: Map<String, Value>,
    endpoint: &Endpoint,
    stamp: RequestContext<'_>,
) -> Result<Prepared, Refusal> {
    let account = account(endpoint);
    let path = operation.path(false, account, &mut arguments)?;
    let mut headers = vec![("content-type", "application/json".to_owned()), ("accept", "application/json".to_owned())];
    // The first name is that of 3.14, the others those of the versions before.
    let mut both = |names: &[&'static str], value: &str| {
        headers.extend(names.iter().map(|name| (*name, value.to_owned())));
    };
    both(&["x-bkcmdb-user", "bk_user"], endpoint.settings.get("username").map_or("", String::as_str));
    both(&["x-bkcmdb-supplier-account", "http_bk_supplier_account", "http_blueking_supplier_id"], account);
    both(&["x-bkcmdb-language", "http_blueking_language"], &super::language(endpoint));
    both(&["x-request-id", "cc_request_id"], stamp.request_id);
    if let Some(app) = endpoint.settings.get("appCode") {
        both(&["x-bkcmdb-app-code", "bk-app-code"], app);
    }
    let url = format!("{}/api/v3{path}", endpoint.url);
    Ok(Prepared { method: operation.method, url, headers, body: body(operation, arguments) })
}

/// Returns what is left of the arguments as a body: attributes lie beside the rest.
pub(super) fn body(operation: &Operation, mut arguments: Map<String, Value>) -> Vec<u8> {
    if operation.method == Method::Get {
        return Vec::new();
    }
    flatten_attributes(&mut arguments);
    Value::Object(arguments).to_string().into_bytes()
}

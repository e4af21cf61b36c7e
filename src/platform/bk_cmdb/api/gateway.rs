//! The API gateway: the server's paths below a stage, the account in one header (contract section 1.2).

use serde_json::{Map, Value};

use super::{RequestContext, account, direct::body, table::Operation};
use crate::{
    model::Refusal,
    provider::{Endpoint, Prepared},
};

pub(super) fn prepare(
    operation: &Operation,
    mut arguments: Map<String, Value>,
    endpoint: &Endpoint,
    stamp: RequestContext<'_>,
) -> Result<Prepared, Refusal> {
    if operation.only_direct {
        return Err(Refusal::absent(operation.name, "the gateway does not offer it"));
    }
    let account = account(endpoint);
    let path = operation.path(true, account, &mut arguments)?;
    let stage = endpoint.settings.get("stage").map_or("prod", String::as_str);
    Ok(Prepared {
        method: operation.method,
        url: format!("{}/api/bk-cmdb/{stage}/api/v3{path}", endpoint.url),
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json".to_owned()),
            ("x-bkapi-authorization", Value::Object(super::identity(endpoint)).to_string()),
            ("blueking-language", super::language(endpoint)),
            ("x-bkcmdb-language", super::language(endpoint)),
            ("http_blueking_language", super::language(endpoint)),
            ("x-bkcmdb-supplier-account", account.to_owned()),
            ("x-request-id", stamp.request_id.to_owned()),
            ("x-bkapi-request-id", stamp.request_id.to_owned()),
        ],
        body: body(operation, arguments),
    })
}

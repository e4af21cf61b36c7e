//! The ESB: `POST /api/c/compapi/v2/cc/<operation>/` with a flat body (contract section 1.1).

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::{DATA, RequestContext, flatten_attributes, table::Component, table::Operation};
use crate::{
    model::Refusal,
    provider::{Endpoint, Method, Prepared},
};

pub(super) fn prepare(
    operation: &Operation,
    mut body: Map<String, Value>,
    endpoint: &Endpoint,
    stamp: RequestContext<'_>,
) -> Result<Prepared, Refusal> {
    let name = operation.name;
    match operation.component {
        Component::None => return Err(Refusal::absent(name, "the ESB does not offer it")),
        Component::Flat | Component::Get => flatten_attributes(&mut body),
        // Without `data` the server would get the text `null`, on which it breaks.
        Component::Data => _ = body.entry(DATA).or_insert_with(|| json!({})),
    }
    if let Some(account) = endpoint.settings.get("supplierAccount") {
        body.entry("bk_supplier_account").or_insert_with(|| json!(account));
    }
    let mut headers = vec![
        ("accept", "application/json".to_owned()),
        ("blueking-language", super::language(endpoint)),
        ("x-request-id", stamp.request_id.to_owned()),
    ];
    let mut url = format!("{}/api/c/compapi/v2/cc/{name}/", endpoint.url);
    let identity = super::identity(endpoint);
    let by_get = operation.component == Component::Get;
    // A query would end up in the logs of every proxy.
    if by_get || endpoint.settings.get("in").is_some_and(|place| place == "header") {
        headers.push(("x-bkapi-authorization", Value::Object(identity).to_string()));
    } else {
        body.extend(identity);
    }
    if by_get {
        for (at, (key, value)) in body.iter().enumerate() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
            url.extend([if at == 0 { "?" } else { "&" }, key, "=", &value.to_string()]);
        }
        return Ok(Prepared { method: Method::Get, url, headers, body: Vec::new() });
    }
    headers.push(("content-type", "application/json".to_owned()));
    Ok(Prepared { method: Method::Post, url, headers, body: Value::Object(body).to_string().into_bytes() })
}

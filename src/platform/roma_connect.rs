//! Huawei Cloud ROMA Connect.

mod door;
mod kinds;
pub mod simulator;

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    kind::{Endpoint, Kind, Platform, Prepared, Reply, Stamp},
    model::{Refusal, Request},
};

/// ROMA Connect: integration applications.
pub struct RomaConnect;

static KINDS: &[&dyn Kind] = &[&kinds::app::App];

impl Platform for RomaConnect {
    fn name(&self) -> &'static str {
        "roma-connect"
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        KINDS
    }

    /// An endpoint, or the public one of a region (contract section 7).
    fn url(&self, settings: &HashMap<&'static str, String>) -> Option<String> {
        let region = settings.get("region").map(|region| format!("https://roma.{region}.myhuaweicloud.com"));
        settings.get("endpoint").cloned().or(region)
    }

    fn is_read(&self, operation: &str) -> bool {
        door::is_read(operation)
    }

    fn prepare(&self, request: &Request, endpoint: &Endpoint, stamp: Stamp<'_>) -> Result<Prepared, Refusal> {
        door::prepare(request, endpoint, stamp)
    }

    fn interpret(&self, _request: &Request, reply: &Reply<'_>) -> Result<Value, Refusal> {
        door::interpret(reply)
    }
}

//! Huawei Cloud ROMA Connect.

mod door;
mod kinds;
pub mod simulator;

use serde_json::Value;

use crate::{
    kind::{Endpoint, Kind, Platform, Prepared, Reply},
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

    fn is_read(&self, operation: &str) -> bool {
        door::is_read(operation)
    }

    fn prepare(&self, request: &Request, endpoint: &Endpoint) -> Result<Prepared, Refusal> {
        door::prepare(request, endpoint)
    }

    fn interpret(&self, _request: &Request, reply: &Reply<'_>) -> Result<Value, Refusal> {
        door::interpret(reply)
    }
}

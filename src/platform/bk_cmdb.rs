//! BlueKing CMDB.

mod attribute;
mod door;
mod kinds;
mod lookup;
pub mod simulator;

use serde_json::Value;

use crate::{
    kind::{Endpoint, Kind, Platform, Prepared, Reply, Stamp},
    model::{Refusal, Request},
};

/// BlueKing CMDB, 3.9 to 3.14.
pub struct BkCmdb;

static KINDS: &[&dyn Kind] = &[
    &kinds::instance::Instance,
    &kinds::module::Module,
    &kinds::process_template::ProcessTemplate,
    &kinds::instance_association::InstanceAssociation,
];

/// Operations that read. Nearly all of them are `POST`.
const READS: &[&str] = &[
    "find_object_association",
    "find_module_batch",
    "list_proc_template",
    "list_service_category",
    "list_service_template",
    "search_business",
    "search_inst_by_object",
    "search_instance_associations",
    "search_module",
    "search_object_attribute",
    "search_object_instances",
    "search_set",
];

impl Platform for BkCmdb {
    fn name(&self) -> &'static str {
        "bk-cmdb"
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        KINDS
    }

    fn is_read(&self, operation: &str) -> bool {
        READS.contains(&operation)
    }

    fn prepare(&self, request: &Request, endpoint: &Endpoint, stamp: Stamp<'_>) -> Result<Prepared, Refusal> {
        door::prepare(request, endpoint, stamp)
    }

    fn interpret(&self, _request: &Request, reply: &Reply<'_>) -> Result<Value, Refusal> {
        door::interpret(reply)
    }
}

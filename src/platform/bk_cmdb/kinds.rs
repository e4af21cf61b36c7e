//! The kinds of BlueKing CMDB.

pub(super) mod host;
pub(super) mod instance;
pub(super) mod instance_association;
pub(super) mod module;
pub(super) mod process_template;
pub(super) mod service_template;
pub(super) mod set;

mod author;
mod decode_common;
mod export_common;
mod export_templates;
mod impact;
mod own;
mod prune_common;
mod refs;
mod select_instances;
mod sets;
mod templates;

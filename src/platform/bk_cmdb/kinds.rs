//! The kinds of BlueKing CMDB.

pub(super) mod instance;
pub(super) mod instance_association;
pub(super) mod module;
pub(super) mod process_template;

mod author;
mod decode_common;
mod impact;
mod prune_common;
mod select_instances;

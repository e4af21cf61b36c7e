//! The platforms.

pub mod bk_cmdb;
pub mod roma_connect;

use crate::provider::Platform;

/// All platforms.
pub static ALL: &[&dyn Platform] = &[&bk_cmdb::BkCmdb, &roma_connect::RomaConnect];

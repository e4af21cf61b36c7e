//! BlueKing CMDB.

pub mod simulator;

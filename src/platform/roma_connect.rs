//! Huawei Cloud ROMA Connect.

pub mod simulator;

//! The embedded servers: both platforms on one loopback port, in memory.

pub mod simulator;

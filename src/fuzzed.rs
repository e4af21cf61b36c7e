//! The root of a smaller crate, which `fuzz` builds: the modules that read what others wrote, without the runtime, the
//! network and the command line. So its targets build in a minute.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod clock;
pub mod diagnostic;
pub mod diff;
pub mod files;
pub mod journal;
pub mod manifest;
pub mod model;
mod parallel;
pub mod plain;
pub mod plan;
pub mod platform;
pub mod provider;
pub mod snapshot;
pub mod source;
pub mod version;
pub mod yaml;

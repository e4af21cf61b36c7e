//! `reconcile`: declarative reconciliation for BlueKing CMDB and Huawei Cloud ROMA Connect.
//!
//! Files → `source` → `yaml` → `manifest` → desired objects → `engine` observes what is live → `diff` → `plan` →
//! `engine` applies. `ARCHITECTURE.md` has the map and the rules.

pub mod agent;
pub mod cli;
pub mod clock;
pub mod config;
pub mod diagnostic;
pub mod diff;
pub mod engine;
pub mod files;
pub mod journal;
pub mod lsp;
pub mod manifest;
pub mod model;
pub mod notify;
mod parallel;
pub mod plain;
pub mod plan;
pub mod platform;
pub mod provider;
pub mod rehearse;
pub mod run;
pub mod schema;
pub mod snapshot;
pub mod source;
pub mod transport;
pub mod version;
pub mod web;
pub mod yaml;

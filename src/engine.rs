//! Runs reads and calls: everything here waits for a network, nothing here knows a platform.

pub mod apply;
pub mod author;
mod breaker;
mod budget;
mod call_log;
mod capability;
pub mod catalog;
pub mod check;
pub mod connection;
mod counters;
mod drive;
pub mod export;
pub mod impact;
mod limit;
mod mask;
mod notice;
pub mod observe;
pub mod planted;
pub mod prune;
mod redirect;
mod retry;
pub mod run_log;
pub mod scope_reader;
mod send_window;
mod session;
mod verify;

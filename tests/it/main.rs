//! End to end: the real program against an embedded sandbox. One binary; each test starts its own sandbox on a free
//! port and works in a directory of its own.

mod apply;
mod bind_info;
mod budgets;
mod ci_kit;
mod cli;
mod faults;
mod forms;
mod harness;
mod life_cycle;
mod online;
mod plan;
mod process_templates;
mod property;
mod prune;
mod reads;
mod renames;
mod reports;
mod roma;
mod safety;
mod secrets;
mod slips;
mod traps;
mod unique;
mod validate;
mod watch;

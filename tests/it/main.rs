//! End to end: the real program against an embedded sandbox. One binary; each test starts its own sandbox on a free
//! port and works in a directory of its own.

mod apply;
mod bind_info;
mod cli;
mod faults;
mod harness;
mod life_cycle;
mod plan;
mod process_templates;
mod property;
mod reads;
mod renames;
mod roma;
mod safety;
mod secrets;
mod traps;
mod validate;
mod watch;

//! End to end: the real program against an embedded sandbox. One binary; each test starts its own sandbox on a free
//! port and works in a directory of its own.

mod apply;
mod beneath;
mod bind_info;
mod cli;
mod explain;
mod faults;
mod harness;
mod life_cycle;
mod mutation;
mod online;
mod overlays;
mod plan;
mod process_templates;
mod property;
mod prune;
mod reads;
mod renames;
mod roma;
mod safety;
mod saved;
mod second_writer;
mod secrets;
mod slips;
mod snapshot;
mod snapshot_beneath;
mod snapshot_property;
mod traps;
mod unique;
mod validate;
mod watch;

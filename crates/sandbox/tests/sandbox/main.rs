//! The sandbox from outside: its simulators against documents and recordings, its server, its control, its faults.

mod conformance;
mod contract;
mod doors;
mod interop;
mod operations;
mod roma;
mod rules;
mod sandbox;
mod simulator;

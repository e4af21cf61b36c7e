//! The sandbox from outside: its simulators against documents and recordings, its server, its control, its faults.

mod accesses;
mod cmdb;
mod conformance;
mod contract;
mod in_process;
mod interop;
mod operations;
mod rollout;
mod roma;
mod rules;
mod sandbox;
mod simulator;

use proptest::test_runner::{Config, RngSeed};

/// Returns a configuration with the same few cases each time, or as many new ones as `PROPTEST_CASES` says.
fn proptest_config(cases: u32) -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => config,
        None => Config { cases, rng_seed: RngSeed::Fixed(4), ..config },
    }
}

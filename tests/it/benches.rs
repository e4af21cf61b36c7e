//! The scripts of `benches/`: the page of the documentation belongs to the committed results, and more instructions than
//! the baseline allows are found.

use std::process::Command;

use crate::harness::{repository, skip};

#[test]
fn what_the_scripts_make_of_results_is_right() {
    let python = Command::new("python3")
        .args(["-B", "-m", "unittest", "discover", "benches"])
        .current_dir(repository())
        .output()
        .ok()
        // A shim of a Python that is not installed ends with 127.
        .filter(|output| output.status.code() != Some(127));
    match python {
        Some(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        None => skip("no Python runs the tests of the measurements"),
    }
}

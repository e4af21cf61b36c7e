//! The reader of snapshots: any text with a fitting digest is a snapshot that is written as it was read, or is refused.
#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use reconcile_fuzz::snapshot::Snapshot;
use sha2::{Digest, Sha256};

const DIGEST: &str = "\n  \"digest\": \"sha256:";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Snapshot::from_text(text);
    // What the digest keeps out is tried, too: whoever can write the file can compute it.
    let body = text.split(DIGEST).next().unwrap_or_default();
    let digest = Sha256::digest(body.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    if let Ok(snapshot) = Snapshot::from_text(&format!("{body}{DIGEST}{digest}\"\n}}\n")) {
        let written = snapshot.to_text();
        let again = Snapshot::from_text(&written).expect("what was written can be read");
        assert_eq!(written, again.to_text());
    }
});

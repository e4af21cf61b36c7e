//! The reader of saved plans: any JSON with a fitting digest is a plan, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reconcile_fuzz::{
    plan::file::{Document, read},
    platform,
    source::Sources,
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = read(text.to_owned(), platform::ALL, &mut Sources::default());
    // What the digest keeps out is tried, too: whoever can write the file can compute it.
    let Ok(mut document) = Document::parse(text) else { return };
    document.add_digest();
    let _ = read(document.text(), platform::ALL, &mut Sources::default());
});

//! The YAML loader: any text ends soon, in bounded memory, with a tree or with messages that can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reconcile_fuzz::{diagnostic::render, source::Sources, yaml};

fuzz_target!(|data: &[u8]| {
    // Files are known to be UTF-8 before they are loaded.
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", text);
    let mut diagnostics = Vec::new();
    for document in yaml::load(file, text, &mut diagnostics) {
        let _ = document.root.to_json();
    }
    let _ = render::text(&diagnostics, &sources, true, 80);
    diagnostics.iter().for_each(|diagnostic| _ = render::json(diagnostic, &sources));
});

//! The manifest decoder: any text ends with objects or with messages, alone and as an overlay over another text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reconcile_fuzz::{
    diagnostic::render,
    files,
    manifest::{Discovery, Options, Overlay, Targets, Variables, decode_with},
    platform,
    source::Sources,
};

/// The mark between the manifest and its overlay.
const OVERLAY: &[u8] = b"\n### overlay\n";

fuzz_target!(|data: &[u8]| {
    let mut sources = Sources::default();
    let mut found = Discovery::default();
    let at = data.windows(OVERLAY.len()).position(|window| window == OVERLAY);
    let (base, overlay) = match at {
        Some(at) => (&data[..at], Some(&data[at + OVERLAY.len()..])),
        None => (data, None),
    };
    match files::add("a.yaml", base.to_vec(), &mut sources) {
        Ok(file) => found.files.push(file),
        Err(broken) => found.broken.push(broken),
    }
    if let Some(Ok(file)) = overlay.map(|overlay| files::add("over/a.yaml", overlay.to_vec(), &mut sources)) {
        found.overlays.push(Overlay { directory: "over".into(), files: vec![file], partial: false });
    }
    let targets: Targets = [("cmdb", "bk-cmdb", true), ("roma", "roma-connect", true)].into_iter().collect();
    let variables = Variables::default().over_assignments(["PORTS=48", "NAME=x"]).expect("they are assignments");
    let options = Options { threads: Some(std::num::NonZeroUsize::MIN), ..Options::default() };
    let (set, diagnostics) = decode_with(&options, &sources, &found, platform::ALL, &targets, &variables);
    assert!(set.desired.len() <= 100_000, "a short text declares {} objects", set.desired.len());
    let _ = render::text(&diagnostics, &sources, false, 80);
});

//! The reader of journals: any bytes end with the records that can be trusted; what was written is read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reconcile_fuzz::journal::{
    Entry, Integrity,
    chain::{Chain, read},
};

fuzz_target!(|data: &[u8]| {
    let journal = read(data).expect("memory can be read");
    assert!(journal.length <= data.len() as u64);
    let _ = (journal.run(), journal.ended(), journal.is_unfinished());
    // Records of any content are read back as they were written: whoever can write the file can compute its digests.
    let (mut chain, mut text, mut count) = (Chain::default(), String::new(), 0);
    for line in data.split(|byte| *byte == b'\n') {
        let Some(json) = line.get(17..) else { continue };
        let Ok(entry) = serde_json::from_slice::<Entry>(json) else { continue };
        text += &chain.line(&entry).expect("a record is JSON");
        count += 1;
    }
    let journal = read(text.as_bytes()).expect("memory can be read");
    assert_eq!((journal.integrity, journal.entries.len()), (Integrity::Whole, count));
    // Torn in its last line, it loses that line alone.
    if let Some(torn) = text.get(..text.len().saturating_sub(1)).filter(|torn| !torn.is_empty()) {
        let journal = read(torn.as_bytes()).expect("memory can be read");
        assert_eq!((journal.integrity, journal.entries.len()), (Integrity::Torn, count - 1));
    }
});

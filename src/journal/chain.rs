//! The form of a journal: one record a line, each bound to those before it by a digest.

use std::io::{self, BufRead, Read};

use sha2::{Digest, Sha256};

use super::record::{Ended, Entry, Record, RunRecord};

/// Hexadecimal digits of a link of the chain.
const DIGITS: usize = 16;

/// Maximum bytes of a line. A call serves at most some hundred objects.
const LINE: u64 = 256 << 20;

/// The digest of all lines so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain(String);

impl Chain {
    /// Returns the line of a record, with a line break, and binds the next one to it.
    pub fn line(&mut self, entry: &Entry) -> io::Result<String> {
        let json = serde_json::to_string(entry)?;
        self.0 = link(&self.0, json.as_bytes());
        Ok(format!("{} {json}\n", self.0))
    }
}

fn link(previous: &str, json: &[u8]) -> String {
    let digest = Sha256::new().chain_update(previous.as_bytes()).chain_update(json).finalize();
    digest.iter().take(DIGITS / 2).fold(String::with_capacity(DIGITS), |text, byte| text + &format!("{byte:02x}"))
}

/// How far a journal can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integrity {
    /// It is as it was written.
    Whole,
    /// Its last line is incomplete, as a kill or a full disk leaves it: that line is dropped.
    Torn,
    /// It was edited or damaged: this line, from 1, and all behind it are not trusted.
    Altered {
        /// The number of the first such line, from 1.
        line: usize,
    },
}

/// A journal that was read.
#[derive(Debug, Clone)]
pub struct Journal {
    /// The records that can be trusted.
    pub entries: Vec<Entry>,
    /// How far it can be trusted.
    pub integrity: Integrity,
    /// The bytes of the lines that can be trusted.
    pub length: u64,
    /// The chain behind them.
    pub chain: Chain,
}

impl Journal {
    /// Returns the beginning of the run; `None` if it cannot be trusted.
    pub fn run(&self) -> Option<&RunRecord> {
        match &self.entries.first()?.record {
            Record::Run(run) => Some(run),
            _ => None,
        }
    }

    /// Returns the end of the run; `None` while it is unfinished.
    pub fn ended(&self) -> Option<&Ended> {
        let last = self.entries.last().filter(|_| !matches!(self.integrity, Integrity::Altered { .. }))?;
        match &last.record {
            Record::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// Returns true if the run has to be settled: it has no end, or one that cannot be trusted.
    pub fn is_unfinished(&self) -> bool {
        self.ended().is_none()
    }
}

/// Reads a journal line by line, up to the first that cannot be trusted.
pub fn read(mut text: impl BufRead) -> io::Result<Journal> {
    let (mut entries, mut chain, mut length, mut line) = (Vec::new(), Chain::default(), 0, Vec::new());
    let integrity = loop {
        line.clear();
        let bytes = (&mut text).take(LINE).read_until(b'\n', &mut line)?;
        if bytes == 0 {
            break Integrity::Whole;
        }
        let Some(content) = line.strip_suffix(b"\n") else {
            let is_cut = (bytes as u64) < LINE;
            break if is_cut { Integrity::Torn } else { Integrity::Altered { line: entries.len() + 1 } };
        };
        let Some((entry, next)) = parsed(content, &chain) else {
            break Integrity::Altered { line: entries.len() + 1 };
        };
        entries.push(entry);
        chain = next;
        length += bytes as u64;
    };
    Ok(Journal { entries, integrity, length, chain })
}

/// Returns the record of a line and the chain behind it; `None` if the line does not continue the chain.
fn parsed(line: &[u8], chain: &Chain) -> Option<(Entry, Chain)> {
    let (digest, json) = (line.get(..DIGITS)?, line.get(DIGITS + 1..)?);
    let next = link(&chain.0, json);
    let is_bound = digest == next.as_bytes() && line[DIGITS] == b' ';
    is_bound.then_some(())?;
    Some((serde_json::from_slice(json).ok()?, Chain(next)))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::journal::record::{OutcomeRecord, Verdict};

    fn entry(address: &str) -> Entry {
        let outcome = OutcomeRecord {
            address: address.to_owned(),
            outcome: "applied".to_owned(),
            detail: None,
            fields: Vec::new(),
            handle: Some(serde_json::json!({"bk_inst_id": 7})),
            took_ms: 12,
        };
        Entry { time: Timestamp::UNIX_EPOCH, record: Record::Outcome(outcome) }
    }

    fn text(addresses: &[&str]) -> String {
        let mut chain = Chain::default();
        addresses.iter().map(|address| chain.line(&entry(address)).expect("a line")).collect()
    }

    fn ended() -> Entry {
        let ended = Ended { verdict: Verdict::Converged, outcomes: [("applied".to_owned(), 1)].into() };
        Entry { time: Timestamp::UNIX_EPOCH, record: Record::Ended(ended) }
    }

    #[test]
    fn journals_are_read_as_far_as_they_can_be_trusted() {
        let check = |text: &str, count: usize, expected: Integrity| {
            let journal = read(text.as_bytes()).expect("memory can be read");
            assert_eq!((journal.entries.len(), journal.integrity), (count, expected), "{text}");
            let trusted = &text[..usize::try_from(journal.length).expect("it is short")];
            assert_eq!(trusted.lines().count(), count);
            assert!(journal.is_unfinished());
        };
        let three = text(&["A/a", "A/b", "A/c"]);
        check("", 0, Integrity::Whole);
        check(&three, 3, Integrity::Whole);
        check(three.trim_end(), 2, Integrity::Torn);
        check(&three[..three.len() / 2], 1, Integrity::Torn);
        check(&three.replace("A/b", "A/x"), 1, Integrity::Altered { line: 2 });
        check(&three.replace("A/a", "A/x"), 0, Integrity::Altered { line: 1 });
        let lines: Vec<&str> = three.split_inclusive('\n').collect();
        check(&[lines[0], lines[2]].concat(), 1, Integrity::Altered { line: 2 });
        check(&[lines[1], lines[2]].concat(), 0, Integrity::Altered { line: 1 });
        check(&[lines[0], lines[0]].concat(), 1, Integrity::Altered { line: 2 });
        check(&format!("{}\n{three}", "\0".repeat(40)), 0, Integrity::Altered { line: 1 });
        check("0123456789abcdef", 0, Integrity::Torn);
        check("\n", 0, Integrity::Altered { line: 1 });
        check("é\n", 0, Integrity::Altered { line: 1 });
    }

    #[test]
    fn a_run_is_finished_only_by_a_last_record_that_can_be_trusted() {
        let mut chain = Chain::default();
        let lines = [entry("A/a"), ended()].map(|entry| chain.line(&entry).expect("a line"));
        let whole = lines.concat();
        assert!(!read(whole.as_bytes()).expect("read").is_unfinished());
        assert!(read(format!("{whole}x\n").as_bytes()).expect("read").is_unfinished());
        assert!(read(whole.replace("A/a", "A/b").as_bytes()).expect("read").is_unfinished());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let journal = read(bytes.as_slice()).expect("memory can be read");
            prop_assert!(journal.entries.is_empty());
        }

        #[test]
        fn any_change_of_a_byte_is_seen(at in 0_usize..10_000, byte in any::<u8>()) {
            let whole = text(&["A/a", "A/b", "A/c", "A/d"]).into_bytes();
            let mut changed = whole.clone();
            let at = at % changed.len();
            changed[at] = byte;
            let journal = read(changed.as_slice()).expect("memory can be read");
            prop_assert_eq!(journal.integrity == Integrity::Whole, changed == whole);
        }
    }
}

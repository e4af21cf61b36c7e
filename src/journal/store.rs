//! Where the records of runs lie: the interface that files and memory share, and the writer above it.

use std::{fmt, io};

use jiff::Timestamp;

use super::{
    chain::{Chain, Integrity, Journal, read},
    record::{Entry, Record},
};
use crate::files::write::Text;

/// A clock.
pub type Clock = dyn Fn() -> Timestamp + Send + Sync;

/// A journal that grows.
pub trait Storage: Send + fmt::Debug {
    /// Adds bytes at the end. After an error nothing of them is there, or nothing can be added any more.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Brings all that was added to the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// The runs of a state directory.
pub trait Store: Send + Sync + fmt::Debug {
    /// Returns the key of its digests, made at the first use.
    fn key(&self) -> io::Result<[u8; 32]>;

    /// Returns the ids of all runs, the oldest first.
    fn runs(&self) -> io::Result<Vec<String>>;

    /// Starts a run: its plan and the first lines of its journal are on the disk when this returns, both or neither.
    fn create(&self, run: &str, plan: &Text<'_>, lines: &[u8]) -> io::Result<Box<dyn Storage>>;

    /// Opens the journal of a run to add to it, behind that part of it that can be trusted. An altered journal is kept
    /// beside it.
    fn reopen(&self, run: &str, journal: &Journal) -> io::Result<Box<dyn Storage>>;

    /// Reads the journal of a run.
    fn journal(&self, run: &str) -> io::Result<Journal>;

    /// Reads the plan of a run.
    fn plan(&self, run: &str) -> io::Result<Vec<u8>>;

    /// Notes that a run has ended, so that its journal need not be read to know that. What it notes is no proof.
    fn mark_ended(&self, _run: &str) -> io::Result<()> {
        Ok(())
    }

    /// Returns true if a run is known to have ended and its journal has not been touched since.
    fn is_marked_ended(&self, _run: &str) -> bool {
        false
    }

    /// Removes finished runs beyond a retention.
    fn clean(&self, _retention: &super::Retention, _now: Timestamp) -> io::Result<()> {
        Ok(())
    }

    /// Removes a run.
    fn remove(&self, run: &str) -> io::Result<()>;

    /// Returns the place of the journal of a run, for messages.
    fn place(&self, run: &str) -> String;
}

/// Reads a journal from a text; one that does not begin with the record of its run, or with that of another, was altered.
pub(super) fn read_run(run: &str, text: impl io::BufRead) -> io::Result<Journal> {
    let mut journal = read(text)?;
    if journal.run().is_none_or(|record| record.run != run) {
        journal = Journal { entries: Vec::new(), integrity: Integrity::Altered { line: 1 }, length: 0, ..journal };
        journal.chain = Chain::default();
    }
    Ok(journal)
}

/// Returns the ids of the unfinished runs, the oldest first, each with its journal.
pub fn unfinished(store: &dyn Store) -> io::Result<Vec<(String, Journal)>> {
    let mut unfinished = Vec::new();
    for run in store.runs()? {
        if store.is_marked_ended(&run) {
            continue;
        }
        let journal = match store.journal(&run) {
            // Another process has just removed it, so it had an end.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            journal => journal?,
        };
        if journal.is_unfinished() {
            unfinished.push((run, journal));
        }
    }
    Ok(unfinished)
}

/// Writes the records of one run.
pub struct Writer {
    storage: Box<dyn Storage>,
    chain: Chain,
    clock: std::sync::Arc<Clock>,
    /// Records were added since the last sync.
    is_unsynced: bool,
    /// Why nothing can be added any more.
    broken: Option<String>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("storage", &self.storage).field("broken", &self.broken).finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the journal of a run with these records, which are on the disk when this returns, as its plan is.
    pub fn create(
        store: &dyn Store,
        run: &str,
        plan: &Text<'_>,
        records: Vec<Record>,
        clock: std::sync::Arc<Clock>,
    ) -> io::Result<Self> {
        let mut chain = Chain::default();
        let lines = lines(&mut chain, records, &*clock)?;
        let storage = store.create(run, plan, lines.as_bytes())?;
        Ok(Self { storage, chain, clock, is_unsynced: false, broken: None })
    }

    /// Opens the journal of an unfinished run that was read before.
    pub fn reopen(store: &dyn Store, run: &str, journal: &Journal, clock: std::sync::Arc<Clock>) -> io::Result<Self> {
        let storage = store.reopen(run, journal)?;
        Ok(Self { storage, chain: journal.chain.clone(), clock, is_unsynced: false, broken: None })
    }

    /// Returns a writer over an empty journal.
    pub fn over(storage: Box<dyn Storage>, clock: std::sync::Arc<Clock>) -> Self {
        Self { storage, chain: Chain::default(), clock, is_unsynced: false, broken: None }
    }

    /// Adds records in one write. They are on the disk once [`Self::sync`] returns.
    pub fn append(&mut self, records: Vec<Record>) -> io::Result<()> {
        self.check()?;
        let mut chain = self.chain.clone();
        let lines = lines(&mut chain, records, &*self.clock)?;
        self.storage.append(lines.as_bytes())?;
        self.chain = chain;
        self.is_unsynced = true;
        Ok(())
    }

    /// Brings the records to the disk. After a failure nothing is known about what is there: no more can be added.
    pub fn sync(&mut self) -> io::Result<()> {
        self.check()?;
        if self.is_unsynced {
            self.storage.sync().inspect_err(|error| self.broken = Some(error.to_string()))?;
            self.is_unsynced = false;
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        self.broken.as_ref().map_or(Ok(()), |why| Err(io::Error::other(why.clone())))
    }
}

fn lines(chain: &mut Chain, records: Vec<Record>, clock: &Clock) -> io::Result<String> {
    let time = clock();
    records.into_iter().map(|record| chain.line(&Entry { time, record })).collect()
}

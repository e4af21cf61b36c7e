//! Runs in memory, which can die at each step of a write: what was not synced is lost then, or torn.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    chain::{Integrity, Journal},
    store::{Storage, Store, read_run},
};
use crate::files::write::Text;

/// A moment at which a process can be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KillPoint {
    /// Before the plan and the first lines of a run are there.
    BeforeCreate,
    /// After they are there.
    Created,
    /// Before bytes are added to a journal.
    BeforeWrite,
    /// While they are added: the first half of them is there.
    TornWrite,
    /// After they were added, before they are on the disk: a part of what was not synced is there.
    BeforeSync,
    /// After a sync.
    Synced,
    /// Before a request is sent.
    BeforeRequest,
    /// After the server carried a request out, before its answer arrives.
    BeforeAnswer,
    /// After an answer has arrived.
    Answered,
}

impl KillPoint {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::BeforeCreate,
        Self::Created,
        Self::BeforeWrite,
        Self::TornWrite,
        Self::BeforeSync,
        Self::Synced,
        Self::BeforeRequest,
        Self::BeforeAnswer,
        Self::Answered,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeCreate => "before_create",
            Self::Created => "created",
            Self::BeforeWrite => "before_write",
            Self::TornWrite => "torn_write",
            Self::BeforeSync => "before_sync",
            Self::Synced => "synced",
            Self::BeforeRequest => "before_request",
            Self::BeforeAnswer => "before_answer",
            Self::Answered => "answered",
        }
    }
}

/// Decides at each kill point if the process dies there.
pub trait Killer: Send + Sync {
    /// Returns true if the process dies here. Once it has, it is asked no more.
    fn dies_at(&self, point: KillPoint) -> bool;
}

/// Counts kill points, and dies at one of them.
#[derive(Debug, Default)]
pub struct KillAt {
    counts: Mutex<Vec<KillPoint>>,
    at: Option<usize>,
}

impl KillAt {
    /// Returns a killer that lets the process live, and counts.
    pub fn never() -> Self {
        Self::default()
    }

    /// Returns a killer that ends the process at the kill point of this number, from 0.
    pub fn number(at: usize) -> Self {
        Self { at: Some(at), ..Self::default() }
    }

    /// Returns all kill points that were passed, in order.
    pub fn passed(&self) -> Vec<KillPoint> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Killer for KillAt {
    fn dies_at(&self, point: KillPoint) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let number = counts.len();
        counts.push(point);
        self.at == Some(number)
    }
}

/// Runs in memory. Clones share them, as processes share a disk.
#[derive(Clone, Default)]
pub struct Memory {
    disk: Arc<Mutex<BTreeMap<String, Files>>>,
    process: Arc<Process>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// The files of a run.
#[derive(Debug, Clone, Default)]
struct Files {
    plan: Vec<u8>,
    journal: Vec<u8>,
    /// The bytes of the journal that outlive the process.
    synced: usize,
}

/// A process that uses the disk.
#[derive(Default)]
struct Process {
    killer: Option<Arc<dyn Killer>>,
    dead: Mutex<bool>,
}

impl Process {
    fn is_dead(&self) -> bool {
        *self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns an error if the process is dead.
    fn check(&self) -> io::Result<()> {
        if self.is_dead() { Err(io::Error::other("the process was killed")) } else { Ok(()) }
    }

    /// Returns true if the process dies here.
    fn dies_at(&self, point: KillPoint) -> bool {
        let dies = self.killer.as_ref().is_some_and(|killer| !self.is_dead() && killer.dies_at(point));
        if dies {
            *self.dead.lock().unwrap_or_else(PoisonError::into_inner) = true;
        }
        dies
    }

    fn pass(&self, point: KillPoint) -> io::Result<()> {
        self.dies_at(point);
        self.check()
    }
}

impl Memory {
    /// Returns the same disk as a new process sees it that can be killed. What the last process did not sync is lost.
    #[must_use]
    pub fn restarted(&self, killer: Option<Arc<dyn Killer>>) -> Self {
        for files in self.disk().values_mut() {
            files.journal.truncate(files.synced);
        }
        Self { disk: self.disk.clone(), process: Arc::new(Process { killer, dead: Mutex::default() }) }
    }

    /// Passes a kill point that is none of the disk, such as one before a request. Returns true if the process is dead.
    pub fn dies_at(&self, point: KillPoint) -> bool {
        self.process.dies_at(point);
        self.is_dead()
    }

    /// Returns true if the process was killed: nothing that it writes arrives any more.
    pub fn is_dead(&self) -> bool {
        self.process.is_dead()
    }

    /// Returns the bytes of the journals of all runs, the oldest first.
    pub fn journals(&self) -> Vec<u8> {
        self.disk().values().flat_map(|files| files.journal.clone()).collect()
    }

    /// Returns how often some bytes are in what is on the disk for good of all journals.
    pub fn count(&self, needle: &[u8]) -> usize {
        let first = needle.first().copied().unwrap_or_default();
        let of = |files: &Files| {
            let text = &files.journal[..files.synced];
            let starts = text.iter().enumerate().filter(|(_, byte)| **byte == first).map(|(at, _)| at);
            starts.filter(|at| text[*at..].starts_with(needle)).count()
        };
        self.disk().values().map(of).sum()
    }

    /// Returns the bytes of the journal of a run.
    pub fn bytes(&self, run: &str) -> Vec<u8> {
        self.disk().get(run).map(|files| files.journal.clone()).unwrap_or_default()
    }

    fn disk(&self) -> MutexGuard<'_, BTreeMap<String, Files>> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, run: &str) -> Box<dyn Storage> {
        Box::new(MemoryJournal { memory: self.clone(), run: run.to_owned() })
    }

    fn read<T>(&self, run: &str, read: impl FnOnce(&Files) -> T) -> io::Result<T> {
        self.process.check()?;
        self.disk().get(run).map(read).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Store for Memory {
    fn key(&self) -> io::Result<[u8; 32]> {
        Ok([7; 32])
    }

    fn runs(&self) -> io::Result<Vec<String>> {
        self.process.check()?;
        Ok(self.disk().keys().cloned().collect())
    }

    fn create(&self, run: &str, plan: &Text<'_>, lines: &[u8]) -> io::Result<Box<dyn Storage>> {
        self.process.pass(KillPoint::BeforeCreate)?;
        let mut text = Vec::new();
        plan(&mut text)?;
        let files = Files { plan: text, journal: lines.to_vec(), synced: lines.len() };
        self.disk().insert(run.to_owned(), files);
        self.process.pass(KillPoint::Created)?;
        Ok(self.opened(run))
    }

    fn reopen(&self, run: &str, journal: &Journal) -> io::Result<Box<dyn Storage>> {
        self.process.check()?;
        let length = usize::try_from(journal.length).map_err(io::Error::other)?;
        let mut disk = self.disk();
        let files = disk.get_mut(run).ok_or(io::ErrorKind::NotFound)?;
        files.journal.truncate(length);
        files.synced = files.journal.len();
        if let Integrity::Altered { .. } = journal.integrity {
            debug_assert!(files.synced == length, "what was trusted is there");
        }
        drop(disk);
        Ok(self.opened(run))
    }

    fn journal(&self, run: &str) -> io::Result<Journal> {
        let text = self.read(run, |files| files.journal.clone())?;
        read_run(run, text.as_slice())
    }

    fn plan(&self, run: &str) -> io::Result<Vec<u8>> {
        self.read(run, |files| files.plan.clone())
    }

    fn remove(&self, run: &str) -> io::Result<()> {
        self.process.check()?;
        self.disk().remove(run);
        Ok(())
    }

    fn place(&self, run: &str) -> String {
        format!("memory:{run}")
    }
}

/// The journal of a run in memory.
#[derive(Debug)]
struct MemoryJournal {
    memory: Memory,
    run: String,
}

impl MemoryJournal {
    fn change(&self, change: impl FnOnce(&mut Files)) -> io::Result<()> {
        let mut disk = self.memory.disk();
        disk.get_mut(&self.run).map(change).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for MemoryJournal {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let process = self.memory.process.clone();
        process.pass(KillPoint::BeforeWrite)?;
        if process.dies_at(KillPoint::TornWrite) {
            // The worst case: what was torn is what the disk keeps.
            self.change(|files| {
                files.journal.extend(&bytes[..bytes.len() / 2]);
                files.synced = files.journal.len();
            })?;
        }
        process.check()?;
        self.change(|files| files.journal.extend(bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        let process = self.memory.process.clone();
        if process.dies_at(KillPoint::BeforeSync) {
            // A part of what was not synced may have reached the disk all the same.
            self.change(|files| files.synced += (files.journal.len() - files.synced) / 2)?;
        }
        process.check()?;
        self.change(|files| files.synced = files.journal.len())?;
        process.pass(KillPoint::Synced)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::journal::{
        chain::Integrity,
        record::{Ended, Record, Verdict},
        store::{Writer, unfinished},
        tests::run_record,
    };

    const RUN: &str = "000000000000100000000";

    /// Writes a run of two batches; ends early where the process dies.
    fn write(memory: &Memory) -> io::Result<()> {
        let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
        let mut writer = Writer::create(memory, RUN, &|out| out.write_all(b"{}"), vec![run_record(RUN)], clock)?;
        for address in ["A/a", "A/b"] {
            writer.append(vec![crate::journal::tests::intent(address)])?;
            writer.sync()?;
            writer.append(vec![crate::journal::tests::outcome(address)])?;
            writer.sync()?;
        }
        writer.append(vec![Record::Ended(Ended { verdict: Verdict::Converged, outcomes: BTreeMap::new() })])?;
        writer.sync()
    }

    /// Kills at each point, and checks that what was synced before is there and that the rest is whole or torn.
    #[test]
    fn nothing_that_was_synced_is_lost_at_any_kill_point() {
        let counting = Arc::new(KillAt::never());
        let memory = Memory::default().restarted(Some(counting.clone()));
        write(&memory).expect("nobody dies");
        assert!(unfinished(&memory).expect("read").is_empty());
        let points = counting.passed();
        assert_eq!(points.len(), 2 + 5 * 4);
        for (number, point) in points.iter().enumerate() {
            let memory = Memory::default().restarted(Some(Arc::new(KillAt::number(number))));
            assert!(write(&memory).is_err() && memory.is_dead(), "{number} {point:?}");
            assert!(memory.runs().is_err(), "a dead process reads nothing");
            let later = memory.restarted(None);
            let runs = unfinished(&later).expect("read");
            let synced = points[..=number].iter().filter(|point| **point == KillPoint::Synced).count();
            if number == 0 {
                assert!(later.runs().expect("read").is_empty());
                continue;
            }
            let journal = later.journal(RUN).expect("read");
            assert!(!matches!(journal.integrity, Integrity::Altered { .. }), "{number} {point:?}");
            assert!(journal.entries.len() > synced, "{number} {point:?}: {journal:?}");
            assert_eq!(runs.len(), usize::from(number + 1 < points.len()), "{number} {point:?}");
            // What was torn does not stand in the way of what comes later.
            if let [(run, journal)] = runs.as_slice() {
                let clock = Arc::new(|| Timestamp::UNIX_EPOCH);
                let mut writer = Writer::reopen(&later, run, journal, clock).expect("opened");
                let ended = Ended { verdict: Verdict::Abandoned, outcomes: BTreeMap::new() };
                writer.append(vec![Record::Ended(ended)]).and_then(|()| writer.sync()).expect("written");
                let journal = later.journal(RUN).expect("read");
                assert_eq!((journal.integrity, journal.is_unfinished()), (Integrity::Whole, false));
            }
        }
    }
}

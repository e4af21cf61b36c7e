//! The runs of a state directory on a disk.
//!
//! ```text
//! STATE/runs/RUN/plan.json   the whole plan
//! STATE/runs/RUN/journal     the records of the run
//! STATE/runs/RUN/ended       length and time of a journal that was read to its end
//! STATE/key                  the key of its digests
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    chain::{Integrity, Journal},
    store::{Storage, Store, read_run},
};
use crate::files::{
    self,
    write::{self, Readers, Text},
};

/// Maximum bytes of a plan.
const PLAN: u64 = 4 << 30;

/// The age from which a half-made run is no run in the making.
const HALF_MADE: Duration = Duration::from_hours(1);

/// How many runs are kept, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Runs that are older are removed.
    pub keep: Duration,
    /// The number of runs that are kept.
    pub runs: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep: Duration::from_hours(90 * 24), runs: 1000 }
    }
}

/// A state directory.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Returns the state directory at a path. Nothing is read or written yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file of a run: `plan.json`, `journal` or `ended`.
    fn file(&self, run: &str, name: &str) -> PathBuf {
        self.runs_path().join(run).join(name)
    }

    fn runs_path(&self) -> PathBuf {
        self.path.join("runs")
    }

    /// Removes finished runs beyond a retention, and what is left of runs whose beginning was broken off. Unfinished runs
    /// are kept. `now` is the time by which runs are old.
    pub fn clean_at(&self, retention: &Retention, now: SystemTime) -> io::Result<()> {
        let runs = self.runs()?;
        let beyond = runs.len().saturating_sub(retention.runs);
        for (at, run) in runs.iter().enumerate() {
            let is_old = started(run).is_some_and(|start| age(start, now) > retention.keep);
            if !is_old && at >= beyond {
                continue;
            }
            // A run whose journal cannot be read may be unfinished.
            if self.is_marked_ended(run) || self.journal(run).is_ok_and(|journal| !journal.is_unfinished()) {
                self.remove(run)?;
            }
        }
        for entry in entries(&self.runs_path())? {
            let name = entry.file_name();
            let is_half_made = name.to_str().is_some_and(|name| name.starts_with('.'));
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if is_half_made && modified.is_ok_and(|modified| age(modified, now) > HALF_MADE) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn age(since: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(since).unwrap_or_default()
}

/// Returns the time at which a run began, which its id begins with.
fn started(run: &str) -> Option<SystemTime> {
    let millis = u64::from_str_radix(run.get(..13)?, 16).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

/// Returns the entries of a directory; none where there is no such directory.
fn entries(path: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(path) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Returns the length and the time of a journal, in the form of the file `ended`.
fn stamp(path: &Path) -> io::Result<String> {
    let metadata = fs::symlink_metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {}\n", metadata.len(), modified.as_nanos()))
}

fn system(error: files::FileError) -> io::Error {
    match error {
        files::FileError::System(error) => error,
        other => io::Error::other(other.to_string()),
    }
}

impl Store for Directory {
    fn key(&self) -> io::Result<[u8; 32]> {
        let path = self.path.join("key");
        let read = || -> io::Result<[u8; 32]> {
            let bytes = files::read(&path, 64).map_err(system)?;
            let wrong = || io::Error::other(format!("{} does not hold 32 bytes", path.display()));
            bytes.try_into().map_err(|_| wrong())
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        write::make_directories(&self.path)?;
        match write::create_new(&path, &|out| out.write_all(&key)) {
            // Another process was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(),
            Err(error) => Err(error),
            Ok(()) => Ok(key),
        }
    }

    fn runs(&self) -> io::Result<Vec<String>> {
        let names = entries(&self.runs_path())?.into_iter().filter_map(|entry| entry.file_name().into_string().ok());
        let mut runs: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        runs.sort_unstable();
        Ok(runs)
    }

    fn create(&self, run: &str, plan: &Text<'_>, lines: &[u8]) -> io::Result<Box<dyn Storage>> {
        let (half_made, whole) = (self.runs_path().join(format!(".{run}")), self.runs_path().join(run));
        write::make_directories(&half_made)?;
        let made = || -> io::Result<JournalFile> {
            write::create_new(&half_made.join("plan.json"), plan)?;
            let path = half_made.join("journal");
            write::create_new(&path, &|out| out.write_all(lines))?;
            // The file keeps its handle when its directory gets another name.
            let file = OpenOptions::new().append(true).open(&path)?;
            write::sync_directory(&half_made)?;
            fs::rename(&half_made, &whole)?;
            write::sync_directory(&self.runs_path())?;
            Ok(JournalFile { file, length: lines.len() as u64, broken: false })
        };
        let made = made();
        if made.is_err() {
            let _ = fs::remove_dir_all(&half_made);
        }
        Ok(Box::new(made?))
    }

    fn reopen(&self, run: &str, journal: &Journal) -> io::Result<Box<dyn Storage>> {
        let path = self.file(run, "journal");
        if let Integrity::Altered { .. } = journal.integrity {
            let mut trusted = Vec::new();
            match File::open(&path) {
                Ok(file) => {
                    file.take(journal.length).read_to_end(&mut trusted)?;
                    fs::rename(&path, self.file(run, "journal.altered"))?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            write::replace(&path, &trusted, Readers::Owner)?;
        }
        let file = OpenOptions::new().append(true).open(&path)?;
        file.set_len(journal.length)?;
        file.sync_all()?;
        Ok(Box::new(JournalFile { file, length: journal.length, broken: false }))
    }

    fn journal(&self, run: &str) -> io::Result<Journal> {
        match File::open(self.file(run, "journal")) {
            Ok(file) => read_run(run, BufReader::new(file)),
            // It was there together with its directory.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.runs_path().join(run).exists() => {
                read_run(run, io::empty())
            }
            Err(error) => Err(error),
        }
    }

    fn plan(&self, run: &str) -> io::Result<Vec<u8>> {
        files::read(&self.file(run, "plan.json"), PLAN).map_err(system)
    }

    fn mark_ended(&self, run: &str) -> io::Result<()> {
        let stamp = stamp(&self.file(run, "journal"))?;
        fs::write(self.file(run, "ended"), stamp)
    }

    fn is_marked_ended(&self, run: &str) -> bool {
        let marked = files::read(&self.file(run, "ended"), 128).ok();
        marked.is_some_and(|marked| stamp(&self.file(run, "journal")).is_ok_and(|stamp| stamp.as_bytes() == marked))
    }

    fn clean(&self, retention: &Retention, now: jiff::Timestamp) -> io::Result<()> {
        self.clean_at(retention, now.into())
    }

    fn remove(&self, run: &str) -> io::Result<()> {
        // First it is no run any more: a removal that is broken off leaves no run without its journal.
        let removed = self.runs_path().join(format!(".{run}.removed"));
        fs::rename(self.runs_path().join(run), &removed)?;
        fs::remove_dir_all(removed)
    }

    fn place(&self, run: &str) -> String {
        self.file(run, "journal").display().to_string()
    }
}

/// The journal of a run in a file.
#[derive(Debug)]
struct JournalFile {
    file: File,
    length: u64,
    /// A write failed, and what it left behind could not be taken away.
    broken: bool,
}

impl Storage for JournalFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to it failed"));
        }
        if let Err(error) = self.file.write_all(bytes) {
            // On a full disk a part of the line may be there.
            self.broken = self.file.set_len(self.length).is_err() || self.file.seek(SeekFrom::End(0)).is_err();
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

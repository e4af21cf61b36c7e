//! Leases: one run at a time writes to a target, and a run that died keeps nobody out.
//!
//! A lease is a file of one line of JSON that says who holds it and until when. Its holder renews it; each look at it
//! and each change of it happens under a lock of the operating system that is held for an instant, so that of many
//! processes one gets it. A lease ends with its release, with the death of its process where that can be seen, or when
//! it ran out and nobody renewed it while it was looked at.

mod process;
mod record;
#[cfg(test)]
mod tests;

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::{TargetRecord, store::Clock};
use crate::{clock, files::write};
use process::Process;
use record::{Record, Timing, Verdict, verdict};

/// The name of the directory of leases below the directory of the state.
pub const DIRECTORY: &str = "locks";

/// Most bytes that are read of a lease.
const MOST: u64 = 64 << 10;

/// Longest time for which other processes may keep the operating system's lock on a lease. They need microseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A run that wants leases, as others read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The id of the run.
    pub run: String,
    /// The user and the host, such as `deploy@ci-7`.
    pub name: String,
    /// The subcommand, such as `apply`.
    pub command: String,
}

/// A lease that was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error(
        "the target {target} is locked by {holder}, whose lease lasts until {until:.0} unless it is renewed: \
         `--lock-timeout 5m` waits for it"
    )]
    Held {
        /// The name of the target.
        target: String,
        /// The run and its holder, in words.
        holder: String,
        /// When its lease runs out.
        until: Timestamp,
    },
    /// The file of the lease cannot be used.
    #[error("cannot lock the target {target}: {}: {source}; `--state-dir DIR` names another directory", path.display())]
    File {
        /// The name of the target.
        target: String,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// A lease that does not hold any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Another run took it over or has had it meanwhile.
    #[error("the lock on the target {target} was lost: {new_holder} took it over while this process stood still")]
    TakenOver {
        /// The name of the target.
        target: String,
        /// The run that took it and its holder, in words.
        new_holder: String,
    },
    /// It ran out and cannot be renewed.
    #[error("the lock on the target {target} was lost: it ran out and cannot be renewed: {reason}")]
    NotRenewed {
        /// The name of the target.
        target: String,
        /// The reason.
        reason: String,
    },
}

/// The leases of a state directory.
pub struct Leases {
    directory: PathBuf,
    timing: Timing,
    now: Arc<Clock>,
    process: Process,
}

impl Leases {
    /// Takes the leases on all of some targets, and renews them until the guard is dropped.
    ///
    /// It waits for at most `timeout` for other runs, and longer only to see whether a lease that ran out is renewed
    /// after all. `say` gets sentences about waiting and about leases that were taken over.
    pub async fn acquire(
        state_dir: &Path,
        targets: &[TargetRecord],
        holder: &Holder,
        timeout: Duration,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Guard, LockError> {
        Self::new(state_dir).acquire_all(targets, holder, timeout, say).await
    }

    /// Returns the subcommand of the run that holds the lease on a target; `None` if none does, or that cannot be told.
    pub fn command_on(state_dir: &Path, target: &TargetRecord) -> Option<String> {
        Self::new(state_dir).command(target)
    }

    fn command(&self, target: &TargetRecord) -> Option<String> {
        let mut file = File::open(self.directory.join(&target.key)).ok()?;
        let Ok(Content::Record(found)) = read(&mut file) else { return None };
        let standing = verdict(found.until, (self.now)(), found.process.state(), Duration::ZERO, &self.timing);
        (standing == Verdict::Held).then_some(found.command)
    }

    fn new(state_dir: &Path) -> Self {
        Self {
            directory: state_dir.join(DIRECTORY),
            timing: Timing::REAL,
            now: Arc::new(clock::now),
            process: Process::current(),
        }
    }

    async fn acquire_all(
        &self,
        targets: &[TargetRecord],
        holder: &Holder,
        timeout: Duration,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Guard, LockError> {
        let deadline = Instant::now() + timeout;
        let held: Arc<Mutex<Vec<Lease>>> = Arc::default();
        // Those that were taken first are renewed while the others are waited for.
        let renewed = held.clone();
        let interval = self.timing.renewal;
        let task = tokio::spawn(async move {
            loop {
                sleep(interval).await;
                lock(&renewed).iter_mut().for_each(|lease| drop(lease.renew()));
            }
        });
        let guard = Guard { held, renewing: Some(AbortOnDropHandle::new(task)) };
        let mut targets = targets.to_vec();
        // All runs take leases in one order, so that no two wait for each other.
        targets.sort_by(|one, other| one.key.cmp(&other.key));
        targets.dedup_by(|one, other| one.key == other.key);
        for target in targets {
            let lease = self.wait_for(target, holder, deadline, say).await?;
            lock(&guard.held).push(lease);
        }
        Ok(guard)
    }

    /// Takes one lease as soon as it is free.
    async fn wait_for(
        &self,
        target: TargetRecord,
        holder: &Holder,
        deadline: Instant,
        say: &(dyn Fn(&str) + Sync),
    ) -> Result<Lease, LockError> {
        let path = self.directory.join(&target.key);
        let problem = |source| LockError::File { target: target.name.clone(), path: path.clone(), source };
        let record = self.record(holder);
        let name = &target.name;
        let (mut sighting, mut announced, mut busy_since) = (None, None, None);
        let (record, taken_from) = loop {
            match self.attempt(&path, &record, &mut sighting).map_err(problem)? {
                Attempt::Taken(record, from) => break (record, from),
                Attempt::Busy => {
                    let since = *busy_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PATIENCE {
                        let reason = "another process keeps it open and does not go on";
                        return Err(problem(io::Error::new(io::ErrorKind::WouldBlock, reason)));
                    }
                    // Only for an instant: others do nothing but read and write a line.
                    sleep(self.timing.poll / 16).await;
                    continue;
                }
                Attempt::Other(other, verdict) => {
                    busy_since = None;
                    let is_news = announced != Some((other.token.clone(), verdict));
                    if verdict == Verdict::Held && Instant::now() >= deadline {
                        let (holder, until) = (other.to_string(), other.until);
                        return Err(LockError::Held { target: target.name, holder, until });
                    }
                    if is_news && verdict == Verdict::Held {
                        say(&format!("waiting for the lock on the target {name}, held by {other}"));
                    } else if is_news {
                        let seconds = self.timing.watch.as_secs();
                        say(&format!(
                            "the lock on the target {name} ran out, held by {other}: it is taken over unless it is \
                             renewed within {seconds} s"
                        ));
                    }
                    announced = Some((other.token, verdict));
                }
            }
            sleep(self.timing.poll).await;
        };
        match taken_from {
            Some((other, Verdict::Abandoned)) => {
                say(&format!("took over the lock on the target {name}: the process of {other} has ended"));
            }
            Some((other, _)) => {
                say(&format!("took over the lock on the target {name}: {other} did not renew it"));
            }
            None => {}
        }
        let term = self.timing.term;
        Ok(Lease { target, path, record, term, now: self.now.clone(), renewed: Instant::now(), lost: None })
    }

    /// Looks at a lease once, and takes it if it may be taken.
    fn attempt(&self, path: &Path, record: &Record, sighting: &mut Option<Sighting>) -> io::Result<Attempt> {
        let Some(mut file) = open_locked(path)? else { return Ok(Attempt::Busy) };
        let now = (self.now)();
        let found = match read(&mut file)? {
            Content::Free => None,
            Content::Record(found) => Some(found),
            // A line that was torn when its machine died says nothing. Its lease ends as that of any other that died.
            Content::Unreadable => Some(Record {
                run: "unknown".to_owned(),
                holder: "unknown".to_owned(),
                command: "apply".to_owned(),
                process: Process { pid: 0, started: None, machine: None },
                token: String::new(),
                since: now,
                until: Timestamp::UNIX_EPOCH,
            }),
        };
        let mut from = None;
        if let Some(found) = found {
            let was_seen = sighting.is_some();
            let last = sighting.take().filter(|last| last.token == found.token && last.until == found.until);
            let seen = last.unwrap_or_else(|| Sighting {
                token: found.token.clone(),
                until: found.until,
                at: Instant::now(),
                is_new: was_seen,
            });
            let (unchanged, is_new) = (seen.at.elapsed(), seen.is_new);
            *sighting = Some(seen);
            match verdict(found.until, now, found.process.state(), unchanged, &self.timing) {
                // It was taken or renewed while this process looked on, so its holder lives, whatever its clock says.
                Verdict::Doubtful if is_new => return Ok(Attempt::Other(found, Verdict::Held)),
                standing @ (Verdict::Held | Verdict::Doubtful) => return Ok(Attempt::Other(found, standing)),
                standing @ (Verdict::Expired | Verdict::Abandoned) => from = Some((found, standing)),
            }
        }
        let record = Record { since: now, until: now + self.timing.term, ..record.clone() };
        if let Err(error) = write(&mut file, &record) {
            // Half a line would keep others out for a while.
            let _ = file.set_len(0);
            return Err(error);
        }
        Ok(Attempt::Taken(record, from))
    }

    fn record(&self, holder: &Holder) -> Record {
        let now = (self.now)();
        Record {
            run: holder.run.clone(),
            holder: holder.name.clone(),
            command: holder.command.clone(),
            process: self.process.clone(),
            token: format!("{:016x}", fastrand::u64(..)),
            since: now,
            until: now,
        }
    }
}

/// The result of one look at a lease that is wanted.
enum Attempt {
    /// It is taken now: its record, and that of the run that it was taken over from.
    Taken(Record, Option<(Record, Verdict)>),
    /// Another process looks at it just now.
    Busy,
    /// Another run holds it, or may do so.
    Other(Record, Verdict),
}

/// A lease of another run, as it was seen first.
struct Sighting {
    token: String,
    until: Timestamp,
    at: Instant,
    /// It replaced what was there before it.
    is_new: bool,
}

/// The content of a lease's file.
enum Content {
    Free,
    Record(Record),
    Unreadable,
}

/// Opens a file under the operating system's lock on it, which ends when the file is closed; `None` if another process
/// has it.
fn open_locked(path: &Path) -> io::Result<Option<File>> {
    let file = write::open_shared(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read(file: &mut File) -> io::Result<Content> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(MOST).read_to_end(&mut bytes)?;
    // A process that was killed while it wrote may have left the end of a longer line behind its own.
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(match serde_json::from_slice(line) {
        Ok(record) => Content::Record(record),
        Err(_) if bytes.is_empty() => Content::Free,
        Err(_) => Content::Unreadable,
    })
}

fn write(file: &mut File, record: &Record) -> io::Result<()> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&line)?;
    file.set_len(line.len() as u64)
}

/// A lease of this process.
struct Lease {
    target: TargetRecord,
    path: PathBuf,
    record: Record,
    term: Duration,
    now: Arc<Clock>,
    /// When it was taken or renewed last, by a clock that does not jump.
    renewed: Instant,
    lost: Option<Lost>,
}

impl Lease {
    /// Returns true if no other process can have taken it since it was renewed last, by either clock. Time that a
    /// machine sleeps passes on one of them only.
    fn is_current(&self) -> bool {
        let now = (self.now)();
        let is_before_end =
            now < self.record.until && self.record.until.duration_since(now).unsigned_abs() <= self.term;
        self.lost.is_none() && is_before_end && self.renewed.elapsed() < self.term
    }

    /// Renews it, whether it ran out or not, unless another process has had it.
    fn renew(&mut self) -> Result<(), Lost> {
        if let Some(lost) = &self.lost {
            return Err(lost.clone());
        }
        match self.extend() {
            Ok(None) => Ok(()),
            Ok(Some(new_holder)) => {
                let lost = Lost::TakenOver { target: self.target.name.clone(), new_holder };
                self.lost = Some(lost.clone());
                Err(lost)
            }
            Err(error) => {
                let reason = format!("{}: {error}", self.path.display());
                Err(Lost::NotRenewed { target: self.target.name.clone(), reason })
            }
        }
    }

    /// Writes its new end; returns who has it instead if this process has not.
    fn extend(&mut self) -> io::Result<Option<String>> {
        let mut file = self.open()?;
        match read(&mut file)? {
            Content::Record(found) if found.token == self.record.token => {
                let now = (self.now)();
                self.record = Record { until: now + self.term, ..found };
                write(&mut file, &self.record)?;
                self.renewed = Instant::now();
                Ok(None)
            }
            Content::Record(found) => Ok(Some(found.to_string())),
            Content::Free | Content::Unreadable => Ok(Some("another run, which has ended,".to_owned())),
        }
    }

    /// Opens the file under its lock. Other processes have that for microseconds: a few attempts are enough.
    fn open(&self) -> io::Result<File> {
        for _ in 0..100 {
            if let Some(file) = open_locked(&self.path)? {
                return Ok(file);
            }
            std::thread::yield_now();
        }
        Err(io::Error::new(io::ErrorKind::WouldBlock, "another process keeps it open"))
    }

    fn release(&self) {
        // Where this fails, the lease ends with its process or its time.
        if let Ok(mut file) = self.open()
            && let Ok(Content::Record(found)) = read(&mut file)
            && found.token == self.record.token
        {
            let _ = file.set_len(0);
        }
    }
}

/// Leases that are held and renewed until this is dropped.
pub struct Guard {
    held: Arc<Mutex<Vec<Lease>>>,
    /// The task that renews them.
    renewing: Option<AbortOnDropHandle<()>>,
}

impl Guard {
    /// Returns a guard of nothing: for runs whose servers nobody else can reach.
    pub fn none() -> Self {
        Self { held: Arc::default(), renewing: None }
    }

    /// Returns true if no other run can write to the targets now.
    pub fn is_held(&self) -> bool {
        self.check().is_ok()
    }

    /// Returns how a lease was lost, if one was. One that ran out while the machine slept or its clock jumped is
    /// renewed where nobody took it meanwhile.
    pub fn check(&self) -> Result<(), Lost> {
        let mut held = lock(&self.held);
        held.iter_mut().filter(|lease| !lease.is_current()).try_for_each(Lease::renew)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.renewing.take());
        lock(&self.held).drain(..).for_each(|lease| lease.release());
    }
}

fn lock(leases: &Mutex<Vec<Lease>>) -> MutexGuard<'_, Vec<Lease>> {
    leases.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Files that were read before: what did not change since is not read again.

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{FileError, add, open, read, read_from};
use crate::{
    diagnostic::Diagnostic,
    source::{FileId, SharedText, Sources},
};

/// A file that changed so short a time before it was read may change again within the same tick of the file system's clock,
/// so that nothing shows it. The coarsest clocks in use tick every two seconds.
const TICK: Duration = Duration::from_secs(2);

/// The texts of files as they were last read.
#[derive(Debug, Default)]
pub struct KnownFiles {
    files: HashMap<PathBuf, KnownFile>,
    /// Those that were asked for since the last [`KnownFiles::forget_others`].
    asked: HashMap<PathBuf, KnownFile>,
    is_in_use: bool,
    read: usize,
}

#[derive(Debug)]
struct KnownFile {
    /// What the system tells of the file; `None` if it may have changed without showing there.
    stamp: Option<Stamp>,
    text: SharedText,
}

/// What the system tells of a file. An editor that sets the time of the last change back does not set back that of the
/// last change of the file's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: SystemTime,
    changed: (i64, i64),
}

impl Stamp {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        Some(Self {
            inode: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: metadata.modified().ok()?,
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Elsewhere nothing tells two files of the same name apart.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Option<Self> {
        None
    }

    /// Returns true if the file was left alone for some time before it was read.
    fn is_settled(&self, read_at: SystemTime) -> bool {
        let changed =
            Duration::new(self.changed.0.try_into().unwrap_or_default(), self.changed.1.try_into().unwrap_or_default());
        let last = self.modified.max(SystemTime::UNIX_EPOCH + changed);
        last + TICK <= read_at
    }
}

impl KnownFiles {
    /// Returns what remembers files, and knows none yet.
    pub fn new() -> Self {
        Self { is_in_use: true, ..Self::default() }
    }

    /// Forgets what the system told of the files: all are read again.
    pub fn doubt(&mut self) {
        self.files.values_mut().for_each(|known| known.stamp = None);
    }

    /// Forgets the files that were not asked for since the last time.
    pub fn forget_others(&mut self) {
        self.files = std::mem::take(&mut self.asked);
    }

    /// Returns how many files were read so far.
    pub fn read_so_far(&self) -> usize {
        self.read
    }

    /// Adds the text of a regular file of at most `most` bytes to the sources, as [`add`] does. It is read unless it is known
    /// and did not change since.
    pub(crate) fn add(
        &mut self,
        path: &Path,
        shown: String,
        most: u64,
        sources: &mut Sources,
    ) -> Result<Result<FileId, Diagnostic>, FileError> {
        if !self.is_in_use {
            self.read += 1;
            return Ok(add(shown, read(path, most)?, sources));
        }
        let known = self.files.remove(path);
        let now = fs::metadata(path)?;
        if let Some(known) = &known
            && known.stamp.is_some()
            && known.stamp == Stamp::of(&now)
        {
            return Ok(Ok(self.keep(path, known.text.clone(), known.stamp, sources)));
        }
        let read_at = SystemTime::now();
        let file = open(path, &now)?;
        let before = Stamp::of(&file.metadata()?);
        let bytes = read_from(&file, most)?;
        self.read += 1;
        let after = Stamp::of(&file.metadata()?);
        let stamp = before.filter(|before| before.is_settled(read_at) && Some(*before) == after);
        if let Some(known) = known.filter(|known| known.text.text().as_bytes() == bytes) {
            return Ok(Ok(self.keep(path, known.text, stamp, sources)));
        }
        let added = add(shown, bytes, sources);
        if let Ok(file) = added {
            self.asked.insert(path.to_owned(), KnownFile { stamp, text: sources.share(file) });
        }
        Ok(added)
    }

    fn keep(&mut self, path: &Path, text: SharedText, stamp: Option<Stamp>, sources: &mut Sources) -> FileId {
        self.asked.insert(path.to_owned(), KnownFile { stamp, text: text.clone() });
        sources.add_shared(text)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_trusted_once_the_clock_has_ticked() {
        let now = SystemTime::now();
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs();
        let check = |modified: Duration, changed: Duration, expected: bool| {
            let changed = (i64::try_from(seconds(now - changed)).expect("it fits"), 0);
            let stamp = Stamp { inode: (1, 1), size: 1, modified: now - modified, changed };
            assert_eq!(stamp.is_settled(now), expected, "{modified:?} {changed:?}");
        };
        let (short, long) = (Duration::from_millis(500), Duration::from_secs(10));
        check(long, long, true);
        check(short, long, false);
        // The time of the last change was set back.
        check(long, Duration::ZERO, false);
    }

    #[test]
    fn no_change_is_missed() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, replaced) = (directory.path().join("a.yaml"), directory.path().join("b.yaml"));
        let mut known = KnownFiles::new();
        let old = SystemTime::now() - Duration::from_secs(100);
        let write = |path: &Path, text: &str| {
            fs::write(path, text).expect("written");
            fs::File::options().write(true).open(path).expect("opened").set_modified(old).expect("set");
        };
        // Each step reads both files: their texts, and how many of them were read from the disk.
        let mut check = |expected: [&str; 2], read: usize| {
            let mut sources = Sources::default();
            let before = known.read_so_far();
            let mut text = |path: &Path| {
                let added = known.add(path, path.display().to_string(), 100, &mut sources).expect("it can be read");
                sources.text(added.expect("it is UTF-8")).to_string()
            };
            assert_eq!([text(&path), text(&replaced)], expected);
            assert_eq!(known.read_so_far() - before, read, "{expected:?}");
            known.forget_others();
        };
        write(&path, "a: 1");
        write(&replaced, "b: 1");
        check(["a: 1", "b: 1"], 2);
        // As long as it is young, another text of the same size may have the same times.
        write(&path, "a: 2");
        check(["a: 2", "b: 1"], 2);
        std::thread::sleep(TICK + Duration::from_millis(50));
        check(["a: 2", "b: 1"], 2);
        check(["a: 2", "b: 1"], 0);
        // Another text of the same size, with the same time of the last change, and another file with both.
        write(&path, "a: 3");
        check(["a: 3", "b: 1"], 1);
        let beside = directory.path().join("c.yaml");
        write(&beside, "b: 2");
        fs::rename(&beside, &replaced).expect("renamed");
        check(["a: 3", "b: 2"], 2);
    }

    #[test]
    fn what_is_in_doubt_is_read_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.yaml");
        fs::write(&path, "a: 1").expect("written");
        let mut known = KnownFiles::new();
        let read = |known: &mut KnownFiles| {
            let added = known.add(&path, String::new(), 100, &mut Sources::default());
            assert!(added.expect("it can be read").is_ok());
            known.forget_others();
            known.read_so_far()
        };
        read(&mut known);
        // As if it had been left alone for long.
        let stamp = Stamp::of(&fs::metadata(&path).expect("it is there"));
        known.files.values_mut().for_each(|known| known.stamp = stamp);
        assert_eq!(read(&mut known), 1);
        known.doubt();
        assert_eq!(read(&mut known), 2);
    }
}

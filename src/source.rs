//! The texts that were read, and places in them.
//!
//! A place is a range of bytes in one file ([`Origin`]); people are shown a [`Position`]: line and column,
//! both from 1, the column counted in characters.

use std::{
    fmt,
    num::NonZeroU32,
    ops::Range,
    sync::{Arc, OnceLock},
};

use sha2::{Digest as _, Sha256};

use crate::plain::line;

/// Names one text of a [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(NonZeroU32);

impl FileId {
    fn at(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(offset(index)))
    }

    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Where a value was written: a range of bytes of one file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file.
    pub file: FileId,
    /// Bytes from the start of the file.
    pub bytes: Range<u32>,
}

impl Origin {
    /// Returns a range of bytes of a file as a place.
    pub fn new(file: FileId, bytes: Range<usize>) -> Self {
        Self { file, bytes: offset(bytes.start)..offset(bytes.end) }
    }

    /// Returns the bytes, to cut the place out of its text.
    pub fn range(&self) -> Range<usize> {
        self.bytes.start as usize..self.bytes.end as usize
    }

    /// Returns what sorts places in the order in which they were read.
    pub fn order(&self) -> (FileId, u32) {
        (self.file, self.bytes.start)
    }

    /// Returns true if another place lies inside this one, or is the same.
    pub fn contains(&self, other: &Self) -> bool {
        self.file == other.file && self.bytes.start <= other.bytes.start && other.bytes.end <= self.bytes.end
    }
}

/// A value and the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
    /// Where its key was written, if a wrong name is to be shown there.
    key: KeyPlace,
}

impl<T> Located<T> {
    /// Adds the place of the key, if that lies in the same file and not far before the value.
    #[must_use]
    pub fn with_key(self, key: &Origin) -> Self {
        Self { key: KeyPlace::of(key, &self.origin).unwrap_or_default(), ..self }
    }

    /// Returns the place of the key, or of the value where that is not known.
    pub fn name_origin(&self) -> Origin {
        self.key.before(&self.origin).unwrap_or_else(|| self.origin.clone())
    }

    /// Returns the value with its place.
    pub fn new(value: impl Into<T>, origin: Origin) -> Self {
        Self { value: value.into(), origin, key: KeyPlace::default() }
    }
}

/// The place of a key as seen from its value, in little memory: there is one for each declared field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct KeyPlace {
    /// Bytes from the start of the key to that of the value.
    distance: u16,
    /// Bytes of the key; 0 where its place is not known.
    length: u16,
}

impl KeyPlace {
    fn of(key: &Origin, value: &Origin) -> Option<Self> {
        let distance = value.bytes.start.checked_sub(key.bytes.start).filter(|_| key.file == value.file)?;
        let length = key.bytes.end.checked_sub(key.bytes.start)?;
        Some(Self { distance: distance.try_into().ok()?, length: length.try_into().ok()? })
    }

    fn before(self, value: &Origin) -> Option<Origin> {
        let start = value.bytes.start.checked_sub(self.distance.into()).filter(|_| self.length > 0)?;
        Some(Origin { file: value.file, bytes: start..start + u32::from(self.length) })
    }
}

/// A place as people read it; prints as `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The path as it was given.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", line(&self.file), self.line, self.column)
    }
}

#[derive(Debug, Clone)]
struct Source {
    path: Arc<str>,
    text: Arc<str>,
    /// SHA-256 of the path and the text, once it is asked for.
    digest: OnceLock<[u8; 32]>,
    /// Byte offset of the first byte of every line, once a place is asked for.
    lines: OnceLock<Vec<u32>>,
    /// Places of a text that is not at hand: line and column. Their offsets count them.
    marks: Option<Vec<(usize, usize)>>,
}

impl Source {
    fn new(path: Arc<str>, text: Arc<str>) -> Self {
        Self { path, text, digest: OnceLock::new(), lines: OnceLock::new(), marks: None }
    }

    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let ends = self.text.match_indices('\n');
            std::iter::once(0).chain(ends.map(|(at, _)| offset(at + 1))).collect()
        })
    }
}

/// A text with its path and what was found out about it, to be taken into other [`Sources`] too.
#[derive(Debug, Clone)]
pub struct SharedText(Arc<Source>);

impl SharedText {
    /// Returns the text.
    pub fn text(&self) -> &str {
        &self.0.text
    }
}

/// All texts of one run.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Arc<Source>>,
}

impl Sources {
    /// Takes in a text and returns its name. Texts over 4 GiB are cut off by the reader before this.
    pub fn add(&mut self, path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> FileId {
        self.add_shared(SharedText(Arc::new(Source::new(path.into(), text.into()))))
    }

    /// Takes in a text that others have, too.
    pub fn add_shared(&mut self, text: SharedText) -> FileId {
        let id = FileId::at(self.files.len());
        self.files.push(text.0);
        id
    }

    /// Puts another text in place of one. Places in the old text mean nothing any more.
    pub fn replace(&mut self, file: FileId, text: Arc<str>) {
        let path = self.source(file).path.clone();
        self.files[file.index()] = Arc::new(Source::new(path, text));
    }

    /// Returns a text for other sources.
    pub fn share(&self, file: FileId) -> SharedText {
        SharedText(self.files[file.index()].clone())
    }

    /// Returns the SHA-256 of the path and the text of a file.
    pub fn digest(&self, file: FileId) -> [u8; 32] {
        let source = self.source(file);
        *source.digest.get_or_init(|| {
            let mut hasher = Sha256::new();
            for part in [&source.path, &source.text] {
                // The length keeps the end of one part apart from the start of the next.
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part.as_bytes());
            }
            hasher.finalize().into()
        })
    }

    /// Takes in the name of a text that is not at hand, such as one of which only places were saved.
    pub fn add_absent(&mut self, path: impl Into<Arc<str>>) -> FileId {
        let id = self.add(path, "");
        Arc::make_mut(&mut self.files[id.index()]).marks = Some(Vec::new());
        id
    }

    /// Notes a line and a column, both from 1, of a text that is not at hand, and returns the place.
    pub fn mark(&mut self, file: FileId, line: usize, column: usize) -> Origin {
        let marks = Arc::make_mut(&mut self.files[file.index()]).marks.get_or_insert_default();
        let at = marks.len();
        marks.push((line, column));
        Origin::new(file, at..at + 1)
    }

    /// Returns all texts in the order in which they were read.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        (0..self.files.len()).map(FileId::at)
    }

    /// Returns the path under which a text was read.
    pub fn path(&self, file: FileId) -> &Arc<str> {
        &self.source(file).path
    }

    /// Returns a text.
    pub fn text(&self, file: FileId) -> &Arc<str> {
        &self.source(file).text
    }

    /// Returns the position of the first character of a place.
    pub fn position(&self, origin: &Origin) -> Position {
        let source = self.source(origin.file);
        if let Some(marks) = &source.marks {
            let (line, column) = marks.get(origin.bytes.start as usize).copied().unwrap_or((1, 1));
            return Position { file: source.path.clone(), line, column };
        }
        let lines = source.lines();
        let line = lines.partition_point(|start| *start <= origin.bytes.start).saturating_sub(1);
        let start = lines[line] as usize;
        let end = (origin.bytes.start as usize).min(source.text.len());
        let before = source.text.get(start..end).unwrap_or_default().trim_start_matches('\u{feff}');
        Position { file: source.path.clone(), line: line + 1, column: before.chars().count() + 1 }
    }

    /// Returns the bytes that the lines from the first to the last line of a place take up, and the number of the
    /// first of them, from 1.
    pub fn lines(&self, origin: &Origin) -> (Range<usize>, usize) {
        let source = self.source(origin.file);
        if source.marks.is_some() {
            // Nothing can be cut out of a text that is not at hand.
            return (1..1, self.position(origin).line);
        }
        let lines = source.lines();
        let at = |byte: u32| lines.partition_point(|start| *start <= byte).saturating_sub(1);
        let (first, last) = (at(origin.bytes.start), at(origin.bytes.end.saturating_sub(1).max(origin.bytes.start)));
        let end = lines.get(last + 1).map_or(source.text.len(), |next| *next as usize);
        (lines[first] as usize..end, first + 1)
    }

    fn source(&self, file: FileId) -> &Source {
        &self.files[file.index()]
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", "名: 交换机 x\nk: v\n");
        let check = |byte: u32, expected: &str| {
            let origin = Origin { file, bytes: byte..byte + 1 };
            assert_eq!(sources.position(&origin).to_string(), expected);
        };
        check(0, "a.yaml:1:1");
        check(15, "a.yaml:1:8");
        check(17, "a.yaml:2:1");
        check(20, "a.yaml:2:4");
        check(22, "a.yaml:3:1");
    }

    #[test]
    fn keys_are_placed_by_their_values() {
        let mut sources = Sources::default();
        let (here, elsewhere) = (sources.add("a.yaml", ""), sources.add("b.yaml", ""));
        let far = usize::from(u16::MAX);
        let check = |key: (FileId, Range<usize>), value: Range<usize>, is_known: bool| {
            let (key, value) = (Origin::new(key.0, key.1), Origin::new(here, value));
            let expected = if is_known { &key } else { &value };
            assert_eq!(Located::<bool>::new(true, value.clone()).with_key(&key).name_origin(), *expected);
        };
        check((here, 4..8), 10..12, true);
        check((here, 0..far), far + 2..far + 3, false);
        check((here, 0..3), far..far + 3, true);
        check((elsewhere, 4..8), 10..12, false);
        check((here, 14..18), 10..12, false);
        let value = Origin::new(here, 1..2);
        assert_eq!(Located::<bool>::new(true, value.clone()).name_origin(), value);
    }
}

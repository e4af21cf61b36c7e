//! Files that people name: regular, of bounded size, and UTF-8.

mod known;
pub mod write;

use std::{
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

pub use known::KnownFiles;

use crate::{
    diagnostic::Diagnostic,
    source::{FileId, Origin, Sources},
};

/// Maximum bytes of a file of manifests.
pub const MANIFESTS: u64 = 256 << 20;

/// Maximum bytes of a configuration, a values file or an ignore file.
pub const SETTINGS: u64 = 4 << 20;

/// Bytes of a text in another encoding that are decoded behind the first wrong one, to show its line.
const EXCERPT: usize = 512;

/// A reason why a file is not read.
#[derive(Debug)]
pub enum FileError {
    /// The system said no.
    System(io::Error),
    /// The path names something else, such as a pipe.
    Irregular(&'static str),
    /// The file has more bytes than are read.
    TooLarge(u64),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(error) => error.fmt(f),
            Self::Irregular(what) => write!(f, "it is {what}, not a regular file; `-` reads the standard input"),
            Self::TooLarge(most) => write!(f, "it is larger than {} MiB", most >> 20),
        }
    }
}

impl std::error::Error for FileError {}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// Reads a regular file of at most `most` bytes. Opening a pipe would wait for a writer, so its type is asked first.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, FileError> {
    read_from(open(path, &fs::metadata(path)?)?, most)
}

/// Opens a regular file of which the system has told `metadata`.
fn open(path: &Path, metadata: &fs::Metadata) -> Result<fs::File, FileError> {
    if let Some(what) = irregular(metadata) {
        return Err(FileError::Irregular(what));
    }
    let file = fs::File::open(path)?;
    match irregular(&file.metadata()?) {
        Some(what) => Err(FileError::Irregular(what)),
        None => Ok(file),
    }
}

/// Reads a stream of at most `most` bytes to its end.
pub fn read_from(stream: impl Read, most: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    stream.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(FileError::TooLarge(most)) } else { Ok(bytes) }
}

/// Returns the type of what is no regular file, in words.
fn irregular(metadata: &fs::Metadata) -> Option<&'static str> {
    if metadata.is_file() {
        return None;
    }
    if metadata.is_dir() {
        return Some("a directory");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = metadata.file_type();
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
    }
    Some("something else")
}

/// Adds a file's text to the sources. One in another encoding is added as far as its first wrong line, for the error.
pub fn add(path: impl Into<std::sync::Arc<str>>, bytes: Vec<u8>, sources: &mut Sources) -> Result<FileId, Diagnostic> {
    let path = path.into();
    if let Some((name, start)) = wide(&bytes) {
        let file = sources.add(path, start);
        let place = Origin::new(file, 0..0);
        let hint = "save it as UTF-8; Windows PowerShell writes UTF-16 unless it is told `-Encoding utf8`";
        return Err(Diagnostic::error("Y012", format!("this file is {name}, not UTF-8"), &place).hint(hint));
    }
    let error = match String::from_utf8(bytes) {
        Ok(text) => return Ok(sources.add(path, text)),
        Err(error) => error,
    };
    let at = error.utf8_error().valid_up_to();
    let bytes = error.as_bytes();
    // Within a line, so that no character is cut in two at the end.
    let rest = &bytes[at..];
    let line = rest.iter().take(EXCERPT).position(|byte| *byte == b'\n').unwrap_or(rest.len().min(EXCERPT));
    let chinese = |bytes: &[u8]| {
        let (text, wrong) = encoding_rs::GB18030.decode_without_bom_handling(bytes);
        (!wrong).then(|| text.into_owned())
    };
    let whole = chinese(bytes).and_then(|_| Some((chinese(&bytes[..at])?, chinese(&rest[..line])?)));
    let (message, hint, before, after) = if let Some((before, after)) = whole {
        let hint = "save it as UTF-8, such as with `iconv -f GB18030 -t UTF-8`";
        ("this text is not UTF-8; it seems to be GBK", hint, before, after)
    } else {
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        ("this text is not UTF-8", "save the file as UTF-8", lossy(&bytes[..at]), lossy(&rest[..line]))
    };
    let length = after.chars().next().map_or(0, char::len_utf8);
    let start = before.len();
    let file = sources.add(path, before + &after);
    Err(Diagnostic::error("Y012", message, &Origin::new(file, start..start + length)).hint(hint))
}

/// Returns the name of an encoding with characters of two or four bytes, and the first line of a text in it.
fn wide(bytes: &[u8]) -> Option<(&'static str, String)> {
    let (name, encoding) = match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Some(("UTF-32", String::new())),
        [0xff, 0xfe, ..] => ("UTF-16", encoding_rs::UTF_16LE),
        [0xfe, 0xff, ..] => ("UTF-16", encoding_rs::UTF_16BE),
        // Without a mark: a manifest begins with a letter below U+0100.
        [first, 0, _, 0, ..] if *first != 0 => ("UTF-16", encoding_rs::UTF_16LE),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => ("UTF-16", encoding_rs::UTF_16BE),
        _ => return None,
    };
    let (text, _) = encoding.decode_with_bom_removal(&bytes[..bytes.len().min(EXCERPT) & !1]);
    Some((name, text.lines().next().unwrap_or_default().to_owned()))
}

/// Returns the root of the git work tree that a directory lies in.
pub fn work_tree(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find(|above| above.join(".git").exists()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_another_encoding_has_a_place_and_a_remedy() {
        let check = |bytes: &[u8], expected: Option<(&str, usize, usize, &str)>| {
            let mut sources = Sources::default();
            let added = add("a.yaml", bytes.to_vec(), &mut sources);
            let Some((message, line, column, shown)) = expected else {
                assert!(added.is_ok(), "{bytes:?}");
                return;
            };
            let error = added.expect_err("it is not UTF-8");
            let place = error.origin().expect("a place");
            let position = sources.position(place);
            let character = &sources.text(place.file)[place.range()];
            assert_eq!((&*error.code, &*error.message), ("Y012", message));
            assert_eq!((position.line, position.column, character), (line, column, shown), "{message}");
            assert!(error.hint.is_some_and(|hint| hint.contains("UTF-8")));
        };
        let wide = |text: &str, mark: bool, little: bool| {
            let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
            units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect::<Vec<u8>>()
        };
        check("名: 甲\n".as_bytes(), None);
        check("\u{feff}a: 1\n".as_bytes(), None);
        check(b"", None);
        for (mark, little) in [(true, true), (true, false), (false, true), (false, false)] {
            check(&wide("kind: 甲\n", mark, little), Some(("this file is UTF-16, not UTF-8", 1, 1, "")));
        }
        check(&[0xff, 0xfe, 0, 0, b'a', 0, 0, 0], Some(("this file is UTF-32, not UTF-8", 1, 1, "")));
        let gbk = [b"a: 1\nkey: ".as_slice(), &[0xbd, 0xbb, 0xbb, 0xbb], b" x\nb: 2\n"].concat();
        check(&gbk, Some(("this text is not UTF-8; it seems to be GBK", 2, 6, "交")));
        check(b"name: caf\xe9\n", Some(("this text is not UTF-8", 1, 10, "\u{fffd}")));
    }

    #[cfg(unix)]
    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a");
        fs::write(&file, "1234").expect("written");
        let check = |path: &Path, most: u64, expected: &str| {
            let told =
                read(path, most).map_or_else(|error| error.to_string(), |bytes| format!("{} bytes", bytes.len()));
            assert!(told.starts_with(expected), "{}: {told}", path.display());
        };
        check(&file, 4, "4 bytes");
        check(&file, 3, "it is larger than");
        check(directory.path(), 4, "it is a directory, not a regular file");
        check(Path::new("/dev/zero"), 4, "it is a device, not a regular file");
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("it runs");
        assert!(made.success());
        check(&pipe, 4, "it is a pipe, not a regular file");
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        check(&socket, 4, "it is a socket, not a regular file");
    }
}

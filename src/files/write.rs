//! Files that this program writes: whole or not at all, never through a link, and where they hold live values readable
//! by their owner alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A text that is written piece by piece: it may be large.
pub type Text<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

/// The readers of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The owner alone.
    Owner,
    /// Those that the user's mask allows.
    Mask,
}

/// Writes a file, whole or not at all; when this returns it is on the disk. A link is replaced, a pipe or a device is
/// written to.
pub fn replace(path: &Path, text: &[u8], readers: Readers) -> io::Result<()> {
    replace_by(path, &|out| out.write_all(text), readers)
}

/// Does the same with a text that is written piece by piece.
pub fn replace_by(path: &Path, text: &Text<'_>, readers: Readers) -> io::Result<()> {
    if is_stream(path) {
        return text(&mut OpenOptions::new().write(true).open(path)?);
    }
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let part = beside(path);
    let written = options(readers).write(true).create_new(true).open(&part).and_then(|mut file| {
        text(&mut file)?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&part, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&part);
    }
    replaced?;
    sync_parent(path);
    Ok(())
}

/// Starts a file that grows, for its owner alone. A file or link of that name is removed, a pipe or a device is written
/// to.
pub fn create(path: &Path) -> io::Result<File> {
    if is_stream(path) {
        return OpenOptions::new().write(true).open(path);
    }
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    options(Readers::Owner).write(true).create_new(true).open(path)
}

/// Makes a file for its owner alone that is not there yet, whole or not at all; when this returns its content is on the
/// disk.
pub fn create_new(path: &Path, text: &Text<'_>) -> io::Result<()> {
    let part = beside(path);
    let written = options(Readers::Owner).write(true).create_new(true).open(&part).and_then(|mut file| {
        text(&mut file)?;
        file.sync_all()
    });
    // A link to it, unlike a new name, replaces nothing. Not every file system has links.
    let made = written.and_then(|()| match fs::hard_link(&part, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => fs::rename(&part, path),
        made => made,
    });
    let _ = fs::remove_file(&part);
    made?;
    sync_parent(path);
    Ok(())
}

/// Makes a directory, and those above it, for their owner alone.
pub fn make_directories(path: &Path) -> io::Result<()> {
    directories().create(path)
}

/// Brings the names in a directory to the disk.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Opens a file that several processes read and write, for its owner alone. Files and directories that are not there are
/// made; a link is refused, as is what is no regular file.
pub fn open_shared(path: &Path) -> io::Result<File> {
    if let Some(directory) = parent(path).filter(|parent| !parent.exists()) {
        directories().create(directory)?;
    }
    is_new_file(path)?;
    options(Readers::Owner).read(true).write(true).create(true).truncate(false).open(path)
}

/// Adds a line to a file, in one write; when this returns a `durable` one is on the disk, with all before it. Where the last line was torn, such as by a
/// full disk, the new one begins behind a line break. Files and directories that are not there are made for their owner
/// alone; a link is refused, as is what is no regular file.
pub fn append(path: &Path, line: &str, durable: bool) -> io::Result<()> {
    let made = parent(path).filter(|parent| !parent.exists());
    if let Some(directory) = made {
        directories().create(directory)?;
    }
    let is_new = is_new_file(path)?;
    let mut file = options(Readers::Owner).read(true).append(true).create(true).open(path)?;
    let mut text = String::with_capacity(line.len() + 2);
    if is_torn(&mut file)? {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    file.write_all(text.as_bytes())?;
    if durable {
        file.sync_data()?;
    }
    if is_new {
        sync_parent(path);
        made.into_iter().for_each(sync_parent);
    }
    Ok(())
}

/// Returns true if nothing has this name; an error for a link and for what is no regular file.
fn is_new_file(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(false),
        Ok(_) => Err(io::Error::other("it is a link or no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Returns true for a file whose last line has no end.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Returns true for what is written to as it is: a pipe, a device, and names of open files such as `/dev/stdout`.
fn is_stream(path: &Path) -> bool {
    let is_system = ["/dev", "/proc"].iter().any(|root| path.starts_with(root));
    is_system || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Returns a new name in the directory of a file.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{:016x}.part", fastrand::u64(..)));
    path.with_file_name(name)
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

/// A name is on the disk when its directory is. Not every system can do that; the file itself is there all the same.
fn sync_parent(path: &Path) {
    let _ = File::open(parent(path).unwrap_or(Path::new("."))).and_then(|directory| directory.sync_all());
}

fn options(readers: Readers) -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    if readers == Readers::Owner {
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    options
}

fn directories() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn files_are_replaced_whole_and_never_through_a_link() {
        let root = tempfile::tempdir().expect("a directory can be made");
        let (path, other) = (root.path().join("p.json"), root.path().join("other"));
        fs::write(&other, "kept").expect("written");
        symlink(&other, &path).expect("a link");
        replace(&path, b"one", Readers::Owner).expect("written");
        assert_eq!((fs::read_to_string(&path).expect("read"), mode(&path)), ("one".to_owned(), 0o600));
        drop(fs::remove_file(&path));
        symlink(&other, &path).expect("a link");
        create(&path).expect("made").write_all(b"two").expect("written");
        assert_eq!((fs::read_to_string(&path).expect("read"), mode(&path)), ("two".to_owned(), 0o600));
        assert_eq!(fs::read_to_string(&other).expect("read"), "kept");
        create_new(&root.path().join("new"), &|out| out.write_all(b"three")).expect("made");
        let again = create_new(&root.path().join("new"), &|out| out.write_all(b"four")).expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(root.path().join("new")).expect("read"), "three");
        fs::remove_file(root.path().join("new")).expect("removed");
        // A write that fails leaves no temporary file behind.
        assert!(replace(root.path(), b"x", Readers::Owner).is_err());
        assert!(replace(&root.path().join("gone/p.json"), b"x", Readers::Mask).is_err());
        assert_eq!(fs::read_dir(root.path()).expect("read").count(), 2);
        replace(Path::new("/dev/null"), b"x", Readers::Owner).expect("a device is written to");
    }

    #[test]
    fn lines_are_added_behind_torn_ones_and_through_no_link() {
        let root = tempfile::tempdir().expect("a directory can be made");
        let path = root.path().join("a/b/journal");
        append(&path, "one", true).expect("written");
        OpenOptions::new().append(true).open(&path).and_then(|mut file| file.write_all(b"to")).expect("torn");
        append(&path, "three", true).expect("written");
        append(&path, "four", true).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "one\nto\nthree\nfour\n");
        assert_eq!((mode(&path), mode(&root.path().join("a")), mode(&root.path().join("a/b"))), (0o600, 0o700, 0o700));
        let link = root.path().join("link");
        symlink(&path, &link).expect("a link");
        assert!(append(&link, "five", true).is_err());
        assert!(append(root.path(), "five", false).is_err());
        assert_eq!(fs::read_to_string(&path).expect("read").lines().count(), 4);
    }
}

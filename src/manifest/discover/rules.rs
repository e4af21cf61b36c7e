//! `.reconcileignore`: files of a directory that are not manifests, in the manner of `.gitignore`.

use std::{
    io,
    path::{Path, PathBuf},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::{Bounds, DiscoverError};
use crate::files::{self, FileError};

/// The name of an ignore file.
const IGNORE_FILE: &str = ".reconcileignore";

/// The rules of the ignore file of one directory.
pub(super) struct Rules {
    /// The absolute path of the directory.
    directory: PathBuf,
    rules: Gitignore,
}

impl Rules {
    /// Reads the ignore file of a directory, if there is one.
    pub(super) fn read(directory: &Path, bounds: &Bounds, errors: &mut Vec<DiscoverError>) -> Option<Self> {
        let path = directory.join(IGNORE_FILE);
        let refuse = |source: FileError| DiscoverError::Read { path: path.clone(), source };
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if is_nowhere(&error) => return None,
            Err(error) => {
                errors.push(refuse(error.into()));
                return None;
            }
        };
        let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        if is_link && !bounds.allow(&real) {
            errors.push(DiscoverError::Outside { path, target: real });
            return None;
        }
        let bytes = match files::read(&path, files::SETTINGS) {
            Ok(bytes) => bytes,
            Err(error) => {
                errors.push(refuse(error));
                return None;
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let mut builder = GitignoreBuilder::new("");
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if builder.add_line(None, line).is_err() {
                errors.push(DiscoverError::Rule { path: path.clone(), line: number + 1, rule: line.to_owned() });
            }
        }
        Some(Self { directory: directory.to_owned(), rules: builder.build().ok()? })
    }

    /// Returns what the rules say of an absolute path below the directory; `None` if they do not name it.
    pub(super) fn ignore(&self, path: &Path, is_directory: bool) -> Option<bool> {
        let path = path.strip_prefix(&self.directory).ok()?;
        match self.rules.matched(path, is_directory) {
            Match::None => None,
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
        }
    }
}

/// Returns the rules of the directories above a path, the nearest first, up to the top of its git work tree.
pub(super) fn around(absolute: &Path, bounds: &Bounds, errors: &mut Vec<DiscoverError>) -> Vec<Rules> {
    let top = files::work_tree(absolute);
    let above = absolute.ancestors().skip(1).take_while(|path| top.as_ref().is_none_or(|top| path.starts_with(top)));
    above.filter_map(|path| Rules::read(path, bounds, errors)).collect()
}

/// Returns true if an error means that a link dangles or goes round in circles.
pub(super) fn is_nowhere(error: &io::Error) -> bool {
    // The loop has a kind of its own, which is not stable yet.
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) || error.raw_os_error() == Some(40)
}

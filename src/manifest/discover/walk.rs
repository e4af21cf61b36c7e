//! Walks through a directory of manifests.

use std::{
    collections::HashSet,
    ffi::OsString,
    fs::{self, FileType},
    io,
    path::{Path, PathBuf},
    vec,
};

use super::{
    DiscoverError, Reader, is_manifest,
    rules::{self, Rules, is_nowhere},
    shown,
};
use crate::{diagnostic::Diagnostic, files::FileError, source::Origin};

/// A directory whose entries are being looked at.
struct Frame {
    /// Its path as messages show it.
    path: PathBuf,
    /// The same path from the root of the file system, for the rules of ignore files.
    absolute: PathBuf,
    /// The same directory with all links resolved.
    real: PathBuf,
    entries: vec::IntoIter<(OsString, FileType)>,
    rules: Option<Rules>,
}

impl Reader<'_> {
    /// Reads everything below a directory, with the ignore files in it and, where these count, in those above it.
    ///
    /// No recursion: how deep directories nest is not ours to say.
    pub(super) fn walk(&mut self, root: &Path, above: bool) {
        let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        let outer = if above { self.rules_above(&absolute) } else { Vec::new() };
        // Each directory once, by its real path: links that go round in circles end there.
        let mut walked: HashSet<PathBuf> = HashSet::new();
        let mut frames: Vec<Frame> = self.enter(root.to_owned(), absolute, &mut walked).into_iter().collect();
        while let Some(frame) = frames.last_mut() {
            let Some((name, kind)) = frame.entries.next() else {
                frames.pop();
                continue;
            };
            let (path, absolute) = (frame.path.join(&name), frame.absolute.join(&name));
            let hidden = name.as_encoded_bytes().starts_with(b".");
            let ignored = |is_directory: bool| {
                let inner = frames.iter().rev().filter_map(|frame| frame.rules.as_ref());
                let told = inner.chain(&outer).find_map(|rules| rules.ignore(&absolute, is_directory));
                told.unwrap_or(hidden)
            };
            if kind.is_symlink() {
                // What is left out never breaks a run, wherever it leads: it is not even looked at.
                if ignored(false) || ignored(true) {
                    continue;
                }
                match self.target(&path) {
                    Some(true) => frames.extend(self.enter(path, absolute, &mut walked)),
                    Some(false) => self.file(&path, None),
                    None => {}
                }
            } else if kind.is_dir() {
                if !ignored(true) {
                    frames.extend(self.enter(path, absolute, &mut walked));
                }
            } else if kind.is_file() && is_manifest(&path) && !ignored(false) {
                let real = frames.last().map(|frame| frame.real.join(&name));
                self.file(&path, real);
            }
        }
    }

    /// Returns the rules of the directories above a path, the nearest first. Those above its repository do not count.
    fn rules_above(&mut self, absolute: &Path) -> Vec<Rules> {
        rules::around(absolute, &self.bounds, &mut self.found.errors)
    }

    /// Lists a directory, unless it was walked through before or is not to be.
    fn enter(&mut self, path: PathBuf, absolute: PathBuf, walked: &mut HashSet<PathBuf>) -> Option<Frame> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            // It went away in between.
            Err(error) if is_nowhere(&error) => return None,
            Err(source) => {
                self.found.errors.push(DiscoverError::Walk { path, source });
                return None;
            }
        };
        if self.aside.contains(&real) || !walked.insert(real.clone()) {
            return None;
        }
        let list = || -> io::Result<Vec<_>> {
            fs::read_dir(&path)?
                .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?))))
                .collect()
        };
        let mut entries = match list() {
            Ok(entries) => entries,
            Err(source) => {
                self.found.errors.push(DiscoverError::Walk { path, source });
                return None;
            }
        };
        entries.sort_by(|left, right| left.0.cmp(&right.0));
        let rules = Rules::read(&absolute, &self.bounds, &mut self.found.errors);
        Some(Frame { path, absolute, real, entries: entries.into_iter(), rules })
    }

    /// Returns true if a link leads to a directory to walk through, false if to a manifest, and none if to neither.
    fn target(&mut self, path: &Path) -> Option<bool> {
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if is_nowhere(&error) => {
                if is_manifest(path) {
                    self.dangling(path);
                }
                return None;
            }
            Err(error) => {
                if is_manifest(path) {
                    let source = FileError::System(error);
                    self.found.errors.push(DiscoverError::Read { path: path.to_owned(), source });
                }
                return None;
            }
        };
        let is_directory = real.is_dir();
        if !(is_directory || real.is_file() && is_manifest(path)) {
            return None;
        }
        if !self.bounds.allow(&real) {
            // One that leads up is a loop: what of it belongs here is read anyway.
            if path
                .parent()
                .and_then(|parent| parent.canonicalize().ok())
                .is_some_and(|parent| parent.starts_with(&real))
            {
                return None;
            }
            // What lies in one of the overlays is left out, and told where that is read.
            if !self.is_aside(path) {
                self.found.errors.push(DiscoverError::Outside { path: path.to_owned(), target: real });
            }
            return None;
        }
        Some(is_directory)
    }

    /// Warns of a link that leads nowhere.
    fn dangling(&mut self, path: &Path) {
        let leads = fs::read_link(path).map(|target| format!("it leads to `{}`", target.display()));
        let file = self.sources.add(shown(path), "");
        let message = "this link leads to no file: nothing is read from it, and nothing undeclared is removed";
        let diagnostic = Diagnostic::warning("Y013", message, &Origin::new(file, 0..0));
        self.found.broken.push(match leads {
            Ok(leads) => diagnostic.hint(leads),
            Err(_) => diagnostic,
        });
    }
}

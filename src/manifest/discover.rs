//! Finds and reads the files. The only part of `manifest` that touches the file system.

mod bounds;
mod rules;
mod walk;

use std::{
    collections::HashSet,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use bounds::Bounds;

use crate::{
    diagnostic::Diagnostic,
    files::{self, FileError, KnownFiles},
    source::{FileId, Sources},
};

/// The result of a discovery.
#[derive(Debug, Default)]
pub struct Discovery {
    /// The files, now in the sources, in the order of the paths and by name within them; each once.
    pub files: Vec<FileId>,
    /// The overlays, the last one on top.
    pub overlays: Vec<Overlay>,
    /// Errors of reading.
    pub errors: Vec<DiscoverError>,
    /// Problems of whole files: their encoding, links that lead nowhere. They are in the sources, not in `files`.
    pub broken: Vec<Diagnostic>,
}

impl Discovery {
    /// Returns all files: those of overlays behind the others, and broken ones last.
    pub fn all(&self) -> impl Iterator<Item = FileId> {
        let overlays = self.overlays.iter().flat_map(|overlay| &overlay.files);
        let broken = self.broken.iter().filter_map(|broken| broken.origin().map(|origin| origin.file));
        self.files.iter().chain(overlays).copied().chain(broken)
    }

    /// Returns true if there is not a single file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.errors.is_empty() && self.broken.is_empty()
    }
}

/// A directory whose documents are merged over those of the same kind and name.
#[derive(Debug, Default)]
pub struct Overlay {
    /// Its path as it was given.
    pub directory: Arc<str>,
    /// Its files, by name.
    pub files: Vec<FileId>,
    /// Something in it could not be read.
    pub partial: bool,
}

/// A file or directory that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// It is no regular file, too large, or the system said no.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
    /// A directory cannot be listed.
    #[error("cannot list {}", path.display())]
    Walk {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A link in a directory leads out of it.
    #[error(
        "{} is a link that leads outside, to {}: name the file itself, or `--follow-links` follows it",
        path.display(), target.display()
    )]
    Outside {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// A line of an ignore file is no pattern.
    #[error("{}:{line}: `{rule}` is no pattern", path.display())]
    Rule {
        /// The ignore file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Its pattern.
        rule: String,
    },
    /// It is an overlay, and there is nothing in it.
    #[error("the overlay {} holds no manifest", path.display())]
    Empty {
        /// The overlay.
        path: PathBuf,
    },
}

/// Where manifests are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Files and directories, or `-`.
    pub paths: &'a [PathBuf],
    /// Files that are no manifests.
    pub skip: &'a [PathBuf],
    /// Overlays that are merged over the manifests, the last one on top.
    pub overlays: &'a [PathBuf],
    /// Follow links wherever they lead.
    pub follow_links: bool,
}

/// Reads the manifests that paths name: files as they are, directories with everything below, `-` for `stdin`.
///
/// In directories only `*.yaml`, `*.yml` and `*.json` count; hidden files and those that `.reconcileignore` names do
/// not, nor do the ones to `skip` and those that lie in one of the `overlays`, which are read for themselves. A file
/// that several paths lead to is read once.
///
/// Links in directories are followed within their [`Bounds`]. A link that leads nowhere or goes round in circles is
/// passed over.
pub fn discover(search: &Search<'_>, stdin: &mut dyn Read, sources: &mut Sources) -> Discovery {
    discover_changed(search, stdin, &mut KnownFiles::default(), sources)
}

/// Reads the manifests that paths name, as [`discover`] does. Files that are known and did not change since are not read
/// again.
pub fn discover_changed(
    search: &Search<'_>,
    stdin: &mut dyn Read,
    known: &mut KnownFiles,
    sources: &mut Sources,
) -> Discovery {
    let Search { paths, skip, overlays, follow_links } = *search;
    // What cannot be resolved does not exist, so it needs no skipping.
    let resolved = |paths: &[PathBuf]| paths.iter().filter_map(|path| path.canonicalize().ok()).collect::<HashSet<_>>();
    let skip = resolved(skip);
    let aside = resolved(overlays);
    let seen = skip.union(&aside).cloned().collect();
    let bounds = Bounds::new(paths.iter().chain(overlays), follow_links);
    let mut reader = Reader { seen, aside, bounds, known, sources, found: Discovery::default() };
    let mut stdin = Some(stdin);
    for path in paths {
        if path.as_os_str() == "-" {
            if let Some(stdin) = stdin.take() {
                reader.stdin(stdin);
            }
        } else if path.is_dir() {
            reader.walk(path, true);
        } else {
            reader.file(path, None);
        }
    }
    for path in overlays {
        (reader.seen, reader.aside) = (skip.clone(), HashSet::new());
        reader.overlay(path);
    }
    reader.known.forget_others();
    reader.found
}

/// Returns true if an ignore file or an overlay keeps a file below a directory from being read. The file need not be
/// there.
pub fn is_left_out(directory: &Path, file: &Path, overlays: &[PathBuf]) -> bool {
    let root = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let bounds = Bounds::new([&root], false);
    let rules = rules::around(&file, &bounds, &mut Vec::new());
    let below: Vec<&Path> = file.ancestors().take_while(|path| *path != root).collect();
    let is_ignored = |path: &Path| {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        rules.iter().find_map(|rules| rules.ignore(path, path != file)).unwrap_or(is_hidden)
    };
    let aside: HashSet<PathBuf> = overlays.iter().filter_map(|path| path.canonicalize().ok()).collect();
    let is_aside = |path: &Path| path.canonicalize().is_ok_and(|path| aside.contains(&path));
    below.iter().any(|path| is_ignored(path) || is_aside(path))
}

struct Reader<'a> {
    /// Files with their links resolved that are not to be read again.
    seen: HashSet<PathBuf>,
    /// Directories with their links resolved that hold no manifests.
    aside: HashSet<PathBuf>,
    bounds: Bounds,
    known: &'a mut KnownFiles,
    sources: &'a mut Sources,
    found: Discovery,
}

impl Reader<'_> {
    fn stdin(&mut self, stdin: &mut dyn Read) {
        let path = Path::new("<stdin>");
        match files::read_from(stdin, files::MANIFESTS) {
            Ok(bytes) => {
                let added = files::add(shown(path), bytes, self.sources);
                self.added(added);
            }
            Err(source) => self.found.errors.push(DiscoverError::Read { path: path.to_owned(), source }),
        }
    }

    fn overlay(&mut self, path: &Path) {
        let told = |found: &Discovery| found.errors.len() + found.broken.len();
        let (files, before) = (std::mem::take(&mut self.found.files), told(&self.found));
        if path.is_dir() {
            // Who keeps overlays among manifests names them in the ignore file there: that is not about this.
            self.walk(path, false);
        } else {
            self.file(path, None);
        }
        if self.found.files.is_empty() && told(&self.found) == before {
            self.found.errors.push(DiscoverError::Empty { path: path.to_owned() });
        }
        let files = std::mem::replace(&mut self.found.files, files);
        let partial = told(&self.found) > before;
        self.found.overlays.push(Overlay { directory: shown(path).into(), files, partial });
    }

    /// Returns true if a file lies in a directory that is left out. Where a link to it lies is what counts.
    fn is_aside(&self, path: &Path) -> bool {
        let parent = || path.parent().and_then(|parent| parent.canonicalize().ok());
        !self.aside.is_empty()
            && parent().is_some_and(|parent| parent.ancestors().any(|above| self.aside.contains(above)))
    }

    /// Reads a file; `real` is its path with the links resolved, where that is known.
    fn file(&mut self, path: &Path, real: Option<PathBuf>) {
        if self.is_aside(path) {
            return;
        }
        let failed = |source| DiscoverError::Read { path: path.to_owned(), source };
        let real = match real.map_or_else(|| path.canonicalize(), Ok) {
            Ok(real) => real,
            Err(error) => return self.found.errors.push(failed(error.into())),
        };
        if !self.seen.insert(real) {
            return;
        }
        match self.known.add(path, shown(path), files::MANIFESTS, self.sources) {
            Ok(added) => self.added(added),
            Err(error) => self.found.errors.push(failed(error)),
        }
    }

    fn added(&mut self, added: Result<FileId, Diagnostic>) {
        match added {
            Ok(file) => self.found.files.push(file),
            Err(diagnostic) => self.found.broken.push(diagnostic),
        }
    }
}

/// A path as people wrote it, without what says nothing.
fn shown(path: &Path) -> String {
    path.strip_prefix("./").unwrap_or(path).display().to_string()
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests;

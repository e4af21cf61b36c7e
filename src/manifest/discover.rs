//! Finds and reads the files. The only part of `manifest` that touches the file system.

use std::{
    collections::HashSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use ignore::WalkBuilder;

use crate::source::{FileId, Sources};

/// Lists files of a directory that are not to be read, in the manner of `.gitignore`.
const IGNORE_FILE: &str = ".reconcileignore";

/// What was found.
#[derive(Debug, Default)]
pub struct Discovery {
    /// The files, now in the sources, in the order of the paths and by name within them; each once.
    pub files: Vec<FileId>,
    /// What lies over the files, the last one on top.
    pub overlays: Vec<Overlay>,
    /// What could not be read.
    pub errors: Vec<DiscoverError>,
}

impl Discovery {
    /// Returns all files, those of overlays last.
    pub fn all(&self) -> impl Iterator<Item = FileId> {
        self.files.iter().chain(self.overlays.iter().flat_map(|overlay| &overlay.files)).copied()
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
    /// The system said no.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory cannot be listed, or links in it go round in circles.
    #[error("cannot list {}", path.display())]
    Walk {
        /// The path that was given.
        path: PathBuf,
        /// Why, and where.
        source: ignore::Error,
    },
    /// It is an overlay, and there is nothing in it.
    #[error("the overlay {} holds no manifest", path.display())]
    Empty {
        /// The overlay.
        path: PathBuf,
    },
    /// It is not text.
    #[error("{} is not UTF-8 (byte {at})", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong, from 0.
        at: usize,
    },
    /// It is larger than places can name.
    #[error("{} is larger than 4 GiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the manifests that paths name: files as they are, directories with all that lies beneath, `-` for `stdin`.
///
/// In directories only `*.yaml`, `*.yml` and `*.json` count; hidden files and those that `.reconcileignore` names do
/// not, nor do the ones to `skip` and those that lie in one of the `overlays`, which are read for themselves. Links are
/// followed. A file that several paths lead to is read once.
pub fn discover(
    paths: &[PathBuf],
    skip: &[PathBuf],
    overlays: &[PathBuf],
    stdin: &mut dyn Read,
    sources: &mut Sources,
) -> Discovery {
    // What cannot be resolved does not exist, so it needs no skipping.
    let resolved = |paths: &[PathBuf]| paths.iter().filter_map(|path| path.canonicalize().ok()).collect::<HashSet<_>>();
    let skip = resolved(skip);
    let aside = resolved(overlays);
    let seen = skip.union(&aside).cloned().collect();
    let mut reader = Reader { seen, aside, sources, found: Discovery::default() };
    let mut stdin = Some(stdin);
    for path in paths {
        if path.as_os_str() == "-" {
            if let Some(stdin) = stdin.take() {
                reader.stdin(stdin);
            }
        } else if path.is_dir() {
            reader.directory(path);
        } else {
            reader.file(path);
        }
    }
    for path in overlays {
        (reader.seen, reader.aside) = (skip.clone(), HashSet::new());
        reader.overlay(path);
    }
    reader.found
}

struct Reader<'a> {
    /// Files with their links resolved that are not to be read again.
    seen: HashSet<PathBuf>,
    /// Directories with their links resolved that hold no manifests.
    aside: HashSet<PathBuf>,
    sources: &'a mut Sources,
    found: Discovery,
}

impl Reader<'_> {
    fn stdin(&mut self, stdin: &mut dyn Read) {
        let path = Path::new("<stdin>");
        let mut bytes = Vec::new();
        match stdin.read_to_end(&mut bytes) {
            Ok(_) => self.add(path, bytes),
            Err(source) => self.found.errors.push(DiscoverError::Read { path: path.to_owned(), source }),
        }
    }

    fn overlay(&mut self, path: &Path) {
        let (files, errors) = (std::mem::take(&mut self.found.files), self.found.errors.len());
        if path.is_dir() {
            // Who keeps overlays among manifests names them in the ignore file there: that is not about this.
            self.walk(path, false);
        } else {
            self.file(path);
        }
        if self.found.files.is_empty() && self.found.errors.len() == errors {
            self.found.errors.push(DiscoverError::Empty { path: path.to_owned() });
        }
        let files = std::mem::replace(&mut self.found.files, files);
        let partial = self.found.errors.len() > errors;
        self.found.overlays.push(Overlay { directory: shown(path).into(), files, partial });
    }

    fn directory(&mut self, root: &Path) {
        self.walk(root, true);
    }

    /// Reads what lies beneath a directory, with the ignore files in it and, where these count, in those above it.
    fn walk(&mut self, root: &Path, above: bool) {
        let walk = WalkBuilder::new(root)
            .standard_filters(false)
            .hidden(true)
            .parents(above)
            .follow_links(true)
            .add_custom_ignore_filename(IGNORE_FILE)
            .sort_by_file_name(Ord::cmp)
            .build();
        for entry in walk {
            match entry {
                Ok(entry) => {
                    if is_manifest(entry.path()) && entry.path().is_file() {
                        self.file(entry.path());
                    }
                }
                // What an overlay lacks is told when it is read.
                Err(source) if path_of(&source).is_some_and(|path| self.is_aside(path)) => {}
                Err(source) if concerns_manifest(&source) => {
                    self.found.errors.push(DiscoverError::Walk { path: root.to_owned(), source });
                }
                Err(_) => {}
            }
        }
    }

    /// Says whether a file lies in a directory that is left out. Where a link to it lies is what counts.
    fn is_aside(&self, path: &Path) -> bool {
        let parent = || path.parent().and_then(|parent| parent.canonicalize().ok());
        !self.aside.is_empty()
            && parent().is_some_and(|parent| parent.ancestors().any(|above| self.aside.contains(above)))
    }

    fn file(&mut self, path: &Path) {
        if self.is_aside(path) {
            return;
        }
        match self.read(path) {
            Ok(Some(bytes)) => self.add(path, bytes),
            Ok(None) => {}
            Err(error) => self.found.errors.push(error),
        }
    }

    fn read(&mut self, path: &Path) -> Result<Option<Vec<u8>>, DiscoverError> {
        let failed = |source| DiscoverError::Read { path: path.to_owned(), source };
        if !self.seen.insert(path.canonicalize().map_err(failed)?) {
            return Ok(None);
        }
        if fs::metadata(path).map_err(failed)?.len() >= u64::from(u32::MAX) {
            return Err(DiscoverError::TooLarge { path: path.to_owned() });
        }
        fs::read(path).map(Some).map_err(failed)
    }

    fn add(&mut self, path: &Path, bytes: Vec<u8>) {
        match String::from_utf8(bytes) {
            Ok(text) if text.len() >= u32::MAX as usize => {
                self.found.errors.push(DiscoverError::TooLarge { path: path.to_owned() });
            }
            Ok(text) => {
                self.found.files.push(self.sources.add(shown(path), text));
            }
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                self.found.errors.push(DiscoverError::Encoding { path: path.to_owned(), at });
            }
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

/// Says whether an error while listing matters. A dangling link does only where a manifest is expected behind it.
fn concerns_manifest(error: &ignore::Error) -> bool {
    let dangling = error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
    !dangling || path_of(error).is_none_or(is_manifest)
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => path_of(err),
        ignore::Error::Partial(_)
        | ignore::Error::Loop { .. }
        | ignore::Error::Io(_)
        | ignore::Error::Glob { .. }
        | ignore::Error::UnrecognizedFileType(_)
        | ignore::Error::InvalidDefinition => None,
    }
}

#[cfg(test)]
mod tests;

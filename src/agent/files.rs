//! Reads the files of the agent, and notices when they change.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    manifests::{self, Location, Manifests},
    settings::{Loader, Reloaded},
    watch::Watch,
};
use crate::manifest::KnownFiles;

/// The longest time between two readings of all files, whatever the system tells of them.
const WHOLE: Duration = Duration::from_mins(5);

/// How thoroughly files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Only those that the system says have changed.
    Changed,
    /// All of them.
    All,
    /// All of them; the same files may say something else, as what they refer to may have changed.
    Anew,
}

/// Reads the files.
pub(super) struct FileReader {
    pub(super) watch: Watch,
    pub(super) loader: Option<Box<dyn Loader>>,
    known: KnownFiles,
    /// When all files were last read.
    read_all: Option<Instant>,
}

/// The contents of the files.
pub(super) struct FilesRead {
    pub(super) settings: Reloaded,
    pub(super) location: Arc<Location>,
    pub(super) manifests: Option<Manifests>,
    /// Their changes will be reported.
    pub(super) is_told: bool,
}

impl FileReader {
    pub(super) fn new(watch: Watch, loader: Option<Box<dyn Loader>>) -> Self {
        Self { watch, loader, known: KnownFiles::new(), read_all: None }
    }

    /// Reads the files, after everything is watched: so what changes later is noticed, and what changed before is read.
    pub(super) fn read(
        &mut self,
        location: &Arc<Location>,
        previous: Option<&Manifests>,
        reading: Reading,
    ) -> FilesRead {
        let mut location = location.clone();
        self.watch.rearm();
        let anew = reading == Reading::Anew;
        // Where the system does not tell of changes, the times that it tells are not trusted, either.
        let is_overdue = self.read_all.is_none_or(|last| last.elapsed() >= WHOLE);
        if reading != Reading::Changed || is_overdue || self.watch.polls() {
            self.known.doubt();
            self.read_all = Some(Instant::now());
        }
        let settings = self.loader.as_mut().map_or(Reloaded::Unchanged, |loader| loader.load(anew));
        let is_changed = if let Reloaded::Changed(settings, _) = &settings {
            location = Arc::new(location.with(settings));
            self.watch.set_paths(watched(&location, self.loader.as_deref()));
            self.watch.rearm();
            true
        } else {
            false
        };
        let manifests = manifests::read(&location, &mut self.known, previous, is_changed);
        FilesRead { settings, location, manifests, is_told: !self.watch.polls() }
    }
}

/// Returns the paths that decide what is declared and how it is carried out.
pub(super) fn watched(location: &Location, loader: Option<&dyn Loader>) -> Vec<PathBuf> {
    let files = loader.map(Loader::files).unwrap_or_default();
    location.paths.iter().chain(&location.overlays).cloned().chain(files).collect()
}

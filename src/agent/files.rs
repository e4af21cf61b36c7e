//! Reads the files of the agent, and notices when they change.

use std::{path::PathBuf, sync::Arc};

use super::{
    manifests::{self, Location, Manifests},
    settings::{Loader, Reloaded},
    watch::Watch,
};

/// Reads the files.
pub(super) struct FileReader {
    pub(super) watch: Watch,
    pub(super) loader: Option<Box<dyn Loader>>,
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
    /// Reads the files, after everything is watched: so what changes later is noticed, and what changed before is read.
    pub(super) fn read(&mut self, location: &Arc<Location>, previous: Option<&Manifests>, anew: bool) -> FilesRead {
        let mut location = location.clone();
        self.watch.rearm();
        let settings = self.loader.as_mut().map_or(Reloaded::Unchanged, |loader| loader.load(anew));
        let is_changed = if let Reloaded::Changed(settings, _) = &settings {
            location = Arc::new(location.with(settings));
            self.watch.set_paths(watched(&location, self.loader.as_deref()));
            self.watch.rearm();
            true
        } else {
            false
        };
        let manifests = manifests::read(&location, previous, is_changed);
        FilesRead { settings, location, manifests, is_told: !self.watch.polls() }
    }
}

/// Returns the paths that decide what is declared and how it is carried out.
pub(super) fn watched(location: &Location, loader: Option<&dyn Loader>) -> Vec<PathBuf> {
    let files = loader.map(Loader::files).unwrap_or_default();
    location.paths.iter().chain(&location.overlays).cloned().chain(files).collect()
}

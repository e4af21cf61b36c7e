//! The documents of overlays, and which documents of the base they lie over.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::index::Place;
use crate::{
    diagnostic::Diagnostic,
    manifest::{
        decode::{Context, File, Loaded, NameAndVersion, Reader, lay},
        overlay::{Bases, Name, name, version},
        provenance::Provenance,
    },
    parallel,
    source::FileId,
};

/// The documents of all overlays, and the names of the documents that they may lie over.
#[derive(Debug, Default)]
pub(super) struct Overlays {
    /// The files in the order in which they lie over the base.
    files: Vec<OverlayFile>,
    /// Their documents by name: the numbers of the file and of the document in it.
    over: HashMap<Name, BTreeSet<(usize, usize)>>,
    /// The documents of the base by name, with their `apiVersion`. The first one is meant.
    bases: HashMap<Name, BTreeMap<Place, String>>,
    /// Files of an overlay are missing.
    is_partial: bool,
}

/// A file of an overlay.
#[derive(Debug)]
struct OverlayFile {
    id: FileId,
    /// The number of its overlay.
    overlay: usize,
    file: File,
    documents: Vec<Loaded<'static>>,
}

/// A file of an overlay that was read anew.
pub(super) struct Reloaded<'o> {
    /// The names in it, before and now.
    pub(super) names: BTreeSet<Name>,
    /// The findings of before.
    pub(super) before: File,
    /// The findings of now.
    pub(super) now: &'o File,
}

impl Overlays {
    /// Reads all files of the overlays.
    pub(super) fn new(context: &Context<'_>, reader: &Reader<'_>) -> Self {
        let mut all = Self::default();
        let overlays = context.found.overlays.iter().enumerate();
        let files = overlays.flat_map(|(number, overlay)| overlay.files.iter().map(move |id| (number, *id))).collect();
        let work = |(overlay, id)| (overlay, id, load(reader, id));
        let threads = context.options.threads(context.sources, context.found);
        parallel::in_order(threads, files, work, |(overlay, id, (file, documents))| {
            all.files.push(OverlayFile { id, overlay, file: File::default(), documents: Vec::new() });
            all.put(all.files.len() - 1, file, documents);
        });
        all.is_partial = context.found.overlays.iter().any(|overlay| overlay.partial);
        all
    }

    /// Returns true if there is no overlay.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.is_partial
    }

    /// Returns true if an overlay names a document.
    pub(super) fn names(&self, name: &Name) -> bool {
        self.over.contains_key(name)
    }

    /// Returns what was found in the files.
    pub(super) fn files(&self) -> impl Iterator<Item = (FileId, &File)> {
        self.files.iter().map(|file| (file.id, &file.file))
    }

    /// Reads a file anew. Returns `None` if it is no file of an overlay.
    pub(super) fn reload(&mut self, id: FileId, reader: &Reader<'_>) -> Option<Reloaded<'_>> {
        let number = self.files.iter().position(|file| file.id == id)?;
        let mut names = self.names_in(number);
        for name in &names {
            if let Some(places) = self.over.get_mut(name) {
                places.retain(|(file, _)| *file != number);
                if places.is_empty() {
                    self.over.remove(name);
                }
            }
        }
        let (file, documents) = load(reader, id);
        let before = self.put(number, file, documents);
        names.extend(self.names_in(number));
        Some(Reloaded { names, before, now: &self.files[number].file })
    }

    /// Puts other documents in a file. Returns what was found in it before.
    fn put(&mut self, number: usize, file: File, documents: Vec<Loaded<'static>>) -> File {
        for (document, loaded) in documents.iter().enumerate() {
            if let Some(name) = name(&loaded.document.root) {
                self.over.entry(name).or_default().insert((number, document));
            }
        }
        let known = &mut self.files[number];
        known.documents = documents;
        std::mem::replace(&mut known.file, file)
    }

    fn names_in(&self, number: usize) -> BTreeSet<Name> {
        self.files[number].documents.iter().filter_map(|loaded| name(&loaded.document.root)).collect()
    }

    /// Adds a document of the base.
    pub(super) fn add_base(&mut self, place: Place, (name, version): NameAndVersion) {
        self.bases.entry(name).or_default().insert(place, version);
    }

    /// Removes a document of the base.
    pub(super) fn remove_base(&mut self, place: Place, name: &Name) {
        if let Some(places) = self.bases.get_mut(name) {
            places.remove(&place);
            if places.is_empty() {
                self.bases.remove(name);
            }
        }
    }

    /// Returns the documents of the base that have a name.
    pub(super) fn places(&self, name: &Name) -> impl Iterator<Item = Place> {
        self.bases.get(name).into_iter().flat_map(|places| places.keys().copied())
    }

    /// Merges all that lies over a document of the base into it. Returns what is wrong about that.
    pub(super) fn lay_over(&self, place: Place, base: &mut Loaded<'static>) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let Some(wanted) = name(&base.document.root).filter(|name| self.places(name).next() == Some(place)) else {
            return diagnostics;
        };
        let mut seen = HashMap::new();
        for (file, document) in self.over.get(&wanted).into_iter().flatten() {
            let OverlayFile { overlay, documents, .. } = &self.files[*file];
            let over = &documents[*document];
            if self.is_placed(over) {
                lay(over.clone(), base, seen.entry(*overlay), &mut Provenance::default(), &mut diagnostics);
            }
        }
        diagnostics
    }

    /// Returns true if a document lies over one of the base.
    fn is_placed(&self, over: &Loaded<'_>) -> bool {
        let root = &over.document.root;
        let base = name(root).and_then(|name| self.bases.get(&name)?.values().next());
        base.is_some_and(|base| version(root).is_empty() || version(root) == base)
    }

    /// Reports the documents that lie over none. Returns true if no object is known to be as it is wanted. `unread` is
    /// true if a document of the base could not be read.
    pub(super) fn unplaced(&self, unread: bool, diagnostics: &mut Vec<Diagnostic>) -> bool {
        let mut bases = None;
        for over in self.files.iter().flat_map(|file| &file.documents).filter(|over| !self.is_placed(over)) {
            let bases = bases.get_or_insert_with(|| self.bases());
            if let Err(misplaced) = bases.find(&over.document.root, &over.document.origin, unread) {
                over.report(misplaced, diagnostics);
            }
        }
        bases.is_some() || self.is_partial || self.files.iter().any(|file| file.file.unread)
    }

    fn bases(&self) -> Bases {
        let mut bases = Bases::default();
        for (name, places) in &self.bases {
            if let Some(version) = places.values().next() {
                bases.add(0, name.clone(), version.clone());
            }
        }
        bases
    }
}

fn load(reader: &Reader<'_>, id: FileId) -> (File, Vec<Loaded<'static>>) {
    let (file, documents) = reader.load(id, true);
    (file, documents.into_iter().map(Loaded::into_owned).collect())
}

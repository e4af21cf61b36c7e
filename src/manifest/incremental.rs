//! Declarations that are worked out anew file by file, for an editor.
//!
//! A change costs what its file does: the other files keep what they were decoded to. Of the checks over all documents,
//! only those documents are looked at again that share a name, an address or an object, or refer to a document that does
//! not exist. There are few of them, as a rule. Where overlays lie over documents, an edit of either is merged anew for
//! the documents that it names.

mod index;
mod overlays;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Set,
    decode::{self, Base, Context, Decoded, File, Gathered, Loaded, NameAndVersion, Reader},
    overlay::Name,
    provenance::Provenance,
};
use crate::{
    diagnostic::Diagnostic,
    model::Desired,
    parallel,
    source::{FileId, Origin},
};
use index::{Index, Place};
use overlays::{Overlays, Reloaded};

/// Code of errors about platforms without a target: each is reported once.
const TARGETLESS: &str = "M008";

/// What files declare, as [`decode`](super::decode()) returns it.
#[derive(Debug, Default)]
pub struct Incremental {
    /// The files of the base.
    entries: BTreeMap<FileId, Entry>,
    overlays: Overlays,
    index: Index,
    /// How many files mention a variable.
    mentioned: HashMap<String, usize>,
    /// The documents that are checked together.
    together: BTreeSet<Place>,
    /// The objects of the documents that are checked together.
    set: Set,
    /// No object is known to be as it is wanted, because it is not known over which one a document of an overlay lies.
    is_unplaced: bool,
    diagnostics: Vec<Diagnostic>,
}

/// A file as it was decoded, with what lies over it.
#[derive(Debug)]
struct Entry {
    file: File,
    documents: Vec<Decoded>,
    /// The same documents before anything was merged over them; none where there are no overlays.
    bases: Vec<BaseDocument>,
}

/// A document of the base, as far as overlays are concerned.
#[derive(Debug)]
struct BaseDocument {
    name: Option<NameAndVersion>,
    /// The document, if an overlay names it.
    loaded: Option<Box<Loaded<'static>>>,
    /// Problems of merging over it.
    problems: Vec<Diagnostic>,
}

impl Incremental {
    /// Returns what all files declare.
    pub fn new(context: &Context<'_>) -> Self {
        let reader = Reader::new(context);
        let mut all = Self { overlays: Overlays::new(context, &reader), ..Self::default() };
        for (_, file) in all.overlays.files() {
            count(&mut all.mentioned, file, 1);
        }
        let threads = context.options.threads(context.sources, context.found);
        let files = context.found.files.clone();
        if all.overlays.is_empty() {
            let work = |id| (id, reader.decode_file(id));
            parallel::in_order(threads, files, work, |(id, (file, documents))| {
                all.put(id, Entry { file, documents, bases: Vec::new() });
            });
        } else {
            let mut read = Vec::with_capacity(files.len());
            let work = |id| (id, read_base(&reader, &all.overlays, id));
            parallel::in_order(threads, files, work, |entry| read.push(entry));
            all.take_bases(read, &reader);
        }
        all.check(context);
        all
    }

    /// Decodes files anew whose texts changed, or that are new.
    pub fn update(&mut self, context: &Context<'_>, changed: &[FileId]) {
        let reader = Reader::new(context);
        if self.overlays.is_empty() {
            for id in changed.iter().filter(|id| context.found.files.contains(id)) {
                let (file, documents) = reader.decode_file(*id);
                self.remove(*id);
                self.put(*id, Entry { file, documents, bases: Vec::new() });
            }
        } else {
            self.update_with_overlays(context, changed, &reader);
        }
        self.check(context);
    }

    fn update_with_overlays(&mut self, context: &Context<'_>, changed: &[FileId], reader: &Reader<'_>) {
        let (mut named, mut files) = (BTreeSet::new(), BTreeSet::new());
        for id in changed {
            if let Some(Reloaded { names, before, now }) = self.overlays.reload(*id, reader) {
                count(&mut self.mentioned, &before, -1);
                count(&mut self.mentioned, now, 1);
                named.extend(names);
            } else if context.found.files.contains(id) {
                files.insert(*id);
            }
        }
        // Of a document that no overlay named before there is no tree.
        let is_read = |place: &Place| self.entries.get(&place.file).is_some_and(|entry| entry.has_tree(place.document));
        for name in named.iter().filter(|name| self.overlays.names(name)) {
            files.extend(self.overlays.places(name).filter(|place| !is_read(place)).map(|place| place.file));
        }
        let read: Vec<_> = files.iter().map(|id| (*id, read_base(reader, &self.overlays, *id))).collect();
        for id in &files {
            named.extend(self.remove(*id));
        }
        named.extend(self.take_bases(read, reader));
        // Documents of other files have one of the names, too: which of them is meant may have changed.
        for name in named {
            let places: Vec<Place> = self.overlays.places(&name).filter(|place| !files.contains(&place.file)).collect();
            for place in places {
                self.merge_anew(place, reader);
            }
        }
    }

    /// Takes in files of the base. Returns the names of their documents.
    fn take_bases(&mut self, read: Vec<(FileId, Read)>, reader: &Reader<'_>) -> BTreeSet<Name> {
        let mut names = BTreeSet::new();
        for (file, Read { documents, .. }) in &read {
            for (document, (name, _)) in documents.iter().enumerate() {
                if let Some(name) = name {
                    self.overlays.add_base(Place { file: *file, document }, name.clone());
                    names.insert(name.0.clone());
                }
            }
        }
        for (id, Read { file, documents: read }) in read {
            let (mut documents, mut bases) = (Vec::with_capacity(read.len()), Vec::with_capacity(read.len()));
            for (document, (name, base)) in read.into_iter().enumerate() {
                let (decoded, loaded, problems) = match base {
                    Base::Decoded(decoded) => (*decoded, None, Vec::new()),
                    Base::Loaded(loaded) => {
                        let (decoded, problems) = self.merged(Place { file: id, document }, &loaded, reader);
                        (decoded, Some(loaded), problems)
                    }
                };
                documents.push(decoded);
                bases.push(BaseDocument { name, loaded, problems });
            }
            self.put(id, Entry { file, documents, bases });
        }
        names
    }

    /// Decodes a document with all that lies over it. Returns what is wrong about that beside the document.
    fn merged(&self, place: Place, base: &Loaded<'static>, reader: &Reader<'_>) -> (Decoded, Vec<Diagnostic>) {
        let mut base = base.clone();
        let problems = self.overlays.lay_over(place, &mut base);
        (reader.decode(base, &mut Provenance::default()), problems)
    }

    /// Decodes a document of the base anew over which an overlay lies or lay.
    fn merge_anew(&mut self, place: Place, reader: &Reader<'_>) {
        let base = |entry: &Entry| entry.bases.get(place.document)?.loaded.clone();
        let Some(base) = self.entries.get(&place.file).and_then(base) else { return };
        let (decoded, problems) = self.merged(place, &base, reader);
        let Some(entry) = self.entries.get_mut(&place.file) else { return };
        self.index.remove(place, &entry.documents[place.document]);
        self.index.add(place, &decoded);
        entry.documents[place.document] = decoded;
        entry.bases[place.document].problems = problems;
    }

    /// Returns the objects that are declared.
    pub fn desired(&self) -> impl Iterator<Item = &Desired> {
        let apart = self.entries.iter().flat_map(|(id, entry)| {
            let documents = entry.documents.iter().enumerate();
            let sound = documents.filter(|(number, document)| {
                document.sound && !self.together.contains(&Place { file: *id, document: *number })
            });
            sound.flat_map(|(_, document)| document.objects.iter().map(|object| &*object.desired))
        });
        apart.chain(&self.set.desired).filter(|_| !self.is_unplaced)
    }

    /// Returns what is wrong.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Returns the names of all variables that the documents use.
    pub fn mentioned(&self) -> BTreeSet<String> {
        self.mentioned.iter().filter(|(_, count)| **count > 0).map(|(name, _)| name.clone()).collect()
    }

    fn put(&mut self, id: FileId, entry: Entry) {
        for (document, decoded) in entry.documents.iter().enumerate() {
            self.index.add(Place { file: id, document }, decoded);
        }
        count(&mut self.mentioned, &entry.file, 1);
        self.entries.insert(id, entry);
    }

    /// Forgets a file. Returns the names of the documents that overlays could lie over.
    fn remove(&mut self, id: FileId) -> BTreeSet<Name> {
        let Some(entry) = self.entries.remove(&id) else { return BTreeSet::new() };
        for (document, decoded) in entry.documents.iter().enumerate() {
            self.index.remove(Place { file: id, document }, decoded);
        }
        count(&mut self.mentioned, &entry.file, -1);
        let mut names = BTreeSet::new();
        for (document, BaseDocument { name, .. }) in entry.bases.into_iter().enumerate() {
            if let Some((name, _)) = name {
                self.overlays.remove_base(Place { file: id, document }, &name);
                names.insert(name);
            }
        }
        names
    }

    /// Checks the documents that concern each other, and gathers all that is wrong.
    fn check(&mut self, context: &Context<'_>) {
        self.together = self.index.together();
        let unread = !context.found.broken.is_empty() || self.entries.values().any(|entry| entry.file.unread);
        let mut gathered = Gathered::new(context.sources, context.variables);
        for place in &self.together {
            if let Some(document) = self.document(place) {
                gathered.add(document.clone());
            }
        }
        let (set, of_several) = gathered.checked_among(&self.index, unread);
        self.set = set;
        self.diagnostics.clone_from(&context.found.broken);
        for (id, entry) in &self.entries {
            self.diagnostics.extend(entry.file.diagnostics.iter().cloned());
            self.diagnostics.extend(entry.bases.iter().flat_map(|base| &base.problems).cloned());
            for (number, document) in
                entry.documents.iter().enumerate().filter(|(_, document)| !document.found.is_empty())
            {
                if !self.together.contains(&Place { file: *id, document: number }) {
                    self.diagnostics.extend(document.found.iter().cloned());
                }
            }
        }
        let of_overlays = self.overlays.files().flat_map(|(_, file)| &file.diagnostics);
        self.diagnostics.extend(of_overlays.cloned());
        self.is_unplaced = self.overlays.unplaced(unread, &mut self.diagnostics);
        self.diagnostics.extend(of_several);
        once(&mut self.diagnostics);
        decode::without_doubled(&mut self.diagnostics);
        let over: HashMap<FileId, &File> = self.overlays.files().collect();
        for diagnostic in &mut self.diagnostics {
            let Some(id) = diagnostic.origin().map(|origin| origin.file) else { continue };
            let base = self.entries.get(&id).map(|entry| &entry.file);
            if let Some(file) = base.or_else(|| over.get(&id).copied()) {
                file.provenance.name_variables([diagnostic], context.sources, &|| context.variables.secrets());
            }
        }
    }

    fn document(&self, place: &Place) -> Option<&Decoded> {
        self.entries.get(&place.file)?.documents.get(place.document)
    }
}

impl Entry {
    /// Returns true if a document can be merged anew without reading its file.
    fn has_tree(&self, document: usize) -> bool {
        self.bases.get(document).is_some_and(|base| base.loaded.is_some())
    }
}

/// A file of the base as it was read. The documents that overlays name wait for them.
struct Read {
    file: File,
    documents: Vec<(Option<NameAndVersion>, Base<'static>)>,
}

fn read_base(reader: &Reader<'_>, overlays: &Overlays, id: FileId) -> Read {
    let (file, documents) = reader.base_file(id, &|name| overlays.names(name));
    Read { file, documents: documents.into_iter().map(|(name, base)| (name, base.into_owned())).collect() }
}

/// Counts the variables that a file mentions.
fn count(mentioned: &mut HashMap<String, usize>, file: &File, by: isize) {
    for name in file.provenance.mentioned() {
        let count = mentioned.entry(name.clone()).or_default();
        *count = count.saturating_add_signed(by);
    }
}

/// Keeps the first message about each platform without a target.
fn once(diagnostics: &mut Vec<Diagnostic>) {
    let mut first: HashMap<String, (FileId, u32)> = HashMap::new();
    let place = |diagnostic: &Diagnostic| diagnostic.origin().map(Origin::order);
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.code == TARGETLESS) {
        if let Some(order) = place(diagnostic) {
            let known = first.entry(diagnostic.message.clone()).or_insert(order);
            *known = order.min(*known);
        }
    }
    diagnostics.retain(|diagnostic| {
        diagnostic.code != TARGETLESS || place(diagnostic).as_ref() == first.get(&diagnostic.message)
    });
}

#[cfg(test)]
mod tests;

//! Declarations that are worked out anew file by file, for an editor.
//!
//! A change costs what its file does: the other files keep what they were decoded to. Of the checks over all documents,
//! only those documents are looked at again that share a name, an address or an object, or refer to a document that does
//! not exist. There are few of them, as a rule.

mod index;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    Set,
    decode::{self, Context, Decoded, File, Gathered, Reader},
    parallel,
};
use crate::{
    diagnostic::Diagnostic,
    model::Desired,
    source::{FileId, Origin},
};
use index::{Index, Place};

/// Code of errors about platforms without a target: each is reported once.
const TARGETLESS: &str = "M008";

/// What files declare, as [`decode`](super::decode()) returns it.
#[derive(Debug, Default)]
pub struct Incremental {
    /// The files; none where there are overlays.
    entries: BTreeMap<FileId, Entry>,
    index: Index,
    /// How many files mention a variable.
    mentioned: HashMap<String, usize>,
    /// The documents that are checked together.
    together: BTreeSet<Place>,
    /// What the documents that are checked together declare; with overlays, what all declare.
    set: Set,
    diagnostics: Vec<Diagnostic>,
}

/// A file as it was decoded for itself.
#[derive(Debug)]
struct Entry {
    file: File,
    documents: Vec<Decoded>,
}

impl Incremental {
    /// Returns what all files declare.
    pub fn new(context: &Context<'_>) -> Self {
        let mut all = Self::default();
        if !all.decode_whole(context) {
            let reader = Reader::new(context);
            let threads = context.options.threads(context.sources, context.found);
            let work = |id| (id, reader.decode_file(id));
            parallel::in_order(threads, context.found.files.clone(), work, |(id, (file, documents))| {
                all.put(id, Entry { file, documents });
            });
            all.check(context);
        }
        all
    }

    /// Decodes files anew whose texts changed, or that are new.
    pub fn update(&mut self, context: &Context<'_>, changed: &[FileId]) {
        if self.decode_whole(context) {
            return;
        }
        let reader = Reader::new(context);
        for id in changed.iter().filter(|id| context.found.files.contains(id)) {
            let (file, documents) = reader.decode_file(*id);
            self.remove(*id);
            self.put(*id, Entry { file, documents });
        }
        self.check(context);
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
        apart.chain(&self.set.desired)
    }

    /// Returns what is wrong.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// Returns the names of all variables that the documents use.
    pub fn mentioned(&self) -> BTreeSet<String> {
        let apart = self.mentioned.iter().filter(|(_, count)| **count > 0).map(|(name, _)| name.clone());
        apart.chain(self.set.provenance.mentioned().iter().cloned()).collect()
    }

    /// Decodes all files where documents lie over others, which may concern any of them. Returns false if none do.
    fn decode_whole(&mut self, context: &Context<'_>) -> bool {
        let Context { options, sources, found, platforms, targets, variables } = *context;
        if found.overlays.is_empty() {
            return false;
        }
        (self.set, self.diagnostics) = decode::decode_with(options, sources, found, platforms, targets, variables);
        true
    }

    fn put(&mut self, id: FileId, entry: Entry) {
        self.index.add(id, &entry.documents);
        for name in entry.file.provenance.mentioned() {
            *self.mentioned.entry(name.clone()).or_default() += 1;
        }
        self.entries.insert(id, entry);
    }

    fn remove(&mut self, id: FileId) {
        let Some(entry) = self.entries.remove(&id) else { return };
        self.index.remove(id, &entry.documents);
        for name in entry.file.provenance.mentioned() {
            if let Some(count) = self.mentioned.get_mut(name) {
                *count -= 1;
            }
        }
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
            for (number, document) in
                entry.documents.iter().enumerate().filter(|(_, document)| !document.found.is_empty())
            {
                if !self.together.contains(&Place { file: *id, document: number }) {
                    self.diagnostics.extend(document.found.iter().cloned());
                }
            }
        }
        self.diagnostics.extend(of_several);
        once(&mut self.diagnostics);
        decode::without_doubled(&mut self.diagnostics);
        for diagnostic in &mut self.diagnostics {
            let entry = diagnostic.origin().and_then(|origin| self.entries.get(&origin.file));
            if let Some(Entry { file, .. }) = entry {
                file.provenance.name_variables([diagnostic], context.sources, &|| context.variables.secrets());
            }
        }
    }

    fn document(&self, place: &Place) -> Option<&Decoded> {
        self.entries.get(&place.file)?.documents.get(place.document)
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

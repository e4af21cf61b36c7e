//! Checks that take all documents together.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use foldhash::fast::RandomState;

use crate::{
    diagnostic::Diagnostic,
    manifest::{Set, decode::Object},
    model::{Desired, Reference, ResourceId},
    source::{Origin, Sources},
    yaml::suggestion,
};

/// Returns the error about a second document with the same kind and name.
/// A directory beside that of the first is most often an overlay that was not named.
pub(super) fn repeated_name(id: &ResourceId, again: &Origin, first: &Origin, sources: &Sources) -> Diagnostic {
    let message = format!("there is another {} called `{}`", id.kind, id.name());
    Diagnostic::error("M010", message, again).label("again").also(first, "first here").hint(
        match (directory(again, sources), directory(first, sources)) {
            (Some(again), first) if first != Some(again) => {
                format!("metadata.name is unique per kind; if {again} is an overlay, name it: --overlay {again}")
            }
            _ => "metadata.name is unique per kind; it can be chosen freely".to_owned(),
        },
    )
}

fn directory<'s>(origin: &Origin, sources: &'s Sources) -> Option<&'s str> {
    sources.path(origin.file).rsplit_once('/').map(|(directory, _)| directory)
}

/// The names of all documents, broken ones included.
pub(super) trait Declared {
    /// Returns true if a document has a name.
    fn has(&self, id: &ResourceId) -> bool;

    /// Returns all names.
    fn names(&self) -> Box<dyn Iterator<Item = &ResourceId> + '_>;
}

impl Declared for HashMap<ResourceId, Origin, RandomState> {
    fn has(&self, id: &ResourceId) -> bool {
        self.contains_key(id)
    }

    fn names(&self) -> Box<dyn Iterator<Item = &ResourceId> + '_> {
        Box::new(self.keys())
    }
}

/// Puts the objects of documents into a set, and checks them together.
pub(super) fn together(
    set: &mut Set<Arc<Desired>>,
    objects: &mut Vec<Object>,
    declared: &dyn Declared,
    unread: bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    same_address(objects, diagnostics);
    same_object(objects, &mut set.broken, diagnostics);
    set.desired = std::mem::take(objects).into_iter().map(|object| object.desired).collect();
    set.desired.shrink_to_fit();
    references(set, declared, unread, diagnostics);
}

/// Drops objects whose address another one has, such as a row that is listed twice.
fn same_address(objects: &mut Vec<Object>, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&ResourceId, &Origin, RandomState> = HashMap::default();
    seen.reserve(objects.len());
    let mut repeated = HashSet::new();
    for (number, Object { desired, .. }) in objects.iter().enumerate() {
        if let Some(first) = seen.get(&desired.id) {
            let message = format!("{} is declared twice", desired.id);
            diagnostics
                .push(Diagnostic::error("M010", message, &desired.origin).label("again").also(first, "first here"));
            repeated.insert(number);
        } else {
            seen.insert(&desired.id, &desired.origin);
        }
    }
    drop(seen);
    if !repeated.is_empty() {
        let mut numbers = 0..;
        objects.retain(|_| numbers.next().is_none_or(|number| !repeated.contains(&number)));
    }
}

/// Reports documents that are certain to mean the same live object, because what finds it is the same. Neither can be
/// trusted, so both are dropped.
fn same_object(objects: &mut Vec<Object>, broken: &mut BTreeSet<ResourceId>, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<(&str, &str, &str), &Arc<Desired>, RandomState> = HashMap::default();
    seen.reserve(objects.len());
    for Object { desired, locator } in objects.iter() {
        let Some(locator) = locator else { continue };
        let Some(first) = seen.insert((desired.id.kind, &desired.target, locator), desired) else { continue };
        let message = format!("{} means the same object as {}", desired.id, first.id);
        diagnostics.push(
            Diagnostic::error("M011", message, &desired.origin)
                .label("this document")
                .also(&first.origin, "and this one")
                .hint("declare an object in one document"),
        );
        broken.extend([desired.id.clone(), first.id.clone()]);
    }
    drop(seen);
    objects.retain(|object| !broken.contains(&object.desired.id));
}

/// Reports references to documents that do not exist, and drops the objects that hold them.
fn references(set: &mut Set<Arc<Desired>>, declared: &dyn Declared, unread: bool, diagnostics: &mut Vec<Diagnostic>) {
    // The objects that are documents are declared.
    let parts: HashSet<&ResourceId> =
        set.desired.iter().map(|object| &object.id).filter(|id| id.part.is_some()).collect();
    let exists = |id: &ResourceId| declared.has(id) || parts.contains(id) || set.broken.contains(id);
    let mut reported = HashSet::new();
    let mut dropped = Vec::new();
    for object in &set.desired {
        for reference in object.references.iter().filter(|reference| !exists(&reference.to)) {
            dropped.push(object.id.clone());
            // The rows of one document may share a reference; it is one mistake.
            if reported.insert(&reference.origin) {
                diagnostics.push(dangling(reference, declared, unread));
            }
        }
    }
    set.broken.extend(dropped);
    set.desired.retain(|object| !set.broken.contains(&object.id));
}

fn dangling(reference: &Reference, declared: &dyn Declared, unread: bool) -> Diagnostic {
    let ResourceId { kind, key, .. } = &reference.to;
    let diagnostic = Diagnostic::error("M012", format!("there is no {kind} called `{key}`"), &reference.origin);
    let mut names: Vec<&str> = declared.names().filter(|id| id.kind == *kind).map(|id| &*id.key).collect();
    names.sort_unstable();
    if let Some(question) = suggestion(key, names) {
        return diagnostic.hint(question);
    }
    if let Some(other) = declared.names().filter(|id| id.key == *key).map(|id| id.kind).min() {
        return diagnostic.hint(format!("`{key}` is of kind {other}"));
    }
    if unread {
        return diagnostic.hint("a document that could not be read may be the one that is meant");
    }
    diagnostic
}

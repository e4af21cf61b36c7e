//! Checks that take all documents together.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    diagnostic::Diagnostic,
    manifest::Set,
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

/// Drops objects whose address another one has, such as a row that is listed twice.
pub(super) fn same_address(desired: &mut Vec<Desired>, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<ResourceId, Origin> = HashMap::with_capacity(desired.len());
    desired.retain(|object| {
        if let Some(first) = seen.get(&object.id) {
            let message = format!("{} is declared twice", object.id);
            diagnostics
                .push(Diagnostic::error("M010", message, &object.origin).label("again").also(first, "first here"));
            return false;
        }
        seen.insert(object.id.clone(), object.origin.clone());
        true
    });
}

/// Reports documents that are certain to mean the same live object, because what finds it is the same. Neither can be
/// trusted, so both are dropped.
pub(super) fn same_object(set: &mut Set, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<(&str, &str, String), &Desired> = HashMap::with_capacity(set.desired.len());
    for object in set.desired.iter().filter(|object| !object.locator.is_empty()) {
        let locator: BTreeMap<&str, &serde_json::Value> =
            object.locator.iter().map(|(path, located)| (&**path, &located.value)).collect();
        let locator = serde_json::to_string(&locator).unwrap_or_default();
        let Some(first) = seen.insert((object.id.kind, &*object.target, locator), object) else { continue };
        let message = format!("{} means the same object as {}", object.id, first.id);
        diagnostics.push(
            Diagnostic::error("M011", message, &object.origin)
                .label("this document")
                .also(&first.origin, "and this one")
                .hint("declare an object in one document"),
        );
        set.broken.extend([object.id.clone(), first.id.clone()]);
    }
    set.desired.retain(|object| !set.broken.contains(&object.id));
}

/// Reports references to documents that do not exist, and drops the objects that hold them.
pub(super) fn references(
    set: &mut Set,
    declared: &HashMap<ResourceId, Origin>,
    unread: bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let objects: HashSet<ResourceId> = set.desired.iter().map(|object| object.id.clone()).collect();
    let exists = |id: &ResourceId| declared.contains_key(id) || objects.contains(id) || set.broken.contains(id);
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

fn dangling(reference: &Reference, declared: &HashMap<ResourceId, Origin>, unread: bool) -> Diagnostic {
    let ResourceId { kind, key, .. } = &reference.to;
    let diagnostic = Diagnostic::error("M012", format!("there is no {kind} called `{key}`"), &reference.origin);
    let mut names: Vec<&str> = declared.keys().filter(|id| id.kind == *kind).map(|id| &*id.key).collect();
    names.sort_unstable();
    if let Some(question) = suggestion(key, names) {
        return diagnostic.hint(question);
    }
    if let Some(other) = declared.keys().filter(|id| id.key == *key).map(|id| id.kind).min() {
        return diagnostic.hint(format!("`{key}` is of kind {other}"));
    }
    if unread {
        return diagnostic.hint("a document that could not be read may be the one that is meant");
    }
    diagnostic
}

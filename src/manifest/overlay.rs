//! Overlays: documents that are merged over those of the same kind and name, key by key.
//!
//! Nodes keep their places, so that every value points at the file that decided it.

use std::collections::HashMap;

use crate::{
    diagnostic::Diagnostic,
    manifest::provenance::Provenance,
    source::Origin,
    yaml::{Content, Node, nearest},
};

/// Keys that only say which document is meant.
const NAMES: [&str; 2] = ["apiVersion", "kind"];

/// The key of a document: `kind` and `metadata.name`.
pub(super) type Name = (String, String);

/// Returns the name of a document as it is written; `None` if it has none.
pub(super) fn name(root: &Node<'_>) -> Option<Name> {
    let name = root.get("metadata")?.get("name")?.as_text()?;
    Some((root.get("kind")?.as_text()?.to_owned(), name.to_owned()))
}

/// The documents that overlays may be merged over.
#[derive(Default)]
pub(super) struct Bases {
    /// The number of each document and its `apiVersion`; of several with one name the first.
    names: HashMap<Name, (usize, String)>,
}

impl Bases {
    /// Takes in a document by its number.
    pub(super) fn add(&mut self, number: usize, name: Name, version: String) {
        self.names.entry(name).or_insert((number, version));
    }

    /// Returns the number of the document that one of an overlay is meant for, or what is wrong.
    pub(super) fn find(&self, root: &Node<'_>, origin: &Origin, unread: bool) -> Result<usize, Diagnostic> {
        let Some(wanted) = name(root) else {
            let message = "a document of an overlay needs `kind` and `metadata.name` of the document that it is for";
            return Err(Diagnostic::error("M018", message, origin));
        };
        let (kind, name) = &wanted;
        let place = place_of_name(root, origin);
        let found = self.names.get(&wanted);
        if let Some((number, base)) = found
            && (version(root).is_empty() || version(root) == base)
        {
            return Ok(*number);
        }
        let message = format!("there is no {kind} called `{name}` that this could be laid over");
        let diagnostic = Diagnostic::error("M019", message, place);
        if let Some((_, base)) = found {
            return Err(diagnostic.hint(format!("`{name}` is of apiVersion {base}")));
        }
        let mut names: Vec<&str> =
            self.names.keys().filter(|name| name.0 == *kind).map(|name| name.1.as_str()).collect();
        names.sort_unstable();
        if let Some(near) = nearest(name, names) {
            return Err(diagnostic.hint(format!("did you mean `{near}`?")));
        }
        if let Some((other, _)) = self.names.keys().filter(|entry| entry.1 == *name).min() {
            return Err(diagnostic.hint(format!("`{name}` is of kind {other}")));
        }
        Err(if unread {
            diagnostic.hint("a document that could not be read may be the one that is meant")
        } else {
            diagnostic.hint("an overlay changes documents of PATH; what is new belongs there")
        })
    }
}

/// Returns where the name of a document is written.
pub(super) fn place_of_name<'a>(root: &'a Node<'_>, origin: &'a Origin) -> &'a Origin {
    root.get("metadata").and_then(|metadata| metadata.get("name")).map_or(origin, |name| &name.origin)
}

/// Returns the error about a second document of an overlay for the same base.
pub(super) fn repeated((kind, name): &Name, again: &Origin, first: &Origin) -> Diagnostic {
    Diagnostic::error("M020", format!("this overlay changes the {kind} called `{name}` twice"), again)
        .label("again")
        .also(first, "first here")
        .hint("write both changes in one document")
}

/// Merges a document of an overlay over its base: mappings key by key; lists, scalars and `null` replace what was there.
pub(super) fn merge<'s>(base: &mut Node<'s>, mut over: Node<'s>, provenance: &mut Provenance) {
    if let Content::Mapping(entries) = &mut over.content {
        entries.retain(|(key, _)| !NAMES.contains(&key.key()));
        let metadata = entries.iter_mut().find(|(key, _)| key.key() == "metadata");
        if let Some((_, Node { content: Content::Mapping(entries), .. })) = metadata {
            entries.retain(|(key, _)| key.key() != "name");
        }
    }
    lay(base, over, provenance);
}

fn lay<'s>(base: &mut Node<'s>, over: Node<'s>, provenance: &mut Provenance) {
    if let (Content::Mapping(entries), Content::Mapping(_)) = (&mut base.content, &over.content) {
        let Content::Mapping(added) = over.content else { return };
        for (key, value) in added {
            match entries.iter_mut().find(|(known, _)| known.key() == key.key()) {
                Some((_, known)) => lay(known, value, provenance),
                None => entries.push((key, value)),
            }
        }
    } else {
        provenance.replaces(&over, &base.origin);
        *base = over;
    }
}

/// Returns the `apiVersion` of a document; empty if it has none.
pub(super) fn version<'a>(root: &'a Node<'_>) -> &'a str {
    root.get("apiVersion").and_then(Node::as_text).unwrap_or_default()
}

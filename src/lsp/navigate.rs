//! Definitions, references, and renames of documents and variables.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    position::{self, range, range_of},
    workspace::{Workspace, uri},
};
use crate::{
    manifest::Given,
    model::{ARROW, ResourceId},
    source::{FileId, Origin},
    yaml::{self, Node},
};

/// Why something cannot be renamed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenameError {
    /// No name of a document stands there.
    #[error("only `metadata.name` of a document and references to it can be renamed")]
    NoName,
    /// The new name cannot be one.
    #[error("`{0}` cannot be the name of a document")]
    NotAName(String),
    /// Another document of the kind has the new name.
    #[error("there is another {0} called `{1}`")]
    Taken(&'static str, String),
    /// The name is not written where it stands.
    #[error("{0}: the name comes from a variable or an alias here; change it by hand")]
    Indirect(String),
}

impl Workspace {
    /// Returns the places that define what stands at a position: the document of a reference, the base of a document of an
    /// overlay, the value of a variable.
    pub fn definition(&self, path: &str, line: usize, character: usize) -> Vec<Value> {
        let Some((file, byte)) = self.byte(path, line, character) else { return Vec::new() };
        if let Some(name) = self.variable_at(file, byte) {
            let given = self.inputs.variables.get(&name).map(|variable| &variable.given);
            return match given {
                Some(Given::Values(origin)) => vec![self.location(origin)],
                Some(Given::Set | Given::Environment | Given::Default) | None => Vec::new(),
            };
        }
        let overlay = || self.inputs.found.overlays.iter().any(|overlay| overlay.files.contains(&file));
        let id = self.reference_at(file, byte).or_else(|| self.named_at(file, byte).filter(|_| overlay()));
        let base = |name: &Origin| self.inputs.found.files.contains(&name.file);
        id.map(|id| self.names(&id))
            .unwrap_or_default()
            .iter()
            .filter(|name| base(name))
            .map(|name| self.location(name))
            .collect()
    }

    /// Returns all places that refer to what stands at a position, and with `declaration` those that define it.
    pub fn references(&self, path: &str, line: usize, character: usize, declaration: bool) -> Vec<Value> {
        let Some((file, byte)) = self.byte(path, line, character) else { return Vec::new() };
        if let Some(name) = self.variable_at(file, byte) {
            return self.uses(&name);
        }
        let Some(id) = self.reference_at(file, byte).or_else(|| self.named_at(file, byte)) else { return Vec::new() };
        let names = if declaration { self.names(&id) } else { Vec::new() };
        names.iter().chain(&self.referring(&id)).map(|origin| self.location(origin)).collect()
    }

    /// Returns the edits that give another name to the document at a position, or to the one that is referred to there.
    pub fn rename(&self, path: &str, line: usize, character: usize, new: &str) -> Result<Value, RenameError> {
        let (file, byte) = self.byte(path, line, character).ok_or(RenameError::NoName)?;
        let id = self.reference_at(file, byte).or_else(|| self.named_at(file, byte)).ok_or(RenameError::NoName)?;
        if new.is_empty() || new.trim() != new || new.chars().any(char::is_control) || new.contains(ARROW) {
            return Err(RenameError::NotAName(new.to_owned()));
        }
        if self.declared.desired().any(|object| object.id.kind == id.kind && *object.id.key == *new) {
            return Err(RenameError::Taken(id.kind, new.to_owned()));
        }
        let sources = &self.inputs.sources;
        let mut changes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for origin in self.names(&id).iter().chain(&self.referring(&id)) {
            let written = sources.text(origin.file).get(origin.range()).unwrap_or_default();
            if written.trim_matches(['"', '\'']) != &*id.key {
                return Err(RenameError::Indirect(sources.position(origin).to_string()));
            }
            let edit = json!({"range": range(origin, sources), "newText": yaml::scalar(new)});
            changes.entry(uri(sources.path(origin.file))).or_default().push(edit);
        }
        Ok(json!({"changes": changes}))
    }

    fn byte(&self, path: &str, line: usize, character: usize) -> Option<(FileId, usize)> {
        let file = self.file(path)?;
        Some((file, position::byte(self.inputs.sources.text(file), line, character)))
    }

    fn location(&self, origin: &Origin) -> Value {
        let sources = &self.inputs.sources;
        json!({"uri": uri(sources.path(origin.file)), "range": range(origin, sources)})
    }

    /// Returns the object that a reference at a byte means.
    pub(super) fn reference_at(&self, file: FileId, byte: usize) -> Option<ResourceId> {
        let at = |origin: &Origin| origin.file == file && origin.range().start <= byte && byte <= origin.range().end;
        let mut references = self.declared.desired().flat_map(|object| &object.references);
        references
            .find(|reference| at(&reference.origin) && self.is_written(&reference.origin, &reference.to))
            .map(|reference| reference.to.clone())
    }

    /// Returns true if a place is where the name of an object is spelt out.
    fn is_written(&self, origin: &Origin, id: &ResourceId) -> bool {
        let written = self.inputs.sources.text(origin.file).get(origin.range()).unwrap_or_default();
        written.trim_matches(['"', '\'']) == &*id.key || written.contains('$') || written.starts_with('*')
    }

    /// Returns the document whose name stands at a byte.
    fn named_at(&self, file: FileId, byte: usize) -> Option<ResourceId> {
        let mut found = None;
        self.documents(file, |root| {
            if let Some((id, name)) = self.id_of(root)
                && name.range().start <= byte
                && byte <= name.range().end
            {
                found = Some(id);
            }
        });
        found
    }

    /// Returns the address of a document, and where its name is written.
    fn id_of(&self, root: &Node<'_>) -> Option<(ResourceId, Origin)> {
        let name = root.get("metadata")?.get("name")?;
        let kind = super::keys::kind(root.get("kind")?.as_text()?, self.inputs.platforms)?;
        Some((ResourceId::new(kind.name(), name.as_text()?), name.origin.clone()))
    }

    /// Returns where the name of a document is written: in the base, and in overlays over it.
    fn names(&self, id: &ResourceId) -> Vec<Origin> {
        let objects = self.declared.desired().filter(|object| object.id.kind == id.kind && object.id.key == id.key);
        let mut files: BTreeSet<FileId> = objects.map(|object| object.origin.file).collect();
        files.extend(self.inputs.found.overlays.iter().flat_map(|overlay| &overlay.files));
        let mut names = Vec::new();
        for file in files {
            self.documents(file, |root| {
                names.extend(self.id_of(root).filter(|(other, _)| other == id).map(|(_, name)| name));
            });
        }
        names
    }

    /// Returns where other documents refer to a document.
    fn referring(&self, id: &ResourceId) -> Vec<Origin> {
        let references = self.declared.desired().flat_map(|object| &object.references);
        let places = references.filter(|reference| reference.to == *id && self.is_written(&reference.origin, id));
        let mut places: Vec<Origin> = places.map(|reference| reference.origin.clone()).collect();
        places.sort_by_key(Origin::order);
        // The rows of one document share a reference.
        places.dedup();
        places
    }

    /// Returns the variable whose name stands at a byte.
    fn variable_at(&self, file: FileId, byte: usize) -> Option<String> {
        let text = self.inputs.sources.text(file);
        if let Some(start) = text[..byte].rfind("${").filter(|start| !text[*start..byte].contains(['}', '\n'])) {
            let name: String =
                text[start + 2..].chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            return Some(name).filter(|name| !name.is_empty());
        }
        // In a file with variables it is a key.
        let is_values = !self.inputs.found.all().any(|known| known == file) && self.inputs.config != Some(file);
        let line = text[..byte].rfind('\n').map_or(0, |at| at + 1);
        let name = text[line..].split(':').next().filter(|_| is_values)?.trim();
        self.inputs.variables.get(name).map(|_| name.to_owned())
    }

    /// Returns where documents use a variable.
    fn uses(&self, name: &str) -> Vec<Value> {
        let sources = &self.inputs.sources;
        let start = format!("${{{name}");
        let mut uses = Vec::new();
        for file in self.inputs.found.all() {
            let text = sources.text(file);
            for (at, _) in text.match_indices(&start) {
                let end = at + start.len();
                let is_whole = text[end..].starts_with(['}', ':']);
                let is_literal = text[..at].ends_with('$');
                if is_whole && !is_literal {
                    uses.push(json!({"uri": uri(sources.path(file)), "range": range_of(text, at + 2..end)}));
                }
            }
        }
        uses
    }
}

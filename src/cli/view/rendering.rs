//! Manifests after variables and overlays, with the places that decided their values.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::origin;
use crate::{
    manifest::{Provenance, Resolved},
    plain,
    plan::file::{FORMAT_VERSION, location},
    source::Sources,
    version::VERSION,
    yaml::{self, Content, Node},
};

/// Shown in place of a value that holds a secret.
const HIDDEN: &str = "***";

/// Writes documents as they are decoded.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Rendering<'a> {
    /// The texts that places lie in.
    pub(in crate::cli) sources: &'a Sources,
    /// The variables and overlays behind values.
    pub(in crate::cli) provenance: &'a Provenance,
    /// The secrets of the configuration. Values that hold one are masked.
    pub(in crate::cli) secrets: &'a [String],
}

/// Returns the address of a document; of one without a kind and a name, nothing that an address is.
pub(in crate::cli) fn address(root: &Node<'_>) -> String {
    let name = root.get("metadata").and_then(|metadata| metadata.get("name"));
    let text = |node: Option<&Node<'_>>| node.and_then(Node::as_text).unwrap_or_default().to_owned();
    format!("{}/{}", text(root.get("kind")), text(name))
}

impl Rendering<'_> {
    /// Returns the documents as manifests. A comment names the place of a value that another file or a variable decided.
    pub(in crate::cli) fn text(self, documents: &[Resolved]) -> String {
        let mut text = String::new();
        for document in documents {
            let position = self.sources.position(&document.origin);
            let _ = writeln!(text, "---\n# {}:{}", plain::line(&position.file), position.line);
            let note = |node: &Node<'_>| self.note(node, document);
            text.push_str(&yaml::emit(&self.written(document.root.clone()), &note));
        }
        text
    }

    /// Returns the documents, and for each of their values the place that decided it.
    pub(in crate::cli) fn json(self, documents: &[Resolved]) -> Value {
        let document = |resolved: &Resolved| {
            let mut origins = Vec::new();
            self.origins(&resolved.root, "", &mut origins);
            json!({
                "address": address(&resolved.root),
                "at": location(&resolved.origin, self.sources),
                "document": self.masked(resolved.root.clone()).to_json(),
                "origins": origins,
            })
        };
        json!({
            "apiVersion": "reconcile/v1",
            "kind": "Rendering",
            "format_version": FORMAT_VERSION,
            "reconcile": VERSION,
            "documents": documents.iter().map(document).collect::<Vec<_>>(),
        })
    }

    /// Adds the origins of the values of a tree, each with its JSON Pointer.
    fn origins(self, node: &Node<'_>, pointer: &str, origins: &mut Vec<Value>) {
        let is_inner = |node: &Node<'_>| !node.entries().is_empty() || !node.items().is_empty();
        if !is_inner(node) {
            let via = origin::via(&node.origin, self.provenance, self.sources);
            origins.push(json!({"path": pointer, "at": location(&node.origin, self.sources), "via": via}));
            return;
        }
        for (number, item) in node.items().iter().enumerate() {
            self.origins(item, &format!("{pointer}/{number}"), origins);
        }
        for (key, value) in node.entries() {
            let key = key.key().replace('~', "~0").replace('/', "~1");
            self.origins(value, &format!("{pointer}/{key}"), origins);
        }
    }

    /// Returns the comment about a value that is not simply written where its document is.
    fn note(self, node: &Node<'_>, document: &Resolved) -> Option<String> {
        let steps = origin::note(&node.origin, self.provenance, self.sources);
        let position = self.sources.position(&node.origin);
        let place = plain::line(&position.to_string());
        match (node.origin.file == document.origin.file, steps.is_empty()) {
            (true, true) => None,
            (true, false) => Some(plain::line(&steps)),
            (false, true) => Some(place),
            (false, false) => Some(format!("{place}: {}", plain::line(&steps))),
        }
    }

    /// Returns a tree as a manifest has to spell it: `${` is a text by now, and not the start of a variable.
    fn written(self, node: Node<'static>) -> Node<'static> {
        map_texts(self.masked(node), &|text| text.replace("${", "$${"))
    }

    fn masked(self, node: Node<'static>) -> Node<'static> {
        let is_secret = |text: &str| self.secrets.iter().any(|secret| !secret.is_empty() && text.contains(&**secret));
        map_texts(node, &|text| if is_secret(text) { HIDDEN.to_owned() } else { text.to_owned() })
    }
}

/// Replaces the texts of all values of a tree.
fn map_texts(mut node: Node<'static>, replace: &dyn Fn(&str) -> String) -> Node<'static> {
    match &mut node.content {
        Content::Scalar(scalar) => {
            let text = replace(&scalar.text);
            if text != *scalar.text {
                (scalar.text, scalar.plain) = (text.into(), false);
            }
        }
        Content::Sequence(items) => {
            *items = std::mem::take(items).into_iter().map(|item| map_texts(item, replace)).collect();
        }
        Content::Mapping(entries) => {
            let replaced = std::mem::take(entries).into_iter().map(|(key, value)| (key, map_texts(value, replace)));
            *entries = replaced.collect();
        }
    }
    node
}

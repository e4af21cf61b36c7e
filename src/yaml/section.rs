//! A mapping read key by key, so that no key is overlooked.

use std::{cell::RefCell, collections::BTreeSet};

use crate::{
    diagnostic::Diagnostic,
    source::Origin,
    yaml::{Content, Node, nearest},
};

/// The cursor of all decoders: every key asked for is known, and [`Section::finish`] reports the others.
#[derive(Debug)]
pub struct Section<'a, 's> {
    node: &'a Node<'s>,
    what: String,
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a, 's> Section<'a, 's> {
    /// Opens a mapping, which messages call `what`, such as `spec of Instance`. Anything else is an error.
    pub fn open(node: &'a Node<'s>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        if matches!(node.content, Content::Mapping(_)) {
            return Some(Self { node, what: what.to_owned(), known: RefCell::default() });
        }
        let message = format!("{what} has to be a mapping, not {}", node.describe());
        diagnostics.push(Diagnostic::error("Y201", message, &node.origin));
        None
    }

    /// Returns the mapping.
    pub fn node(&self) -> &'a Node<'s> {
        self.node
    }

    /// Returns the place of the whole mapping.
    pub fn origin(&self) -> &'a Origin {
        &self.node.origin
    }

    /// Returns the value of a key, which is known from now on; none where it was left out.
    pub fn get(&self, key: &'static str) -> Option<&'a Node<'s>> {
        self.known.borrow_mut().insert(key);
        self.node.get(key)
    }

    /// Returns the place of a key.
    pub fn key_origin(&self, key: &str) -> Option<&'a Origin> {
        self.node.entries().iter().find(|(name, _)| name.key() == key).map(|(name, _)| &name.origin)
    }

    /// Returns the value of a key that has to be there, and reports it where it is not. A null is there.
    pub fn require(&self, key: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a Node<'s>> {
        let value = self.get(key);
        if value.is_none() {
            let message = format!("{} needs `{key}`", self.what);
            let mut diagnostic = Diagnostic::error("Y203", message, &self.first_line());
            let written = self.node.entries().iter().map(|(name, _)| name.key());
            if let Some(word) = nearest(key, written) {
                diagnostic = diagnostic.hint(format!("`{word}` is there"));
            }
            diagnostics.push(diagnostic);
        }
        value
    }

    /// Reports every key that was never asked for.
    pub fn finish(self, diagnostics: &mut Vec<Diagnostic>) {
        let known = self.known.into_inner();
        for (key, _) in self.node.entries().iter().filter(|(key, _)| !known.contains(key.key())) {
            let message = format!("unknown key `{}` in {}", key.key(), self.what);
            let diagnostic = Diagnostic::error("Y202", message, &key.origin);
            diagnostics.push(match nearest(key.key(), known.iter().copied()) {
                Some(word) => diagnostic.hint(format!("did you mean `{word}`?")),
                None if known.is_empty() => diagnostic,
                None => {
                    let known: Vec<_> = known.iter().copied().collect();
                    diagnostic.hint(format!("known keys: {}", known.join(", ")))
                }
            });
        }
    }

    /// A whole mapping would be underlined line by line; its first key says as much.
    fn first_line(&self) -> Origin {
        self.node.entries().first().map_or_else(|| self.node.origin.clone(), |(key, _)| key.origin.clone())
    }
}

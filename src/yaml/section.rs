//! A mapping read key by key, so that no key is overlooked.

use std::cell::RefCell;

use smallvec::SmallVec;

use crate::{
    diagnostic::Diagnostic,
    source::Origin,
    yaml::{Content, Form, Node, nearest, slip::WIDE_COLON},
};

/// The cursor of all decoders: every key asked for is known, and [`Section::finish`] reports the others.
#[derive(Debug)]
pub struct Section<'a, 's> {
    node: &'a Node<'s>,
    what: String,
    /// The keys that it may have; without a table its decoder alone knows them.
    form: Option<&'static Form>,
    /// The keys that were asked for, each once. They are few.
    known: RefCell<SmallVec<[&'static str; 8]>>,
    missing: RefCell<Vec<(&'static str, Diagnostic)>>,
}

impl<'a, 's> Section<'a, 's> {
    /// Opens a mapping, which messages call `what`, such as `spec of Instance`. Anything else is an error.
    pub fn open(node: &'a Node<'s>, what: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        if matches!(node.content, Content::Mapping(_)) {
            let (known, missing) = (RefCell::default(), RefCell::default());
            return Some(Self { node, what: what.to_owned(), form: None, known, missing });
        }
        let message = format!("{what} has to be a mapping, not {}", node.describe());
        let diagnostic = Diagnostic::error("Y201", message, &node.origin);
        let is_slip = node.as_scalar().is_some_and(|scalar| scalar.plain && scalar.text.contains(WIDE_COLON));
        diagnostics.push(if is_slip {
            diagnostic.hint(format!("`{WIDE_COLON}` is a full-width colon, write `:` and a blank"))
        } else {
            diagnostic
        });
        None
    }

    /// Opens a mapping as [`Section::open`] does, with the table of its keys: a decoder that asks for another key than
    /// the table has fails in tests, so that schemas have all keys that decoders know.
    pub fn of(node: &'a Node<'s>, what: &str, form: &'static Form, diagnostics: &mut Vec<Diagnostic>) -> Option<Self> {
        Self::open(node, what, diagnostics).map(|section| Self { form: Some(form), ..section })
    }

    /// Returns the mapping.
    pub fn node(&self) -> &'a Node<'s> {
        self.node
    }

    /// Returns the place of the whole mapping.
    pub fn origin(&self) -> &'a Origin {
        &self.node.origin
    }

    /// Returns the value of a key, which is known from now on; `None` if it was left out.
    pub fn get(&self, key: &'static str) -> Option<&'a Node<'s>> {
        debug_assert!(
            self.form.is_none_or(|form| form.key(key).is_some()),
            "`{key}` is not in the table of {}",
            self.what
        );
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        self.node.get(key)
    }

    /// Returns the value of a key that has to be there, and reports it where it is not. A null is there.
    pub fn require(&self, key: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Option<&'a Node<'s>> {
        self.require_hinted(key, String::new, diagnostics)
    }

    /// Returns the value of a key as `require` does; the report of a missing one has a hint, unless that is empty.
    pub fn require_hinted(
        &self,
        key: &'static str,
        hint: impl FnOnce() -> String,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Option<&'a Node<'s>> {
        let value = self.get(key);
        if value.is_none() {
            let message = format!("{} needs `{key}`", self.what);
            let diagnostic = Diagnostic::error("Y203", message, &self.first_line());
            let hint = hint();
            let diagnostic = if hint.is_empty() { diagnostic } else { diagnostic.hint(hint) };
            self.missing.borrow_mut().push((key, diagnostic.clone()));
            diagnostics.push(diagnostic);
        }
        value
    }

    /// Reports every key that was never asked for. One that is a slip for a key that is needed is one mistake, not
    /// two, so the report about the missing key is withdrawn.
    pub fn finish(self, diagnostics: &mut Vec<Diagnostic>) {
        let (mut known, missing) = (self.known.into_inner(), self.missing.into_inner());
        let unknown: Vec<_> = self.node.entries().iter().filter(|(key, _)| !known.contains(&key.key())).collect();
        known.sort_unstable();
        for (key, _) in unknown {
            let message = format!("unknown key `{}` in {}", key.key(), self.what);
            let diagnostic = Diagnostic::error("Y202", message, &key.origin);
            let meant = nearest(key.key(), known.iter().copied());
            if let Some((_, needless)) = missing.iter().find(|(name, _)| meant == Some(*name)) {
                diagnostics.retain(|diagnostic| diagnostic != needless);
            }
            if key.key().contains(WIDE_COLON) {
                diagnostics
                    .push(diagnostic.hint(format!("`{WIDE_COLON}` is a full-width colon, write `:` and a blank")));
                continue;
            }
            if key.key().bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') && !key.key().is_empty() {
                diagnostics.push(diagnostic.hint("within {} a text with a comma has to be quoted, such as \"80,443\""));
                continue;
            }
            if key.key().trim() != key.key() {
                // YAML takes only the blanks of ASCII for indentation.
                let blank =
                    key.key().chars().find(|letter| letter.is_whitespace()).unwrap_or_default().escape_unicode();
                diagnostics.push(diagnostic.hint(format!("it begins or ends with `{blank}`: write ordinary spaces")));
                continue;
            }
            diagnostics.push(match meant {
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

#[cfg(test)]
mod tests;

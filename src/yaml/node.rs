//! The tree.

use std::borrow::Cow;

use serde_json::Value;

use crate::{source::Origin, yaml::scalar};

/// One node of a document and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'s> {
    /// Where it was written. Of an alias: where the alias stands. Of a value that was left out: its key.
    pub origin: Origin,
    /// Its content.
    pub content: Content<'s>,
}

/// The content of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'s> {
    /// A scalar.
    Scalar(Scalar<'s>),
    /// A list.
    Sequence(Vec<Node<'s>>),
    /// Keys and values in the order of the text, merged ones last; keys are scalars and unique.
    Mapping(Vec<(Node<'s>, Node<'s>)>),
}

/// A scalar as written, and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar<'s> {
    /// Its text, escapes and folding resolved.
    pub text: Cow<'s, str>,
    /// Written without quotes: it may mean a number, a truth value or null.
    pub plain: bool,
}

/// The meaning of a scalar in the core schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed<'a> {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`, also capitalised or in capitals.
    Bool(bool),
    /// A whole number that fits 64 bits with a sign: decimal, `0o…` or `0x…`.
    Int(i64),
    /// A whole number that does not fit, as written. A text field takes it, no other field does.
    BigInt(&'a str),
    /// Any other number.
    Float(f64),
    /// Everything else, and everything in quotes.
    Text(&'a str),
}

impl Scalar<'_> {
    /// Returns what it means.
    pub fn typed(&self) -> Typed<'_> {
        if self.plain { scalar::resolve(&self.text) } else { Typed::Text(&self.text) }
    }
}

impl<'s> Node<'s> {
    /// Returns the scalar; `None` for a list or a mapping.
    pub fn as_scalar(&self) -> Option<&Scalar<'s>> {
        match &self.content {
            Content::Scalar(scalar) => Some(scalar),
            Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    /// Returns the text of a scalar as written, whatever it means; `None` for null, a list or a mapping.
    pub fn as_text(&self) -> Option<&str> {
        let scalar = self.as_scalar()?;
        (scalar.typed() != Typed::Null).then_some(&*scalar.text)
    }

    /// Returns what a scalar means; `None` for a list or a mapping.
    pub fn typed(&self) -> Option<Typed<'_>> {
        self.as_scalar().map(Scalar::typed)
    }

    /// Returns true if it is null or was left out.
    pub fn is_null(&self) -> bool {
        self.typed() == Some(Typed::Null)
    }

    /// Returns the tree without its text.
    pub fn into_owned(self) -> Node<'static> {
        let content = match self.content {
            Content::Scalar(Scalar { text, plain }) => {
                Content::Scalar(Scalar { text: text.into_owned().into(), plain })
            }
            Content::Sequence(items) => Content::Sequence(items.into_iter().map(Node::into_owned).collect()),
            Content::Mapping(entries) => {
                let entries = entries.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned()));
                Content::Mapping(entries.collect())
            }
        };
        Node { origin: self.origin, content }
    }

    /// Returns the value of a key; `None` if it is missing and where this is not a mapping.
    pub fn get(&self, key: &str) -> Option<&Node<'s>> {
        self.entries().iter().find(|(name, _)| name.key() == key).map(|(_, value)| value)
    }

    /// Returns keys and values; nothing where this is not a mapping.
    pub fn entries(&self) -> &[(Node<'s>, Node<'s>)] {
        match &self.content {
            Content::Mapping(entries) => entries,
            Content::Scalar(_) | Content::Sequence(_) => &[],
        }
    }

    /// Returns the items; nothing where this is not a list.
    pub fn items(&self) -> &[Node<'s>] {
        match &self.content {
            Content::Sequence(items) => items,
            Content::Scalar(_) | Content::Mapping(_) => &[],
        }
    }

    /// Returns the text of a key as written; empty for what cannot be a key.
    pub fn key(&self) -> &str {
        self.as_scalar().map_or("", |scalar| &scalar.text)
    }

    /// Returns the value without places. Whole numbers beyond 64 bits and `.inf`, `.nan`, which JSON cannot hold,
    /// become their text: use [`crate::yaml::json`] where that has to be refused.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Scalar(scalar) => match scalar.typed() {
                Typed::Null => Value::Null,
                Typed::Bool(value) => value.into(),
                Typed::Int(value) => value.into(),
                Typed::Float(value) if value.is_finite() => value.into(),
                Typed::Float(_) | Typed::BigInt(_) | Typed::Text(_) => Value::String(scalar.text.to_string()),
            },
            Content::Sequence(items) => items.iter().map(Node::to_json).collect(),
            Content::Mapping(entries) => {
                entries.iter().map(|(key, value)| (key.key().to_owned(), value.to_json())).collect()
            }
        }
    }

    /// Says in words what it is, for messages: `a list`, `the number 5`.
    pub fn describe(&self) -> String {
        match &self.content {
            Content::Sequence(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
            Content::Scalar(scalar) => match scalar.typed() {
                Typed::Null => "empty".to_owned(),
                Typed::Bool(value) => format!("the truth value {value}"),
                Typed::Int(_) | Typed::BigInt(_) | Typed::Float(_) => format!("the number {}", scalar.text),
                Typed::Text(_) => "a text".to_owned(),
            },
        }
    }
}

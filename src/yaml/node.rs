//! The tree.

use std::borrow::Cow;

use crate::source::Origin;

/// One node of a document and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node<'s> {
    /// Where it was written. Of an alias: where the alias stands.
    pub origin: Origin,
    /// What it holds.
    pub content: Content<'s>,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'s> {
    /// A scalar.
    Scalar(Scalar<'s>),
    /// A list.
    Sequence(Vec<Node<'s>>),
    /// Keys and values in the order of the text; keys are scalars and unique.
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

/// What a scalar means in the core schema.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed<'a> {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`, also capitalised or in capitals.
    Bool(bool),
    /// A whole number that fits 64 bits with a sign: decimal, `0o…` or `0x…`.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Everything else, and everything in quotes.
    Text(&'a str),
}

//! YAML as a tree in which every node knows its place.
//!
//! This is the only module that names a YAML parser. Scalars follow the core schema of YAML 1.2. [`load()`] turns a text
//! into documents, [`Section`] reads a mapping key by key, and [`text()`], [`integer`] and the like read single values;
//! all of them report to a list of diagnostics and go on.

mod duration;
mod emit;
mod load;
mod mapping;
mod nearest;
mod node;
mod report;
mod scalar;
mod section;
mod shape;
mod slip;
mod tag;
mod value;
pub mod write;

pub use duration::duration;
pub use emit::{emit, scalar};
pub use load::load;
pub use nearest::{nearest, suggestion};
pub use node::{Content, Node, Scalar, Typed};
pub use section::Section;
pub use shape::{Form, Key, MOST, Shape};
pub use value::{boolean, integer, json, list, one_of, text};

use crate::source::Origin;

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document<'s> {
    /// Its content.
    pub root: Node<'s>,
    /// Its first line.
    pub origin: Origin,
    /// No error was reported for it. A document that is not sound may be looked at for further mistakes, but not used.
    pub sound: bool,
    /// Where aliases stand for scalars, each with the place of the scalar.
    pub aliases: Vec<(Origin, Origin)>,
}

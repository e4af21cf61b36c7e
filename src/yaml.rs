//! YAML as a tree in which every node knows its place.
//!
//! This is the only module that names a YAML crate. Scalars follow the core schema of YAML 1.2.

mod node;

pub use node::{Content, Node, Scalar, Typed};

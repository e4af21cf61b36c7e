//! JSON Schemas (draft 2020-12) of manifests and of the configuration, made from the tables that their decoders read by.
//!
//! A schema accepts everything that the decoder accepts. It refuses what a schema can tell: unknown keys, missing ones,
//! values of the wrong type.

mod configuration;
mod live;
mod manifest;
mod shape;

pub use configuration::configuration;
pub use live::manifest_with;
pub use manifest::manifest;

/// The draft that the schemas are written in.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

#[cfg(test)]
mod tests;

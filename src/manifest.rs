//! Manifests: which files there are, and what their documents declare.
//!
//! [`discover()`] reads the files, [`decode()`] turns their texts into wanted states. A mistake costs its document and no
//! other: everything found is reported, and what decodes well is returned beside the reports.

pub mod append;
mod check;
mod decode;
mod discover;
pub mod edit;
mod envelope;
mod incremental;
mod interpolate;
mod ours;
mod overlay;
mod policy;
mod provenance;
mod targets;
mod variable_notes;
mod variables;

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf, sync::Arc};

use sha2::{Digest as _, Sha256};

pub use crate::files::KnownFiles;
pub use decode::{Cache, Context, Options, Resolved, Retain, decode, decode_cached, decode_with, resolve};
pub use discover::{Bounds, DiscoverError, Discovery, Overlay, Search, discover, discover_changed, is_left_out};
pub use envelope::{DOCUMENT, METADATA, VERSION};
pub use incremental::Incremental;
pub use policy::COMMON;
pub use provenance::{Provenance, Use, Via};
pub use targets::Targets;
pub use variables::{AssignmentError, Given, Variable, Variables, idle, unused, values};

use crate::{
    model::{Desired, ResourceId},
    source::{FileId, Sources},
};

/// The declarations of the manifests of one run. Long runs share wanted states with the version before.
#[derive(Debug)]
pub struct Set<D = Desired> {
    /// Wanted states, in the order of the files and of the documents in them.
    pub desired: Vec<D>,
    /// Number of documents, broken ones included where they could be read, those of `reconcile/v1` excluded.
    pub documents: usize,
    /// Objects that are declared, but not in `desired` because of an error: in their document, or in a check over all
    /// documents. An object that refers to one of them cannot be planned.
    pub broken: BTreeSet<ResourceId>,
    /// Files with documents that are broken by what lies over them.
    pub covered: BTreeSet<FileId>,
    /// Some document of an overlay is unread or has no place: no object is known to be as it is wanted, so that none is
    /// in `desired`.
    pub unplaced: bool,
    /// A link or a text could not be read: what no document seems to declare may well be declared.
    pub partial: bool,
    /// How values came about.
    pub provenance: Provenance,
}

impl<D> Default for Set<D> {
    fn default() -> Self {
        Self {
            desired: Vec::new(),
            documents: 0,
            broken: BTreeSet::new(),
            covered: BTreeSet::new(),
            unplaced: false,
            partial: false,
            provenance: Provenance::default(),
        }
    }
}

impl From<Set<Arc<Desired>>> for Set {
    fn from(shared: Set<Arc<Desired>>) -> Self {
        let Set { desired, documents, broken, covered, unplaced, partial, provenance } = shared;
        let desired = desired.into_iter().map(Arc::unwrap_or_clone).collect();
        Self { desired, documents, broken, covered, unplaced, partial, provenance }
    }
}

/// Returns the error about paths at which no manifest lies.
pub fn nothing(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    format!(
        "no manifest in {} (looked for *.yaml, *.yml and *.json); `--allow-empty` accepts that nothing is declared",
        paths.join(", ")
    )
}

/// Returns a SHA-256 of the paths and texts of files, in hexadecimal digits: that of the digests of the single files.
pub fn digest(sources: &Sources, files: impl IntoIterator<Item = FileId>) -> String {
    let mut hasher = Sha256::new();
    files.into_iter().for_each(|file| hasher.update(sources.digest(file)));
    hasher.finalize().iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests;

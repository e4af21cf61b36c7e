//! Where links may lead.

use std::path::{Path, PathBuf};

use crate::files;

/// Directories that links must not lead out of.
#[derive(Debug, Default)]
pub struct Bounds {
    roots: Vec<PathBuf>,
    follow: bool,
}

impl Bounds {
    /// Returns the bounds of some paths: of each the git work tree that it lies in, or else the path itself. With
    /// `follow` there are none.
    pub fn new<'p>(paths: impl IntoIterator<Item = &'p PathBuf>, follow: bool) -> Self {
        let roots = paths.into_iter().filter_map(|path| path.canonicalize().ok());
        let roots = roots.map(|path| files::work_tree(&path).unwrap_or(path)).collect();
        Self { roots, follow }
    }

    /// Returns true if a link may lead to a path, which is free of links.
    pub fn allow(&self, path: &Path) -> bool {
        self.follow || self.roots.iter().any(|root| path.starts_with(root))
    }
}

//! Documents on their way to files.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Most files that an error names.
const NAMED: usize = 5;

/// What an exported object is, as far as its file depends on it.
pub(in crate::cli) struct Class<'a> {
    /// Its target and its kind.
    pub(in crate::cli) sort: (Arc<str>, &'static str),
    /// The directory of its target, where several are exported.
    pub(in crate::cli) directory: Option<&'a str>,
    /// Names of the group that it lies in, the widest first.
    pub(in crate::cli) group: &'a [String],
}

impl Class<'_> {
    /// Returns the directories and the file that it has in the layout by groups.
    pub(super) fn place(&self) -> Vec<&str> {
        self.directory.into_iter().chain(self.group.iter().map(String::as_str)).collect()
    }
}

/// A directory for files that are not in their place yet. What is left in it goes when this is dropped.
pub(super) struct Staging(PathBuf);

impl Staging {
    /// Makes one beside the files, so that these are only moved; directories with a dot are not read as manifests.
    pub(super) fn beside(out: &Path) -> Result<Self, String> {
        let path = out.join(format!(".reconcile-export-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("cannot write to {}: {error}", out.display()))?;
        Ok(Self(path))
    }

    /// Returns the place of a file in it.
    pub(super) fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Returns the first of some names, and how many others there are.
pub(super) fn named(mut names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} others") } else { String::new() };
    names.truncate(NAMED);
    names.join(", ") + &more
}

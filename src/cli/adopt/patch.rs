//! The changes of files: their texts, and a patch that `git apply` takes.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use super::hunks::hunks;
use crate::{
    manifest::edit::{self, Edit, EditError, Edited, Span},
    source::{FileId, Origin, Sources},
    yaml::write::Tree,
};

/// Values that are to be written, by their files.
#[derive(Default)]
pub(super) struct Wanted {
    files: BTreeMap<FileId, Vec<(usize, Edit)>>,
}

impl Wanted {
    /// Adds a value of a place, under a number.
    pub(super) fn add(&mut self, number: usize, place: &Origin, value: Tree) {
        self.files.entry(place.file).or_default().push((number, (place.range(), value)));
    }

    /// Writes all values, and returns the files that change and the numbers of the values that cannot be written.
    pub(super) fn write(self, sources: &Sources) -> (Patch, BTreeMap<usize, EditError>) {
        let (mut patch, mut refused) = (Patch::default(), BTreeMap::new());
        for (file, wanted) in self.files {
            let (numbers, edits): (Vec<usize>, Vec<Edit>) = wanted.into_iter().unzip();
            let (path, before) = (sources.path(file), sources.text(file));
            let Edited { text: now, results, spans } = edit::write(path, before, &edits);
            let failed = numbers.iter().zip(results).filter_map(|(number, result)| Some((*number, result.err()?)));
            refused.extend(failed);
            if now != **before {
                patch.files.push(Changed { path: PathBuf::from(&**path), before: before.to_string(), now, spans });
            }
        }
        patch.files.sort_by(|one, other| one.path.cmp(&other.path));
        (patch, refused)
    }
}

/// A file with other values.
pub(super) struct Changed {
    /// Its path, as it was given.
    pub(super) path: PathBuf,
    /// Its text as it was read.
    pub(super) before: String,
    /// Its text with the values.
    pub(super) now: String,
    /// The bytes that were replaced, and those that stand there now.
    spans: Vec<Span>,
}

/// The files that change.
#[derive(Default)]
pub(super) struct Patch {
    /// The files, by their paths.
    pub(super) files: Vec<Changed>,
}

impl Patch {
    /// Returns the patch. Paths are those of the git work tree, or of the current directory outside of one.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Changed { path, before, now, spans } in &self.files {
            let path = in_tree(path);
            let _ = write!(text, "--- a/{path}\n+++ b/{path}\n{}", hunks(before, now, spans));
        }
        text
    }
}

/// Returns the path of a file below the top of its git work tree.
fn in_tree(path: &Path) -> String {
    let below = || {
        let place = path.canonicalize().ok()?;
        let top = place.ancestors().skip(1).find(|directory| directory.join(".git").exists())?;
        Some(place.strip_prefix(top).ok()?.to_owned())
    };
    let below = below().unwrap_or_else(|| path.strip_prefix(".").unwrap_or(path).to_owned());
    below.display().to_string().replace('\\', "/")
}

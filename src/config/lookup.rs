//! Finds the configuration of a run that names none.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use super::FILE;
use crate::files;

/// How deep configurations are looked for that a run may have meant.
const DEPTH: usize = 4;

/// Maximum number of directories that are looked through for them.
const DIRECTORIES: usize = 2_000;

/// The configuration that was found, and those that were not taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The file to use.
    pub file: Option<PathBuf>,
    /// Files that lie nearer, or would have been used for want of another.
    pub passed_over: Vec<PassedOver>,
}

/// A configuration that is only used when it is named: it decides which programs are run and where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassedOver {
    /// It belongs to another user.
    Foreign {
        /// The file.
        path: PathBuf,
        /// The number of its owner.
        owner: u32,
    },
    /// It lies above the repository.
    Above {
        /// The file.
        path: PathBuf,
        /// The root of the repository.
        root: PathBuf,
    },
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self {
            Self::Foreign { path, owner } => {
                write!(f, "{} is not used: it belongs to another user ({owner})", path.display())?;
                path
            }
            Self::Above { path, root } => {
                let (path, root) = (path.display(), root.display());
                write!(f, "{path} is not used: it lies above the repository {root}")?;
                return write!(f, "; `--config {path}` uses it");
            }
        };
        write!(f, "; `--config {}` uses it", path.display())
    }
}

/// Finds the file for a run: in the directory of the first path, or in one of its parents up to the root of its git
/// work tree. It has to belong to the user who runs, or to root.
pub fn find(first: &Path) -> Found {
    find_for(first, &trusted())
}

fn find_for(first: &Path, trusted: &[u32]) -> Found {
    let directory = directory(first);
    let Ok(absolute) = std::path::absolute(directory) else { return Found::default() };
    // A work tree may be reached by a link; what holds the tree is above it, whichever way it was named.
    let top = absolute.canonicalize().ok().and_then(|real| {
        let depth = real.strip_prefix(files::work_tree(&real)?).ok()?.components().count();
        absolute.ancestors().nth(depth).map(Path::to_owned)
    });
    let mut found = Found::default();
    for parent in absolute.ancestors() {
        // As the path was given where that suffices: it is what messages show.
        let path = if parent == absolute { directory.join(FILE) } else { parent.join(FILE) };
        let path = path.strip_prefix("./").map(Path::to_owned).unwrap_or(path);
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_dir() {
            continue;
        }
        if let Some(root) = top.as_ref().filter(|root| !parent.starts_with(root)) {
            found.passed_over.push(PassedOver::Above { path, root: root.clone() });
            break;
        }
        if let Some(owner) = owner(&path).filter(|owner| !trusted.contains(owner)) {
            found.passed_over.push(PassedOver::Foreign { path, owner });
            continue;
        }
        found.file = Some(path);
        break;
    }
    found
}

/// Finds configurations below a path, for a run that found none. Hidden directories are left out.
pub fn find_below(first: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![(directory(first).to_owned(), 0)];
    let mut left = DIRECTORIES;
    while let Some((directory, depth)) = open.pop() {
        let Some(less) = left.checked_sub(1) else { break };
        left = less;
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEPTH && !name.as_encoded_bytes().starts_with(b".") => {
                    open.push((path, depth + 1));
                }
                Ok(kind) if kind.is_file() && name == FILE => {
                    found.push(path.strip_prefix("./").map(Path::to_owned).unwrap_or(path));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

fn directory(first: &Path) -> &Path {
    if first.as_os_str() == "-" {
        Path::new(".")
    } else if first.is_dir() {
        first
    } else {
        first.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// Returns the users whose files are used: root may do anything, and mounts what containers see.
#[cfg(unix)]
fn trusted() -> Vec<u32> {
    vec![rustix::process::geteuid().as_raw(), 0]
}

#[cfg(not(unix))]
fn trusted() -> Vec<u32> {
    Vec::new()
}

/// Returns the owner of a file, or of a link to one: who may point it elsewhere decides too.
#[cfg(unix)]
fn owner(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let (link, file) = (fs::symlink_metadata(path).ok()?.uid(), fs::metadata(path).ok()?.uid());
    let trusted = trusted();
    Some(if trusted.contains(&link) { file } else { link })
}

#[cfg(not(unix))]
fn owner(_: &Path) -> Option<u32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// Makes files of a tree, and shows what is found for a path in it.
    fn check(files: &[&str], first: &str, trusted: &[u32], expected: &[&str]) {
        let root = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            if file.ends_with('/') { fs::create_dir_all(path) } else { fs::write(path, "") }.expect("made");
        }
        let found = find_for(&root.path().join(first), trusted);
        let shown = |path: &Path| path.strip_prefix(root.path()).unwrap_or(path).display().to_string();
        let mut told: Vec<String> = found
            .passed_over
            .iter()
            .map(|passed_over| match passed_over {
                PassedOver::Foreign { path, .. } => format!("foreign {}", shown(path)),
                PassedOver::Above { path, root } => format!("{} above {}", shown(path), shown(root)),
            })
            .collect();
        told.extend(found.file.as_deref().map(shown));
        assert_eq!(told, expected, "{files:?} from {first}");
    }

    #[test]
    fn the_nearest_file_of_the_repository_and_of_the_user_is_used() {
        let own = trusted();
        check(&["reconcile.yaml", "a/reconcile.yaml", "a/b/x.yaml"], "a/b/x.yaml", &own, &["a/reconcile.yaml"]);
        check(&["reconcile.yaml", "a/b/"], "a/b", &own, &["reconcile.yaml"]);
        check(&["reconcile.yaml/", "a/b/"], "a/b", &own, &[]);
        check(&["reconcile.yaml", "a/.git/", "a/b/"], "a/b", &own, &["reconcile.yaml above a"]);
        check(&["reconcile.yaml", "a/.git", "a/reconcile.yaml", "a/b/"], "a/b", &own, &["a/reconcile.yaml"]);
        check(&["a/reconcile.yaml", "a/b/"], "a/b", &[4_000_000], &["foreign a/reconcile.yaml"]);
        check(&["reconcile.yaml"], ".", &[4_000_000], &["foreign reconcile.yaml"]);
    }

    #[test]
    fn configurations_below_are_offered() {
        let root = tempfile::tempdir().expect("a directory");
        for directory in ["net", "dc/one", ".hidden", "a/b/c/d/e"] {
            fs::create_dir_all(root.path().join(directory)).expect("made");
            fs::write(root.path().join(directory).join(FILE), "").expect("written");
        }
        let found = find_below(root.path());
        let shown: Vec<_> = found.iter().map(|path| path.strip_prefix(root.path()).expect("below")).collect();
        assert_eq!(shown, [Path::new("dc/one/reconcile.yaml"), Path::new("net/reconcile.yaml")]);
    }
}

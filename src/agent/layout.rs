//! Which directories have to be watched to notice every change of the manifests.
//!
//! The directories themselves are not enough: a root that is renamed away or a link that is pointed elsewhere is only
//! seen in the directory that holds it. So every link on the way counts, and the parent of every root.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use crate::manifest::Bounds;

/// Links on one way after which it is taken to go round in circles, as in the kernel.
const MOST_LINKS: usize = 40;

/// A directory to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchedDir {
    /// True if everything below counts too.
    pub(super) recursive: bool,
    identity: Option<Identity>,
}

/// The identity of a directory, which differs from a later one of the same name. The inode's number alone does not: it
/// is used again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    inode: (u64, u64),
    created: Option<SystemTime>,
}

/// Directories by their paths, free of links, none of them below a recursive one.
pub(super) type Layout = BTreeMap<PathBuf, WatchedDir>;

/// Returns the directories to watch for manifests at or below these paths.
pub(super) fn layout(paths: &[PathBuf], follow_links: bool) -> Layout {
    let bounds = Bounds::new(paths, follow_links);
    let mut watch_plan = WatchPlan { bounds, directories: BTreeMap::new(), visited: HashSet::new() };
    for path in paths {
        if let Ok(path) = std::path::absolute(path) {
            watch_plan.path(&path);
        }
    }
    let WatchPlan { directories, .. } = watch_plan;
    let is_below = |path: &Path| path.ancestors().skip(1).any(|parent| directories.get(parent) == Some(&true));
    directories
        .iter()
        .filter(|(path, _)| !is_below(path))
        .map(|(path, recursive)| (path.clone(), WatchedDir { recursive: *recursive, identity: identity(path) }))
        .collect()
}

struct WatchPlan {
    /// Bounds for links below the paths. What lies beyond is not read, and may be the whole file system.
    bounds: Bounds,
    /// Directories; true if everything below them counts.
    directories: BTreeMap<PathBuf, bool>,
    visited: HashSet<PathBuf>,
}

impl WatchPlan {
    /// Notes a path, the links on the way to it and, where it is a directory, all links below.
    fn path(&mut self, path: &Path) {
        if let Some(real) = self.resolve(path).filter(|real| real.is_dir()) {
            self.whole(real);
        }
    }

    /// Notes a link below a path.
    fn link(&mut self, path: &Path) {
        if let Some(real) = self.resolve(path).filter(|real| self.bounds.allow(real) && real.is_dir()) {
            self.whole(real);
        }
    }

    fn whole(&mut self, directory: PathBuf) {
        self.watch_tree(&directory);
        self.directories.insert(directory, true);
    }

    /// Notes the directories that decide where a path leads, and returns where it leads, if anywhere.
    fn resolve(&mut self, path: &Path) -> Option<PathBuf> {
        let mut todo: Vec<PathBuf> = components(path);
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(next) = todo.pop() {
            let step = at.join(&next);
            if next == Path::new("..") {
                at.pop();
                continue;
            }
            let Ok(metadata) = fs::symlink_metadata(&step) else {
                // It may come to be here.
                self.watch_entries(&at);
                return None;
            };
            if metadata.is_symlink() {
                links += 1;
                self.watch_entries(&at);
                let target = fs::read_link(&step).ok().filter(|_| links <= MOST_LINKS)?;
                todo.extend(components(&target));
            } else {
                at = step;
            }
        }
        if let Some(parent) = at.parent() {
            self.watch_entries(parent);
        }
        Some(at)
    }

    /// Notes a directory of which only the entries count.
    fn watch_entries(&mut self, directory: &Path) {
        self.directories.entry(directory.to_owned()).or_insert(false);
    }

    /// Follows the links in a directory. Hidden entries hold no manifests.
    fn watch_tree(&mut self, directory: &Path) {
        if !self.visited.insert(directory.to_owned()) {
            return;
        }
        let Ok(entries) = fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            match entry.file_type() {
                Ok(kind) if kind.is_symlink() && !hidden => self.link(&entry.path()),
                Ok(kind) if kind.is_dir() && !hidden => self.watch_tree(&entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Returns the parts of a path, the first one last.
fn components(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let mut parts: Vec<PathBuf> = parts.map(|part| PathBuf::from(part.as_os_str())).collect();
    parts.reverse();
    parts
}

fn identity(path: &Path) -> Option<Identity> {
    let metadata = fs::metadata(path).ok()?;
    Some(Identity { inode: inode(&metadata), created: metadata.created().ok() })
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Shows the spots relative to a directory, recursive ones with a star. Those above it are left out.
    fn show(base: &Path, paths: &[&str]) -> String {
        let paths: Vec<PathBuf> = paths.iter().map(|path| base.join(path)).collect();
        let directories = layout(&paths, true);
        let shown = directories.iter().filter_map(|(path, spot)| {
            let path = path.strip_prefix(base).ok()?;
            Some(format!("/{}{}", path.display(), if spot.recursive { "*" } else { "" }))
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn links_that_are_not_followed_are_not_watched() {
        let temporary = tempfile::tempdir().expect("a directory");
        let base = temporary.path().canonicalize().expect("it exists");
        for directory in ["m/sub", "outside/deep"] {
            fs::create_dir_all(base.join(directory)).expect("made");
        }
        symlink("../outside", base.join("m/out")).expect("linked");
        symlink("/", base.join("m/all")).expect("linked");
        symlink("sub", base.join("m/in")).expect("linked");
        let watched = |follow: bool| layout(&[base.join("m")], follow).into_keys();
        assert!(watched(false).all(|path| !path.starts_with(base.join("outside")) && path != Path::new("/")));
        assert!(watched(false).any(|path| path == base.join("m")));
    }

    #[test]
    fn every_link_on_the_way_counts() {
        let temporary = tempfile::tempdir().expect("a directory");
        let base = temporary.path().canonicalize().expect("it exists");
        for directory in ["plain/sub", "trees/v1/manifests", "other/deep", "hops", "pick"] {
            fs::create_dir_all(base.join(directory)).expect("made");
        }
        for file in ["plain/a.yaml", "other/x.yaml"] {
            fs::write(base.join(file), "").expect("written");
        }
        let link = |to: &str, at: &str| symlink(to, base.join(at)).expect("linked");
        link("trees/v1", "current");
        link("../current", "hops/one");
        link(base.join("other/deep").to_str().expect("text"), "trees/v1/manifests/deep");
        link("../../../other/x.yaml", "trees/v1/manifests/x.yaml");
        link("round", "round");
        let check = |paths: &[&str], expected: &str| assert_eq!(show(&base, paths), expected, "{paths:?}");
        check(&["plain"], "/ /plain*");
        check(&["plain/sub/.."], "/ /plain*");
        check(&["plain", "plain/sub"], "/ /plain*");
        check(&["plain/a.yaml"], "/plain");
        check(&["missing/too"], "/");
        check(&["round"], "/");
        // A link to a tree, as git-sync makes it, and what it links to itself.
        check(&["current/manifests"], "/ /other /other/deep* /trees/v1 /trees/v1/manifests*");
        check(&["hops/one/manifests"], "/ /hops /other /other/deep* /trees/v1 /trees/v1/manifests*");
    }
}

//! The origin of a run: user, machine, and commit.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{files, version::VERSION};

/// Most bytes that are read of a file of git or of the system.
const MOST: u64 = 16 << 20;

/// The first entry of a run: who ran which command, where, and on which state of the manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOrigin {
    /// The subcommand. Its arguments are not kept: they may hold values that are nobody's business.
    pub command: String,
    /// The version of the program, with the commit that it was built from.
    pub version: String,
    /// The name of the user, or `uid 1000` where none is known.
    pub user: Option<String>,
    /// The name of the host.
    pub host: Option<String>,
    /// The git commit that is checked out around the manifests, where there is one.
    pub commit: Option<String>,
}

impl RunOrigin {
    /// Returns the origin of a run of this process on manifests below these paths.
    pub fn here(command: &str, paths: &[PathBuf]) -> Self {
        Self {
            command: command.to_owned(),
            version: VERSION.to_owned(),
            user: user(),
            host: host(),
            commit: commit(paths),
        }
    }
}

fn variable(names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn user() -> Option<String> {
    variable(&["USER", "LOGNAME", "USERNAME"]).or_else(uid)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "other systems have no such number")]
fn uid() -> Option<String> {
    Some(format!("uid {}", rustix::process::geteuid().as_raw()))
}

#[cfg(not(unix))]
fn uid() -> Option<String> {
    None
}

fn host() -> Option<String> {
    let of_system = text(Path::new("/proc/sys/kernel/hostname")).or_else(|| text(Path::new("/etc/hostname")));
    let of_system = of_system.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    of_system.or_else(|| variable(&["HOSTNAME", "COMPUTERNAME"]))
}

/// Returns the git commit that is checked out around the first path, without asking git.
pub fn commit(paths: &[PathBuf]) -> Option<String> {
    let first = paths.first().map_or(Path::new("."), PathBuf::as_path);
    let first = fs::canonicalize(first).ok()?;
    let git = directory_of(files::work_tree(&first)?.join(".git"))?;
    let head = text(&git.join("HEAD"))?;
    match head.trim().strip_prefix("ref: ") {
        None => is_commit(head.trim()),
        Some(name) => branch(&git, name),
    }
}

/// Returns the directory of a work tree's own files: `.git`, or what that file points at.
fn directory_of(git: PathBuf) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git);
    }
    let pointer = text(&git)?;
    let target = pointer.trim().strip_prefix("gitdir: ")?;
    Some(git.parent()?.join(target))
}

/// Returns the commit of a branch. Work trees share their branches in a common directory.
fn branch(git: &Path, name: &str) -> Option<String> {
    if name.split('/').any(|step| step == "..") {
        return None;
    }
    let common = text(&git.join("commondir")).map_or_else(|| git.to_owned(), |path| git.join(path.trim()));
    let loose = |directory: &Path| is_commit(text(&directory.join(name))?.trim());
    let packed = || {
        let packed = text(&common.join("packed-refs"))?;
        let line = packed.lines().filter_map(|line| line.split_once(' ')).find(|(_, reference)| *reference == name)?;
        is_commit(line.0)
    };
    loose(git).or_else(|| loose(&common)).or_else(packed)
}

fn text(path: &Path) -> Option<String> {
    String::from_utf8(files::read(path, MOST).ok()?).ok()
}

fn is_commit(text: &str) -> Option<String> {
    let is_hash = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_found_around_the_manifests() {
        let (one, other) = ("a".repeat(40), "b".repeat(40));
        let check = |files: &[(&str, &str)], path: &str, expected: Option<&str>| {
            let root = tempfile::tempdir().expect("a directory");
            for (file, text) in files {
                let file = root.path().join(file);
                fs::create_dir_all(file.parent().expect("it has one")).expect("made");
                fs::write(file, text).expect("written");
            }
            assert_eq!(commit(&[root.path().join(path)]).as_deref(), expected, "{files:?}");
        };
        let head = ("r/.git/HEAD", "ref: refs/heads/main\n");
        let manifest = ("r/m/a.yaml", "");
        let packed = format!("# pack-refs with: peeled\n{other} refs/heads/other\n{one} refs/heads/main\n");
        check(&[head, manifest, ("r/.git/refs/heads/main", &one)], "r/m/a.yaml", Some(&one));
        check(&[head, manifest, ("r/.git/packed-refs", &packed)], "r/m", Some(&one));
        check(&[("r/.git/HEAD", &other), manifest], "r/m", Some(&other));
        let tree = [
            ("r/.git", "gitdir: ../main/.git/worktrees/r\n"),
            ("main/.git/worktrees/r/HEAD", "ref: refs/heads/x\n"),
            ("main/.git/worktrees/r/commondir", "../..\n"),
            ("main/.git/refs/heads/x", &one),
            manifest,
        ];
        check(&tree, "r/m", Some(&one));
        check(&[head, manifest], "r/m", None);
        check(&[("r/.git/HEAD", "ref: ../../secret"), ("r/secret", &one), manifest], "r/m", None);
        check(&[("r/.git/HEAD", "no commit"), manifest], "r/m", None);
        check(&[head, manifest], "gone", None);
    }
}

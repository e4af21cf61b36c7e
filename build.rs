//! Tells the program its version: the commit that it is built from, that commit's date, and the target.
//!
//! The same sources give the same result: the date is the commit's, or what `SOURCE_DATE_EPOCH` says. Without a git
//! repository of its own, as in an unpacked archive, the commit is unknown.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// What the program is built from.
const SOURCES: [&str; 6] = ["build.rs", "Cargo.toml", "Cargo.lock", "crates", "docs/schema", "src"];

/// Number of digits of the commit where it is shown.
const SHORT: usize = 12;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let number = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let commit = Commit::of(&root);
    let epoch = env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.trim().parse().ok());
    let date = epoch.or(commit.as_ref().map(|commit| commit.seconds)).map(date);
    let (version, shown) = match &commit {
        None => (number.clone(), "commit unknown".to_owned()),
        Some(commit) => {
            let short = &commit.hash[..SHORT];
            // Behind the `+` of a semantic version stand identifiers with dots between them.
            let (mark, word) = if commit.is_modified { (".modified", ", modified") } else { ("", "") };
            (format!("{number}+{short}{mark}"), format!("{short}{word}"))
        }
    };
    let day = date.as_ref().map(|date| format!(", {date}")).unwrap_or_default();
    let line = format!("{number} ({shown}{day})");
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo::rustc-env=RECONCILE_BUILD_TARGET={target}");
    println!("cargo::rustc-env=RECONCILE_VERSION={version}");
    println!("cargo::rustc-env=RECONCILE_VERSION_LINE={line}");
    println!("cargo::rustc-env=RECONCILE_COMMIT={}", commit.as_ref().map_or("", |commit| &commit.hash));
    println!("cargo::rustc-env=RECONCILE_MODIFIED={}", commit.is_some_and(|commit| commit.is_modified));
    println!("cargo::rustc-env=RECONCILE_DATE={}", date.unwrap_or_default());
}

/// The commit that is checked out.
struct Commit {
    hash: String,
    /// Its time in seconds since 1970.
    seconds: i64,
    /// The sources are not those of the commit.
    is_modified: bool,
}

impl Commit {
    /// Returns the commit of the repository at `root`; `None` if there is none, or git cannot be asked.
    fn of(root: &Path) -> Option<Self> {
        // One further up is not this program's.
        if !root.join(".git").exists() {
            return None;
        }
        let shown = git(root, &["show", "--no-patch", "--format=%H %ct", "HEAD"])?;
        let (hash, seconds) = shown.trim().split_once(' ')?;
        if !matches!(hash.len(), 40 | 64) || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let status = git(root, &[&["status", "--porcelain", "--"][..], &SOURCES].concat())?;
        // Cargo runs this again on each build for a path that does not exist.
        let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]);
        let names = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref().map(str::trim));
        let moved = names.filter_map(|name| git(root, &["rev-parse", "--git-path", name]));
        let watched = moved.map(|path| root.join(path.trim())).chain(SOURCES.iter().map(|path| root.join(path)));
        for path in watched.filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        Some(Self { hash: hash.to_owned(), seconds: seconds.parse().ok()?, is_modified: !status.trim().is_empty() })
    }
}

/// Returns what git says; `None` if it is not there or fails.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("--no-optional-locks").arg("-C").arg(root).args(arguments);
    // A hook of git would lead it elsewhere.
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// Returns the day in UTC, such as `2026-11-28`. By Howard Hinnant's `civil_from_days`.
fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

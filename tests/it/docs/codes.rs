//! Lists of the book are complete: message codes, operations that need a permission, metrics.

use std::{collections::BTreeSet, fs, path::Path};

use regex::Regex;

use super::{read, root};

fn codes(text: &str, pattern: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).expect("the expression is right");
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

/// The codes in the sources below a directory, tests left out.
fn used(directory: &Path, all: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("it can be read").flatten() {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                used(&path, all);
            }
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
            let text = read(&path);
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            all.extend(codes(code, r#""([YMCP][0-9]{3})""#));
        }
    }
}

/// The texts of all sources below a directory.
fn sources(directory: &Path) -> String {
    let mut entries: Vec<_> = fs::read_dir(directory).expect("it can be read").flatten().collect();
    entries.sort_by_key(fs::DirEntry::path);
    let texts = entries.iter().map(|entry| match entry.path() {
        path if path.is_dir() => sources(&path),
        path => read(&path),
    });
    texts.collect()
}

#[test]
fn every_operation_has_a_permission() {
    let page = read(&root().join("docs/src/permissions.md"));
    let used = codes(&sources(&root().join("src/platform/bk_cmdb")), r#"operation: "([a-z_]+)""#);
    assert!(used.len() > 25, "{used:?}");
    let missing: Vec<_> = used.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}

#[test]
fn every_metric_has_a_row() {
    let source = read(&root().join("src/agent/metrics.rs"));
    let mut known = codes(&source, r#"(?:register|encode_descriptor)\("([a-z_]+)""#);
    known.remove("");
    let page = read(&root().join("docs/src/watch.md"));
    let listed = codes(&page, r"(?m)^\| `reconcile_([a-z_]+?)(?:_total)?` \|");
    assert_eq!(listed, known);
}

#[test]
fn every_code_is_explained_once() {
    let mut known = BTreeSet::new();
    used(&root().join("src"), &mut known);
    assert!(known.len() > 100, "{known:?}");
    let page = read(&root().join("docs/src/troubleshooting.md"));
    let row = Regex::new(r"(?m)^\| `([YMCP][0-9]{3})` \| .+ \| .+ \|$").expect("the expression is right");
    let rows: Vec<String> = row.captures_iter(&page).map(|found| found[1].to_owned()).collect();
    let explained: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(rows.len(), explained.len(), "a code is explained twice");
    let missing: Vec<_> = known.difference(&explained).collect();
    let stale: Vec<_> = explained.difference(&known).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not explained: {missing:?}; not in the program: {stale:?}");
}

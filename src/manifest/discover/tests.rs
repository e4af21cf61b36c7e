use std::{error::Error as _, fs, os::unix::fs::symlink, path::Path};

use super::*;

/// Makes files: a path with a text, or with ` -> ` and what a link leads to.
fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(root.path())).expect("a directory");
        match text.strip_prefix("-> ") {
            Some(to) => symlink(to, path).expect("a link"),
            None => fs::write(path, text).expect("a file"),
        }
    }
    root
}

/// Shows what is read from paths beneath a root, and what cannot be read.
fn show(root: &Path, paths: &[&str], skip: &[&str]) -> String {
    let join = |paths: &[&str]| paths.iter().map(|path| root.join(path)).collect::<Vec<_>>();
    let mut sources = Sources::default();
    let found = discover(&join(paths), &join(skip), &[], &mut "".as_bytes(), &mut sources);
    let mut lines: Vec<String> =
        found.files.iter().map(|file| format!("{} {:?}", sources.path(*file), sources.text(*file))).collect();
    for error in &found.errors {
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        lines.push(format!("{error}{source}"));
    }
    lines.join("\n").replace(&format!("{}/", root.display()), "")
}

#[test]
fn directories_are_read_with_all_that_lies_beneath() {
    let root = tree(&[
        ("b.yaml", "b"),
        ("a/c.yml", "c"),
        ("a/b/d.json", "d"),
        ("a.yaml", "a"),
        ("README.md", "no"),
        (".hidden.yaml", "no"),
        (".git/x.yaml", "no"),
        ("reconcile.yaml", "no"),
        ("old/x.yaml", "no"),
        ("old/keep.txt", "no"),
        (".reconcileignore", "old/\n*.tmp.yaml\n"),
        ("a/x.tmp.yaml", "no"),
        ("UPPER.YAML", "u"),
    ]);
    insta::assert_snapshot!(show(root.path(), &["."], &["reconcile.yaml"]).replace("./", ""), @r#"
    UPPER.YAML "u"
    a/b/d.json "d"
    a/c.yml "c"
    a.yaml "a"
    b.yaml "b"
    "#);
    insta::assert_snapshot!(show(root.path(), &["a", "a.yaml", "README.md", "a.yaml", ".hidden.yaml"], &[]), @r#"
    a/b/d.json "d"
    a/c.yml "c"
    a.yaml "a"
    README.md "no"
    .hidden.yaml "no"
    "#);
}

#[test]
fn a_mounted_config_map_is_read_once() {
    let root = tree(&[
        ("mount/..2026_01/a.yaml", "a"),
        ("mount/..2026_01/b.yaml", "b"),
        ("mount/..data", "-> ..2026_01"),
        ("mount/a.yaml", "-> ..data/a.yaml"),
        ("mount/b.yaml", "-> ..data/b.yaml"),
        ("current", "-> mount"),
    ]);
    insta::assert_snapshot!(show(root.path(), &["mount"], &[]), @r#"
    mount/a.yaml "a"
    mount/b.yaml "b"
    "#);
    insta::assert_snapshot!(show(root.path(), &["current"], &[]), @r#"
    current/a.yaml "a"
    current/b.yaml "b"
    "#);
}

#[test]
fn what_cannot_be_read_is_named() {
    let root = tree(&[
        ("a.yaml", "a"),
        ("dangling.yaml", "-> nowhere"),
        ("dangling.txt", "-> nowhere"),
        ("loop/again", "-> ../loop"),
        ("loop/x.yaml", "x"),
    ]);
    fs::write(root.path().join("latin.yaml"), b"name: caf\xe9\n").expect("a file");
    insta::assert_snapshot!(show(root.path(), &["a.yaml", "missing.yaml", "dangling.yaml", "latin.yaml"], &[]), @r#"
    a.yaml "a"
    cannot read missing.yaml: No such file or directory (os error 2)
    cannot read dangling.yaml: No such file or directory (os error 2)
    latin.yaml is not UTF-8 (byte 9)
    "#);
    let all = show(root.path(), &["."], &[]);
    assert!(
        all.contains("a.yaml \"a\"") && all.contains("x.yaml \"x\"") && all.contains("latin.yaml is not UTF-8"),
        "{all}"
    );
    assert!(all.contains("dangling.yaml") && !all.contains("dangling.txt"), "{all}");
}

#[test]
fn a_dash_is_the_standard_input() {
    let mut sources = Sources::default();
    let paths = ["-", "-"].map(PathBuf::from);
    let found = discover(&paths, &[], &[], &mut "a: 1".as_bytes(), &mut sources);
    assert!(found.errors.is_empty());
    let texts: Vec<_> = found.files.iter().map(|file| (&**sources.path(*file), &**sources.text(*file))).collect();
    assert_eq!(texts, [("<stdin>", "a: 1")]);
}

#[test]
fn overlays_are_read_for_themselves() {
    let root = tree(&[
        ("base/a.yaml", "a"),
        ("base/overlays/prod/a.yaml", "over a"),
        ("base/overlays/prod/deep/b.yml", "over b"),
        ("base/overlays/prod/notes.md", "no"),
        ("base/overlays/dev/a.yaml", "read: it is not in use"),
        ("elsewhere/c.yaml", "c"),
        ("base/overlays/prod/linked.yaml", "-> ../../../elsewhere/c.yaml"),
        ("base/way", "-> overlays/prod"),
        ("base/.reconcileignore", "overlays/prod/**\noverlays/prod\n*.yml\n"),
        ("base/overlays/prod/.reconcileignore", "notes.yaml\n"),
        ("base/overlays/prod/notes.yaml", "no"),
    ]);
    let overlays = [root.path().join("base/overlays/prod"), root.path().join("missing"), root.path().join("empty")];
    fs::create_dir(&overlays[2]).expect("made");
    let mut sources = Sources::default();
    let paths = [root.path().join("base"), root.path().join("elsewhere")];
    let found = discover(&paths, &[], &overlays, &mut "".as_bytes(), &mut sources);
    let names = |files: &[FileId]| {
        let names = files.iter().map(|file| sources.path(*file).replace(&format!("{}/", root.path().display()), ""));
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&found.files), ["base/a.yaml", "base/overlays/dev/a.yaml", "elsewhere/c.yaml"]);
    let [prod, missing, empty] = found.overlays.as_slice() else { panic!("{:?}", found.overlays) };
    let expected = ["a.yaml", "deep/b.yml", "linked.yaml"].map(|name| format!("base/overlays/prod/{name}"));
    assert_eq!((names(&prod.files), prod.partial), (expected.to_vec(), false));
    assert_eq!((missing.files.len(), missing.partial, empty.partial), (0, true, true));
    let told: Vec<String> =
        found.errors.iter().map(|error| error.to_string().replace(&shown(root.path()), "")).collect();
    assert_eq!(told, ["cannot read /missing", "the overlay /empty holds no manifest"]);
    assert_eq!(found.all().count(), 6);
}

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

/// Shows the files that are read from paths below a root, and the errors.
fn show(root: &Path, paths: &[&str], skip: &[&str]) -> String {
    show_with(root, paths, skip, false)
}

fn show_with(root: &Path, paths: &[&str], skip: &[&str], follow_links: bool) -> String {
    let join = |paths: &[&str]| paths.iter().map(|path| root.join(path)).collect::<Vec<_>>();
    let mut sources = Sources::default();
    let (paths, skip) = (join(paths), join(skip));
    let search = Search { paths: &paths, skip: &skip, overlays: &[], follow_links };
    let found = discover(&search, &mut "".as_bytes(), &mut sources);
    let mut lines: Vec<String> =
        found.files.iter().map(|file| format!("{} {:?}", sources.path(*file), sources.text(*file))).collect();
    for error in &found.errors {
        let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
        lines.push(format!("{error}{source}"));
    }
    for broken in &found.broken {
        let position = sources.position(broken.origin().expect("it has a place"));
        lines.push(format!(
            "{} {position} {} ({})",
            broken.code,
            broken.message,
            broken.hint.as_deref().unwrap_or("-")
        ));
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
    Y012 latin.yaml:1:10 this text is not UTF-8 (save the file as UTF-8)
    "#);
    insta::assert_snapshot!(show(root.path(), &["."], &[]).replace("./", ""), @r#"
    a.yaml "a"
    loop/x.yaml "x"
    Y013 dangling.yaml:1:1 this link leads to no file: nothing is read from it, and nothing undeclared is removed (it leads to `nowhere`)
    Y012 latin.yaml:1:10 this text is not UTF-8 (save the file as UTF-8)
    "#);
}

#[test]
fn hidden_ignored_dangling_and_looping_links_never_break_a_run() {
    let check = |files: &[(&str, &str)], expected: &str| {
        let all: Vec<_> = [("m/a.yaml", "a")].iter().chain(files).copied().collect();
        assert_eq!(show(tree(&all).path(), &["m"], &[]), expected, "{files:?}");
    };
    let text = r#"m/a.yaml "a""#;
    check(&[("m/.#a.yaml", "-> user@host.4711:1700000000")], text);
    check(&[("m/.other", "-> gone")], text);
    check(&[("m/.d", "-> ..")], text);
    check(&[("m/loop", "-> .")], text);
    check(&[("m/self.txt", "-> self.txt"), ("m/b/c/d", "-> ../../..")], text);
    check(&[("m/x.yaml", "-> gone"), ("m/.reconcileignore", "x.yaml\n")], text);
    check(&[("m/loop", "-> ."), ("m/.reconcileignore", "loop\n")], text);
    check(&[("m/out", "-> /dev"), ("m/.reconcileignore", "out/\n")], text);
    check(&[("m/out.yaml", "-> /etc/passwd"), ("m/.reconcileignore", "*\n!a.yaml\n")], text);
    check(&[("m/data", "-> /dev/null"), ("m/zero.yaml", "-> /dev/zero")], text);
    check(&[("m/.reconcileignore", "-> gone")], text);
    let dangling = "Y013 m/x.yaml:1:1 this link leads to no file: nothing is read from it, and nothing undeclared is removed (it leads to `x.yaml`)";
    check(&[("m/x.yaml", "-> x.yaml")], &format!("{text}\n{dangling}"));
}

#[test]
fn directories_that_link_to_each_other_are_read_once() {
    let names: Vec<String> = (0..12).map(|number| format!("d{number}")).collect();
    let mut files = Vec::new();
    for name in &names {
        files.push((format!("m/{name}/x.yaml"), name.clone()));
        let others = names.iter().filter(|other| *other != name);
        files.extend(others.map(|other| (format!("m/{name}/{other}"), format!("-> ../{other}"))));
    }
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(show(tree(&files).path(), &["m"], &[]).lines().count(), names.len());
}

#[test]
fn links_lead_out_of_the_root_only_where_that_is_asked_for() {
    let files = [
        ("m/a.yaml", "a"),
        ("m/z.yaml", "-> ../secret.yaml"),
        ("m/more", "-> ../elsewhere"),
        ("secret.yaml", "s"),
        ("elsewhere/b.yaml", "b"),
    ];
    let root = tree(&files);
    let outside = |name: &str, to: &str| {
        let target = root.path().canonicalize().expect("it is there").join(to);
        let target = target.display().to_string().replace(&format!("{}/", root.path().display()), "");
        format!(
            "m/{name} is a link that leads outside, to {target}: name the file itself, or `--follow-links` follows it"
        )
    };
    let refused = [r#"m/a.yaml "a""#.to_owned(), outside("more", "elsewhere"), outside("z.yaml", "secret.yaml")];
    assert_eq!(show(root.path(), &["m"], &[]), refused.join("\n"));
    let all = "m/a.yaml \"a\"\nm/more/b.yaml \"b\"\nm/z.yaml \"s\"";
    assert_eq!(show_with(root.path(), &["m"], &[], true), all);
    // What is named is read, whatever leads there; what another path holds is no secret.
    assert_eq!(show(root.path(), &["m/z.yaml"], &[]), "m/z.yaml \"s\"");
    let both = show(root.path(), &["m", "elsewhere"], &[]);
    assert!(both.contains("m/more/b.yaml") && !both.contains("m/more is a link"), "{both}");
    // A work tree is one root.
    fs::create_dir(root.path().join(".git")).expect("made");
    assert_eq!(show(root.path(), &["m"], &[]), all);
}

#[test]
fn ignore_files_are_regular_small_and_right() {
    let check = |rules: &str, expected: &str| {
        let root = tree(&[("m/a.yaml", "a"), ("m/.reconcileignore", rules)]);
        assert_eq!(show(root.path(), &["m"], &[]), format!("m/a.yaml \"a\"\n{expected}"), "{rules}");
    };
    let told = |what: &str| {
        format!("cannot read m/.reconcileignore: it is {what}, not a regular file; `-` reads the standard input")
    };
    check(
        "-> /dev/zero",
        "m/.reconcileignore is a link that leads outside, to /dev/zero: name the file itself, or `--follow-links` follows it",
    );
    check("b.yaml\n[z-a].yaml\n", "m/.reconcileignore:2: `[z-a].yaml` is no pattern");
    let root = tree(&[("m/a.yaml", "a"), ("m/.reconcileignore/x", "")]);
    assert_eq!(show(root.path(), &["m"], &[]), format!("m/a.yaml \"a\"\n{}", told("a directory")));
    let root = tree(&[("m/a.yaml", "a"), ("b.yaml", "b")]);
    fs::write(root.path().join("m/.reconcileignore"), "#".repeat((4 << 20) + 1)).expect("written");
    assert_eq!(
        show(root.path(), &["m"], &[]),
        "m/a.yaml \"a\"\ncannot read m/.reconcileignore: it is larger than 4 MiB"
    );
    // One above the repository says nothing about what is in it.
    let root =
        tree(&[("r/.git/x", ""), ("r/m/a.yaml", "a"), (".reconcileignore", "*\n"), ("r/.reconcileignore", "b.yaml\n")]);
    fs::write(root.path().join("r/m/b.yaml"), "b").expect("written");
    assert_eq!(show(root.path(), &["r/m"], &[]), "r/m/a.yaml \"a\"");
}

#[test]
fn a_dash_is_the_standard_input() {
    let mut sources = Sources::default();
    let paths = ["-", "-"].map(PathBuf::from);
    let search = Search { paths: &paths, skip: &[], overlays: &[], follow_links: false };
    let found = discover(&search, &mut "a: 1".as_bytes(), &mut sources);
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
    let search = Search { paths: &paths, skip: &[], overlays: &overlays, follow_links: false };
    let found = discover(&search, &mut "".as_bytes(), &mut sources);
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

//! Manifests are read on several threads: nobody sees in which order they finish.

use std::{
    fmt::Write as _,
    fs, io,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use reconcile::{
    diagnostic::render,
    manifest::{self, Cache, Options, Retain, Search, Targets, Variables, decode_cached, decode_with, discover},
    platform,
    source::Sources,
};

use crate::harness::{Site, state, switch};

/// Decodes everything below a path, and shows all of what came of it.
fn decoded(path: &Path, overlays: &[PathBuf], threads: usize, retain: Retain) -> String {
    let options = Options { threads: NonZeroUsize::new(threads), retain, without_places: false };
    shown(path, overlays, &options, None)
}

fn shown(path: &Path, overlays: &[PathBuf], options: &Options, cache: Option<&mut Cache>) -> String {
    let mut sources = Sources::default();
    let paths = [path.to_owned()];
    let search = Search { paths: &paths, skip: &[], overlays, follow_links: false };
    let found = discover(&search, &mut io::empty(), &mut sources);
    let targets: Targets =
        [("cmdb-prod", "bk-cmdb", true), ("roma-cn-north-4", "roma-connect", true)].into_iter().collect();
    let variables = Variables::default().over_assignments(["SITE=sz", "N=5"]).expect("assignments");
    let (set, diagnostics) = match cache {
        Some(cache) => {
            let (set, diagnostics) =
                decode_cached(cache, options, &sources, &found, platform::ALL, &targets, &variables);
            (set.into(), diagnostics)
        }
        None => decode_with(options, &sources, &found, platform::ALL, &targets, &variables),
    };
    let mut shown = render::text(&diagnostics, &sources, false, 120);
    let _ = writeln!(shown, "{diagnostics:?}\n{:#?}\n{:?}", set.desired, set.broken);
    let _ = writeln!(shown, "{} {:?} {} {}", set.documents, set.covered, set.unplaced, set.partial);
    let _ = writeln!(shown, "{:?}", set.provenance.mentioned());
    for object in &set.desired {
        for located in object.locator.values().chain(object.fields.values()) {
            let origin = &located.origin;
            let places = set.provenance.places(origin);
            let _ = writeln!(shown, "{places:?} {:?} {:?}", set.provenance.via(origin), set.provenance.used_at(origin));
        }
    }
    for file in sources.files() {
        let _ = writeln!(shown, "{:?}", manifest::digest(&sources, [file]));
    }
    shown
}

fn agree(path: &Path, overlays: &[PathBuf]) {
    for retain in [Retain::Objects, Retain::Labels, Retain::Addresses] {
        let expected = decoded(path, overlays, 1, retain);
        for threads in [2, 7] {
            let found = decoded(path, overlays, threads, retain);
            assert!(found == expected, "{} on {threads} threads", path.display());
        }
    }
}

/// Returns the directories below one that hold files of YAML.
fn directories(path: &Path, found: &mut Vec<PathBuf>) {
    let entries: Vec<PathBuf> =
        fs::read_dir(path).expect("listed").map(|entry| entry.expect("an entry").path()).collect();
    if entries.iter().any(|entry| entry.extension().is_some_and(|extension| extension == "yaml")) {
        found.push(path.to_owned());
    }
    entries.iter().filter(|entry| entry.is_dir()).for_each(|entry| directories(entry, found));
}

#[test]
fn fixtures_are_the_same_on_any_number_of_threads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for part in ["examples", "tests", "docs"] {
        directories(&root.join(part), &mut found);
    }
    assert!(found.len() > 3, "{found:?}");
    found.iter().for_each(|directory| agree(directory, &[]));
    agree(&root.join("examples"), &[]);
}

/// Documents of few names: they repeat, refer to each other, use variables, and are broken in every way.
fn document() -> impl Strategy<Value = String> {
    (0..12_u32, 0..14_u32, 0..6_u32).prop_map(|(name, what, other)| {
        let fields = match what {
            0 => "ports: no, rows: 010".to_owned(),
            1 => "ports: ${N}, site: \"${SITE}\"".to_owned(),
            2 => "ports: ${UNSET}".to_owned(),
            3 => "ports: &p 1, rows: *p".to_owned(),
            4 => "ports: 1, ports: 2".to_owned(),
            5 => "ports: [1".to_owned(),
            _ => format!("ports: {other}"),
        };
        match what {
            6 => format!("---\napiVersion: bk-cmdb/v1\nkind: Instnace\nmetadata: {{name: s{name}}}\nspec: {{}}\n"),
            7 => format!(
                "---\napiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {{name: a{name}}}\nspec:\n  association: \
                 x_in_y\n  source: {{ref: s{name}}}\n  target: {{ref: s{other}}}\n"
            ),
            8 => format!("---\napiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: r{name}, target: none}}\nspec: {{}}\n"),
            _ => format!("---\n{}", switch(&format!("s{name}"), &format!("bk_inst_name: n{other}{name}"), &fields)),
        }
    })
}

#[test]
fn random_files_are_the_same_on_any_number_of_threads() {
    let files = prop::collection::vec(prop::collection::vec(document(), 0..5), 1..12);
    let overlay = prop::collection::vec(document(), 0..4);
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let run = |(files, overlay): (Vec<Vec<String>>, Vec<String>)| {
        let directory = tempfile::tempdir().expect("a directory");
        let (base, over) = (directory.path().join("m"), directory.path().join("o"));
        fs::create_dir_all(&base).and_then(|()| fs::create_dir_all(&over)).expect("made");
        for (number, documents) in files.iter().enumerate() {
            fs::write(base.join(format!("{number:02}.yaml")), documents.concat()).expect("written");
        }
        fs::write(over.join("o.yaml"), overlay.concat()).expect("written");
        agree(&base, &[]);
        agree(&base, &[over]);
        Ok(())
    };
    TestRunner::new(config).run(&(files, overlay), run).expect("the order is the same");
}

/// Files are written, changed and removed at random: what a cache makes of them is what reading them afresh does.
#[test]
fn a_cache_changes_nothing() {
    let text = || prop::collection::vec(document(), 0..4);
    let edit = (0..6_usize, prop::option::weighted(0.8, text()));
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let run = |edits: Vec<(usize, Option<Vec<String>>)>| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("m");
        fs::create_dir_all(&path).expect("made");
        let mut cache = Cache::default();
        let options = Options { threads: NonZeroUsize::new(3), ..Options::default() };
        for (number, documents) in edits {
            let file = path.join(format!("{number}.yaml"));
            match documents {
                Some(documents) => fs::write(&file, documents.concat()).expect("written"),
                None if file.exists() => fs::remove_file(&file).expect("removed"),
                None => {}
            }
            prop_assert_eq!(shown(&path, &[], &options, Some(&mut cache)), shown(&path, &[], &options, None));
            shown(&path, &[], &options, Some(&mut cache));
            prop_assert_eq!(cache.decoded(), 0);
        }
        Ok(())
    };
    TestRunner::new(config).run(&prop::collection::vec(edit, 1..8), run).expect("the cache changes nothing");
}

/// So much that it is worth several threads, with one mistake in each file: all are reported, in the order of the files.
#[test]
fn many_files_are_reported_in_their_order() {
    const FILES: usize = 24;
    let site = Site::with(&state(), &[]);
    for file in 0..FILES {
        let mut text: String = (0..200)
            .map(|number| switch(&format!("s{file}-{number}"), &format!("bk_inst_name: s{file}-{number}"), "ports: 1"))
            .collect();
        // The same name as in the file before, where there is one.
        let before = file.saturating_sub(1);
        text += &switch(&format!("s{before}-0"), &format!("bk_inst_name: again-{file}"), "ports: 1");
        site.write(&format!("m/{file:02}.yaml"), &text);
    }
    let first = site.run(&["validate", "m"]);
    assert_eq!(first.code, Some(1), "{first}");
    let places: Vec<&str> = first.stderr.lines().filter_map(|line| line.trim().strip_prefix("--> m/")).collect();
    let files: Vec<&str> = places.iter().filter_map(|place| place.split_once('.')).map(|(file, _)| file).collect();
    let expected: Vec<String> = (0..FILES).map(|file| format!("{file:02}")).collect();
    assert_eq!(files, expected, "{first}");
    for _ in 0..3 {
        let again = site.run(&["validate", "m"]);
        assert_eq!((again.code, again.all()), (first.code, first.all()));
    }
}

#[test]
fn a_selection_is_checked_without_the_values() {
    let site = Site::with(&state(), &[("m/a.yaml", &switch("a", "bk_inst_name: a", "ports: 1"))]);
    let labelled = switch("b", "bk_inst_name: b", "ports: 1").replace("name: b}", "name: b, labels: {site: sz}}");
    site.write("m/b.yaml", &labelled.replacen("bk_inst_name: b, labels: {site: sz}}", "bk_inst_name: b}", 1));
    for (arguments, code, expected) in [
        (&["--selector", "site=sz"][..], 0, ""),
        (&["--selector", "site=bj"], 64, "did you mean `site=sz`?"),
        (&["--target", "Instance/a"], 0, ""),
        (&["--target", "Instance/c"], 64, "no declared object fits `Instance/c`"),
    ] {
        let output = site.run(&[&["validate", "m"], arguments].concat());
        assert!(output.code == Some(code) && output.all().contains(expected), "{arguments:?}: {output}");
    }
}

use std::fs;

use super::*;
use crate::agent::fake::{PLATFORMS, targets, thing};

/// Reads directories one after the other, each in the place of the one before, and shows what is in force.
fn check(steps: &[(&[(&str, &str)], &str)]) {
    let base = tempfile::tempdir().expect("a directory");
    let root = base.path().join("m");
    let overlay = steps.iter().any(|(files, _)| files.iter().any(|(name, _)| name.starts_with("over/")));
    let location = Location {
        paths: vec![root.clone()],
        skip: Vec::new(),
        follow_links: false,
        allow_empty: false,
        overlays: overlay.then(|| root.join("over")).into_iter().collect(),
        platforms: &PLATFORMS,
        targets: targets(),
        variables: Variables::default(),
    };
    let (mut current, mut known) = (None, KnownFiles::new());
    for (number, (files, expected)) in steps.iter().enumerate() {
        let _ = fs::remove_dir_all(&root);
        if !files.is_empty() {
            fs::create_dir_all(root.join(if overlay { "over" } else { "" })).expect("made");
        }
        for (name, text) in *files {
            match *text {
                "UNREADABLE" => fs::write(root.join(name), b"a: \xff\n").expect("written"),
                "DANGLING" => std::os::unix::fs::symlink("nowhere", root.join(name)).expect("linked"),
                text => fs::write(root.join(name), text).expect("written"),
            }
        }
        if let Some(new) = read(&location, &mut known, current.as_ref(), false) {
            current = Some(new);
        }
        let shown = current.as_ref().map(|current| show(current, &root)).unwrap_or_default();
        assert_eq!(shown, *expected, "step {number}");
    }
}

fn show(manifests: &Manifests, root: &Path) -> String {
    let mut lines: Vec<String> = manifests
        .desired
        .iter()
        .map(|object| {
            let value = &object.fields[&crate::model::FieldPath::field("value")];
            let at = manifests.sources.position(&value.origin).to_string();
            let at = Path::new(&at).strip_prefix(root).map_or(at.clone(), |at| at.display().to_string());
            let held = if manifests.held.contains(&object.id) { " held" } else { "" };
            // The place is right even where its text is an old one.
            let text = &manifests.sources.text(value.origin.file)[value.origin.range()];
            assert_eq!(*text, value.value.to_string());
            format!("{}={} {at}{held}", object.id.key, value.value)
        })
        .collect();
    lines.sort();
    format!("{} ({} errors)", lines.join(", "), manifests.errors())
}

/// Returns a broken manifest of a thing.
fn broken(name: &str) -> String {
    thing(name, "3").replace("value", "valeu")
}

#[test]
fn a_broken_document_holds_back_only_itself() {
    let good = thing("a", "1") + &thing("b", "1");
    let one_broken = format!("# a comment\n{}{}{}", broken("a"), thing("b", "2"), thing("c", "2"));
    let new_broken = thing("a", "2") + &broken("d");
    check(&[
        (&[("x.yaml", &good)], "a=1 x.yaml:4:15, b=1 x.yaml:9:15 (0 errors)"),
        (&[("x.yaml", &one_broken)], "a=1 x.yaml:4:15 held, b=2 x.yaml:10:15, c=2 x.yaml:15:15 (1 errors)"),
        // A held document is held for as long as it takes, whatever other files come and go.
        (
            &[("x.yaml", &one_broken), ("y.yaml", &thing("e", "1"))],
            "a=1 x.yaml:4:15 held, b=2 x.yaml:10:15, c=2 x.yaml:15:15, e=1 y.yaml:4:15 (1 errors)",
        ),
        (&[("x.yaml", &one_broken)], "a=1 x.yaml:4:15 held, b=2 x.yaml:10:15, c=2 x.yaml:15:15 (1 errors)"),
        // A broken document that was never good waits; the rest of its file is not given up before it is sound.
        (&[("x.yaml", &new_broken)], "a=2 x.yaml:4:15, b=2 x.yaml:10:15 held, c=2 x.yaml:15:15 held (1 errors)"),
        (&[("x.yaml", &thing("a", "2"))], "a=2 x.yaml:4:15 (0 errors)"),
    ]);
}

#[test]
fn what_cannot_be_read_stays_in_force() {
    let (a, b) = (thing("a", "1"), thing("b", "1"));
    let both = "a=1 a.yaml:4:15, b=1 b.yaml:4:15 (0 errors)";
    check(&[
        (&[("a.yaml", &a), ("b.yaml", &b)], both),
        (&[("a.yaml", "UNREADABLE"), ("b.yaml", &b)], "a=1 a.yaml:4:15 held, b=1 b.yaml:4:15 (1 errors)"),
        (&[("a.yaml", "a: [\n"), ("b.yaml", &b)], "a=1 a.yaml:4:15 held, b=1 b.yaml:4:15 (1 errors)"),
        // A link that is being replaced.
        (&[("a.yaml", "DANGLING"), ("b.yaml", &b)], "a=1 a.yaml:4:15 held, b=1 b.yaml:4:15 (0 errors)"),
        (&[("a.yaml", &a), ("b.yaml", &b)], both),
        // Nothing lies there any more, or nothing is mounted.
        (&[("notes.txt", "")], "a=1 a.yaml:4:15 held, b=1 b.yaml:4:15 held (1 errors)"),
        (&[("a.yaml", "# empty\n")], "a=1 a.yaml:4:15 held, b=1 b.yaml:4:15 held (1 errors)"),
        // The directory is away, as in the middle of a swap.
        (&[], "a=1 a.yaml:4:15 held, b=1 b.yaml:4:15 held (1 errors)"),
        (&[("a.yaml", &a), ("b.yaml", &b)], both),
        // A file moved, and broken by the way.
        (&[("b.yaml", &b), ("c.yaml", "a: [\n")], "a=1 a.yaml:4:15 held, b=1 b.yaml:4:15 (1 errors)"),
        (&[("b.yaml", &b)], "b=1 b.yaml:4:15 (0 errors)"),
    ]);
}

#[test]
fn what_is_held_does_not_contradict_what_is_declared() {
    let serial = |name: &str| thing(name, "1").replace("value: 1", "value: 1, serial: 7");
    check(&[
        (&[("a.yaml", &serial("a"))], "a=1 a.yaml:4:15 (0 errors)"),
        // The same object under another name, beside a broken document.
        (&[("a.yaml", &(serial("renamed") + &broken("x")))], "renamed=1 a.yaml:4:15 (1 errors)"),
        // Two documents that mean one object: neither is good, the one that was stays.
        (&[("a.yaml", &(serial("renamed") + &serial("again")))], "renamed=1 a.yaml:4:15 held (1 errors)"),
    ]);
}

#[test]
fn a_dangling_reference_holds_back_its_object() {
    let beside = |other: &str| thing("a", "2").replace("value: 2", &format!("value: 2, beside: {other}"));
    check(&[
        (&[("a.yaml", &thing("a", "1")), ("b.yaml", &thing("b", "1"))], "a=1 a.yaml:4:15, b=1 b.yaml:4:15 (0 errors)"),
        (&[("a.yaml", &beside("c")), ("b.yaml", &thing("b", "1"))], "a=1 a.yaml:4:15 held, b=1 b.yaml:4:15 (1 errors)"),
        // The document that it points at is broken, but was good.
        (&[("a.yaml", &beside("b")), ("b.yaml", &broken("b"))], "a=2 a.yaml:4:15, b=1 b.yaml:4:15 held (1 errors)"),
    ]);
}

#[test]
fn a_broken_overlay_never_lets_the_base_through() {
    let base = thing("a", "1") + &thing("b", "1");
    let over = |name: &str, value: &str| format!("kind: Thing\nmetadata: {{name: {name}}}\nspec: {{value: {value}}}\n");
    let both = "a=5 over/o.yaml:3:15, b=1 x.yaml:9:15 (0 errors)";
    let held = "a=5 over/o.yaml:3:15 held, b=1 x.yaml:9:15 held (1 errors)";
    check(&[
        (&[("x.yaml", &base), ("over/o.yaml", &over("a", "5"))], both),
        // A mistake in it holds back its document and no other.
        (
            &[("x.yaml", &(thing("a", "2") + &thing("b", "2"))), ("over/o.yaml", &over("a", "x"))],
            "a=5 over/o.yaml:3:15 held, b=2 x.yaml:9:15 (1 errors)",
        ),
        (&[("x.yaml", &base), ("over/o.yaml", &over("a", "5"))], both),
        // Its base is not known: any document may be meant.
        (&[("x.yaml", &base), ("over/o.yaml", "a: [\n")], held),
        (&[("x.yaml", &base), ("over/o.yaml", &over("c", "5"))], held),
        (&[("x.yaml", &base), ("over/o.yaml", "UNREADABLE")], held),
        // Gone with its directory, as in the middle of a swap.
        (&[("x.yaml", &base)], held),
        // Taken away it decides nothing any more.
        (&[("x.yaml", &base), ("over/o.yaml", "# nothing\n")], "a=1 x.yaml:4:15, b=1 x.yaml:9:15 (0 errors)"),
    ]);
}

/// Returns the location of the manifests in a directory.
fn location(base: &Path) -> Location {
    Location {
        paths: vec![base.to_owned()],
        skip: Vec::new(),
        follow_links: false,
        allow_empty: false,
        overlays: Vec::new(),
        platforms: &PLATFORMS,
        targets: targets(),
        variables: Variables::default(),
    }
}

#[test]
fn a_changed_file_is_the_only_one_that_is_decoded() {
    let base = tempfile::tempdir().expect("a directory");
    let (location, mut known) = (location(base.path()), KnownFiles::new());
    let mut read = |before| read(&location, &mut known, before, false).expect("something is new");
    for name in ["a", "b", "c"] {
        fs::write(base.path().join(format!("{name}.yaml")), thing(name, "1")).expect("written");
    }
    let first = read(None);
    assert_eq!(first.cache.decoded(), 3);
    // A comment moves what stands below it.
    fs::write(base.path().join("b.yaml"), format!("# moved\n{}", thing("b", "2"))).expect("written");
    let second = read(Some(&first));
    assert_eq!(second.cache.decoded(), 1);
    let expected = "a=1 a.yaml:4:15, b=2 b.yaml:5:15, c=1 c.yaml:4:15 (0 errors)";
    assert_eq!(show(&second, base.path()), expected);
    // A mistake in a file that did not change is reported again.
    fs::write(base.path().join("a.yaml"), broken("a")).expect("written");
    let third = read(Some(&second));
    fs::write(base.path().join("c.yaml"), thing("c", "3")).expect("written");
    let fourth = read(Some(&third));
    assert_eq!((third.cache.decoded(), fourth.cache.decoded()), (1, 1));
    assert_eq!((third.errors(), fourth.errors()), (1, 1));
    let expected = "a=1 a.yaml:4:15 held, b=2 b.yaml:5:15, c=3 c.yaml:4:15 (1 errors)";
    assert_eq!(show(&fourth, base.path()), expected);
}

#[test]
fn files_that_come_and_go_leave_the_others_as_they_are() {
    let base = tempfile::tempdir().expect("a directory");
    let (location, mut known) = (location(base.path()), KnownFiles::new());
    let write = |name: &str, text: &str| fs::write(base.path().join(format!("{name}.yaml")), text).expect("written");
    let beside = |name: &str, to: &str| thing(name, "1").replace("value: 1", &format!("value: 1, beside: {to}"));
    write("b", &thing("b", "1"));
    write("d", &beside("d", "b"));
    let mut before = read(&location, &mut known, None, false).expect("they are new");
    // Each step says which objects there are, how many files were decoded, what is to be looked at, and what is gone.
    let mut check = |all: &str, decoded: usize, touched: &str, gone: &str| {
        let now = read(&location, &mut known, Some(&before), false).expect("something is new");
        let changes = now.changes.as_ref().expect("they are comparable");
        let keys = |ids: Vec<&ResourceId>| {
            let mut keys: Vec<&str> = ids.iter().map(|id| &*id.key).collect();
            keys.sort_unstable();
            keys.concat()
        };
        assert_eq!(keys(now.desired.iter().map(|object| &object.id).collect()), all);
        assert_eq!(now.cache.decoded(), decoded, "{all}");
        assert_eq!(keys(changes.touched.keys().collect()), touched, "{all}");
        assert_eq!(keys(changes.gone().map(|object| &object.id).collect()), gone, "{all}");
        assert_eq!(now.by_target.values().sum::<usize>(), all.len());
        assert_eq!(now.number, before.number + 1);
        // The places are right, and nothing was made anew that stayed.
        show(&now, base.path());
        for object in &now.desired {
            let number = now.find([&object.id]);
            assert!(number.len() == 1 && Arc::ptr_eq(&now.desired[number[0]], object));
            if "bd".contains(&*object.id.key) {
                let old = &before.desired[before.find([&object.id])[0]];
                assert!(Arc::ptr_eq(old, object), "{all}: {}", object.id);
            }
        }
        before = now;
    };
    write("a", &thing("a", "1"));
    check("abd", 1, "a", "");
    write("c", &thing("c", "1"));
    check("abcd", 1, "c", "");
    fs::remove_file(base.path().join("a.yaml")).expect("removed");
    check("bcd", 0, "", "a");
    write("a", &thing("a", "2"));
    check("abcd", 1, "a", "");
    // Another one refers to it, and stays the same one.
    write("c", &(thing("c", "1") + &thing("e", "1")));
    check("abcde", 1, "e", "");
    fs::rename(base.path().join("c.yaml"), base.path().join("x.yaml")).expect("renamed");
    check("abcde", 1, "", "");
}

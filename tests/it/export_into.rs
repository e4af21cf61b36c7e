//! What no document declares is added to manifests that are there, and nothing else of them changes.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{
    export::{KINDS, files, state, through},
    harness::{self, Output, Site, switch},
};

/// The switches and racks of the small site and what is between them.
const CHOSEN: &[&str] = &["--kind", "Instance,InstanceAssociation", "--model", "bk_switch,bk_rack"];

fn site(files: &[(&str, &str)]) -> Site {
    let mut state = harness::state();
    let row = |id: i64, rack: i64| {
        json!({"id": id, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch", "bk_inst_id": 1,
        "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": rack, "bk_asst_id": "connect"})
    };
    state["bk-cmdb"]["instance_associations"] = json!([row(61, 21), row(62, 22)]);
    Site::with(&state, files)
}

fn into(site: &Site, arguments: &[&str]) -> Output {
    let chosen = if arguments.contains(&"--kind") { &CHOSEN[2..] } else { CHOSEN };
    site.run(&[&["export", "--into", "site"], chosen, arguments].concat())
}

/// Checks that the plan of the manifests is empty and that a second run adds nothing.
fn check_whole(site: &Site, arguments: &[&str]) {
    let before = files(site, "site");
    let plan = site.run(&[&["plan", "site", "--detailed-exitcode"], arguments].concat());
    assert_eq!(plan.code, Some(0), "{plan}");
    let again = into(site, arguments);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""), "{again}");
    assert!(again.stderr.contains("nothing to add"), "{again}");
    assert_eq!(files(site, "site"), before);
    assert!(site.writes().is_empty());
}

fn read(site: &Site, file: &str) -> String {
    std::fs::read_to_string(site.path().join(file)).expect("a file")
}

#[test]
fn what_is_missing_goes_behind_its_neighbours() {
    let first = format!("# Switches of hall 1.\n{}", switch("core", "bk_asset_id: A1", "ports: 24"));
    let first = first.replace("24}", "24}   # all of them");
    let more = "# two\r\napiVersion: bk-cmdb/v1\r\nkind: Instance\r\nmetadata: {name: sw-3}\r\nspec:\r\n  model: bk_switch\r\n  \
                id: 2\r\n  fields: {ports: 24}";
    let site = site(&[("site/a.yaml", "# nothing yet\n"), ("site/b.yaml", &first), ("site/c/more.yml", more)]);
    let output = into(&site, &[]);
    insta::assert_snapshot!(output, @r"
    site/b.yaml: 1 added
    site/bk_rack.yaml: 2 added, a new file
    site/switch_rack.yaml: 1 added, a new file
    ------- stderr -------
    4 objects exported into 3 files
    ");
    assert_eq!(read(&site, "site/a.yaml"), "# nothing yet\n");
    let text = read(&site, "site/b.yaml");
    insta::assert_snapshot!(text.strip_prefix(&first).expect("what was there stays"), @r"
    # bk_switch #3
    apiVersion: bk-cmdb/v1
    kind: Instance
    metadata:
      name: sw-3-bk_switch
    spec:
      model: bk_switch
      match: {bk_inst_name: sw-3}
      fields:
        bk_asset_id: A3
        operator: alice
        ports: 24
    ");
    // Of what was there already, and of what is new.
    insta::assert_snapshot!(read(&site, "site/switch_rack.yaml"), @r"
    # bk_switch #1, rows #61 #62
    apiVersion: bk-cmdb/v1
    kind: InstanceAssociation
    metadata:
      name: core-switch_rack
    spec:
      association: switch_rack
      source: {ref: core}
      targets:
        - {ref: rack-1}
        - {ref: 机柜-2}
    ");
    assert_eq!(read(&site, "site/c/more.yml"), more);
    check_whole(&site, &[]);
}

#[test]
fn the_file_with_most_of_a_model_takes_more_of_it_byte_by_byte() {
    let one = switch("sw-1", "bk_asset_id: A1", "ports: 24");
    let two = format!("\u{feff}{}", switch("sw-2", "bk_asset_id: A2", "ports: 24").replace('\n', "\r\n"));
    let two = two.trim_end_matches("---\r\n").trim_end();
    let racks = "kind: Instance\napiVersion: bk-cmdb/v1\nmetadata: {name: rack-1}\nspec: {model: bk_rack, id: 21, fields: {units: 42}}\n";
    let site = site(&[("site/x.yaml", racks), ("site/y.yaml", two), ("site/z.yaml", &one)]);
    let output = into(&site, &["--kind", "Instance"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(output.stdout, "site/x.yaml: 1 added\nsite/y.yaml: 1 added\n", "{output}");
    let text = read(&site, "site/y.yaml");
    let added = text.strip_prefix(two).expect("what was there stays as it was");
    assert!(added.starts_with("\r\n---\r\n# bk_switch #3\r\napiVersion: bk-cmdb/v1\r\n"), "{added:?}");
    assert_eq!(added.matches('\n').count(), added.matches("\r\n").count(), "{added:?}");
    assert!(read(&site, "site/x.yaml").starts_with(&format!("{racks}---\n# bk_rack #22\n")));
    assert_eq!(read(&site, "site/z.yaml"), one);
}

#[test]
fn what_overlays_and_values_declare_is_declared() {
    let base =
        switch("one", "bk_asset_id: \"${FIRST}\"", "ports: 24") + &switch("two", "bk_asset_id: none", "ports: 24");
    let overlay = "kind: Instance\nmetadata: {name: two}\nspec: {match: {bk_asset_id: A2}}\n";
    let site =
        site(&[("site/a.yaml", &base), ("site/prod/over.yaml", overlay), ("values.yaml", "FIRST: A1\nTHIRD: A3\n")]);
    let with = ["--overlay", "site/prod", "--values", "values.yaml", "--kind", "Instance"];
    let output = into(&site, &with);
    assert_eq!(output.code, Some(0), "{output}");
    let text = read(&site, "site/a.yaml");
    assert_eq!(text.matches("# bk_switch #").collect::<Vec<_>>().len(), 1, "{text}");
    assert!(text.contains("# bk_switch #3"), "{text}");
    assert_eq!(read(&site, "site/prod/over.yaml"), overlay);
    // One that is to go is declared too.
    let site = self::site(&[(
        "site/a.yaml",
        "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: x}\nspec: {model: bk_switch, id: 3, ensure: absent}\n",
    )]);
    let output = into(&site, &[]);
    assert!(output.stdout.contains("site/a.yaml: 2 added"), "{output}");
    assert!(!read(&site, "site/a.yaml").contains("# bk_switch #3"));
}

#[test]
fn rows_that_an_exact_document_removes_are_not_added() {
    let exact = "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: rows}\nspec:\n  association: switch_rack\n  \
                 source: {model: bk_switch, id: 1}\n  targets:\n    - {model: bk_rack, id: 21}\n";
    for (mode, expected) in [("add", "site/a.yaml: 1 added\n"), ("exact", "")] {
        let site = site(&[("site/a.yaml", &format!("{exact}  mode: {mode}\n"))]);
        let output = site.run(&["export", "--into", "site", "--kind", "InstanceAssociation"]);
        assert_eq!((output.code, output.stdout.as_str()), (Some(0), expected), "{output}");
    }
}

#[test]
fn nothing_is_written_where_it_is_not_known_what_is_declared() {
    let whole = switch("sw-1", "bk_asset_id: A1", "ports: 24");
    let check = |files: &[(&str, &str)], faults: &Value, code: i32, expected: &[&str]| {
        let site = site(files);
        site.faults(faults);
        let before = self::files(&site, "site");
        let output = into(&site, &[]);
        assert_eq!(output.code, Some(code), "{output}");
        assert_eq!(output.stdout, "", "{output}");
        for expected in expected {
            assert!(output.stderr.contains(expected), "{expected}\n{output}");
        }
        assert_eq!(self::files(&site, "site"), before, "{output}");
    };
    let none = &json!([]);
    check(&[("site/a.yaml", &whole), ("site/b.yaml", "kind: [\n")], none, 1, &["site/b.yaml:"]);
    let unknown = switch("x", "bk_asset_nr: A1", "ports: 24");
    check(&[("site/a.yaml", &unknown)], none, 1, &["site/a.yaml:6:11", "nothing is written"]);
    let two = switch("x", "operator: alice", "ports: 24");
    check(&[("site/a.yaml", &two)], none, 1, &["site/a.yaml", "nothing is written"]);
    let refused = json!([{"operation": "search_object_instances", "fault": "code", "code": 9_900_403, "message": "no"},
        {"operation": "search_inst_by_object", "fault": "code", "code": 9_900_403, "message": "no"}]);
    check(&[("site/a.yaml", &whole)], &refused, 5, &["nothing is written"]);
    check(&[("site/.reconcileignore", "bk_rack.yaml\n")], none, 1, &["site/bk_rack.yaml would not be read"]);
    check(
        &[("site/.reconcileignore", "bk_rack.yaml\n"), ("site/bk_rack.yaml", "# mine\n")],
        none,
        1,
        &["site/bk_rack.yaml would be replaced"],
    );
    let site = site(&[]);
    let output = into(&site, &[]);
    assert!(output.stderr.contains("site is no directory"), "{output}");
}

#[test]
fn a_file_of_its_own_where_nothing_is_like_it() {
    let text = "{\"apiVersion\": \"bk-cmdb/v1\", \"kind\": \"Instance\", \"metadata\": {\"name\": \"rack-1\"},\n \
                \"spec\": {\"model\": \"bk_rack\", \"id\": 21, \"fields\": {\"units\": 42}}}\n";
    let site = site(&[("site/racks.json", text), ("site/bk_switch/SW-1.yaml", "# taken\n")]);
    let output = into(&site, &["--layout", "object"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(read(&site, "site/racks.json"), text);
    let names: Vec<String> = files(&site, "site").into_iter().map(|(name, _)| name).collect();
    let expected = [
        "bk_rack/机柜-2.yaml",
        "bk_switch/SW-1.yaml",
        "bk_switch/sw-1-2.yaml",
        "bk_switch/sw-2.yaml",
        "bk_switch/sw-3.yaml",
        "racks.json",
        "switch_rack/sw-1-switch_rack.yaml",
    ];
    assert_eq!(names, expected);
    check_whole(&site, &[]);
}

/// Takes documents at random out of exported files and changes how what is left is written, not what it says.
fn thin_out(site: &Site, rng: &mut Rng) {
    for (name, text) in files(site, "live") {
        let path = site.path().join("live").join(&name);
        let documents: Vec<&str> = text.split("\n---\n").filter(|_| rng.u8(..3) > 0).collect();
        if documents.is_empty() {
            std::fs::remove_file(path).expect("it was there");
            continue;
        }
        let mut text = documents.join("\n---\n");
        match rng.u8(..5) {
            0 => text = text.trim_end().to_owned() + "\n\n# The end.",
            1 => text = format!("\u{feff}{}\n---\n", text.trim_end_matches('\n')),
            2 => text = format!("---\n{}\n...\n", text.trim_end_matches('\n')),
            3 if !text.contains(['|', '>']) => text = text.trim_end().replace('\n', "\r\n"),
            _ => text = text.trim_end_matches('\n').to_owned() + "\n",
        }
        std::fs::write(path, text).expect("written");
    }
}

/// Checks that what was taken out of an export comes back.
fn check(seed: u64, size: usize, access: &str, version: &str, layout: &str) {
    let site = Site::new(&state(seed, size, version));
    through(&site, access);
    let rng = &mut Rng::with_seed(seed);
    // Rows first, so that they name no documents that go.
    let (rows, objects): (Vec<&str>, Vec<&str>) = KINDS.split(',').partition(|kind| *kind == "InstanceAssociation");
    for (kinds, out) in [(rows, "live/rows"), (objects, "live/objects")] {
        let arguments = ["export", "--model", "node,rack", "--layout", layout, "--out", out, "--kind"];
        let output = site.run(&[&arguments[..], &[&kinds.join(",")]].concat());
        assert_eq!(output.code, Some(0), "{output}");
    }
    let unchanged = || {
        let plan = site.run(&["plan", "live", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(0), "seed {seed}: {plan}");
        let text =
            plan.stdout.split(", ").find_map(|part| part.split_once(" unchanged")).expect("a count").0.to_owned();
        text.parse::<usize>().expect("a number")
    };
    let all = unchanged();
    thin_out(&site, rng);
    let left = unchanged();
    assert!(left < all, "seed {seed}: {left} of {all}");
    let before = files(&site, "live");
    let arguments = ["export", "--into", "live", "--kind", KINDS, "--model", "node,rack", "--layout", layout];
    let output = site.run(&arguments);
    assert_eq!(output.code, Some(0), "seed {seed}: {output}");
    let after = files(&site, "live");
    for (name, text) in &before {
        let (_, now) = after.iter().find(|(other, _)| other == name).expect("no file goes");
        assert!(now.starts_with(text), "seed {seed}: {name}\n{text:?}\n{now:?}");
    }
    assert_eq!(unchanged(), all, "seed {seed}: {output}");
    let again = site.run(&arguments);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""), "seed {seed}: {again}");
    assert_eq!(files(&site, "live"), after, "seed {seed}");
    assert!(site.writes().is_empty());
}

#[test]
fn what_was_taken_out_of_an_export_comes_back() {
    let cases = [("esb", "3.14", "group"), ("gateway", "3.10", "object"), ("direct", "3.9", "one")];
    for (seed, (access, version, layout)) in (1..).zip(cases) {
        check(seed, 40, access, version, layout);
    }
}

//! Live values go back into the lines that decide them: bases, overlays and values files, and nothing else changes.

use std::{collections::BTreeSet, fmt::Write as _};

use fastrand::Rng;
use regex::Regex;
use serde_json::{Value, json};

use crate::harness::Site;

fn attribute(id: usize, name: &str, kind: &str, option: &Value) -> Value {
    json!({"id": id, "bk_obj_id": "node", "bk_property_id": name, "bk_property_name": name, "bk_property_type": kind,
        "editable": true, "isrequired": false, "ismultiple": true, "option": option})
}

fn state(nodes: &[Value]) -> Value {
    let options = json!([{"id": "1", "name": "In use", "type": "text"}, {"id": "2", "name": "Spare", "type": "text"}]);
    let kinds = [
        ("bk_inst_name", "singlechar", Value::Null),
        ("short", "singlechar", Value::Null),
        ("long", "longchar", Value::Null),
        ("whole", "int", json!({"min": 0, "max": 1_000_000})),
        ("state", "enum", options),
        ("user", "objuser", Value::Null),
    ];
    let attributes = kinds.iter().enumerate().map(|(id, (name, kind, option))| attribute(id + 1, name, kind, option));
    json!({"bk-cmdb": {
        "version": "3.14",
        "objects": [{"id": 1, "bk_obj_id": "node", "bk_obj_name": "node", "bk_classification_id": "c"}],
        "attributes": attributes.collect::<Vec<_>>(),
        "instances": {"node": nodes},
    }})
}

/// Lets somebody else change a node.
fn drift(site: &Site, id: usize, fields: &Value) {
    let mut body = json!({"bk_obj_id": "node", "bk_inst_id": id});
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    site.edit("update_inst", &body);
}

const BASE: &str = "# The nodes of the hall.
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: n1}
spec:
  model: node
  match: {bk_inst_name: n1}
  fields:
    short: \"quoted\"   # keep the quotes
    whole: 7
    state: In use       # by its name
    user: [alice, bob]  # who
    long: |
      one
      two
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: n2}
spec:
  model: node
  match: {bk_inst_name: n2}
  fields: {short: over, whole: \"${SIZE}\", user: alice, long: '${WORD} and more'}
";

const OVERLAY: &str = "kind: Instance
metadata: {name: n2}
spec:
  fields:
    short: 'prod''s'    # of this environment
";

fn small() -> Site {
    let nodes = [
        json!({"bk_inst_id": 1, "bk_inst_name": "n1", "short": "quoted", "whole": 7, "state": "1", "user": "alice,bob",
            "long": "one\ntwo"}),
        json!({"bk_inst_id": 2, "bk_inst_name": "n2", "short": "prod's", "whole": 8, "user": "alice",
            "long": "words and more"}),
    ];
    let files = [
        ("base/nodes.yaml", BASE),
        ("envs/prod/nodes.yaml", OVERLAY),
        ("prod.yaml", "SIZE: 8  # racks\nWORD: words\n"),
    ];
    Site::with(&state(&nodes), &files)
}

const PROD: &[&str] = &["base", "--overlay", "envs/prod", "--values", "prod.yaml"];

fn run(site: &Site, command: &[&str]) -> crate::harness::Output {
    site.run(&[command, PROD].concat())
}

#[test]
fn a_patch_names_the_lines_and_who_changed_them() {
    let site = small();
    drift(
        &site,
        1,
        &json!({"short": "say \"${hi}\"", "whole": 42, "state": "2", "user": "bob,carol", "long": "one\n\nthree"}),
    );
    drift(&site, 2, &json!({"short": "it's", "whole": 9}));
    let output = run(&site, &["adopt"]);
    assert_eq!(output.code, Some(0), "{output}");
    let time = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+Z:\d]*").expect("it is right");
    insta::assert_snapshot!(time.replace_all(&output.to_string(), "[time]"), @r##"
    Adopt 7 live values of 2 objects

    Drifted-by: zoe [time] (Instance/n1: short, whole, state, user, long)
    Drifted-by: zoe [time] (Instance/n2: whole, short)

    --- a/base/nodes.yaml
    +++ b/base/nodes.yaml
    @@ -6,13 +6,14 @@
       model: node
       match: {bk_inst_name: n1}
       fields:
    -    short: "quoted"   # keep the quotes
    -    whole: 7
    -    state: In use       # by its name
    -    user: [alice, bob]  # who
    +    short: "say \"$${hi}\""   # keep the quotes
    +    whole: 42
    +    state: Spare       # by its name
    +    user: [bob, carol]  # who
         long: |
           one
    -      two
    +
    +      three
     ---
     apiVersion: bk-cmdb/v1
     kind: Instance
    --- a/envs/prod/nodes.yaml
    +++ b/envs/prod/nodes.yaml
    @@ -2,4 +2,4 @@
     metadata: {name: n2}
     spec:
       fields:
    -    short: 'prod''s'    # of this environment
    +    short: 'it''s'    # of this environment
    --- a/prod.yaml
    +++ b/prod.yaml
    @@ -1,2 +1,2 @@
    -SIZE: 8  # racks
    +SIZE: 9  # racks
     WORD: words
    ------- stderr -------
    7 live values in a patch of 3 files
    "##);
    assert!(site.writes().is_empty());
    // The patch does what `--write` does.
    let mut apply = std::process::Command::new("git");
    apply.current_dir(site.path()).args(["apply", "-"]);
    let applied = site.end(apply, &output.stdout);
    assert_eq!(applied.code, Some(0), "{applied}");
    let plan = run(&site, &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    let again = run(&site, &["adopt"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""), "{again}");
    assert!(again.stderr.contains("nothing to adopt"), "{again}");
}

#[test]
fn what_decides_more_than_one_value_is_refused() {
    let node = |id: usize| json!({"bk_inst_id": id, "bk_inst_name": format!("n{id}"), "short": "a", "whole": 1, "user": "alice", "long": "x"});
    let document = |id: usize, fields: &str| {
        format!(
            "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: n{id}}}\nspec:\n  model: node\n  match: {{bk_inst_name: n{id}}}\n  fields:\n{fields}---\n"
        )
    };
    let check = |first: &str, second: &str, values: &str, arguments: &[&str], edit: &Value, expected: &str| {
        let text = format!("{}{}", document(1, first), document(2, second));
        let site = Site::with(&state(&[node(1), node(2)]), &[("base/a.yaml", &text), ("values.yaml", values)]);
        drift(&site, 1, edit);
        let output = site.run(&[&["adopt", "base", "--values", "values.yaml"], arguments].concat());
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(expected) && output.stderr.contains("P192"), "{expected}\n{output}");
        assert_eq!(output.stdout, "", "{output}");
        assert!(output.stderr.contains("nothing to adopt, 1 not adopted"), "{output}");
    };
    let short = &json!({"short": "b"});
    check("    short: ${V}\n", "    short: ${V}\n", "V: a\n", &[], short, "the variable `V` decides several values");
    check(
        "    short: ${V}\n",
        "    long: ${V}\n",
        "{}\n",
        &["--set", "V=a"],
        short,
        "the variable `V` comes from --set",
    );
    check("    short: ${V:-a}\n", "    whole: 1\n", "{}\n", &[], short, "it is the default of the variable `V`");
    check("    short: ${V}\n", "    whole: 1\n", "V: &x a\nW: *x\n", &[], short, "changing something else");
    check(
        "    long: x${V}\n",
        "    whole: 1\n",
        "V: ''\n",
        &[],
        &json!({"long": "y"}),
        "the variable `V` is a part of it",
    );
    check("    short: &x a\n    long: *x\n", "    whole: 1\n", "{}\n", &[], short, "other values refer to its line");
    check("    long: &x a\n    short: *x\n", "    whole: 1\n", "{}\n", &[], short, "its line is an alias");
    check("    user: [\n      alice]\n", "    whole: 1\n", "{}\n", &[], &json!({"user": "bob"}), "takes several lines");
}

#[test]
fn an_edit_is_no_drift_and_what_is_not_known_is_asked_for() {
    let site = small();
    // Nobody else touched it: the manifest changed.
    site.write("base/nodes.yaml", &BASE.replace("whole: 7", "whole: 70"));
    let output = run(&site, &["adopt"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{output}");
    site.faults(&json!([
        {"operation": "list_operation_audit", "fault": "code", "code": 9_900_403, "message": "no permission"},
        {"operation": "find_inst_audit", "fault": "code", "code": 9_900_403, "message": "no permission"},
    ]));
    drift(&site, 1, &json!({"short": "new"}));
    let output = run(&site, &["adopt"]);
    assert_eq!(output.stdout, "", "{output}");
    assert!(output.stderr.contains("`--unknown` adopts it"), "{output}");
    let output = run(&site, &["adopt", "--unknown", "--write"]);
    assert!(output.stderr.contains("2 live values written into 1 file"), "{output}");
    let plan = run(&site, &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{plan}");
}

/// A site with one line for each value, and what became of each.
struct Generated {
    site: Site,
    /// Lines that have to change.
    lines: usize,
    /// Differences whose line decides more than one value.
    shared: usize,
}

/// Makes documents over bases, overlays and values files, and lets somebody change about half of all values.
fn generate(seed: u64, size: usize) -> Generated {
    let rng = &mut Rng::with_seed(seed);
    let (mut base, mut overlay, mut values) = (String::new(), String::new(), String::from("shared: 5 # of many\n"));
    let (mut nodes, mut edits, mut lines, mut shared) = (Vec::new(), Vec::new(), 0, BTreeSet::new());
    for id in 1..=size {
        let name = format!("n{id}");
        let _ = write!(
            base,
            "# Node {id}.\napiVersion: bk-cmdb/v1\nkind: Instance\nmetadata:\n  name: {name}\nspec:\n  model: node\n  \
             match: {{bk_inst_name: {name}}}\n  fields:\n"
        );
        let old = format!("old {id}");
        let short = match rng.u8(..3) {
            0 => format!("\"{old}\"  # text {id}"),
            1 => format!("'{old}' # text {id}"),
            _ => old.clone(),
        };
        let (is_over, is_valued, is_shared) = (rng.u8(..4) == 0, rng.u8(..4) == 0, rng.u8(..6) == 0);
        if is_over {
            let _ = writeln!(base, "    short: below {id}");
            let _ = write!(
                overlay,
                "kind: Instance\nmetadata: {{name: {name}}}\nspec:\n  fields:\n    short: {short}\n---\n"
            );
        } else if is_valued {
            let _ = writeln!(base, "    short: ${{short_{id}}} # by the values");
            let _ = writeln!(values, "short_{id}: {short}");
        } else {
            let _ = writeln!(base, "    short: {short}");
        }
        let _ = writeln!(base, "    whole: {}", if is_shared { "${shared}" } else { "5  # a number" });
        let _ = writeln!(base, "    state: {}", if rng.bool() { "In use" } else { "'1'" });
        let _ = writeln!(base, "    user: {}\n---", if rng.bool() { "[alice, bob] # people" } else { "alice,bob" });
        nodes.push(json!({"bk_inst_id": id, "bk_inst_name": name, "short": old, "whole": 5, "state": "1", "user": "alice,bob"}));
        let mut edit = serde_json::Map::new();
        let new = [json!(format!("new: {id} # not")), json!("true"), json!("${x}"), json!(""), json!("it's \"new\"")];
        for (field, value) in [
            ("short", new[rng.usize(..new.len())].clone()),
            ("whole", json!(rng.u32(6..1000))),
            ("state", json!("2")),
            ("user", json!("carol")),
        ] {
            if rng.bool() {
                edit.insert(field.to_owned(), value);
                if field == "whole" && is_shared {
                    shared.insert(id);
                } else {
                    lines += 1;
                }
            }
        }
        edits.push((id, Value::Object(edit)));
    }
    let files = [("base/nodes.yaml", base.as_str()), ("envs/prod/nodes.yaml", &overlay), ("prod.yaml", &values)];
    let site = Site::with(&state(&nodes), &files);
    let plan = run(&site, &["plan", "--detailed-exitcode", "-q"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    for (id, edit) in edits.iter().filter(|(_, edit)| edit.as_object().is_some_and(|edit| !edit.is_empty())) {
        drift(&site, *id, edit);
    }
    Generated { site, lines, shared: shared.len() }
}

fn check(seed: u64, size: usize) {
    let Generated { site, lines, shared } = generate(seed, size);
    let read = |file: &str| std::fs::read_to_string(site.path().join(file)).expect("a file");
    let files = ["base/nodes.yaml", "envs/prod/nodes.yaml", "prod.yaml"];
    let before = files.map(read);
    let output = run(&site, &["adopt"]);
    let touched = |sign: &str| {
        let is_line = |line: &&str| line.starts_with(sign) && !line.starts_with(&sign.repeat(3));
        output.stdout.lines().filter(is_line).count()
    };
    assert_eq!((touched("-"), touched("+")), (lines, lines), "seed {seed}: {}", output.stderr);
    // A screen shows some warnings alone.
    let refused = if shared == 0 { "files\n".to_owned() } else { format!(", {shared} not adopted\n") };
    assert!(output.stderr.contains(&refused), "seed {seed}: {shared}");
    let written = run(&site, &["adopt", "--write"]);
    assert_eq!(written.code, Some(i32::from(shared > 0)), "{written}");
    for (old, new) in before.iter().zip(files.map(read)) {
        for mark in ["# Node", "# text", "# people", "# a number", "# by the values", "# of many"] {
            assert_eq!(old.matches(mark).count(), new.matches(mark).count(), "seed {seed}: {mark}");
        }
        assert_eq!(old.lines().count(), new.lines().count(), "seed {seed}");
    }
    let plan = run(&site, &["plan", "-o", "json"]);
    let changes = plan.json()["changes"].as_array().expect("a list").clone();
    let open: Vec<&Value> = changes.iter().flat_map(|change| change["fields"].as_array().expect("a list")).collect();
    assert_eq!(open.len(), shared, "seed {seed}: {open:?}");
    assert!(open.iter().all(|field| field["path"] == "whole"), "seed {seed}: {open:?}");
}

#[test]
fn any_drift_goes_into_its_own_lines_alone() {
    for seed in 1..=3 {
        check(seed, 60);
    }
    check(4, 250);
}

#[test]
#[ignore = "long"]
fn ten_thousand_drifts_go_into_their_own_lines_alone() {
    check(9, 5_000);
}

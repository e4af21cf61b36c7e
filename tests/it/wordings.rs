//! Common mistakes in manifests: each is reported once, at its place, with a way to mend it.

use serde_json::Value;

use crate::harness::{Site, state};

/// Validates files and shows the code, the place and the hint of each diagnostic.
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let site = Site::with(&state(), files);
    let output = site.run(&["validate", "-o", "json"]);
    let document = output.json();
    let told = document["diagnostics"].as_array().cloned().unwrap_or_default();
    let shown: Vec<String> = told
        .iter()
        .map(|row| {
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            let at = &row["at"];
            format!(
                "{} {}:{}:{} {}",
                text(&row["code"]),
                text(&at["file"]),
                at["line"],
                at["column"],
                text(&row["hint"])
            )
        })
        .collect();
    assert_eq!(shown, expected, "{output}");
}

const HEAD: &str = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: a}\n";

fn instance(rest: &str) -> String {
    format!("{HEAD}{rest}")
}

fn rows(rest: &str) -> String {
    let head = "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {name: p}\nspec: ";
    format!("{head}{{business: demo, serviceTemplate: nginx, process: nginx, properties: {{bind_info: [{rest}]}}}}\n")
}

fn association(source: &str, targets: &str) -> String {
    let head = "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: l}\nspec:\n";
    format!("{head}  association: switch_rack\n  source: {source}\n  targets: {targets}\n")
}

#[test]
fn files_in_another_encoding() {
    let site = Site::with(&state(), &[]);
    let text = instance("spec: {model: bk_switch, id: 1, fields: {}}\n");
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    std::fs::write(site.path().join("a.yaml"), utf16).expect("written");
    std::fs::write(site.path().join("b.yaml"), [b"kind: x # ".as_slice(), &[0xbd, 0xbb], b"\n"].concat())
        .expect("written");
    let output = site.run(&["validate", "-o", "github"]);
    assert_eq!(output.code, Some(1), "{output}");
    for expected in ["file=a.yaml,line=1,", "this file is UTF-16", "file=b.yaml,line=1,", "it seems to be GBK"] {
        assert!(output.stdout.contains(expected), "{expected}: {output}");
    }
    // The configuration is read by the same rules, and never shown.
    let site = Site::with(&state(), &[("a.yaml", &text)]);
    std::fs::write(site.path().join("reconcile.yaml"), b"appSecret: \xff hush\n").expect("written");
    let output = site.run(&["plan"]);
    assert!(output.stderr.contains("error[Y012]") && !output.all().contains("hush"), "{output}");
}

#[test]
fn full_width_punctuation() {
    let colon = "write `:` and a blank";
    let wide = "`：` is a full-width colon, write `:` and a blank";
    check(&[("a.yaml", "apiVersion：bk-cmdb/v1\nkind: Instance\n")], &[&format!("Y014 a.yaml:1:11 {colon}")]);
    let fields = "spec:\n  model: bk_switch\n  id: 1\n  fields:\n    remark： 机柜\n    ports: 24\n";
    check(&[("a.yaml", &instance(fields))], &[&format!("Y014 a.yaml:8:11 {colon}")]);
    let flow = "spec: {model: bk_switch, id: 1, fields: {}, ensure：present}\n";
    check(&[("a.yaml", &instance(flow))], &[&format!("Y202 a.yaml:4:45 {wide}")]);
    check(&[("a.yaml", "apiVersion：bk-cmdb/v1")], &[&format!("Y201 a.yaml:1:1 {wide}")]);
    let blank = "spec:\n  model: bk_switch\n  id: 1\n  fields: {}\n  　ensure: present\n";
    check(
        &[("a.yaml", &instance(blank))],
        &["Y202 a.yaml:8:3 it begins or ends with `\\u{3000}`: write ordinary spaces"],
    );
}

#[test]
fn templates_and_lists_of_other_programs() {
    let helm = "render it first, such as with `helm template`; variables here are ${NAME}";
    let text = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: {{ .Values.name }}}\nspec: {model: bk_switch, id: 1, \
                fields: {ports: {{ .Values.ports }}}}\n";
    check(&[("a.yaml", text)], &[&format!("Y015 a.yaml:3:18 {helm}"), &format!("Y015 a.yaml:4:49 {helm}")]);
    let list = "apiVersion: v1\nkind: List\nitems:\n- a: 1\n";
    check(&[("a.yaml", list)], &["M003 a.yaml:2:7 make each item a document of its own, with `---` between them"]);
}

#[test]
fn an_anchor_of_another_document() {
    let text = instance("spec: &l {model: bk_switch, id: 1, fields: {}}\n---\n")
        + &HEAD.replace("name: a", "name: b")
        + "spec:\n  <<: *l\n  model: bk_switch\n  id: 2\n  fields: {}\n";
    check(&[("a.yaml", &text)], &["Y002 a.yaml:10:7 anchors end with their document, at `---`"]);
}

#[test]
fn numbers_that_are_too_large() {
    let huge = "99999999999999999999";
    check(
        &[("a.yaml", &instance(&format!("spec: {{model: bk_switch, id: {huge}, fields: {{}}}}\n")))],
        &["Y205 a.yaml:4:30 -"],
    );
    let text = instance(&format!("spec: {{model: bk_switch, id: 1, fields: {{ports: {huge}}}}}\n"));
    let site = Site::with(&state(), &[("a.yaml", &text)]);
    let output = site.run(&["plan"]);
    let expected =
        format!("error[P104]: `ports` takes whole numbers of 64 bits: `{huge}` is too large\n --> a.yaml:4:49");
    assert!(output.stderr.contains(&expected), "{output}");
}

#[test]
fn keys_in_the_wrong_place() {
    let left = "spec:\n  model: bk_switch\n  id: 1\nfields: {ports: 1}\n";
    check(&[("a.yaml", &instance(left))], &["Y202 a.yaml:7:1 indent it: it belongs below `spec`"]);
    let truth = "spec: {model: bk_switch, id: 1, fields: {}, protect: yes}\n";
    check(&[("a.yaml", &instance(truth))], &["Y206 a.yaml:4:54 write true"]);
    let good = instance("spec: {model: bk_switch, id: 1, fields: {}}\n");
    check(
        &[("base/a.yaml", &good), ("envs/prod/a.yaml", &good)],
        &[
            "M010 envs/prod/a.yaml:3:18 metadata.name is unique per kind; if envs/prod is an overlay, name it: --overlay envs/prod",
        ],
    );
}

#[test]
fn ports_and_ends() {
    check(
        &[("a.yaml", &rows("{ip: 0.0.0.0, port: [80, 81], protocol: tcp}"))],
        &["Y204 a.yaml:4:109 such as \"80,81\""],
    );
    check(
        &[("a.yaml", &rows("{ip: 0.0.0.0, port: 80-90,443, protocol: tcp}"))],
        &["Y202 a.yaml:4:115 within {} a text with a comma has to be quoted, such as \"80,443\""],
    );
    let good = instance("spec: {model: bk_switch, id: 1, fields: {}}\n---\n");
    let end = "{ref: NAME}, or {model: MODEL, match: {FIELD: VALUE}}";
    check(
        &[("a.yaml", &(good.clone() + &association("{name: a}", "[{model: bk_rack, id: 21}]")))],
        &[&format!("M343 a.yaml:11:11 write {end}")],
    );
    check(
        &[("a.yaml", &(good + &association("{ref: a}", "[rack-7]")))],
        &[&format!("M343 a.yaml:12:13 write {}", end.replace("NAME", "rack-7"))],
    );
}

#[test]
fn a_name_that_looks_the_same_is_spelt_out() {
    let mut state = state();
    state["bk-cmdb"]["instances"]["bk_switch"][0]["bk_inst_name"] = "café-1".into();
    let text = |ensure: &str| {
        instance(&format!(
            "spec: {{{ensure}model: bk_switch, match: {{bk_inst_name: \"cafe\\u0301-1\"}}, fields: {{ports: 3}}}}\n"
        ))
    };
    let site = Site::with(&state, &[("a.yaml", &text(""))]);
    let output = site.run(&["plan"]);
    let expected = "did you mean `café-1`? It looks the same, but is written `caf\\u{e9}-1`, and this `cafe\\u{301}-1`";
    assert!(output.stderr.contains(expected), "{output}");
    site.write("a.yaml", &text("ensure: present, "));
    let output = site.run(&["plan", "-o", "json"]);
    assert_eq!(output.json()["diagnostics"][0]["code"], "Y104", "{output}");
}

#[test]
fn an_unknown_attribute_is_shown_at_its_key() {
    let text = instance("spec:\n  model: bk_switch\n  match: {bk_asset: A1}\n  fields:\n    ports: 3\n---\n")
        + &HEAD.replace("name: a", "name: b")
        + "spec:\n  model: bk_switch\n  id: 1\n  fields:\n    operatr: alice\n";
    let site = Site::with(&state(), &[("a.yaml", &text)]);
    let stderr = site.run(&["plan"]).stderr;
    assert!(stderr.contains("error[P103]: the model has no attribute `bk_asset`\n --> a.yaml:6:11"), "{stderr}");
    assert!(stderr.contains("error[P103]: the model has no attribute `operatr`\n  --> a.yaml:17:5"), "{stderr}");
}

#[test]
fn validate_counts_what_is_wrong() {
    let site = Site::with(&state(), &[("a.yaml", "a: [\n"), ("b.yaml", "b: [\n---\nc: [\n")]);
    let output = site.run(&["validate"]);
    assert_eq!(output.stderr.lines().last(), Some("3 errors in 2 files"), "{output}");
}

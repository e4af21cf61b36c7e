//! Instances of custom layers of the topology: made below their parents, named once below each.

use serde_json::{Value, json};

use crate::{
    harness::{Site, operations, state},
    removals::layered,
};

fn document(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: {name}}}\nspec: {{ensure: present, {spec}, fields: {{}}}}\n---\n"
    )
}

fn site(documents: &[String]) -> Site {
    Site::with(&layered(&json!([])), &[("one.yaml", &documents.concat())])
}

fn rows(site: &Site, model: &str) -> Vec<(String, i64, i64)> {
    let state = site.sandbox().state();
    let rows = state["bk-cmdb"]["instances"][model].as_array().cloned().unwrap_or_default();
    let number = |row: &Value, key: &str| row[key].as_i64().unwrap_or_default();
    let name = |row: &Value| row["bk_inst_name"].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (name(row), number(row, "bk_parent_id"), number(row, "bk_biz_id"))).collect()
}

#[test]
fn a_chain_of_layers_is_made_from_the_top() {
    let room = document("r", "model: room, business: demo, parent: {ref: south}, match: {bk_inst_name: r1}");
    let idc = document("south", "model: idc, business: demo, match: {bk_inst_name: 广州机房}");
    let site = site(&[room, idc]);
    let output = site.run(&["validate", "--online"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.apply()), json!({"create_inst": 2}));
    assert_eq!(rows(&site, "idc")[1], ("广州机房".to_owned(), 3, 3));
    let made = &site.sandbox().state()["bk-cmdb"]["instances"]["idc"][1]["bk_inst_id"];
    // Below another parent the same name is free.
    assert_eq!(rows(&site, "room")[2], ("r1".to_owned(), made.as_i64().unwrap_or_default(), 3));
    site.assert_converged();
}

#[test]
fn a_parent_is_found_by_what_it_holds() {
    for parent in ["{model: idc, match: {bk_inst_name: north}}", "{model: idc, id: 41}"] {
        let spec = format!("model: room, business: demo, parent: {parent}, match: {{bk_inst_name: r3}}");
        let site = site(&[document("r", &spec)]);
        assert_eq!(operations(&site.apply()), json!({"create_inst": 1}));
        assert_eq!(rows(&site, "room")[2], ("r3".to_owned(), 41, 3));
        site.assert_converged();
    }
}

#[test]
fn what_is_there_is_left_below_its_parent() {
    let spec = "model: room, business: demo, parent: {model: idc, id: 41}, match: {bk_inst_name: r1}";
    site(&[document("r", spec)]).assert_converged();
}

#[test]
fn names_are_taken_below_one_parent_alone() {
    let mut state = layered(&json!([]));
    let cmdb = &mut state["bk-cmdb"];
    cmdb["instances"]["idc"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"bk_inst_id": 42, "bk_inst_name": "south", "bk_biz_id": 3, "bk_parent_id": 3}));
    cmdb["instances"]["room"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"bk_inst_id": 53, "bk_inst_name": "r3", "bk_biz_id": 3, "bk_parent_id": 42}));
    let rename = |id: i64, name: &str| {
        format!(
            "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {{name: x}}\nspec: {{model: room, id: {id}, fields: {{bk_inst_name: {name}}}}}\n"
        )
    };
    let site = Site::with(&state, &[("one.yaml", &rename(53, "r1"))]);
    assert_eq!(operations(&site.apply()), json!({"update_inst": 1}));
    site.assert_converged();
    let site = Site::with(&state, &[("one.yaml", &rename(52, "r1"))]);
    let output = site.run(&["apply", "-y"]);
    assert_ne!(output.code, Some(0), "{output}");
    assert!(output.all().contains("the name `r1` in room below #41"), "{output}");
    assert!(site.writes().is_empty(), "{output}");
}

#[test]
fn a_place_that_cannot_be_is_refused_before_anything_is_sent() {
    let check = |spec: &str, expected: &str| {
        let site = site(&[document("x", spec)]);
        for command in [["validate", "--online"].as_slice(), &["plan"], &["apply", "-y"]] {
            let output = site.run(command);
            assert_eq!(output.code, Some(1), "{output}");
            assert!(output.stderr.contains(expected), "{command:?}: {output}");
        }
        assert!(site.writes().is_empty());
    };
    let named = "match: {bk_inst_name: x}";
    check(&format!("model: idc, {named}"), "error[P157]: a new instance of the layer `idc` needs `business`\n");
    check(
        &format!("model: room, business: demo, {named}"),
        "error[P157]: a new instance of the layer `room` needs `parent`, an instance of `idc`\n",
    );
    check(
        &format!("model: idc, business: demo, parent: {{model: idc, id: 41}}, {named}"),
        "error[P156]: instances of `idc` lie below the business itself\n",
    );
    check(
        &format!("model: room, business: demo, parent: {{model: bk_switch, id: 1}}, {named}"),
        "error[P156]: the parent of a `room` is an instance of `idc`, not of `bk_switch`\n",
    );
    check(
        &format!("model: bk_switch, business: demo, parent: {{model: idc, id: 41}}, {named}"),
        "error[P156]: `bk_switch` is no custom layer of the topology: its instances have no parent\n",
    );
    check(
        "model: idc, business: demo, match: {bk_inst_name: 深圳 机房}",
        "error[P158]: `bk_inst_name` of a custom layer takes neither white space nor any of",
    );
}

#[test]
fn a_parent_that_is_not_there_is_an_error() {
    let check = |parent: &str, expected: &str| {
        let spec = format!("model: room, business: demo, parent: {parent}, match: {{bk_inst_name: x}}");
        let site = site(&[document("x", &spec)]);
        let output = site.run(&["apply", "-y"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(expected), "{output}");
        assert!(site.writes().is_empty());
    };
    check("{model: idc, match: {bk_inst_name: nort}}", "error[P121]: no instance of `idc` in that business fits\n");
    check("{model: idc, id: 77}", "error[P121]: no instance of `idc` in that business fits\n");
    check("{ref: nobody}", "error[M012]: there is no Instance called `nobody`\n");
}

#[test]
fn a_parent_needs_a_business_and_a_match() {
    let check = |spec: &str, expected: &str| {
        let manifest = document("x", spec).replace("ensure: present, ", "");
        let output = Site::with(&state(), &[("one.yaml", &manifest)]).run(&["validate"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.all().contains(expected), "{output}");
    };
    check("model: room, parent: {model: idc, id: 41}, match: {bk_inst_name: x}", "M309");
    check("model: room, business: demo, parent: {model: idc, id: 41}, id: 51", "`parent` goes with `match`");
    check("model: room, business: demo, parent: north, match: {bk_inst_name: x}", "`parent` has to name an instance");
}

#[test]
fn a_layer_is_not_renamed_to_what_the_server_refuses() {
    let manifest = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: x}\nspec: {model: room, id: 51, fields: {bk_inst_name: r 1}}\n";
    let site = Site::with(&layered(&json!([])), &[("one.yaml", manifest)]);
    let output = site.run(&["apply", "-y"]);
    assert!(output.stderr.contains("error[P158]"), "{output}");
    assert!(site.writes().is_empty(), "{output}");
}

//! Spreadsheets of the platform's page become manifests.

use std::path::Path;

use rust_xlsxwriter::Workbook;
use serde_json::{Value, json};

use crate::harness::Site;

fn state() -> Value {
    let options = json!([{"id": "1", "name": "In use", "type": "text"}, {"id": "2", "name": "Spare", "type": "text"}]);
    let attribute = |id: usize, model: &str, name: &str, shown: &str, kind: &str, option: &Value| {
        json!({"id": id, "bk_obj_id": model, "bk_property_id": name, "bk_property_name": shown, "bk_property_type": kind,
            "editable": true, "isrequired": false, "ismultiple": true, "option": option})
    };
    let none = Value::Null;
    json!({"bk-cmdb": {
        "version": "3.14",
        "objects": [{"id": 1, "bk_obj_id": "node", "bk_obj_name": "Node", "bk_classification_id": "c"},
            {"id": 2, "bk_obj_id": "rack", "bk_obj_name": "Rack", "bk_classification_id": "c"}],
        "attributes": [
            attribute(1, "node", "bk_inst_name", "Name", "singlechar", &none),
            attribute(2, "node", "sn", "Serial number", "singlechar", &none),
            attribute(3, "node", "ports", "Ports", "int", &json!({"min": 1, "max": 96})),
            attribute(4, "node", "state", "State", "enum", &options),
            attribute(5, "node", "states", "States", "enummulti", &options),
            attribute(6, "node", "operator", "Operator", "objuser", &none),
            attribute(7, "node", "on", "On", "bool", &none),
            attribute(8, "node", "day", "Day", "date", &none),
            attribute(9, "node", "remark", "Remark", "longchar", &none),
            attribute(10, "rack", "bk_inst_name", "Name", "singlechar", &none),
        ],
        "object_associations": [{"id": 1, "bk_obj_asst_id": "node_in_rack", "bk_obj_id": "node", "bk_asst_obj_id": "rack",
            "bk_asst_id": "in", "mapping": "n:n"}],
        "instances": {
            "node": [
                {"bk_inst_id": 1, "bk_inst_name": "n1", "sn": "0042", "ports": 48, "state": "1", "states": ["1", "2"],
                    "operator": "alice,bob", "on": true, "day": "2024-02-29", "remark": "one\ntwo"},
                {"bk_inst_id": 2, "bk_inst_name": "n2", "sn": "", "ports": null, "state": "2", "states": [], "operator": "",
                    "on": false, "day": "", "remark": "=x"},
            ],
            "rack": [{"bk_inst_id": 9, "bk_inst_name": "r9"}],
        },
        "instance_associations": [{"id": 3, "bk_obj_asst_id": "node_in_rack", "bk_obj_id": "node", "bk_inst_id": 1,
            "bk_asst_obj_id": "rack", "bk_asst_inst_id": 9, "bk_asst_id": "in"}],
    }})
}

/// The columns of the page, the one with the ids first.
const COLUMNS: [&str; 10] =
    ["bk_inst_id", "bk_inst_name", "sn", "ports", "state", "states", "operator", "on", "day", "remark"];

/// Writes a file as the page does: names, types and ids of fields, three rows for tables in cells, then the rows.
fn write(path: &Path, rows: &[Vec<Value>], links: &[[&str; 4]]) {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet().set_name("node").expect("a name");
    for (row, label) in ["Field name", "Type", "Field ID", "Table name", "Table type", "Table ID"].iter().enumerate() {
        sheet.write(u32::try_from(row).expect("small"), 0, *label).expect("written");
    }
    for (at, id) in (1..).zip(COLUMNS) {
        sheet.write(0, at, id.to_uppercase()).expect("written");
        sheet.write(1, at, "text").expect("written");
        sheet.write(2, at, id).expect("written");
    }
    for (row, cells) in (6..).zip(rows) {
        for (at, cell) in (1..).zip(cells) {
            match cell {
                Value::String(text) => _ = sheet.write_string(row, at, text).expect("written"),
                Value::Bool(truth) => _ = sheet.write_boolean(row, at, *truth).expect("written"),
                Value::Number(number) => {
                    _ = sheet.write_number(row, at, number.as_f64().expect("a number")).expect("written");
                }
                _ => {}
            }
        }
    }
    let sheet = book.add_worksheet().set_name("association").expect("a name");
    for (at, label) in (0..).zip(["Association", "ID", "Operation", "Source", "Target"]) {
        sheet.write(0, at, label).expect("written");
        sheet.write(1, at, "an example").expect("written");
    }
    for (row, cells) in (2..).zip(links) {
        for (at, cell) in (1..).zip(cells) {
            sheet.write_string(row, at, *cell).expect("written");
        }
    }
    book.save(path).expect("a file can be written");
}

fn rows() -> Vec<Vec<Value>> {
    let row = |row: Value| row.as_array().expect("a list").clone();
    vec![
        row(json!([
            1,
            "n1",
            "0042",
            48,
            "In use",
            "In use\nSpare",
            "alice(Alice, A.),bob(Bob)",
            true,
            "2024-02-29",
            "one\ntwo"
        ])),
        row(json!([2, "n2", null, null, "Spare", null, null, false, null, "=x"])),
    ]
}

const LINKS: &[[&str; 4]] = &[["node_in_rack", "", "Name=n1,Serial number=0042", "Name=r9"]];

#[test]
fn the_sheet_of_a_model_plans_to_nothing_where_nothing_was_edited() {
    let site = Site::new(&state());
    write(&site.path().join("node.xlsx"), &rows(), LINKS);
    let output = site.run(&["import", "node.xlsx", "--model", "node"]);
    insta::assert_snapshot!(output, @r##"
    # row 7
    apiVersion: bk-cmdb/v1
    kind: Instance
    metadata:
      name: n1
    spec:
      model: node
      id: 1
      fields:
        bk_inst_name: n1
        sn: "0042"
        ports: 48
        state: In use
        states: [In use, Spare]
        operator: alice,bob
        "on": true
        day: "2024-02-29"
        remark: |-
          one
          two
    ---
    # row 8
    apiVersion: bk-cmdb/v1
    kind: Instance
    metadata:
      name: n2
    spec:
      model: node
      id: 2
      fields:
        bk_inst_name: n2
        state: Spare
        "on": false
        remark: "=x"
    ---
    # row 3 of the associations
    apiVersion: bk-cmdb/v1
    kind: InstanceAssociation
    metadata:
      name: n1-node_in_rack
    spec:
      association: node_in_rack
      source: {ref: n1}
      targets:
        - {model: rack, match: {bk_inst_name: r9}}
    ------- stderr -------
    3 documents made of 3 rows
    "##);
    let written = site.run(&["import", "node.xlsx", "--model", "node", "--out", "live"]);
    assert_eq!(written.code, Some(0), "{written}");
    let plan = site.run(&["plan", "live", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(0), "{plan}");
    assert!(site.writes().is_empty());
    // What was edited is what differs.
    let mut edited = rows();
    edited[0][3] = json!(24);
    edited.push(json!([null, "n3", "7", 12, "Spare"]).as_array().expect("a list").clone());
    write(&site.path().join("node.xlsx"), &edited, &[LINKS[0], ["node_in_rack", "add", "Name=n3", "Name=r9"]]);
    let written = site.run(&["import", "node.xlsx", "--model", "node", "--out", "edited"]);
    assert_eq!(written.code, Some(0), "{written}");
    let plan = site.run(&["plan", "edited", "-o", "json"]).json();
    let told: Vec<Value> = plan["changes"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| json!([change["action"], change["address"], change["fields"].as_array().map(Vec::len)]))
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["update", "Instance/n1", 1],
            ["create", "Instance/n3", 4],
            ["create", "InstanceAssociation/n3-node_in_rack → rack r9", 0]
        ])
    );
}

#[test]
fn what_is_wrong_is_told_by_sheet_row_and_column() {
    let site = Site::new(&state());
    let mut wrong = rows();
    wrong[0][3] = json!(1000);
    wrong[1][4] = json!("Gone");
    wrong.push(json!([null, "n1"]).as_array().expect("a list").clone());
    wrong.push(json!(["x", "n4"]).as_array().expect("a list").clone());
    wrong.push(json!([null, null, "7"]).as_array().expect("a list").clone());
    let links = [["none", "", "Name=n1", "Name=r9"], ["node_in_rack", "", "Nmae=n1", "r9"]];
    write(&site.path().join("node.xlsx"), &wrong, &links);
    let output = site.run(&["import", "node.xlsx", "--model", "node", "--out", "live"]);
    insta::assert_snapshot!(output, @r##"
    ------- stderr -------
    error: node.xlsx: sheet node, row 7, column E (ports): `ports` is at most 96, not 1000
    error: node.xlsx: sheet node, row 8, column F (state): `state` has no option `Gone`; it has 1 (In use), 2 (Spare)
    error: node.xlsx: sheet node, row 9, column C (bk_inst_name): the name `n1` is in row 7 too
    error: node.xlsx: sheet node, row 10, column B (bk_inst_id): the id of an instance is a whole number above 0
    error: node.xlsx: sheet node, row 11, column C (bk_inst_name): the instance has no name
    error: node.xlsx: sheet association, row 3, column B (association): no association between models is named `none`
    error: node.xlsx: sheet association, row 4, column D (source): no attribute of `node` is called `Nmae`
    error: node.xlsx: sheet association, row 4, column E (target): takes NAME=VALUE with commas between them, not `r9`
    nothing is written where a cell is wrong
    [exit status: 1]
    "##);
    assert!(!site.path().join("live").exists());
    site.write("no.xlsx", "hello");
    let output = site.run(&["import", "no.xlsx", "--model", "node"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("no.xlsx: it cannot be read"), "{output}");
    write(&site.path().join("node.xlsx"), &rows(), &[["node_in_rack", "delete", "Name=n1", "Name=r9"]]);
    let output = site.run(&["import", "node.xlsx", "--model", "node"]);
    assert!(output.stderr.contains("row 3, column C (operation): `delete` is not brought in"), "{output}");
}

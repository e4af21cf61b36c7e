use crate::{
    diagnostic::{Diagnostic, render},
    source::Sources,
    yaml::{Node, Section, boolean, integer, json, list, load, one_of, text},
};

/// Reads a text as the decoder of an imaginary kind would, and shows what it reports.
fn check(manifest: &str, decode: impl FnOnce(&Node<'_>, &mut Vec<Diagnostic>)) -> String {
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", manifest);
    let mut diagnostics = Vec::new();
    if let Some(document) = load(file, manifest, &mut diagnostics).first() {
        decode(&document.root, &mut diagnostics);
    }
    render::text(&diagnostics, &sources, false, 120)
}

fn decode(node: &Node<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let Some(section) = Section::open(node, "spec of Switch", diagnostics) else { return };
    if let Some(node) = section.require("model", diagnostics) {
        text(node, "model", diagnostics);
    }
    if let Some(node) = section.get("port") {
        integer(node, "port", diagnostics);
    }
    if let Some(node) = section.get("protect") {
        boolean(node, "protect", diagnostics);
    }
    if let Some(node) = section.get("ensure") {
        one_of(node, "ensure", &["existing", "present"], diagnostics);
    }
    if let Some(node) = section.get("rows") {
        list(node, "rows", diagnostics);
    }
    if let Some(node) = section.get("fields") {
        json(node, "fields", diagnostics);
    }
    section.finish(diagnostics);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let manifest = "modle: 交换机\nport: \"80\"\nprotect: 'yes'\nensure: presnt\nrows: {a: 1}\nfields: {n: [99999999999999999999, .inf]}\n颜色: 红\n";
    insta::assert_snapshot!(check(manifest, decode), @r#"
    error[Y202]: unknown key `modle` in spec of Switch
     --> a.yaml:1:1
      |
    1 | modle: 交换机
      | ^^^^^
      |
      = help: did you mean `model`?

    error[Y205]: port has to be a whole number, not a text
     --> a.yaml:2:7
      |
    2 | port: "80"
      |       ^^^^
      |
      = help: without quotes it is one: 80

    error[Y206]: protect has to be true or false, not a text
     --> a.yaml:3:10
      |
    3 | protect: 'yes'
      |          ^^^^^
      |
      = help: write true

    error[Y207]: ensure cannot be `presnt`
     --> a.yaml:4:9
      |
    4 | ensure: presnt
      |         ^^^^^^
      |
      = help: did you mean `present`?

    error[Y208]: rows has to be a list, not a mapping
     --> a.yaml:5:7
      |
    5 | rows: {a: 1}
      |       ^^^^^^

    error[Y209]: fields is too large: 99999999999999999999 does not fit 64 bits
     --> a.yaml:6:14
      |
    6 | fields: {n: [99999999999999999999, .inf]}
      |              ^^^^^^^^^^^^^^^^^^^^
      |
      = help: write "99999999999999999999" for the text

    error[Y209]: fields cannot be .inf
     --> a.yaml:6:36
      |
    6 | fields: {n: [99999999999999999999, .inf]}
      |                                    ^^^^

    error[Y202]: unknown key `颜色` in spec of Switch
     --> a.yaml:7:1
      |
    7 | 颜色: 红
      | ^^^^
      |
      = help: known keys: ensure, fields, model, port, protect, rows
    "#);
}

#[test]
fn values_of_the_wrong_shape() {
    insta::assert_snapshot!(check("model:\nport: 99999999999999999999\nprotect: 1\nensure: [a]\nrows:\n", decode), @r"
    error[Y204]: model has to be a text, not empty
     --> a.yaml:1:1
      |
    1 | model:
      | ^^^^^

    error[Y205]: port is too large: 99999999999999999999 does not fit 64 bits
     --> a.yaml:2:7
      |
    2 | port: 99999999999999999999
      |       ^^^^^^^^^^^^^^^^^^^^

    error[Y206]: protect has to be true or false, not the number 1
     --> a.yaml:3:10
      |
    3 | protect: 1
      |          ^

    error[Y204]: ensure has to be a text, not a list
     --> a.yaml:4:9
      |
    4 | ensure: [a]
      |         ^^^

    error[Y208]: rows has to be a list, not empty
     --> a.yaml:5:1
      |
    5 | rows:
      | ^^^^
    ");
    insta::assert_snapshot!(check("- model\n", decode), @r"
    error[Y201]: spec of Switch has to be a mapping, not a list
     --> a.yaml:1:1
      |
    1 | - model
      | ^^^^^^^
    ");
    insta::assert_snapshot!(check("model: 010\nport: 0x10\nprotect: TRUE\nensure: \"present\"\nrows: []\n", decode), @r#"
    warning[Y102]: `010` is a decimal number here, and an octal one to older readers
     --> a.yaml:1:8
      |
    1 | model: 010
      |        ^^^
      |
      = help: write "010" for the text, or drop the zero
    "#);
}

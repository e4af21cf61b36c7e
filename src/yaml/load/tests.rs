use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use super::load;
use crate::{
    diagnostic::Diagnostic,
    source::Sources,
    yaml::{Content, Node},
};

/// Shows the documents as JSON, then the messages with their places.
fn show(text: &str) -> String {
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", text);
    let mut diagnostics = Vec::new();
    let documents = load(file, text, &mut diagnostics);
    let mut shown = String::new();
    for document in documents {
        let mark = if document.sound { "" } else { " (not sound)" };
        let _ = writeln!(shown, "{} {}{mark}", sources.position(&document.origin), document.root.to_json());
    }
    for diagnostic in diagnostics {
        let _ = writeln!(shown, "{}", one_line(&diagnostic, &sources));
    }
    shown
}

fn one_line(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let mut line = format!("{} {}", diagnostic.code, diagnostic.message);
    for label in &diagnostic.labels {
        let text = &sources.text(label.origin.file)[label.origin.range()];
        let _ = write!(line, " | {} {:?} {}", sources.position(&label.origin), text, label.text);
    }
    if let Some(hint) = &diagnostic.hint {
        let _ = write!(line, " | hint: {hint}");
    }
    line
}

/// Shows every node with the text that its place cuts out.
fn places(text: &str) -> String {
    fn walk(node: &Node<'_>, text: &str, depth: usize, shown: &mut String) {
        let _ = writeln!(shown, "{}{:?}", "  ".repeat(depth), &text[node.origin.range()]);
        match &node.content {
            Content::Scalar(_) => {}
            Content::Sequence(items) => items.iter().for_each(|item| walk(item, text, depth + 1, shown)),
            Content::Mapping(entries) => {
                for (key, value) in entries {
                    walk(key, text, depth + 1, shown);
                    walk(value, text, depth + 2, shown);
                }
            }
        }
    }
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", text);
    let mut diagnostics = Vec::new();
    let mut shown = String::new();
    for document in load(file, text, &mut diagnostics) {
        walk(&document.root, text, 0, &mut shown);
    }
    shown
}

#[test]
fn scalars_and_styles() {
    insta::assert_snapshot!(show(
        "a: 1\nb: '1'\nc: \"x\\ty\"\nd: |\n  one\n  two\ne: >-\n  one\n  two\nf:\ng: ~\nh: {i: [1.5, true, null]}\nj: 99999999999999999999\n"
    ));
}

#[test]
fn places_are_bytes_of_the_text() {
    insta::assert_snapshot!(places(
        "\u{feff}名: 交换机 x\r\nk:\r\nz: {q: [1, '二'], w: 'it''s'}\r\nm:\r\n  c: |\r\n    text\r\n    more\r\n\r\nlast: !!str 5\r\nl:\r\n- a\r\n- b: c\r\n\r\n"
    ));
}

#[test]
fn many_documents_and_empty_ones() {
    insta::assert_snapshot!(show("---\n# nothing\n---\na: 1\n---\n...\n---\n- 2\n--- 3\n"));
}

#[test]
fn a_syntax_error_costs_its_document() {
    insta::assert_snapshot!(show("a: b: c\n---\nok: 1\n---\n[1, 2\n---\nx: 'open\n"));
    insta::assert_snapshot!(show("名称: 交换机: x\n---\nv: [${A}]\n---\na:\n\tb: 1\n---\na: @b\n"));
}

#[test]
fn aliases() {
    insta::assert_snapshot!(show("a: &x {k: [1]}\nb: *x\nc: *y\nd: &z\n  e: *z\n---\nf: *x\n"));
}

#[test]
fn an_alias_lies_where_it_stands() {
    insta::assert_snapshot!(places("a: &x {k: v}\nb: *x\n"));
}

#[test]
fn merges() {
    insta::assert_snapshot!(show(
        "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: *a\n  x: 9\nd: {<<: [*a, *b]}\ne: {'<<': 1}\nf: {<<: 5}\ng: {<<: [*a, 5]}\nh: {<<: *a, <<: *b}\n"
    ));
}

#[test]
fn keys() {
    insta::assert_snapshot!(show("a: 1\n\"a\": 2\nb: {c: 1, c: 2, c: 3}\n? [x]\n: y\n: z\n{q: 1}: 2\n"));
    let many: String = (0..40).map(|at| format!("k{}: {at}\n", at % 39)).collect();
    insta::assert_snapshot!(show(&many).lines().last().unwrap_or_default());
}

#[test]
fn tags() {
    insta::assert_snapshot!(show(
        "a: !!str 1\nb: !!int \"2\"\nc: !!float 3\nd: !!bool x\ne: !secret f\ng: ! 4\nh: !!map {}\ni: !!seq {}\nj: !!set {k}\nl: !!null ''\n"
    ));
}

#[test]
fn doubtful_scalars() {
    insta::assert_snapshot!(show("a: no\nb: 'no'\non: 010\nc: [22:22, On]\nd: !!str off\n"));
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='z').zip('a'..) {
        let _ = writeln!(bomb, "{name}: &{name} [{}]", [format!("*{before}"); 9].map(String::from).join(", "));
    }
    insta::assert_snapshot!(show(&(bomb + "---\nok: 1\n")));
    insta::assert_snapshot!(show(&("[".repeat(10_000) + "\n---\nok: 1\n")));
    let nested = format!("a: &a {}{}\nb: {}*a{}\n", "[".repeat(60), "]".repeat(60), "[".repeat(60), "]".repeat(60));
    insta::assert_snapshot!(show(&nested));
}

fn tree() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "\\PC{0,12}",
        "[ -~]{0,12}",
        prop::sample::select(vec![
            "no",
            "on",
            "010",
            "22:22",
            "~",
            "<<",
            "1e3",
            "0x1f",
            "# a",
            "a: b",
            "- a",
            "交换机"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..5).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(tree in tree()) {
        let text = serde_saphyr::to_string(&tree).expect("a tree can be written");
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", text.as_str());
        let mut diagnostics = Vec::new();
        let documents = load(file, &text, &mut diagnostics);
        prop_assert!(!diagnostics.iter().any(Diagnostic::is_error), "{diagnostics:?}\n{text}");
        let read: Vec<Value> = documents.iter().map(|document| document.root.to_json()).collect();
        prop_assert_eq!(read, if tree.is_null() && documents.is_empty() { vec![] } else { vec![tree] }, "{}", text);
    }

    #[test]
    fn nothing_panics(text in "(?s)([ \\n\\t:,&*a1'\"|>!{}<?%@`#~$\\[\\]\\-]|\\PC|---\\n|\r\n|\u{feff}){0,40}") {
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", text.as_str());
        let mut diagnostics = Vec::new();
        for document in load(file, &text, &mut diagnostics) {
            prop_assert!(text.get(document.origin.range()).is_some());
            prop_assert!(text.get(document.root.origin.range()).is_some());
        }
        for diagnostic in diagnostics {
            for label in diagnostic.labels {
                prop_assert!(text.get(label.origin.range()).is_some(), "{}", diagnostic.message);
                sources.position(&label.origin);
            }
        }
    }
}

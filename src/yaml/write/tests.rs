use proptest::prelude::*;

use super::*;
use crate::{
    source::Sources,
    yaml::{Content, Node, load},
};

/// Reads a text that has one document without mistakes.
fn read(text: &str, check: impl FnOnce(&Node<'_>)) {
    let mut sources = Sources::default();
    let file = sources.add("written.yaml", text);
    let mut diagnostics = Vec::new();
    let documents = load(file, sources.text(file), &mut diagnostics);
    // Decomposed characters cost a warning.
    assert!(!diagnostics.iter().any(crate::diagnostic::Diagnostic::is_error), "{text}\n{diagnostics:?}");
    assert_eq!(documents.len(), 1, "{text}");
    check(&documents[0].root);
}

#[test]
fn quotes_stand_where_a_text_would_be_read_otherwise() {
    let check = |text: &str, block: &str, flow: &str| {
        assert_eq!((scalar(text, false).as_str(), scalar(text, true).as_str()), (block, flow));
    };
    check("core-sw-1.sz", "core-sw-1.sz", "core-sw-1.sz");
    check("深圳-机柜-08", "深圳-机柜-08", "深圳-机柜-08");
    check("alice,bob", "alice,bob", "\"alice,bob\"");
    check("In use (new)", "In use (new)", "In use (new)");
    check("/opt/nginx", "/opt/nginx", "/opt/nginx");
    check("", "\"\"", "\"\"");
    check("42", "\"42\"", "\"42\"");
    check("010", "\"010\"", "\"010\"");
    check("1e3", "\"1e3\"", "\"1e3\"");
    check("10.0.0.1", "10.0.0.1", "10.0.0.1");
    check("2024-02-28", "\"2024-02-28\"", "\"2024-02-28\"");
    check("true", "\"true\"", "\"true\"");
    check("Null", "\"Null\"", "\"Null\"");
    check("no", "\"no\"", "\"no\"");
    check("- a", "\"- a\"", "\"- a\"");
    check("a: b", "\"a: b\"", "\"a: b\"");
    check("a #b", "\"a #b\"", "\"a #b\"");
    check("a ", "\"a \"", "\"a \"");
    check("...", "\"...\"", "\"...\"");
    check("a\tb\n", "\"a\\tb\\n\"", "\"a\\tb\\n\"");
    check("say \"hi\"", "\"say \\\"hi\\\"\"", "\"say \\\"hi\\\"\"");
    check(
        "a\u{200b}b\u{feff}\u{e0001}\u{7f}",
        "\"a\\u200bb\\ufeff\\U000e0001\\x7f\"",
        "\"a\\u200bb\\ufeff\\U000e0001\\x7f\"",
    );
}

#[test]
fn trees_are_written_for_people() {
    let text = |text: &str| Tree::text(text);
    let entries = [
        Entry::new("model", text("bk_switch")),
        Entry::new("match", Tree::Flow(vec![("bk_inst_name".to_owned(), text("a,b"))])).note("#17"),
        Entry::new("nothing", Tree::Map(Vec::new())),
        Entry::new(
            "fields",
            Tree::Map(vec![
                Entry::new("status", text("2")).note("In use"),
                Entry::new("ports", Tree::Plain("48".to_owned())),
                Entry::new("users", Tree::List(vec![text("alice"), text("b c")])),
                Entry::new("remark", text("first\n\n  second\n")),
                Entry::new("last", text("first\nsecond")),
                Entry::new("odd", text(" first\nsecond")),
            ]),
        ),
        Entry::new("rows", Tree::List(vec![Tree::Flow(vec![("port".to_owned(), text("80"))])])),
    ];
    insta::assert_snapshot!(write(&entries, 2), @r#"
      model: bk_switch
      match: {bk_inst_name: "a,b"}  # #17
      nothing: {}
      fields:
        status: "2"  # In use
        ports: 48
        users: [alice, b c]
        remark: |
          first

            second
        last: |-
          first
          second
        odd: " first\nsecond"
      rows:
        - {port: "80"}
    "#);
}

/// Texts of letters that mean something to YAML or do not show, beside any others.
fn any_text() -> impl Strategy<Value = String> {
    let odd = "[ a0:#\\-?'\"\\\\\\[\\]{},&*!|>%@`\n\r\t\u{85}\u{a0}\u{2028}\u{feff}\u{200b}\u{301}机~.=$<]{0,12}";
    prop_oneof![odd, any::<String>(), "[a-z0-9.:-]{0,6}", Just("null".to_owned()), Just("~".to_owned())]
}

proptest! {
    #[test]
    fn any_text_comes_back(value in any_text(), key in any_text(), note in any_text()) {
        let expect = |node: &Node<'_>| match &node.content {
            Content::Scalar(scalar) => assert_eq!((scalar.typed(), &*scalar.text), (Typed::Text(&value), &*value)),
            _ => panic!("it is {}", node.describe()),
        };
        let tree = || Tree::Text(value.clone());
        let entries = [
            Entry::new(format!("k{key}"), tree()).note(note.clone()),
            Entry::new("list", Tree::List(vec![tree(), tree()])).note(note.clone()),
            Entry::new("map", Tree::Map(vec![Entry::new("in", tree()).note(note)])),
            Entry::new("flow", Tree::Flow(vec![(format!("f{key}"), tree())])),
            Entry::new("rows", Tree::List(vec![Tree::Flow(vec![("c".to_owned(), tree())])])),
        ];
        let text = format!("top:\n{}", write(&entries, 2));
        read(&text, |root| {
            let top = root.get("top").expect("it has it");
            expect(top.get(&format!("k{key}")).expect("a key"));
            top.get("list").expect("a list").items().iter().for_each(expect);
            expect(top.get("map").and_then(|map| map.get("in")).expect("a key"));
            expect(top.get("flow").and_then(|map| map.get(&format!("f{key}"))).expect("a key"));
            expect(top.get("rows").and_then(|rows| rows.items()[0].get("c")).expect("a key"));
        });
    }
}

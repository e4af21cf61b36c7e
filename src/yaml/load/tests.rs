use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::Value;

use super::{load, parse, simple};
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
    ), @r#"a.yaml:1:1 {"a":1,"b":"1","c":"x\ty","d":"one\ntwo\n","e":"one two","f":null,"g":null,"h":{"i":[1.5,true,null]},"j":"99999999999999999999"}"#);
}

#[test]
fn places_are_bytes_of_the_text() {
    insta::assert_snapshot!(places(
        "\u{feff}名: 交换机 x\r\nk:\r\nz: {q: [1, '二'], w: 'it''s'}\r\nm:\r\n  c: |\r\n    text\r\n    more\r\n\r\nlast: !!str 5\r\nl:\r\n- a\r\n- b: c\r\n\r\n"
    ), @r#"
    "名: 交换机 x\r\nk:\r\nz: {q: [1, '二'], w: 'it''s'}\r\nm:\r\n  c: |\r\n    text\r\n    more\r\n\r\nlast: !!str 5\r\nl:\r\n- a\r\n- b: c"
      "名"
        "交换机 x"
      "k"
        "k"
      "z"
        "{q: [1, '二'], w: 'it''s'}"
          "q"
            "[1, '二']"
              "1"
              "'二'"
          "w"
            "'it''s'"
      "m"
        "c: |\r\n    text\r\n    more"
          "c"
            "text\r\n    more"
      "last"
        "5"
      "l"
        "a\r\n- b: c"
          "a"
          "b: c"
            "b"
              "c"
    "#);
}

#[test]
fn many_documents_and_empty_ones() {
    insta::assert_snapshot!(show("---\n# nothing\n---\na: 1\n---\n...\n---\n- 2\n--- 3\n"), @r#"
    a.yaml:4:1 {"a":1}
    a.yaml:8:1 [2]
    a.yaml:9:5 3
    "#);
}

#[test]
fn a_syntax_error_costs_its_document() {
    insta::assert_snapshot!(show("a: b: c\n---\nok: 1\n---\n[1, 2\n---\nx: 'open\n"), @r#"
    a.yaml:3:1 {"ok":1}
    Y001 mapping values are not allowed in this context | a.yaml:1:5 ":"  | hint: put a text that holds `: ` in quotes; check the indentation
    Y001 unclosed bracket '[' | a.yaml:5:1 "[" 
    Y001 unclosed quote | a.yaml:7:4 "'"
    "#);
    insta::assert_snapshot!(show("名称: 交换机: x\n---\nv: [${A}]\n---\na:\n\tb: 1\n---\na: @b\n"), @r#"
    Y001 mapping values are not allowed in this context | a.yaml:1:8 ":"  | hint: put a text that holds `: ` in quotes; check the indentation
    Y001 while parsing a flow sequence, expected ',' or ']' | a.yaml:3:6 "{"  | hint: within [] and {} a variable has to be quoted: "${NAME}"; that makes it a text, so put a number on a line of its own
    Y001 tabs disallowed within this context (block indentation) | a.yaml:6:2 "b"  | hint: indent with spaces
    Y001 unexpected character: `@' | a.yaml:8:4 "@"  | hint: put the text in quotes
    "#);
}

#[test]
fn aliases() {
    insta::assert_snapshot!(show("a: &x {k: [1]}\nb: *x\nc: *y\nd: &z\n  e: *z\n---\nf: *x\n"), @r#"
    a.yaml:1:1 {"a":{"k":[1]},"b":{"k":[1]},"c":null,"d":{"e":null}} (not sound)
    a.yaml:7:1 {"f":null} (not sound)
    Y002 no anchor `&y` before this alias | a.yaml:3:4 "*y" 
    Y003 this alias stands for a node that it lies in | a.yaml:5:6 "*z" 
    Y002 no anchor `&x` before this alias | a.yaml:7:4 "*x"  | hint: anchors end with their document, at `---`
    "#);
}

#[test]
fn an_alias_lies_where_it_stands() {
    insta::assert_snapshot!(places("a: &x {k: v}\nb: *x\n"), @r#"
    "a: &x {k: v}\nb: *x"
      "a"
        "{k: v}"
          "k"
            "v"
      "b"
        "*x"
          "k"
            "v"
    "#);
}

#[test]
fn merges() {
    insta::assert_snapshot!(show(
        "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: *a\n  x: 9\nd: {<<: [*a, *b]}\ne: {'<<': 1}\nf: {<<: 5}\ng: {<<: [*a, 5]}\nh: {<<: *a, <<: *b}\n"
    ), @r#"
    a.yaml:1:1 {"a":{"x":1,"y":2},"b":{"y":3,"z":4},"c":{"x":9,"y":2},"d":{"x":1,"y":2,"z":4},"e":{"<<":1},"f":{},"g":{"x":1,"y":2},"h":{"x":1,"y":2}} (not sound)
    Y008 `<<` takes a mapping or a list of mappings | a.yaml:8:9 "5" 
    Y008 `<<` takes a mapping or a list of mappings | a.yaml:9:14 "5" 
    Y006 the key `<<` is written twice | a.yaml:10:13 "<<" again | a.yaml:10:5 "<<" first written here
    "#);
}

#[test]
fn keys() {
    insta::assert_snapshot!(show("a: 1\n\"a\": 2\nb: {c: 1, c: 2, c: 3}\n? [x]\n: y\n: z\n{q: 1}: 2\n"), @r#"
    a.yaml:1:1 {"a":1,"b":{"c":1}} (not sound)
    Y006 the key `c` is written twice | a.yaml:3:11 "c" again | a.yaml:3:5 "c" first written here
    Y006 the key `c` is written twice | a.yaml:3:17 "c" again | a.yaml:3:5 "c" first written here
    Y007 a key has to be a text | a.yaml:4:3 "[x]"  | hint: a text that begins with [ or { has to be quoted
    Y011 a key is missing before `:` | a.yaml:6:1 "" 
    Y007 a key has to be a text | a.yaml:7:1 "{q: 1}"  | hint: a text that begins with [ or { has to be quoted
    Y006 the key `a` is written twice | a.yaml:2:1 "\"a\"" again | a.yaml:1:1 "a" first written here
    "#);
    let many = (0..40).map(|at| format!("k{}: {at}", at % 39)).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(show(&many).lines().last().unwrap_or_default(), @r#"Y006 the key `k0` is written twice | a.yaml:40:1 "k0" again | a.yaml:1:1 "k0" first written here"#);
}

#[test]
fn tags() {
    insta::assert_snapshot!(show(
        "a: !!str 1\nb: !!int \"2\"\nc: !!float 3\nd: !!bool x\ne: !secret f\ng: ! 4\nh: !!map {}\ni: !!seq {}\nj: !!set {k}\nl: !!null ''\n"
    ), @r#"
    a.yaml:1:1 {"a":"1","b":2,"c":3,"d":"x","e":"f","g":"4","h":{},"i":{},"j":{"k":null},"l":null} (not sound)
    Y010 this value is not what its tag `!!bool` says | a.yaml:4:4 "!!bool" 
    Y009 unknown tag `!secret` | a.yaml:5:4 "!secret"  | hint: known are !!str, !!int, !!float, !!bool, !!null, !!seq and !!map
    Y010 this value is not what its tag `!!seq` says | a.yaml:8:4 "!!seq" 
    Y009 unknown tag `!!set` | a.yaml:9:4 "!!set"  | hint: known are !!str, !!int, !!float, !!bool, !!null, !!seq and !!map
    "#);
}

#[test]
fn doubtful_scalars() {
    insta::assert_snapshot!(show("a: no\nb: 'no'\non: 010\nc: [22:22, On]\nd: !!str off\n"), @r#"
    a.yaml:1:1 {"a":"no","b":"no","c":["22:22","On"],"d":"off","on":10}
    Y101 `no` is a text, not a truth value | a.yaml:1:4 "no"  | hint: write true or false, or "no" to say that the text is meant
    Y102 `010` is a decimal number here, and an octal one to older readers | a.yaml:3:5 "010"  | hint: write "010" for the text, or drop the zero
    Y103 `22:22` is a text here, and a number to the base of 60 to older readers | a.yaml:4:5 "22:22"  | hint: write "22:22"
    Y101 `On` is a text, not a truth value | a.yaml:4:12 "On"  | hint: write true or false, or "On" to say that the text is meant
    "#);
}

#[test]
fn json_is_yaml() {
    let text = "{\n\t\"a\": [1,2,\"\\u4e2d\\\"\"],\n\t\"b\":{\"c\":null,\"d\":true},\n\t\"e\": \"https:\\/\\/x\"\n}\n";
    insta::assert_snapshot!(show(text), @r#"a.yaml:1:1 {"a":[1,2,"中\""],"b":{"c":null,"d":true},"e":"https://x"}"#);
    let long = format!("{{\"{}\": \"{}\"}}", "k".repeat(900), "v".repeat(100_000));
    assert_eq!(show(&long).lines().count(), 1);
}

#[test]
fn bombs_are_refused() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, before) in ('b'..='z').zip('a'..) {
        let _ = writeln!(bomb, "{name}: &{name} [{}]", vec![format!("*{before}"); 9].join(", "));
    }
    insta::assert_snapshot!(show(&(bomb + "---\nok: 1\n")), @r#"
    a.yaml:28:1 {"ok":1}
    Y004 the aliases of this file stand for too many values | a.yaml:5:7 "[*d, *d, *d, *d, *d, *d, *d, *d, *d]"
    "#);
    insta::assert_snapshot!(show(&("[".repeat(10_000) + "\n---\nok: 1\n")), @r#"
    a.yaml:3:1 {"ok":1}
    Y005 lists and mappings are nested more than 100 deep | a.yaml:1:101 "["
    "#);
    let nested = format!("a: &a {}{}\nb: {}*a{}\n", "[".repeat(60), "]".repeat(60), "[".repeat(60), "]".repeat(60));
    insta::assert_snapshot!(show(&nested), @r#"Y005 lists and mappings are nested more than 100 deep | a.yaml:2:64 "*a""#);
}

fn tree() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["\\PC{0,12}", "[ -~]{0,12}", "no|on|010|22:22|~|<<|1e3|0x1f|# a|a: b|- a|交换机",];
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

/// Lines with most of what YAML has, simple and not.
const LINES: &str = "k: v;a: 1;b:;- x;- k: v;-;- ;# c;;---;'q': \"r\";c: [1, a b];d: {x: y, z: [w, '1']};e: 'it''s';f: a #c;\
    g: a#c;h: |;i: >-;text;k:  v  ;名: 值;j: -5;l: - x;m: \"a\\n\";n: http://x:80/;o: a: b;p: ~;- - x;? q;- &a x;r: *a;\
    ...;%YAML 1.2;s: [a, b;];- [x]: y;t: yes;\tu: 1;w: 1\r;{x: y};--- x;aa: [];bb: {};cc: {x: 1, x: 2};dd: ${A};k : v;\
    ee: [${A}];ff: \u{1};gg: \u{feff};hh: \"\";ii: ';jj: [a:b, c:1];kk: [-1, - 1];ll: {a: b c, 'd': \"e\"};- {a: b};\
    - [1];- 'x';- \"x\": 1;mm: e\u{301};nn: 010;oo: {{ .Values.x }};'<<': {y: 1};<<: {y: 1};---#;--- ;- x: y: z;- # c;\
    pp: # c;qq:\t1;rr: !!str 1;- x #y;'ss' : 1;tt: 'a'b;uu: [a]b;vv: [a] #c;ww: [a]#c;xx: \u{2028};yy: {a: 1}: 2;? ";

fn lines() -> impl Strategy<Value = String> {
    let kinds: Vec<&str> = LINES.split(';').collect();
    let simple = prop::sample::select(kinds[..17].to_vec());
    let line = prop_oneof![4 => simple, 1 => prop::sample::select(kinds)];
    let indent = prop_oneof![3 => Just(0_usize), 2 => Just(2), 1 => 0..6_usize];
    let lines = prop::collection::vec((indent, line), 0..14);
    (lines, any::<bool>()).prop_map(|(lines, is_ended)| {
        let lines: Vec<String> = lines.into_iter().map(|(indent, line)| " ".repeat(indent) + line).collect();
        lines.join("\n") + if is_ended { "\n" } else { "" }
    })
}

/// Reads a text in both ways and compares the trees, the places and the messages.
fn compare(text: &str) -> Result<(), TestCaseError> {
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", text);
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    let documents = load(file, text, &mut found);
    let parsed = parse(file, text, 0..text.len(), &mut expected);
    prop_assert_eq!(documents, parsed, "{}", text);
    prop_assert_eq!(found, expected, "{}", text);
    Ok(())
}

#[test]
fn manifests_are_read_without_the_parser() {
    let text = "# two racks\n---\napiVersion: bk-cmdb/v1\nkind: Instance\nmetadata:\n  name: 机柜-1 # the first\n  labels: {a: b}\n\
                spec:\n  match: {bk_inst_name: \"r 1\"}\n  fields:\n    units: 42\n    tags: [a, b]\n    rows:\n    - a: 1\n      b: ''\n    - x\n\n---\na:\n";
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", text);
    let read = simple::documents(file, text, &mut Vec::new(), |range, _| panic!("it parses {range:?}"));
    assert_eq!(read.map(|documents| documents.len()), Some(2));
    compare(text).expect("both ways agree");
    let mixed = format!("{text}---\na: |\n  x\n--- \nb: no\n---\n{text}");
    compare(&mixed).expect("both ways agree");
    assert_eq!(show(&mixed).lines().count(), 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 2_000 } else { 200_000 }))]

    #[test]
    fn both_ways_of_reading_agree(text in lines()) {
        compare(&text)?;
    }
}

proptest! {
    #[test]
    fn both_ways_agree_on_what_is_written(tree in tree()) {
        compare(&serde_saphyr::to_string(&tree).expect("a tree can be written"))?;
    }

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
        compare(&text)?;
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

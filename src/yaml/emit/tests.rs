use proptest::prelude::*;

use super::*;
use crate::{
    source::{Origin, Sources},
    yaml::{Scalar, load},
};

/// Returns the written form of a text, with a note behind each scalar that holds `!`.
fn again(text: &str) -> String {
    let mut sources = Sources::default();
    let file = sources.add("a.yaml", text);
    let mut diagnostics = Vec::new();
    let documents = load(file, text, &mut diagnostics);
    let note = |node: &Node<'_>| node.as_text().filter(|text| text.contains('!')).map(|_| "noted".to_owned());
    documents.iter().map(|document| emit(&document.root, &note)).collect()
}

#[test]
fn documents_are_written_in_block_style() {
    let check = |text: &str, expected: &str| assert_eq!(again(text), expected, "{text}");
    check("{a: {b: [1, x], c: {}}, d: []}", "a:\n  b:\n    - 1\n    - x\n  c: {}\nd: []\n");
    check("- {a: 1, b: [[2]]}\n- [3, {c: 4}]", "- a: 1\n  b:\n    - - 2\n- - 3\n  - c: 4\n");
    // The text of a number may matter: as a version it is another one without the zero.
    check("a: 1.10\nb: 0x1F\nc: ~\nd:\ne: TRUE\n", "a: 1.10\nb: 0x1F\nc: null\nd: null\ne: TRUE\n");
    check(
        "a: \"1\"\nb: 'true'\nc: 'no'\nd: '12:30'\ne: ''\n",
        "a: \"1\"\nb: \"true\"\nc: \"no\"\nd: \"12:30\"\ne: \"\"\n",
    );
    check("a: 'x: y'\nb: '# z'\nc: 核心 交换机\n", "a: \"x: y\"\nb: \"# z\"\nc: 核心 交换机\n");
    check("a: |\n  one\n\n  two\nb: |-\n  x\n  y\n", "a: |\n  one\n\n  two\nb: |-\n  x\n  y\n");
    check("a: \"tab\\t\\u0007\"\n", "a: \"tab\\t\\x07\"\n");
    check("a: well!\nb: [oh!]\n\"1\": x\n", "a: well!  # noted\nb:\n  - oh!  # noted\n\"1\": x\n");
}

fn tree() -> impl Strategy<Value = Node<'static>> {
    let origin = || {
        let mut sources = Sources::default();
        Origin::new(sources.add("x", ""), 0..0)
    };
    let text = prop_oneof![
        "[ -~]{0,8}",
        "[a-z0-9\\-:#'\"\\\\|>&*!%@`\\[\\]{},?\n\t ~]{0,12}",
        "\\PC{0,6}",
        "[0-9.:eE+x_-]{1,6}",
        Just("null".to_owned()),
        Just("a\u{85}b\u{2028}\n".to_owned()),
        Just("\u{feff}x\ny".to_owned()),
    ];
    let scalar = (text, any::<bool>()).prop_map(move |(text, plain)| {
        // A reader finds no other plain scalars.
        let plain = plain && !matches!(Scalar { text: (&*text).into(), plain }.typed(), Typed::Text(_));
        Node { origin: origin(), content: Content::Scalar(Scalar { text: text.into(), plain }) }
    });
    scalar.prop_recursive(4, 24, 4, move |inner| {
        let list = prop::collection::vec(inner.clone(), 0..4).prop_map(Content::Sequence);
        let mapping = prop::collection::btree_map("[a-z :#\n\"-]{1,5}", inner, 0..4).prop_map(move |entries| {
            let key = |text: String| Node {
                origin: origin(),
                content: Content::Scalar(Scalar { text: text.into(), plain: false }),
            };
            Content::Mapping(entries.into_iter().map(|(text, value)| (key(text), value)).collect())
        });
        prop_oneof![list, mapping].prop_map(move |content| Node { origin: origin(), content })
    })
}

/// Returns a tree as something that can be compared: texts with what they mean.
fn meaning(node: &Node<'_>) -> String {
    match &node.content {
        Content::Scalar(scalar) => match scalar.typed() {
            Typed::Null => "null".to_owned(),
            Typed::Text(text) => format!("text {text:?}"),
            Typed::Bool(_) | Typed::Int(_) | Typed::BigInt(_) | Typed::Float(_) => format!("plain {}", scalar.text),
        },
        Content::Sequence(items) => format!("{:?}", items.iter().map(meaning).collect::<Vec<_>>()),
        Content::Mapping(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.key().to_owned(), meaning(value)));
            format!("{:?}", entries.collect::<Vec<_>>())
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_as_the_same(node in tree(), is_noted in any::<bool>()) {
        let text = emit(&node, &|_| is_noted.then(|| "a note".to_owned()));
        let mut sources = Sources::default();
        let file = sources.add("a.yaml", text.as_str());
        let mut diagnostics = Vec::new();
        let documents = load(file, &text, &mut diagnostics);
        let errors: Vec<_> = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).collect();
        prop_assert!(errors.is_empty(), "{text}\n{errors:?}");
        let read: Vec<String> = documents.iter().map(|document| meaning(&document.root)).collect();
        let expected = if matches!(node.typed(), Some(Typed::Null)) && documents.is_empty() {
            Vec::new()
        } else {
            vec![meaning(&node)]
        };
        prop_assert_eq!(read, expected, "{}", text);
    }
}

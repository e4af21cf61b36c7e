use super::*;

/// Writes a value over the only text `OLD` of a file and returns the file.
fn written(path: &str, text: &str, old: &str, value: &Tree) -> Result<String, EditError> {
    let (mut sources, mut problems) = (Sources::default(), Vec::new());
    let file = sources.add(path, text);
    let documents = yaml::load(file, text, &mut problems);
    let mut place = None;
    documents.iter().for_each(|document| find(&document.root, old, text, &mut place));
    let Edited { text, results, spans } = write(path, text, &[(place.expect("there is such a value"), value.clone())]);
    assert_eq!(spans.len(), usize::from(results[0].is_ok()));
    results[0].map(|()| text)
}

fn find(node: &Node<'_>, old: &str, text: &str, place: &mut Option<Range<usize>>) {
    if text.get(node.origin.range()).is_some_and(|found| found.trim_end() == old.trim_end()) {
        *place = place.take().or(Some(node.origin.range()));
    }
    node.items()
        .iter()
        .chain(node.entries().iter().map(|(_, value)| value))
        .for_each(|node| find(node, old, text, place));
}

#[test]
fn values_are_written_in_the_style_of_those_that_stood_there() {
    let check = |text: &str, old: &str, value: Tree, expected: &str| {
        assert_eq!(written("a.yaml", text, old, &value).as_deref(), Ok(expected), "{text}");
    };
    let text = |text: &str| Tree::text(text);
    let plain = |text: &str| Tree::Plain(text.to_owned());
    check("a: x  # why\nb: y\n", "x", text("z"), "a: z  # why\nb: y\n");
    check("a: x", "x", text("1"), "a: \"1\"");
    check("a: x\n", "x", plain("1"), "a: 1\n");
    check("a: 1\n", "1", plain("null"), "a: null\n");
    check("a: \"x\" # why\n", "\"x\"", text("y \"z\""), "a: \"y \\\"z\\\"\" # why\n");
    check("a: 'x'\n", "'x'", text("it's"), "a: 'it''s'\n");
    check("a: 'x'\n", "'x'", text("a\nb"), "a: \"a\\nb\"\n");
    check("a: x\n", "x", text("a,b"), "a: a,b\n");
    check("{a: x, b: y}\n", "x", text("a,b"), "{a: \"a,b\", b: y}\n");
    check("a: [x, y]  # who\n", "[x, y]", text("y,z"), "a: [y, z]  # who\n");
    check("a: |\n  one\n  two\nb: 1\n", "one\n  two", text("three\n\nfour"), "a: |\n  three\n\n  four\nb: 1\n");
    check("a: |- # why\n  one\n  two\n# end\nb: 1\n", "one\n  two", text("3"), "a: |- # why\n  3\n# end\nb: 1\n");
    check("a:\n- x\n- y\nb: 1\n", "x\n- y", text("y,z"), "a:\n- y\n- z\nb: 1\n");
    check("a:\n  - x\n", "- x", text("x,y"), "a:\n  - x\n  - y\n");
    check("a: [x]\n", "[x]", text(""), "a: []\n");
    check("a: &x one\nb: 2\n", "one", text("two"), "a: &x two\nb: 2\n");
    assert_eq!(written("a.json", "{\"a\": \"x\"}", "\"x\"", &text("\u{1}")).as_deref(), Ok("{\"a\": \"\\u0001\"}"));
}

#[test]
fn what_cannot_be_rewritten_safely_is_refused() {
    let check = |text: &str, old: &str, value: Tree, expected: EditError| {
        assert_eq!(written("a.yaml", text, old, &value), Err(expected), "{text}");
    };
    let text = |text: &str| Tree::text(text);
    check("a: &x one\nb: *x\n", "one", text("two"), EditError::Unsafe);
    check("a: &x {c: one}\nb:\n  <<: *x\n", "one", text("two"), EditError::Unsafe);
    check("a: !!str 1\n", "1", Tree::Plain("2".to_owned()), EditError::Unsafe);
    check("a: [x,\n  y]\n", "[x,\n  y]", text("z"), EditError::Lines);
    check("a:\n- x # why\n- y\n", "x # why\n- y", text("z"), EditError::Comment);
    check("a: >\n  one\n  two\n", "one\n  two", text("y\nz"), EditError::Unsafe);
    check("a: |\n  one\n", "one", text(" z"), EditError::Unsafe);
}

#[test]
fn several_values_are_written_one_after_the_other() {
    let text = "a: one\nb: two\nc: three\n";
    let place = |word: &str| text.find(word).map(|at| at..at + word.len()).expect("it is there");
    let edit = |word: &str, new: &str| (place(word), Tree::text(new));
    let edits = [edit("two", "second"), edit("three", "3rd"), edit("one", "the first"), edit("two", "other")];
    let Edited { text, results, .. } = write("a.yaml", text, &edits);
    assert_eq!(results, [Ok(()), Ok(()), Ok(()), Err(EditError::Twice)]);
    assert_eq!(text, "a: the first\nb: second\nc: 3rd\n");
}

#[test]
fn one_that_is_wrong_costs_no_other() {
    let text = "a: &x one\nb: *x\nc: three\nd: four\n";
    let place = |word: &str| text.find(word).map(|at| at..at + word.len()).expect("it is there");
    let edits = ["one", "three", "four"].map(|word| (place(word), Tree::text("new")));
    let Edited { text, results, .. } = write("a.yaml", text, &edits);
    assert_eq!(results, [Err(EditError::Unsafe), Ok(()), Ok(())]);
    assert_eq!(text, "a: &x one\nb: *x\nc: new\nd: new\n");
}

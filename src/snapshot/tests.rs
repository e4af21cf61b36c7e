use super::*;

fn snapshot() -> Snapshot {
    let scope =
        |operation: &'static str, arguments: Value| ScopeName::of(&Request { operation, arguments, repeatable: true });
    let rows = vec![json!({"id": 1, "name": "机柜 \"a\""}), json!({"id": 2, "load": 0.1 + 0.2})];
    let scopes = [
        (scope("list", json!({"b": 1, "a": "x"})), Ok(Arc::new(ScopeRows::new(rows)))),
        (scope("list", json!({})), Ok(Arc::default())),
        (scope("search", json!({})), Err(Refusal::absent("search", "old"))),
    ];
    let settings = BTreeMap::from([("timeZone".to_owned(), "Asia/Shanghai".to_owned())]);
    let target_snapshot = TargetSnapshot { platform: "one".to_owned(), settings, scopes: scopes.into() };
    Snapshot {
        taken: Timestamp::from_second(1_790_000_000).expect("it is a time"),
        missing: vec!["t: list".to_owned()],
        targets: BTreeMap::from([("t".to_owned(), target_snapshot), ("u".to_owned(), TargetSnapshot::default())]),
    }
}

#[test]
fn a_file_reads_as_it_was_written() {
    let text = snapshot().to_text();
    insta::assert_snapshot!(text.rsplit_once(DIGEST).expect("it has a digest").0, @r#"
    {
      "apiVersion": "reconcile/v1",
      "kind": "Snapshot",
      "format_version": "2.0",
      "taken": "2026-09-21T14:13:20Z",
      "missing": ["t: list"],
      "targets": {
        "t": {
          "platform": "one",
          "settings": {"timeZone":"Asia/Shanghai"},
          "scopes": [
            {"operation": "list", "arguments": {"a":"x","b":1}, "rows": [
              {"id":1,"name":"机柜 \"a\""},
              {"id":2,"load":0.30000000000000004}]},
            {"operation": "list", "arguments": {}, "rows": []},
            {"operation": "search", "arguments": {}, "refusal": {"code":"absent","message":"the server has no operation `search`: old"}}
          ]
        },
        "u": {
          "platform": "",
          "settings": {},
          "scopes": [
          ]
        }
      },
    "#);
    let read = Snapshot::from_text(&text).expect("it is whole");
    assert_eq!(read.to_text(), text);
    assert_eq!(read.size(), (3, 2));
}

#[test]
fn a_file_that_is_not_whole_is_refused_by_name() {
    let text = snapshot().to_text();
    let check = |text: &str, expected: &str| {
        let told = Snapshot::from_text(text).map_or_else(|error| error.to_string(), |_| "taken".to_owned());
        assert!(told.contains(expected), "{told}");
    };
    check("", "cut short or damaged: EOF");
    check(&text[..text.len() / 2], "cut short or damaged");
    check(&text[..text.len() - 1], "its digest does not fit");
    check(&text.replace("\"id\":2", "\"id\":3"), "its digest does not fit");
    check(&text.replace("2026-09-21", "2026-09-22"), "its digest does not fit");
    check(&text.replace("          {\"id\":2", "          \n{\"id\":2"), "its digest does not fit");
    check(&text.replace("\"2.0\"", "\"1.0\""), "it has the format 1.0; this program reads 2.0");
    check(&text.replace("\"2.0\"", "7"), "it has the format without a number");
    check(&text.replace("Snapshot", "Plan"), "it is no snapshot");
    check("[]", "it is no snapshot");
    // Each single byte counts.
    for at in (0..text.len()).filter(|at| text.is_char_boundary(*at) && text.as_bytes()[*at].is_ascii()) {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let changed = String::from_utf8(bytes).expect("it is still ASCII there");
        assert!(Snapshot::from_text(&changed).is_err(), "byte {at} of\n{changed}");
    }
}

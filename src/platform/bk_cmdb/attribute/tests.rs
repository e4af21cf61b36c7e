use super::*;

fn attribute(kind: &str, option: &Value) -> Attribute {
    Attribute::of(&json!({"bk_property_id": "f", "bk_property_type": kind, "option": option}).into())
}

#[test]
fn what_is_sent() {
    let check = |kind: &'static str, option: Value, declared: Value, expected: &str| {
        let declared = Json::from(declared);
        let attribute = attribute(kind, &option);
        let told = match attribute.wire(&declared, Some("Asia/Shanghai")) {
            Ok(value) => value.to_string(),
            Err(problem) => problem,
        };
        assert_eq!(told, expected, "{kind} {declared}");
    };
    let options = json!([{"id": "1", "name": "normal"}, {"id": "2", "name": "database"}]);
    check("singlechar", json!(""), plain("0042").to_value(), r#""0042""#);
    check("singlechar", json!(""), json!("  x "), r#""x""#);
    check("singlechar", json!("^a+$"), json!("b"), "has to match `^a+$`; `b` does not");
    check("singlechar", json!(""), json!("字".repeat(86)), "takes at most 256 bytes, not 258");
    check("int", json!({"min": "1", "max": 9}), plain("7").to_value(), "7");
    check("int", json!({"min": "1", "max": 9}), plain("10").to_value(), "is at most 9, not 10");
    check("int", json!(""), json!("x"), "takes a whole number, not `x`");
    check("int", json!(""), json!("1e400"), "takes a whole number, not `1e400`");
    let huge = "99999999999999999999";
    check("int", json!(""), json!(huge), "takes whole numbers of 64 bits: `99999999999999999999` is too large");
    check("float", json!(""), json!("3.5"), "3.5");
    check("float", json!(""), json!("9223372036854775808"), "9.223372036854776e+18");
    check(
        "float",
        json!(""),
        plain("1e21").to_value(),
        "is between -9223372036854775808 and 9223372036854775808, not 1000000000000000000000",
    );
    check(
        "float",
        json!({"min": "1"}),
        plain("9.3e18").to_value(),
        "is between -9223372036854775808 and 9223372036854775808, not 9300000000000000000",
    );
    check("float", json!({"min": "", "max": ""}), plain("-9223372036854775808").to_value(), "-9.223372036854776e+18");
    check(
        "float",
        json!({"max": 5}),
        plain("-1e19").to_value(),
        "is between -9223372036854775808 and 9223372036854775808, not -10000000000000000000",
    );
    check("float", json!({"max": 1e22}), plain("1e21").to_value(), "1e+21");
    check("bool", json!(""), plain("true").to_value(), "true");
    check("enum", options.clone(), json!("database"), r#""2""#);
    check("enum", options.clone(), plain("2").to_value(), r#""2""#);
    check("enum", options.clone(), json!("x"), "has no option `x`; it has 1 (normal), 2 (database)");
    check("enummulti", options, json!(["normal", plain("2").to_value()]), r#"["1","2"]"#);
    check("enumquote", json!([]), json!(null), "cannot be `null`, which the server refuses; use []");
    check("enumquote", json!([]), json!([]), "[]");
    check("enummulti", json!([]), json!(null), "null");
    check("singlechar", json!(r"^\d+$"), json!("１２"), r"has to match `^\d+$`; `１２` does not");
    check("date", json!(""), json!("2024-02-30"), "takes a calendar date such as 2024-02-28, not `2024-02-30`");
    check("time", json!(""), json!("2024-02-28 10:00:00"), r#""2024-02-28T02:00:00Z""#);
    check("time", json!(""), json!("2024-02-28T10:00:00+01:00"), r#""2024-02-28T09:00:00Z""#);
    check(
        "time",
        json!(""),
        json!("2024-02-30 10:00:00"),
        "takes a time such as 2024-02-28T10:00:00+08:00, not `2024-02-30 10:00:00`",
    );
    check("objuser", json!(""), json!(["alice", "bob"]), r#""alice,bob""#);
    check("objuser", json!(""), json!("alice, bob"), r#""alice,bob""#);
    check("organization", json!(""), json!([plain("3").to_value()]), "[3]");
}

#[test]
fn what_is_the_same() {
    let check = |kind: &'static str, wire: Value, live: Value, expected: bool| {
        let attribute = attribute(kind, &json!(""));
        assert_eq!(
            attribute.same(&(&wire).into(), &(&live).into(), Some("Asia/Shanghai")),
            expected,
            "{kind} {wire} {live}"
        );
    };
    check("float", json!(3.5), json!("3.5"), true);
    check("int", json!(9), json!(9.0), true);
    check("int", json!(0), json!(null), false);
    check("objuser", json!("bob,alice"), json!("alice,bob"), true);
    check("objuser", json!(""), json!(null), true);
    check("enummulti", json!(["2", "1"]), json!(["1", "2", "2"]), true);
    check("time", json!("2024-02-28T02:00:00Z"), json!("2024-02-28T10:00:00.000+08:00"), true);
    check("time", json!("2026-11-01T00:00:00Z"), json!("2026-11-01 08:00:00"), true);
    check("time", json!("2026-11-01T00:00:00Z"), json!("2026-11-01 09:00:00"), false);
    check("time", json!("2026-11-01T00:00:00Z"), json!(null), false);
    check("singlechar", json!(""), json!(null), false);
}

#[test]
fn what_is_required_is_not_emptied() {
    let check = |kind: &'static str, declared: Value, expected: Result<Value, &str>| {
        let row = json!({"bk_property_type": kind, "isrequired": true, "option": [{"id": "1", "name": "one"}]});
        let told = Attribute::of(&row.into()).wire(&(&declared).into(), None);
        assert_eq!(told.map(|told| told.to_value()), expected.map_err(str::to_owned), "{kind} {declared}");
    };
    check("singlechar", json!(" "), Err("is required: it cannot be empty"));
    check("enumquote", json!(null), Err("is required: it cannot be cleared"));
    check("enumquote", json!([]), Err("is required: it cannot be empty"));
    check("enummulti", json!([]), Err("is required: it cannot be empty"));
    check("enummulti", json!(["one"]), Ok(json!(["1"])));
}

#[test]
fn values_are_shown_by_their_names() {
    let options = json!([{"id": "1", "name": "In stock"}, {"id": "2", "name": "In use"}, {"id": "c", "name": "c"}]);
    let check =
        |kind: &'static str, live: Option<Value>, wire: Value, expected: Option<(Option<&str>, Option<&str>)>| {
            let attribute = attribute(kind, &options);
            let display =
                attribute.display(live.as_ref().map(Json::from).as_ref(), &(&wire).into(), Some("Asia/Shanghai"));
            let told = display.as_ref().map(|display| (display.from.as_deref(), display.to.as_deref()));
            assert_eq!(told, expected, "{kind} {live:?} {wire}");
        };
    check("enum", Some(json!("1")), json!("2"), Some((Some("In stock"), Some("In use"))));
    check("enum", Some(json!("9")), json!("2"), Some((None, Some("In use"))));
    check("enum", Some(json!(null)), json!("c"), None);
    check("enum", None, json!("2"), Some((None, Some("In use"))));
    check(
        "enummulti",
        Some(json!(["1", "c"])),
        json!(["1", "2"]),
        Some((Some("[In stock, c]"), Some("[In stock, In use]"))),
    );
    check("enummulti", Some(json!([])), json!(["c"]), None);
    check("time", Some(json!(null)), json!("2026-11-01T00:00:00Z"), Some((None, Some("2026-11-01 08:00:00 +08:00"))));
    check("singlechar", Some(json!("1")), json!("2"), None);
}

#[test]
fn lists_and_times_find_nothing() {
    let check = |kind: &'static str, expected: bool| {
        let attribute = attribute(kind, &json!(""));
        assert_eq!(attribute.no_key().is_some(), expected, "{kind}");
    };
    ["time", "enummulti", "enumquote", "organization", "table"].into_iter().for_each(|kind| check(kind, true));
    ["singlechar", "longchar", "int", "float", "bool", "enum", "list", "date", "objuser"]
        .into_iter()
        .for_each(|kind| check(kind, false));
}

#[test]
fn history_is_what_the_server_notes_by_itself() {
    let check = |name: &str, editable: bool, expected: bool| {
        let row = json!({"bk_property_id": name, "editable": editable});
        assert_eq!(is_history(&row.into()), expected, "{name}");
    };
    check("bk_updated_at", false, true);
    check("modifier", false, true);
    check("creator", true, false);
    check("bk_sn", false, false);
}

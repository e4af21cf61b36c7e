//! The rules of the contract row by row: attribute types, operators, names, mappings, ports, row ids, limits.

use reconcile_sandbox::{
    bk_cmdb::Simulator,
    simulator::{Request, Simulator as _},
};
use serde_json::{Value, json};

use crate::cmdb::esb;

/// A model with one attribute of each type.
fn state() -> Value {
    let attribute = |id: &str, kind: &str, option: Value| json!({"bk_obj_id": "m", "bk_property_id": id, "bk_property_name": id, "bk_property_type": kind, "option": option});
    let options = json!([{"id": "a", "name": "A", "is_default": true}, {"id": "b", "name": "B"}]);
    let mut attributes = vec![
        attribute("char", "singlechar", json!("")),
        attribute("code", "singlechar", json!("^[a-z]+$")),
        attribute("long", "longchar", json!("")),
        attribute("int", "int", json!({"min": "", "max": ""})),
        attribute("ranged", "int", json!({"min": "1", "max": 10})),
        attribute("float", "float", json!({"min": "", "max": "100"})),
        attribute("enum", "enum", options.clone()),
        attribute("multi", "enummulti", options),
        attribute("quote", "enumquote", json!([{"bk_obj_id": "other", "bk_inst_id": 50}])),
        attribute("date", "date", json!("")),
        attribute("time", "time", json!("")),
        attribute("bool", "bool", json!(true)),
        attribute("zone", "timezone", json!("")),
        attribute("user", "objuser", json!("")),
        attribute("list", "list", json!(["x", "y"])),
        attribute("org", "organization", json!("")),
        attribute("rows", "table", json!([{"bk_property_id": "p"}])),
        attribute("rule", "id_rule", json!("")),
        attribute("inner", "innertable", json!({"header": []})),
    ];
    for (id, kind) in [("need", "singlechar"), ("need_date", "date")] {
        let mut needed = attribute(id, kind, json!(""));
        needed["isrequired"] = json!(true);
        attributes.push(needed);
    }
    for (id, kind) in [("one_multi", "enummulti"), ("one_user", "objuser"), ("one_org", "organization")] {
        let mut single = attribute(id, kind, json!([{"id": "a"}, {"id": "b"}]));
        single["ismultiple"] = json!(false);
        attributes.push(single);
    }
    let mut fixed = attribute("fixed", "singlechar", json!(""));
    fixed["editable"] = json!(false);
    attributes.push(fixed);
    let mut readonly = attribute("readonly", "singlechar", json!(""));
    readonly["isreadonly"] = json!(true);
    attributes.push(readonly);
    json!({
        "businesses": [{"bk_biz_id": 3, "bk_biz_name": "demo-biz"}, {"bk_biz_id": 4, "bk_biz_name": "old", "bk_data_status": "disabled"}],
        "sets": [{"bk_set_id": 5, "bk_set_name": "a", "bk_biz_id": 3}, {"bk_set_id": 6, "bk_set_name": "b", "bk_biz_id": 3}],
        "modules": [{"bk_module_id": 7, "bk_module_name": "m", "bk_set_id": 5}, {"bk_module_id": 8, "bk_module_name": "n", "bk_set_id": 5}],
        "objects": [{"bk_obj_id": "m"}, {"bk_obj_id": "other"}],
        "attributes": attributes,
        "object_associations": [
            {"bk_obj_id": "m", "bk_asst_id": "one", "bk_asst_obj_id": "other", "mapping": "1:1"},
            {"bk_obj_id": "m", "bk_asst_id": "many", "bk_asst_obj_id": "other", "mapping": "1:n"},
            {"bk_obj_id": "m", "bk_asst_id": "any", "bk_asst_obj_id": "other", "mapping": "n:n"},
        ],
        "instances": {
            "m": [{"bk_inst_id": 1, "bk_inst_name": "one", "need": "n", "need_date": "2024-01-01"}, {"bk_inst_id": 2, "bk_inst_name": "two", "need": "n"}],
            "other": [{"bk_inst_id": 50, "bk_inst_name": "x"}, {"bk_inst_id": 51, "bk_inst_name": "y"}, {"bk_inst_id": 52, "bk_inst_name": "z"}],
        },
        "service_templates": [{"id": 1, "name": "web", "bk_biz_id": 3}],
        "process_templates": [{"id": 1, "service_template_id": 1, "bk_process_name": "nginx"}],
        "time_zone": "Asia/Shanghai",
    })
}

fn simulator() -> Simulator {
    let simulator = Simulator::new();
    simulator.load(&state()).expect("the state is fine");
    simulator
}

/// The fate of a value: stored as sent, stored as something else, or refused.
enum Expectation {
    Kept,
    Stored(Value),
    Refused,
}

#[test]
fn attribute_types() {
    use Expectation::{Kept, Refused, Stored};
    let text = |length: usize| json!("x".repeat(length));
    let cjk = |length: usize| json!("机".repeat(length));
    let year_one = || Stored(json!("0001-01-01T00:00:00Z"));
    #[rustfmt::skip]
    let cases = vec![
        ("char", text(256), Kept), ("char", text(257), Refused), ("char", cjk(85), Kept), ("char", cjk(86), Refused),
        ("char", json!(" \t\u{3000}a b\n "), Stored(json!("a b"))), ("char", json!(""), Kept), ("char", Value::Null, Kept),
        ("char", json!(1), Refused), ("char", json!(true), Refused), ("char", json!([]), Refused), ("char", json!("<&\"'>"), Kept),
        ("code", json!("abc"), Kept), ("code", json!("ABC"), Refused), ("code", json!(""), Kept), ("code", json!(" abc "), Stored(json!("abc"))),
        ("long", text(2000), Kept), ("long", text(2001), Refused), ("long", json!("a\n b"), Kept), ("long", json!({}), Refused),
        ("int", json!(5), Kept), ("int", json!(-5), Kept), ("int", json!(9.5), Kept), ("int", json!(9.0), Stored(json!(9))), ("int", json!(1e29), Kept),
        ("int", json!(i64::MAX), Kept), ("int", json!("8"), Refused), ("int", json!(""), Refused), ("int", json!(true), Refused), ("int", json!([1]), Refused), ("int", Value::Null, Kept),
        ("ranged", json!(1), Kept), ("ranged", json!(10), Kept), ("ranged", json!(11), Refused), ("ranged", json!(0), Refused), ("ranged", json!(9.5), Refused),
        ("float", json!(3.5), Kept), ("float", json!("3.5"), Kept), ("float", json!("x"), Refused), ("float", json!(101), Refused), ("float", json!("101"), Refused),
        ("float", json!(""), Refused), ("float", json!(false), Refused), ("float", Value::Null, Kept),
        ("enum", json!("b"), Kept), ("enum", json!(" b "), Stored(json!("b"))), ("enum", json!("B"), Refused), ("enum", json!("c"), Refused), ("enum", json!(""), Refused), ("enum", json!(["a"]), Refused), ("enum", Value::Null, Kept),
        ("multi", json!(["b", "a", "b"]), Kept), ("multi", json!([]), Kept), ("multi", json!("a"), Refused), ("multi", json!(["c"]), Refused), ("multi", json!(""), Refused), ("multi", Value::Null, Kept),
        ("one_multi", json!(["b"]), Kept), ("one_multi", json!(["a", "b"]), Refused),
        ("quote", json!([50, 51]), Kept), ("quote", json!([]), Kept), ("quote", json!([99]), Refused), ("quote", json!(["50"]), Refused), ("quote", json!(50), Refused), ("quote", Value::Null, Refused), ("quote", json!(""), Refused),
        ("date", json!("2024-02-29"), Kept), ("date", json!(" 2024-02-29 "), Stored(json!("2024-02-29"))), ("date", json!("2024-02-30"), Refused), ("date", json!("2024/02/01"), Refused),
        ("date", json!("2024-2-1"), Refused), ("date", json!("2024-02-01 00:00:00"), Refused), ("date", json!(20_240_201), Refused), ("date", json!(""), Kept), ("date", Value::Null, Kept),
        ("time", json!("2024-02-03 10:11:12"), Stored(json!("2024-02-03T02:11:12Z"))), ("time", json!("2024-02-03T10:11:12Z"), Kept),
        ("time", json!("2024-02-03T10:11:12+08:00"), Stored(json!("2024-02-03T02:11:12Z"))), ("time", json!("2024-02-03T10:11:12.340Z"), Stored(json!("2024-02-03T10:11:12.34Z"))),
        ("time", json!("2024-02-03T10:11:12.123456Z"), Stored(json!("2024-02-03T10:11:12.123Z"))), ("time", json!("2024-02-30 10:11:12"), year_one()), ("time", json!("2024-06-01 25:00:00"), year_one()), ("time", json!("2024-06-31 00:00:00"), year_one()),
        ("time", json!("2024-02-03"), Refused), ("time", json!("2024-02-03 10:11"), Refused), ("time", json!("2024/02/03 10:11:12"), Refused), ("time", json!("2024-02-03T10:11:12"), Refused), ("time", json!(1), Refused), ("time", json!(""), Refused), ("time", Value::Null, Kept),
        ("bool", json!(true), Kept), ("bool", json!("true"), Refused), ("bool", json!(1), Refused), ("bool", json!(""), Refused), ("bool", Value::Null, Kept),
        ("zone", json!("Asia/Shanghai"), Kept), ("zone", json!("Mars/Base"), Kept), ("zone", json!("UTC+8"), Kept), ("zone", json!("a b"), Refused), ("zone", json!(""), Refused), ("zone", json!(8), Refused), ("zone", Value::Null, Kept),
        ("user", json!("amy,bob,amy"), Kept), ("user", json!("amy, bob"), Refused), ("user", json!("amy;bob"), Refused), ("user", json!(["amy"]), Refused), ("user", json!(""), Kept), ("user", json!("_a"), Refused), ("user", text(2001), Refused), ("user", Value::Null, Kept),
        ("one_user", json!("amy"), Kept), ("one_user", json!("amy,bob"), Refused),
        ("list", json!("y"), Kept), ("list", json!("z"), Refused), ("list", json!(["x"]), Refused), ("list", json!(""), Refused), ("list", Value::Null, Kept),
        ("org", json!([2, 1, 2]), Kept), ("org", json!([]), Kept), ("org", json!(1), Refused), ("org", json!(["1"]), Refused), ("org", json!(""), Refused), ("org", Value::Null, Kept),
        ("one_org", json!([1]), Kept), ("one_org", json!([1, 2]), Refused),
        ("rows", json!([{"p": 1}]), Kept), ("rows", json!([{"q": 1}]), Refused), ("rows", json!([1]), Refused), ("rows", json!(""), Refused), ("rows", Value::Null, Kept),
        ("rule", json!("r-1"), Kept), ("rule", text(257), Refused), ("rule", Value::Null, Refused),
        ("need", json!("  "), Refused), ("need", json!(""), Refused), ("need", Value::Null, Refused), ("need_date", json!(""), Refused), ("need_date", Value::Null, Refused),
        ("bk_inst_name", json!(""), Refused), ("bk_inst_name", json!(5), Refused), ("bk_inst_name", text(256), Kept), ("bk_inst_name", text(257), Refused), ("bk_inst_name", json!("a b/#,|"), Kept),
        ("readonly", json!("x"), Kept),
        // Dropped without a word.
        ("fixed", json!("x"), Stored(json!(""))), ("nothing", json!("x"), Stored(Value::Null)), ("inner", json!([{}]), Stored(Value::Null)),
        ("bk_obj_id", json!("x"), Stored(json!("m"))), ("bk_supplier_account", json!("x"), Stored(json!("0"))), ("bk_created_by", json!("x"), Stored(json!("admin"))),
    ];
    let base = simulator();
    for (field, value, connection) in cases {
        let simulator = base.fork();
        // Through the gateway, since the ESB takes some names out of a body.
        let request = Request {
            method: "PUT".to_owned(),
            path: "/api/bk-cmdb/prod/api/v3/update/instance/object/m/inst/1".to_owned(),
            body: json!({ field: value }).to_string().into_bytes(),
            ..Request::default()
        };
        let answer: Value = serde_json::from_slice(&simulator.answer(&request).body).expect("an envelope");
        let stored = simulator.state()["instances"]["m"][0][field].clone();
        let before = base.state()["instances"]["m"][0][field].clone();
        let (code, expected) = match connection {
            Kept => (0, value.clone()),
            Stored(other) => (0, other),
            Refused => (1_199_011, before),
        };
        assert_eq!((&answer["code"], &stored), (&json!(code), &expected), "{field}: {value}: {answer}");
    }
}

#[test]
fn defaults_of_a_create() {
    let simulator = simulator();
    let created = esb(
        &simulator,
        "create_inst",
        &json!({"bk_obj_id": "m", "bk_inst_name": "new", "need": "n", "need_date": "2024-01-01"}),
    );
    let row = &created["data"];
    for (field, value) in [
        ("char", json!("")),
        ("long", json!("")),
        ("bool", json!(false)),
        ("enum", json!("a")),
        ("multi", json!(["a"])),
        ("int", Value::Null),
        ("float", Value::Null),
        ("date", Value::Null),
        ("time", Value::Null),
        ("zone", Value::Null),
        ("user", Value::Null),
        ("list", Value::Null),
        ("org", Value::Null),
    ] {
        assert_eq!(row.get(field), Some(&value), "{field}: {row}");
    }
    let missing = json!({"bk_obj_id": "m", "bk_inst_name": "newer"});
    assert_eq!(esb(&simulator, "create_inst", &missing)["code"], 1_199_010);
    assert_eq!(esb(&simulator, "create_inst", &json!({"bk_obj_id": "none", "bk_inst_name": "a"}))["code"], 1_199_011);
}

/// The ids that an engine finds; `None` if it refuses.
type Ids = Option<&'static [i64]>;

#[test]
fn rule_operators() {
    let mut state = state();
    let row = |id: i64, more: Value| {
        let mut row = json!({"bk_inst_id": id, "bk_inst_name": format!("Row-{id}"), "need": "n"});
        row.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        row
    };
    state["instances"]["m"] = json!([
        row(
            1,
            json!({"char": "Alpha.1", "int": 5, "time": "2024-01-01T00:00:00Z", "multi": ["a"], "rows": [{"p": 1}]})
        ),
        row(
            2,
            json!({"char": "beta", "int": 7, "time": "2024-06-01T00:00:00Z", "multi": [], "rows": [{"p": 2}, {"p": 3}]})
        ),
        row(3, json!({"char": null, "int": null, "multi": ["a", "b"]})),
    ]);
    let simulator = Simulator::new();
    simulator.load(&state).expect("the state is fine");
    // The rows that the new engine finds, none where it refuses, and those of the old one.
    #[rustfmt::skip]
    let cases: Vec<(&str, &str, Value, Ids, Ids)> = vec![
        ("char", "equal", json!("beta"), Some(&[2]), Some(&[2])), ("char", "not_equal", json!("beta"), Some(&[1, 3]), Some(&[1, 3])),
        ("int", "in", json!([5, 7]), Some(&[1, 2]), Some(&[1, 2])), ("int", "not_in", json!([5]), Some(&[2, 3]), Some(&[2, 3])),
        ("int", "in", json!([]), None, Some(&[])), ("int", "in", json!([5, "7"]), None, None), ("int", "in", json!(vec![5; 500]), Some(&[1]), Some(&[1])), ("int", "in", json!(vec![5; 501]), None, None),
        ("int", "less", json!(7), Some(&[1]), Some(&[1])), ("int", "less_or_equal", json!(7), Some(&[1, 2]), Some(&[1, 2])), ("int", "greater", json!(5), Some(&[2]), Some(&[2])), ("int", "greater_or_equal", json!(8), Some(&[]), Some(&[])),
        ("int", "less", json!("7"), None, None), ("char", "greater", json!("a"), None, None),
        // A moment is no text, and nothing compares with it.
        ("time", "datetime_less", json!("2024-03-01 00:00:00"), Some(&[]), Some(&[])), ("time", "datetime_greater_or_equal", json!(1_717_200_000), Some(&[]), Some(&[])),
        ("time", "equal", json!("2024-01-01T00:00:00Z"), Some(&[]), Some(&[])), ("time", "in", json!(["2024-01-01T00:00:00Z"]), Some(&[]), Some(&[])), ("time", "not_equal", json!("2024-01-01T00:00:00Z"), Some(&[1, 2, 3]), Some(&[1, 2, 3])),
        ("time", "begins_with", json!("2024"), Some(&[]), Some(&[])), ("time", "is_not_null", Value::Null, Some(&[1, 2]), Some(&[1, 2])),
        ("char", "begins_with", json!("Al"), Some(&[1]), Some(&[1])), ("char", "begins_with", json!("al"), Some(&[]), Some(&[])), ("char", "not_begins_with", json!("Al"), Some(&[2, 3]), Some(&[2, 3])),
        ("char", "ends_with", json!("ta"), Some(&[2]), Some(&[2])), ("char", "not_ends_with", json!("ta"), Some(&[1, 3]), Some(&[1, 3])),
        ("char", "contains", json!("ALPHA"), Some(&[1]), Some(&[1])), ("char", "contains", json!(""), None, None), ("char", "contains", json!(5), None, None),
        ("char", "contains", json!("a.p"), Some(&[1]), Some(&[1])), ("char", "contains", json!("alpha|beta"), Some(&[1, 2]), Some(&[1, 2])), ("char", "not_contains", json!("."), Some(&[3]), Some(&[3])),
        ("char", "contains_s", json!("Alpha"), Some(&[1]), None), ("char", "contains_s", json!("alpha"), Some(&[]), None), ("char", "begins_with_i", json!("al"), Some(&[1]), None), ("char", "not_begins_with_i", json!("al"), Some(&[2, 3]), None),
        ("char", "ends_with_i", json!("TA"), Some(&[2]), None), ("char", "not_ends_with_i", json!("TA"), Some(&[1, 3]), None), ("char", "not_contains_i", json!("ET"), Some(&[1, 3]), None),
        ("multi", "is_empty", Value::Null, Some(&[2]), Some(&[2])), ("multi", "is_not_empty", Value::Null, Some(&[1, 3]), Some(&[1, 3])), ("multi", "size", json!(2), Some(&[3]), None),
        ("char", "is_null", Value::Null, Some(&[3]), Some(&[3])), ("char", "is_not_null", Value::Null, Some(&[1, 2]), Some(&[1, 2])),
        ("char", "exist", Value::Null, Some(&[1, 2, 3]), Some(&[1, 2, 3])), ("nothing", "not_exist", Value::Null, Some(&[1, 2, 3]), Some(&[1, 2, 3])), ("nothing", "equal", json!(1), Some(&[]), Some(&[])),
        ("rows", "filter_array", json!({"field": "p", "operator": "equal", "value": 3}), Some(&[2]), None),
        ("int", "between", json!([1, 6]), None, None), ("int", "$gt", json!(1), None, None), ("", "equal", json!(1), None, None), ("$where", "equal", json!(1), Some(&[]), None),
    ];
    for (version, position) in [("3.14", 0), ("3.10", 1)] {
        simulator.set_option("version", &json!(version)).expect("a version");
        for (field, operator, value, new, old) in &cases {
            let rule = json!({"field": field, "operator": operator, "value": value});
            let body = json!({"bk_obj_id": "m", "conditions": {"condition": "AND", "rules": [rule]}, "fields": ["bk_inst_id"],
                "page": {"limit": 10, "sort": "bk_inst_id"}});
            let answer = esb(&simulator, "search_object_instances", &body);
            let ids = |answer: &Value| -> Vec<i64> {
                answer["data"]["info"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(|row| row["bk_inst_id"].as_i64())
                    .collect()
            };
            match [new, old][position] {
                Some(expected) => {
                    assert_eq!((&answer["code"], ids(&answer).as_slice()), (&json!(0), *expected), "{version} {rule}");
                }
                None => assert_eq!(answer["code"], 1_199_006, "{version} {rule}"),
            }
        }
    }
    let nested = |levels: usize| {
        (1..levels).fold(
            json!({"field": "int", "operator": "equal", "value": 5}),
            |inner, _| json!({"condition": "AND", "rules": [inner]}),
        )
    };
    simulator.set_option("version", &json!("3.14")).expect("a version");
    for (tree, code) in [
        (nested(1), 0),
        (nested(3), 0),
        (nested(4), 1_199_006),
        (json!({"condition": "AND", "rules": []}), 1_199_006),
        (json!({"condition": "XOR", "rules": [nested(1)]}), 1_199_006),
        (json!([]), 1_199_000),
        (json!({"condition": "AND", "rules": [{"field": "int", "operator": "in", "value": 5}]}), 1_199_000),
    ] {
        let body = json!({"bk_obj_id": "m", "conditions": tree, "page": {"limit": 10}});
        assert_eq!(esb(&simulator, "search_object_instances", &body)["code"], code, "{tree}");
    }
}

#[test]
fn module_and_set_names() {
    for (name, connection) in [
        (json!("web-1_x.y(z)机房"), Ok("web-1_x.y(z)机房")),
        (json!("  web "), Ok("web")),
        (json!("a b"), Err(1_199_011)),
        (json!("a\tb"), Err(1_199_011)),
        (json!("a/b"), Err(1_199_011)),
        (json!("a\\b"), Err(1_199_011)),
        (json!("a|b"), Err(1_199_011)),
        (json!("a:b"), Err(1_199_011)),
        (json!("a*b"), Err(1_199_011)),
        (json!("a,b"), Err(1_199_011)),
        (json!("a<b"), Err(1_199_011)),
        (json!("a>b"), Err(1_199_011)),
        (json!("a\"b"), Err(1_199_011)),
        (json!("a?b"), Err(1_199_011)),
        (json!("a#b"), Err(1_199_011)),
        (json!(""), Err(1_199_011)),
        (json!("   "), Err(1_199_011)),
        (Value::Null, Err(1_199_011)),
        (json!(5), Err(1_199_011)),
        (json!("x".repeat(256)), Ok("")),
        (json!("x".repeat(257)), Err(1_199_011)),
        (json!("机".repeat(86)), Err(1_199_011)),
        (json!("n"), Err(1_199_014)),
    ] {
        let simulator = simulator();
        let body = json!({"bk_biz_id": 3, "bk_set_id": 5, "bk_module_id": 7, "data": {"bk_module_name": name}});
        let answer = esb(&simulator, "update_module", &body);
        assert_eq!(answer["code"], json!(connection.err().unwrap_or(0)), "{name}: {answer}");
        let stored = simulator.state()["modules"][0]["bk_module_name"].clone();
        match connection {
            Ok("") => assert_eq!(stored, name),
            Ok(expected) => assert_eq!(stored, expected),
            Err(_) => assert_eq!(stored, "m"),
        }
        let create = json!({"bk_biz_id": 3, "bk_set_id": 5, "data": {"bk_module_name": name, "bk_parent_id": 5}});
        if let Err(code) = connection {
            assert_eq!(esb(&simulator, "create_module", &create)["code"], json!(code), "{name}");
        }
        if name == "n" {
            let other = json!({"bk_biz_id": 3, "bk_set_id": 6, "data": {"bk_module_name": name, "bk_parent_id": 6}});
            assert_eq!(esb(&simulator, "create_module", &other)["code"], 0, "another set");
            continue;
        }
        let set = json!({"bk_biz_id": 3, "bk_set_id": 5, "data": {"bk_set_name": name}});
        assert_eq!(esb(&simulator, "update_set", &set)["code"], json!(connection.err().unwrap_or(0)), "set {name}");
    }
}

#[test]
fn mappings_one_by_one_and_in_a_batch() {
    let pairs = [(1, 50), (1, 50), (1, 51), (2, 50), (2, 52), (9, 52), (2, 99)];
    for (kind, codes, errors) in [
        ("one", [0, 1_101_052, 1_101_052, 1_101_052, 0, 1_101_052, 1_101_052], ["1", "2", "3", "5", "6"].as_slice()),
        ("many", [0, 1_101_061, 0, 1_101_061, 0, 1_101_061, 1_101_074], ["1", "3", "5", "6"].as_slice()),
        ("any", [0, 1_199_014, 0, 0, 0, 1_101_073, 1_101_074], ["1", "5", "6"].as_slice()),
    ] {
        let id = format!("m_{kind}_other");
        let simulator = simulator();
        for ((source, target), code) in pairs.into_iter().zip(codes) {
            let body = json!({"bk_obj_asst_id": id, "bk_inst_id": source, "bk_asst_inst_id": target});
            let answer = esb(&simulator, "add_instance_association", &body);
            assert_eq!(answer["code"], json!(code), "{kind} {source} {target}: {answer}");
        }
        let rows = simulator.state()["instance_associations"].as_array().map(Vec::len);
        simulator.load(&state()).expect("the state is fine");
        let details: Vec<Value> =
            pairs.iter().map(|(source, target)| json!({"bk_inst_id": source, "bk_asst_inst_id": target})).collect();
        let batch = json!({"bk_obj_id": "m", "bk_asst_obj_id": "other", "bk_obj_asst_id": id, "details": details});
        let answer = esb(&simulator, "batch_create_instance_association", &batch);
        let refused: Vec<&str> =
            answer["data"]["error_msg"].as_object().expect("texts").keys().map(String::as_str).collect();
        assert_eq!((&answer["result"], refused.as_slice()), (&json!(true), errors), "{kind}");
        let exists = answer["data"]["error_msg"]["1"].as_str().expect("a text");
        assert_eq!(
            exists, "the associations m->other already exist",
            "the check for an equal row comes first in a batch"
        );
        assert_eq!(simulator.state()["instance_associations"].as_array().map(Vec::len), rows, "{kind}");
    }
}

fn bind(rows: &Value) -> Value {
    json!({"bk_biz_id": 3, "process_template_id": 1, "process_property": {"bind_info": {"value": rows, "as_default_value": true}}})
}

#[test]
fn ports() {
    let simulator = simulator();
    for (port, code) in [
        (json!("80"), 0),
        (json!("1"), 0),
        (json!("65535"), 0),
        (json!("80-80"), 0),
        (json!("80-90,100,200-300"), 0),
        (json!("300,80"), 0),
        (json!("0"), 1_199_006),
        (json!("65536"), 1_199_006),
        (json!("100000"), 1_199_006),
        (json!("90-80"), 1_199_006),
        (json!("080"), 1_199_006),
        (json!("80,80"), 1_199_006),
        (json!("80-90,85"), 1_199_006),
        (json!("80-90,90-100"), 1_199_006),
        (json!("80,"), 1_199_006),
        (json!(",80"), 1_199_006),
        (json!("80 ,81"), 1_199_006),
        (json!(" 80"), 1_199_006),
        (json!("80-"), 1_199_006),
        (json!("80--90"), 1_199_006),
        (json!("-80"), 1_199_006),
        (json!("+80"), 1_199_006),
        (json!("http"), 1_199_006),
        (json!(""), 1_199_006),
        (Value::Null, 1_199_006),
        (json!(80), 1_199_000),
        (json!(["80"]), 1_199_000),
    ] {
        let rows = json!([{"port": {"value": port}, "protocol": {"value": "1"}}]);
        let answer = esb(&simulator, "update_proc_template", &bind(&rows));
        assert_eq!(answer["code"], json!(code), "{port}: {answer}");
    }
}

#[test]
fn row_ids() {
    let simulator = simulator();
    let row = |id: Value| json!({"row_id": id, "port": {"value": "80"}, "protocol": {"value": "1"}});
    for (sent, stored) in [
        (vec![json!(null), json!(0), json!(null)], Ok(vec![1, 2, 3])),
        (vec![json!(5), json!(null), json!(2), json!(0)], Ok(vec![5, 6, 2, 7])),
        (vec![json!(77)], Ok(vec![77])),
        (vec![json!(null)], Ok(vec![1])),
        (vec![json!(3), json!(3)], Ok(vec![3, 3])),
        (vec![json!(-5), json!(null)], Ok(vec![-5, 1])),
        (vec![json!("1")], Err(1_199_000)),
        (vec![json!(1.5)], Err(1_199_000)),
        (vec![], Ok(vec![])),
    ] {
        let rows: Value = sent.iter().cloned().map(row).collect();
        let answer = esb(&simulator, "update_proc_template", &bind(&rows));
        assert_eq!(answer["code"], json!(stored.as_ref().err().copied().unwrap_or(0)), "{sent:?}: {answer}");
        let Ok(expected) = stored else { continue };
        let found: Vec<i64> = answer["data"]["property"]["bind_info"]["value"]
            .as_array()
            .expect("rows")
            .iter()
            .filter_map(|row| row["row_id"].as_i64())
            .collect();
        assert_eq!(found, expected, "{sent:?}");
    }
    let bare =
        |value: Value| json!({"bk_biz_id": 3, "process_template_id": 1, "process_property": {"bind_info": value}});
    let hundred: Value = (0..100).map(|_| row(Value::Null)).collect();
    for (value, code, stored) in [
        (json!({"value": hundred}), 0, None),
        (json!({"as_default_value": true}), 0, Some(json!({"value": null, "as_default_value": true}))),
        (Value::Null, 0, Some(json!({"value": null, "as_default_value": null}))),
        (json!({}), 0, Some(json!({"value": null, "as_default_value": null}))),
        (json!({"value": []}), 0, Some(json!({"value": [], "as_default_value": null}))),
        (json!({"value": [{"port": {"value": "80"}}]}), 1_199_006, None),
        (json!({"value": [{"protocol": {"value": "1"}}]}), 1_199_006, None),
        (json!({"value": [{"port": "80", "protocol": {"value": "1"}}]}), 1_199_000, None),
        (json!({"value": {}}), 1_199_000, None),
    ] {
        let answer = esb(&simulator, "update_proc_template", &bare(value.clone()));
        assert_eq!(answer["code"], json!(code), "{value}");
        if let Some(stored) = stored {
            assert_eq!(answer["data"]["property"]["bind_info"], stored, "{value}");
        }
    }
}

#[test]
fn limits() {
    let many = |count: usize| json!((1..=count).collect::<Vec<_>>());
    let details = |count: usize| json!(vec![json!({"bk_inst_name": "x"}); count]);
    let pairs = |count: usize| json!(vec![json!({"bk_inst_id": 1, "bk_asst_inst_id": 50}); count]);
    let specs = |count: usize| json!(vec![json!({"spec": {}}); count]);
    let page = |limit: i64| json!({"bk_obj_id": "m", "page": {"limit": limit}});
    let related = |limit: i64| json!({"condition": {"bk_obj_id": "m", "bk_inst_id": 1}, "fields": ["id"], "page": {"limit": limit}});
    let services = |limit: i64| json!({"bk_biz_id": 3, "page": {"limit": limit}});
    let batch = |details: Value| json!({"bk_obj_id": "m", "bk_asst_obj_id": "other", "bk_obj_asst_id": "m_any_other", "details": details});
    let templates = |ids: Value| json!({"bk_biz_id": 3, "process_template_ids": ids});
    let simulator = simulator();
    for (operation, body, code) in [
        ("search_object_instances", page(1), 0),
        ("search_object_instances", page(500), 0),
        ("search_object_instances", page(0), 1_199_006),
        ("search_object_instances", page(501), 1_199_006),
        ("search_object_instances", json!({"bk_obj_id": "m"}), 1_199_006),
        ("search_object_instances", json!({"bk_obj_id": "none", "page": {"limit": 1}}), 0),
        ("search_object_instances", json!({"bk_obj_id": "host", "page": {"limit": 1}}), 1_199_084),
        ("search_instance_associations", page(500), 0),
        ("search_instance_associations", page(501), 1_199_006),
        ("search_instance_associations", page(0), 1_199_006),
        ("search_related_inst_asso", related(500), 0),
        ("search_related_inst_asso", related(501), 1_199_059),
        ("find_instassociation_with_inst", page(200), 0),
        ("find_instassociation_with_inst", page(201), 1_199_059),
        ("list_service_template", services(1), 0),
        ("list_service_template", services(1000), 0),
        ("list_service_template", services(999_999_999), 0),
        ("list_service_template", services(1001), 1_199_059),
        ("list_service_template", services(0), 1_199_059),
        ("search_inst_by_object", page(0), 0),
        ("search_inst", page(99_999), 0),
        ("find_module_batch", json!({"bk_biz_id": 3, "bk_ids": many(500), "fields": ["a"]}), 0),
        ("find_module_batch", json!({"bk_biz_id": 3, "bk_ids": many(501), "fields": ["a"]}), 1_199_089),
        ("find_module_batch", json!({"bk_biz_id": 3, "bk_ids": [], "fields": ["a"]}), 1_199_089),
        ("find_module_batch", json!({"bk_biz_id": 3, "bk_ids": [7]}), 1_199_006),
        ("find_set_batch", json!({"bk_biz_id": 3, "bk_ids": many(501), "fields": ["a"]}), 1_199_089),
        ("batch_create_inst", json!({"bk_obj_id": "m", "details": details(200)}), 0),
        ("batch_create_inst", json!({"bk_obj_id": "m", "details": details(201)}), 1_199_035),
        ("batch_create_inst", json!({"bk_obj_id": "m", "details": []}), 1_199_038),
        ("batch_update_inst", json!({"bk_obj_id": "m", "update": []}), 0),
        ("batch_update_inst", json!({"bk_obj_id": "m", "update": vec![json!({"inst_id": 1, "datas": {}}); 501]}), 0),
        ("batch_update_inst", json!({"bk_obj_id": "m", "update": [{"datas": {}}]}), 1_199_006),
        ("batch_create_instance_association", batch(pairs(200)), 0),
        ("batch_create_instance_association", batch(pairs(201)), 1_199_035),
        ("batch_create_instance_association", batch(json!([])), 1_199_038),
        ("delete_related_inst_asso", json!({"bk_obj_id": "m", "id": many(500)}), 0),
        ("delete_related_inst_asso", json!({"bk_obj_id": "m", "id": many(501)}), 1_199_059),
        ("delete_related_inst_asso", json!({"bk_obj_id": "m", "id": []}), 1_199_003),
        ("list_proc_template", templates(many(200)), 0),
        ("list_proc_template", templates(many(201)), 1_199_089),
        ("list_proc_template", templates(json!([])), 1_199_006),
        ("list_proc_template", json!({"process_template_ids": [1]}), 1_199_006),
        ("batch_create_proc_template", json!({"bk_biz_id": 3, "service_template_id": 1, "processes": []}), 0),
        (
            "batch_create_proc_template",
            json!({"bk_biz_id": 3, "service_template_id": 1, "processes": specs(101)}),
            1_199_035,
        ),
        ("delete_proc_template", json!({"bk_biz_id": 3, "process_templates": []}), 1_199_010),
        ("delete_proc_template", json!({"bk_biz_id": 3, "process_templates": many(501)}), 1_199_035),
        ("delete_proc_template", json!({"bk_biz_id": 3, "process_templates": [1, 99]}), 1_108_014),
        ("delete_inst", json!({"bk_obj_id": "m", "bk_inst_id": 99}), 0),
        ("batch_delete_inst", json!({"bk_obj_id": "m", "delete": {"inst_ids": [98, 99]}}), 0),
        ("find_object_association", json!({"condition": {}}), 1_199_011),
        ("search_business", json!({"condition": {"$where": "1"}}), 1_199_998),
    ] {
        assert_eq!(esb(&simulator, operation, &body)["code"], json!(code), "{operation} {body}");
    }
    let found = |condition: Value| {
        esb(&simulator, "search_business", &json!({ "condition": condition }))["data"]["count"].clone()
    };
    assert_eq!(found(json!({"bk_biz_name": "EMO"})), 1, "a part of the name in any case");
    assert_eq!(found(json!({"bk_biz_name": {"$in": ["demo"]}})), 0);
    assert_eq!(found(json!({"bk_biz_name": "old"})), 0, "archived");
}

//! Values of attributes: what is compared and sent, what is refused before anything is sent, and how people read them.

use serde_json::{Value, json};

use crate::harness::{Site, bodies, operations, state, switch};

/// A site whose switches have attributes of these types, and whose first one has these values.
fn site(live: &Value, fields: &str) -> Site {
    let mut state = state();
    let options = json!([{"id": "1", "name": "In stock", "is_default": true}, {"id": "2", "name": "In use"}]);
    let attributes = state["bk-cmdb"]["attributes"].as_array_mut().expect("a list");
    for (name, kind, option) in [
        ("seen", "time", json!("")),
        ("load", "float", json!("")),
        ("status", "enum", options.clone()),
        ("roles", "enummulti", options),
        ("peers", "enumquote", json!([{"bk_obj_id": "bk_rack", "bk_inst_id": 21, "type": "int"}])),
        ("code", "singlechar", json!(r"^\d+$")),
        ("note", "longchar", json!("")),
    ] {
        attributes.push(json!({"bk_obj_id": "bk_switch", "bk_property_id": name, "bk_property_name": name,
            "bk_property_type": kind, "option": option, "editable": true, "ismultiple": true}));
    }
    let row = state["bk-cmdb"]["instances"]["bk_switch"][0].as_object_mut().expect("a row");
    row.extend(live.as_object().cloned().unwrap_or_default());
    Site::with(&state, &[("one.yaml", &switch("s", "bk_asset_id: A1", fields))])
}

#[test]
fn times_are_cut_to_milliseconds_before_they_are_sent() {
    let check = |declared: &str, sent: &str| {
        let site = site(&json!({"seen": null}), &format!("seen: '{declared}'"));
        let calls = site.apply();
        assert_eq!(bodies(&calls)[0]["seen"], *sent, "{declared}");
        site.assert_converged();
    };
    check("2026-11-01T08:00:00.123456Z", "2026-11-01T08:00:00.123Z");
    check("2026-11-01T08:00:00.0009Z", "2026-11-01T08:00:00Z");
    check("2026-11-01 08:00:00.9999999999", "2026-11-01T00:00:00.999Z");
}

#[test]
fn a_live_time_without_a_zone_is_of_the_zone_of_the_target() {
    let check = |declared: &str, calls: &Value| {
        let site = site(&json!({"seen": "2026-11-01 08:00:00"}), &format!("seen: '{declared}'"));
        assert_eq!(operations(&site.apply()), *calls, "{declared}");
        site.assert_converged();
    };
    check("2026-11-01 08:00:00", &json!({}));
    check("2026-11-01T00:00:00Z", &json!({}));
    check("2026-11-01T08:00:00Z", &json!({"update_inst": 1}));
}

#[test]
fn values_that_the_server_refuses_are_refused_before_anything_is_sent() {
    let check = |fields: &str, code: &str, message: &str| {
        let site = site(&json!({}), &format!("note: changed, {fields}"));
        for command in [["plan"].as_slice(), &["apply", "-y"], &["validate", "--online"]] {
            let output = site.run(command);
            assert_eq!(output.code, Some(1), "{output}");
            assert!(output.stderr.contains(&format!("error[{code}]: {message}")), "{fields}: {output}");
            assert!(output.stderr.contains("one.yaml:7:"), "{output}");
        }
        assert!(site.writes().is_empty());
    };
    check("peers: null", "P104", "`peers` cannot be `null`, which the server refuses; use []");
    check("code: １２", "P104", r"`code` has to match `^\d+$`; `１２` does not");
    check(
        "load: 1e21",
        "P104",
        "`load` is between -9223372036854775808 and 9223372036854775808, not 1000000000000000000000",
    );
    check("seen: '0000-01-01 00:00:00'", "P104", "`seen` takes a time of the years 0 to 9999 in UTC");
    check("seen: '2026-06-30 23:59:60'", "P104", "`seen` takes a time such as");
    // The server agrees.
    let site = site(&json!({}), "note: x");
    for field in [json!({"peers": null}), json!({"code": "１２"}), json!({"load": 1e21})] {
        let mut body = json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1});
        body.as_object_mut().expect("an object").extend(field.as_object().cloned().unwrap_or_default());
        assert_eq!(site.ask("update_inst", &body)["result"], false, "{body}");
    }
    let body = json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "peers": [], "code": "12", "load": 9_223_372_036_854_775_808_u64});
    assert_eq!(site.ask("update_inst", &body)["result"], true);
}

#[test]
fn no_instance_is_matched_by_a_time_or_a_list() {
    let check = |matches: &str, what: &str| {
        let site = site(&json!({"seen": "2026-11-01T00:00:00Z", "roles": ["1"]}), "note: x");
        for ensure in ["present", "existing", "absent"] {
            let fields = if ensure == "absent" { "" } else { "bk_inst_name: new" };
            let manifest = switch("s", matches, fields).replace("spec:\n", &format!("spec:\n  ensure: {ensure}\n"));
            site.write("one.yaml", &manifest);
            let output = site.run(&["plan"]);
            assert_eq!(output.code, Some(1), "{output}");
            assert!(output.stderr.contains(&format!("error[M305]: `match` cannot hold {what}")), "{output}");
        }
        assert!(site.writes().is_empty());
    };
    check("seen: 2026-11-01 08:00:00", "`seen`, which is a time: the server finds nothing by one");
    check("roles: In stock", "`roles`, which is a list: the server finds nothing by one");
    check("bk_asset_id: A1, peers: 21", "`peers`, which is a list: the server finds nothing by one");
}

#[test]
fn options_and_times_are_shown_as_people_know_them() {
    let live = json!({"status": "1", "roles": ["1"], "seen": "2026-10-31T22:00:00Z"});
    let site = site(&live, "status: In use, roles: [In stock, In use], seen: '2026-11-01 08:00:00'");
    let shown = [
        "status         In stock → In use (1 → 2)",
        "roles          [In stock] → [In stock, In use] ([1] → [1, 2])",
        "seen           2026-11-01 06:00:00 +08:00 → 2026-11-01 08:00:00 +08:00",
    ];
    let output = site.run(&["plan", "--out", "plan.json"]);
    shown.iter().for_each(|line| assert!(output.stdout.contains(line), "{line}: {output}"));
    let output = site.run(&["show", "plan.json"]);
    shown.iter().for_each(|line| assert!(output.stdout.contains(line), "{line}: {output}"));
    let fields = site.run(&["plan", "-o", "json"]).json()["changes"][0]["fields"].clone();
    let field = |path: &str| fields.as_array().into_iter().flatten().find(|field| field["path"] == path).cloned();
    let status = field("status").expect("it changes");
    assert_eq!((&status["before"], &status["after"]), (&json!("1"), &json!("2")));
    assert_eq!(status["display"], json!({"kind": "option", "before": "In stock", "after": "In use"}));
    assert_eq!(field("seen").expect("it changes")["display"]["kind"], "time");
    let output = site.run(&["plan", "-o", "github"]);
    assert!(output.stdout.contains("status In stock → In use (1 → 2), "), "{output}");
    let output = site.run(&["plan", "-o", "markdown"]);
    assert!(output.stdout.contains("- status: In stock (1)\n+ status: In use (2)  # "), "{output}");
    let output = site.run(&["explain", "one.yaml:7"]);
    assert!(output.stdout.contains("live In stock → In use (1 → 2)"), "{output}");
    let output = site.run(&["drift"]);
    assert!(output.stdout.contains("status: live In stock (1), declared In use (2)"), "{output}");
    assert!(
        output.stdout.contains("seen: live 2026-11-01 06:00:00 +08:00, declared 2026-11-01 08:00:00 +08:00"),
        "{output}"
    );
    site.apply();
    site.assert_converged();
    // A stale option has no name, and a new object no live value.
    let new = switch("n", "bk_inst_name: sw-9", "status: In use").replace("spec:\n", "spec:\n  ensure: present\n");
    site.write("two.yaml", &new);
    let output = site.run(&["plan"]);
    assert!(output.stdout.contains("status         In use (2)"), "{output}");
}

#[test]
fn two_values_that_differ_never_look_the_same() {
    let check = |live: &str, declared: &str, shown: &str| {
        let site = site(&json!({"note": live}), &format!("note: {}", json!(declared)));
        for form in ["text", "github"] {
            let output = site.run(&["plan", "-o", form]);
            assert!(output.stdout.contains(shown), "{form}: {output}");
        }
    };
    check("to be replaced", "to\u{a0}be replaced", r#""to be replaced" → "to\u{a0}be replaced""#);
    check("café", "cafe\u{301}", r#""caf\u{e9}" → "cafe\u{301}""#);
    check("机柜　一", "机柜 一", r#""机柜\u{3000}一" → "机柜 一""#);
    check("机柜一", "机柜二", r#""机柜一" → "机柜二""#);
    // Line by line too.
    let site = site(&json!({"note": "one\nto be\nthree"}), &format!("note: {}", json!("one\nto\u{a0}be\nthree")));
    for (form, line) in [("text", "        + to\\u{a0}be"), ("markdown", "+ to\\u{a0}be")] {
        let output = site.run(&["plan", "-o", form]);
        assert!(output.stdout.contains(line), "{form}: {output}");
    }
}

#[test]
fn the_value_before_is_shown_by_its_name() {
    let site =
        site(&json!({"status": "1", "seen": "2026-10-31T22:00:00Z"}), "status: In stock, seen: '2026-11-01 06:00:00'");
    let by = |values: &Value| {
        let mut body = json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1});
        body.as_object_mut().expect("an object").extend(values.as_object().cloned().unwrap_or_default());
        site.edit("update_inst", &body);
    };
    by(&json!({"status": "2", "seen": "2026-11-02T00:00:00Z"}));
    by(&json!({"status": "1", "seen": "2026-11-03T00:00:00Z"}));
    site.write("one.yaml", &switch("s", "bk_asset_id: A1", "status: '2', seen: '2026-11-01 06:00:00'"));
    let output = site.run(&["drift"]);
    assert!(output.stdout.contains(" by zoe"), "{output}");
    for told in ["live In stock (1), declared In use (2), changed", "before 2026-11-02 08:00:00 +08:00"] {
        assert!(output.stdout.contains(told), "{told}: {output}");
    }
    site.write("one.yaml", &switch("s", "bk_asset_id: A1", "roles: [In stock]"));
    by(&json!({"status": "2", "roles": ["2"]}));
    by(&json!({"roles": ["1", "2"]}));
    let output = site.run(&["drift"]);
    assert!(output.stdout.contains("before [In use] ([2])"), "{output}");
}

#[test]
fn what_goes_with_an_instance_is_shown_as_people_know_it() {
    let live = json!({"status": "1", "roles": ["1", "2"], "seen": "2026-10-31T22:00:00Z"});
    let site = site(&live, "ports: 24");
    let absent = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: s}\n\
        spec: {ensure: absent, model: bk_switch, match: {bk_asset_id: A1}}\n";
    site.write("one.yaml", absent);
    let text = site.run(&["plan"]).stdout;
    for line in ["- In stock (1)", "- [In stock, In use] ([1,2])"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let plan = site.run(&["plan", "-o", "json"]).json();
    let before = plan["changes"][0]["before"].as_array().cloned().unwrap_or_default();
    let status = before.iter().find(|field| field["path"] == "status").expect("it is told");
    assert_eq!((&status["value"], &status["display"]), (&json!("1"), &json!("In stock (1)")));
}

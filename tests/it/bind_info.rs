//! Rows of `bind_info`: what is sent, row by row, and that a second plan is empty.

use serde_json::{Value, json};

use crate::harness::{Site, state};

/// A live row: id, ip, port, protocol; locked but for `enable`.
fn row(id: i64, ip: &str, port: &str, protocol: &str) -> Value {
    json!({"row_id": id, "ip": {"value": ip, "as_default_value": true}, "port": {"value": port, "as_default_value": true},
        "protocol": {"value": protocol, "as_default_value": true}, "enable": {"value": true, "as_default_value": false}})
}

/// The row as it is sent when it is new: locked in what is declared, without the rest.
fn new(id: i64, ip: &str, port: &str, protocol: &str) -> Value {
    let mut row = row(id, ip, port, protocol);
    row.as_object_mut().expect("an object").remove("enable");
    row
}

fn live() -> Value {
    json!([row(1, "2", "80", "1"), row(2, "1", "9145", "2"), row(3, "2", "443", "1")])
}

/// Applies declared rows to live ones and returns what the one call sent as properties, if there was a call.
fn sent(live: &Value, declared: &str) -> Option<Value> {
    let mut state = state();
    state["bk-cmdb"]["process_templates"][0]["property"]["bind_info"]["value"] = live.clone();
    let manifest = format!(
        "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {{name: nginx}}
spec:
  business: demo
  serviceTemplate: nginx
  process: nginx
  properties:
    bind_info: {declared}
"
    );
    let site = Site::with(&state, &[("nginx.yaml", &manifest)]);
    let writes = site.apply();
    assert!(writes.len() <= 1, "{writes:?}");
    site.assert_converged();
    writes.first().map(|call| call.body["process_property"].clone())
}

/// Checks the rows that are sent; nothing else is.
fn check(live: &Value, declared: &str, expected: &Value) {
    let sent = sent(live, declared);
    assert_eq!(sent, Some(json!({"bind_info": {"value": expected, "as_default_value": true}})), "{declared}");
}

#[test]
fn rows_as_they_are_send_nothing() {
    let words = "[{ip: 0.0.0.0, port: 80, protocol: TCP}, {port: '9145'}, {row_id: 3}]";
    assert_eq!(sent(&live(), words), None);
    assert_eq!(sent(&json!([]), "null"), None);
    assert_eq!(sent(&Value::Null, "[]"), None);
}

#[test]
fn a_port_edited_in_place_keeps_the_row_id() {
    let declared = "[{ip: 0.0.0.0, port: 8080, protocol: tcp}, {port: 9145, protocol: udp}, {ip: '2', port: 443}]";
    check(&live(), declared, &json!([row(1, "2", "8080", "1"), row(2, "1", "9145", "2"), row(3, "2", "443", "1")]));
}

#[test]
fn reordering_changes_only_the_order() {
    let declared = "[{port: 443}, {port: 80}, {port: 9145}]";
    check(&live(), declared, &json!([row(3, "2", "443", "1"), row(1, "2", "80", "1"), row(2, "1", "9145", "2")]));
}

#[test]
fn the_id_of_a_removed_highest_row_is_not_handed_on() {
    let declared = "[{port: 80}, {port: 9145}, {ip: '::', port: 8443, protocol: tcp6}]";
    let kept = [row(1, "2", "80", "1"), row(2, "1", "9145", "2")];
    check(&live(), declared, &json!([kept[0], kept[1], new(4, "6", "8443", "3")]));
    // It would pair with the removed one if it did not say that it is new.
    let declared = "[{port: 80}, {port: 9145}, {row_id: new, ip: 0.0.0.0, port: 8443, protocol: tcp}]";
    check(&live(), declared, &json!([kept[0], kept[1], new(4, "2", "8443", "1")]));
    // Nor is an id that is declared taken twice.
    let declared = "[{row_id: new, ip: '::1', port: 1, protocol: udp6}, {row_id: 3}, {row_id: new, ip: '::1', port: 2, protocol: udp6}]";
    check(&live(), declared, &json!([new(4, "5", "1", "4"), row(3, "2", "443", "1"), new(5, "5", "2", "4")]));
}

#[test]
fn what_is_not_declared_of_a_row_goes_back_as_it_was() {
    let odd = json!([
        {"row_id": 7, "ip": {"value": "3", "as_default_value": null}, "port": {"value": "80", "as_default_value": true},
            "protocol": {"value": "1", "as_default_value": false}, "enable": {"value": null, "as_default_value": null}},
        {"row_id": 2, "ip": {"value": "", "as_default_value": false}, "port": {"value": "81", "as_default_value": false},
            "protocol": {"value": "4", "as_default_value": true}, "enable": {"value": false, "as_default_value": true}},
    ]);
    let mut expected = odd.clone();
    expected[0]["port"]["value"] = json!("8080");
    check(&odd, "[{port: 8080, protocol: tcp}, {port: 81}]", &expected);
    let mut expected = odd.clone();
    expected[1]["enable"] = json!({"value": true, "as_default_value": true});
    check(&odd, "[{port: 80}, {port: 81, enable: true}]", &expected);
    let mut expected = odd.clone();
    expected[1]["port"]["as_default_value"] = json!(true);
    check(&odd, "[{port: 80}, {port: {value: 81, as_default_value: true}}]", &expected);
    let expected = json!([odd[1]]);
    check(&odd, "[{row_id: 2}]", &expected);
}

#[test]
fn a_lock_of_the_list_alone_sends_the_rows_as_they_are() {
    let sent = sent(&live(), "{as_default_value: false}");
    assert_eq!(sent, Some(json!({"bind_info": {"value": live(), "as_default_value": false}})));
}

#[test]
fn null_and_an_empty_list_remove_all_rows() {
    check(&live(), "null", &json!([]));
    check(&live(), "[]", &json!([]));
}

#[test]
fn the_plan_tells_what_happens_to_each_row() {
    let mut state = state();
    state["bk-cmdb"]["process_templates"][0]["property"]["bind_info"]["value"] = live();
    let manifest = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec:
  business: demo
  serviceTemplate: nginx
  process: nginx
  properties:
    proc_num: {as_default_value: false}
    bind_info:
      - {port: 443}
      - {ip: 0.0.0.0, port: 8080, protocol: tcp}
      - {row_id: new, ip: '::', port: 8443, protocol: tcp6}
";
    let site = Site::with(&state, &[("nginx.yaml", manifest)]);
    insta::assert_snapshot!(site.plan(), @r#"
    ~ ProcessTemplate nginx  (cmdb, demo/nginx #50)                     nginx.yaml:1
        proc_num       as_default_value true → false                    nginx.yaml:9:34
        bind_info    - row 2  127.0.0.1:9145 udp                        nginx.yaml:11:7
                       order [1, 3] → [3, 1]                            nginx.yaml:11:7
                       row 1  port "80" → "8080"                        nginx.yaml:12:29
                     + row 4  [::]:8443 tcp6                            nginx.yaml:13:9
                       enable not set: the process will be disabled; `enable: true` enables it

    Plan: 0 to add, 1 to update, 0 to delete, 0 unchanged.   1 call, 4 reads, [time]
    [exit status: 2]
    "#);
}

#[test]
fn a_row_that_is_not_live_or_not_whole_is_an_error() {
    let mut state = state();
    state["bk-cmdb"]["process_templates"][0]["property"]["bind_info"]["value"] = live();
    let manifest = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec:
  business: demo
  serviceTemplate: nginx
  process: nginx
  properties:
    bind_info:
      - {row_id: 9, port: 80}
";
    let site = Site::with(&state, &[("nginx.yaml", manifest)]);
    insta::assert_snapshot!(site.plan(), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 1 blocked.   0 calls, 3 reads, [time]
    ------- stderr -------
    error[P113]: no live row has the row_id 9
      --> nginx.yaml:10:18
       |
    10 |       - {row_id: 9, port: 80}
       |                  ^
       |
       = help: live rows: 1, 2, 3; a row without `row_id` is matched by its content
    [exit status: 1]
    ");
    site.write("nginx.yaml", &manifest.replace("{row_id: 9, port: 80}", "{port: 12345}"));
    insta::assert_snapshot!(site.plan(), @"
    Plan: 0 to add, 0 to update, 0 to delete, 0 unchanged, 1 blocked.   0 calls, 3 reads, [time]
    ------- stderr -------
    error[P114]: this row is like no live one, and as a new row it needs `protocol`
      --> nginx.yaml:10:9
       |
    10 |       - {port: 12345}
       |         ^^^^^^^^^^^^^
    [exit status: 1]
    ");
}

/// A state whose module holds processes with rows of these ids for nginx, one service instance each; those of another
/// process do not count.
fn running(rows: &Value, held: &[&[i64]]) -> Value {
    let mut state = state();
    state["bk-cmdb"]["process_templates"][0]["property"]["bind_info"]["value"] = rows.clone();
    let modules = state["bk-cmdb"]["modules"].as_array_mut().expect("a list");
    let module = |id: i64| {
        json!({"bk_module_id": id, "bk_module_name": format!("nginx-{id}"), "bk_set_id": 11, "bk_biz_id": 3,
        "bk_module_type": "1", "service_template_id": 51})
    };
    modules.extend((40..43).map(module));
    let process = |template: i64, ids: &[i64]| {
        let rows: Vec<_> =
            ids.iter().map(|id| json!({"template_row_id": id, "port": "5001", "protocol": "1"})).collect();
        json!({"process": {"bind_info": rows}, "relation": {"process_template_id": template}})
    };
    let instances: Vec<_> = held
        .iter()
        .enumerate()
        .map(|(at, ids)| {
            json!({"id": at + 1, "bk_biz_id": 3, "bk_module_id": 40 + at % 3, "bk_host_id": at + 1, "service_template_id": 51,
                "process_instances": [process(77, &[99]), process(50, ids)]})
        })
        .collect();
    state["bk-cmdb"]["service_instances"] = json!(instances);
    state
}

fn bound(rows: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: nginx}}\nspec:\n  business: demo\n  \
         serviceTemplate: nginx\n  process: nginx\n  properties:\n    bind_info: {rows}\n"
    )
}

#[test]
fn an_id_of_a_row_removed_in_an_earlier_run_is_not_handed_on() {
    let check = |live: Value, held: &[&[i64]], declared: &str, expected: &[i64]| {
        let site = Site::with(&running(&live, held), &[("nginx.yaml", &bound(declared))]);
        let sent = site.apply()[0].body["process_property"]["bind_info"]["value"].clone();
        let ids: Vec<_> = sent.as_array().into_iter().flatten().filter_map(|row| row["row_id"].as_i64()).collect();
        assert_eq!(ids, expected, "{held:?} {declared}");
        site.assert_converged();
    };
    let build = || json!([row(1, "2", "80", "1")]);
    let add = "[{port: 80}, {ip: 127.0.0.1, port: 7001, protocol: udp, enable: true}]";
    check(build(), &[], add, &[1, 2]);
    check(build(), &[&[1, 2, 6]], add, &[1, 7]);
    // Whichever module, page or service instance holds it.
    check(build(), &[&[1], &[1, 4], &[], &[1, 3]], add, &[1, 5]);
    let many: Vec<&[i64]> = (0..450).map(|at| if at == 449 { &[1, 9][..] } else { &[1][..] }).collect();
    check(build(), &many, add, &[1, 10]);
    // Nothing is left in the template, and everything on the hosts.
    check(json!([]), &[&[1, 2]], "[{ip: 127.0.0.1, port: 7001, protocol: udp, enable: true}]", &[3]);
}

#[test]
fn row_ids_on_hosts_are_read_only_where_a_row_is_added() {
    let reads = |declared: &str| {
        let live = json!([row(1, "2", "80", "1"), row(2, "2", "81", "1")]);
        let site = Site::with(&running(&live, &[&[1, 2]]), &[("nginx.yaml", &bound(declared))]);
        site.plan();
        site.reads()["list_service_instance_detail"].as_i64()
    };
    assert_eq!(reads("[{port: 80}, {port: 81}]"), None);
    assert_eq!(reads("[{ip: 0.0.0.0, port: 8080, protocol: tcp}]"), None);
    assert_eq!(reads("[{port: 80}, {port: 81}, {ip: 127.0.0.1, port: 1, protocol: udp, enable: true}]"), Some(1));
}

#[test]
fn row_ids_that_cannot_be_read_are_warned_of() {
    let live = json!([row(1, "2", "80", "1")]);
    let declared = bound("[{port: 80}, {ip: 127.0.0.1, port: 7001, protocol: udp, enable: true}]");
    let site = Site::with(&running(&live, &[&[1, 2]]), &[("nginx.yaml", &declared)]);
    site.faults(&json!([{"operation": "list_service_instance_detail", "fault": "code", "code": 9_900_403, "message": "no permission"}]));
    let output = site.plan();
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stderr.contains("warning[P161]") && output.stderr.contains("nginx.yaml:9:"), "{output}");
    assert!(output.stdout.contains("+ row 2"), "{output}");
}

/// A site with one process template that declares rows, and live ones.
fn declaring(live: &Value, declared: &str) -> Site {
    let mut state = state();
    state["bk-cmdb"]["process_templates"][0]["property"]["bind_info"]["value"] = live.clone();
    let manifest = format!(
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: nginx}}\nspec:\n  business: demo\n  \
         serviceTemplate: nginx\n  process: nginx\n  properties:\n    bind_info:\n{declared}"
    );
    Site::with(&state, &[("nginx.yaml", &manifest)])
}

#[test]
fn rows_that_bind_the_same_port_are_warned_of() {
    let check = |declared: &str, expected: bool| {
        let output = declaring(&live(), declared).run(&["validate"]);
        assert_eq!(output.code, Some(0), "{output}");
        assert_eq!(output.stderr.contains("M335"), expected, "{declared}: {output}");
    };
    let first = "      - {ip: 0.0.0.0, port: '80,443', protocol: tcp}\n";
    check(&format!("{first}      - {{ip: 0.0.0.0, port: 440-450, protocol: tcp}}\n"), true);
    check(&format!("{first}      - {{ip: 0.0.0.0, port: 440-450, protocol: udp}}\n"), false);
    check(&format!("{first}      - {{ip: 127.0.0.1, port: 80, protocol: tcp}}\n"), false);
    check(&format!("{first}      - {{ip: 0.0.0.0, port: 81-442, protocol: tcp}}\n"), false);
}

#[test]
fn a_row_stored_as_text_is_told_from_its_option() {
    let live = json!([row(1, "0.0.0.0", "80", "tcp")]);
    let site = declaring(&live, "      - {ip: 0.0.0.0, port: 80, protocol: tcp}\n");
    let plan = site.run(&["plan"]);
    assert!(plan.stdout.contains(r#"ip "0.0.0.0 (stored as text)" → "0.0.0.0 (option 2)""#), "{plan}");
    assert!(plan.stdout.contains(r#"protocol "tcp (stored as text)" → "tcp (option 1)""#), "{plan}");
    site.apply();
    site.assert_converged();
}

#[test]
fn explain_says_of_a_list_that_a_row_of_it_differs() {
    let rows = "      - {ip: 0.0.0.0, port: 8080, protocol: tcp}\n      - {row_id: 2}\n      - {row_id: 3}\n";
    let site = declaring(&live(), rows);
    let output = site.run(&["explain", "nginx.yaml:9"]);
    let list = output.stdout.lines().find(|line| line.trim_start().starts_with("bind_info "));
    let list = list.unwrap_or_else(|| panic!("no line tells of the list: {output}"));
    assert!(list.contains(r#"bind_info[1].port live "80" → "8080""#) && !list.contains("as it is live"), "{output}");
    let document = site.run(&["explain", "nginx.yaml:9", "-o", "json"]).stdout;
    assert!(document.contains(r#""differs": true"#), "{document}");
}

#[test]
fn a_row_that_moved_since_it_was_planned_is_named() {
    let check = |declared: &str, cell: &str, now: Value, expected: &str| {
        let rows = format!("      - {{row_id: 1, {declared}}}\n      - {{row_id: 2}}\n      - {{row_id: 3}}\n");
        let site = declaring(&live(), &rows);
        assert_eq!(site.run(&["plan", "--out", "plan.json"]).code, Some(0));
        let mut rows = live();
        rows[0][cell] = now;
        let property = json!({"bind_info": {"value": rows, "as_default_value": true}});
        let arguments = json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": property});
        site.edit("update_proc_template", &arguments);
        let output = site.run(&["apply", "plan.json", "-y"]);
        assert_eq!(output.code, Some(4), "{output}");
        assert!(output.all().contains(expected), "{declared}: {output}");
    };
    let locked = |value: &str| json!({"value": value, "as_default_value": true});
    check("port: 8080", "port", locked("81"), r#"bind_info[1].port was "80" and is "81""#);
    check("ip: 127.0.0.1", "ip", locked("3"), r#"bind_info[1].ip was "0.0.0.0" and is "first_inner_ip""#);
    check("port: 80, ip: 127.0.0.1", "port", locked("81"), r#"bind_info[1].port was as declared and is "81""#);
    let open = json!({"value": "80", "as_default_value": false});
    let lock = "bind_info[1].port.as_default_value was as declared and is false";
    check("ip: 127.0.0.1, port: {as_default_value: true}", "port", open, lock);
}

#[test]
fn a_plan_holds_what_is_stored_and_what_is_sent() {
    let rows =
        "      - {row_id: 1, ip: 127.0.0.1, port: 8080}\n      - {row_id: 2}\n      - {port: 99, protocol: udp}\n";
    let site = declaring(&live(), rows);
    let plan = site.run(&["plan", "-o", "json"]).json();
    let fields = plan["changes"][0]["fields"].as_array().cloned().unwrap_or_default();
    let call = &plan["calls"][0]["arguments"]["process_property"]["bind_info"]["value"];
    let shown = |path: &str| {
        let field = fields.iter().find(|field| field["path"] == path).cloned().unwrap_or_default();
        json!([field["before"], field["after"], field["display"]["before"], field["display"]["after"]])
    };
    assert_eq!(shown("bind_info[1].ip"), json!(["2", "1", "0.0.0.0", "127.0.0.1"]), "{plan}");
    assert_eq!(shown("bind_info[1].port"), json!(["80", "8080", null, null]), "{plan}");
    assert_eq!(shown("bind_info[3]")[0], live()[2], "{plan}");
    assert_eq!(shown("bind_info[4]"), json!([null, call[2], null, "*:99 udp"]), "{plan}");
}

#[test]
fn a_cell_that_is_kept_as_an_equivalent_is_told() {
    let rows = "      - {row_id: 1, ip: null}\n      - {row_id: 2}\n      - {row_id: 3}\n";
    let site = declaring(&live(), rows);
    let mut kept = live();
    kept[0]["ip"]["value"] = json!("");
    let property = json!({"bind_info": {"value": kept, "as_default_value": true}});
    let edit = json!({"operation": "update_proc_template",
        "body": {"bk_biz_id": 3, "process_template_id": 50, "process_property": property}});
    site.faults(&json!([{"operation": "list_proc_template", "nth": 2, "fault": "second_writer", "edit": edit}]));
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.all().contains(r#"ProcessTemplate/nginx: bind_info[1].ip is kept as """#), "{output}");
    site.faults(&json!([]));
    site.assert_converged();
}

//! Process templates: every property in both forms, and the pairs of function and regex that the server lets no two
//! templates have.

use serde_json::{Value, json};

use crate::harness::{Output, Site, bodies, state};

/// Every property since 3.9: how a value is declared, what is sent for it, and values that are refused at their line.
fn table() -> Vec<(&'static str, &'static str, Value, &'static [&'static str])> {
    let rows = json!([{"row_id": 1, "ip": {"value": "2", "as_default_value": true},
        "port": {"value": "80", "as_default_value": true}, "protocol": {"value": "1", "as_default_value": true}}]);
    vec![
        ("auto_start", "true", json!(true), &["1", "'true'", "[]"]),
        ("bind_info", "[{ip: 0.0.0.0, port: 80, protocol: tcp}]", rows, &["80", "[{port: 0, protocol: tcp}]"]),
        ("bk_func_name", "nginx", json!("nginx"), &["null", "''"]),
        ("bk_process_name", "front", json!("front"), &["null", "''", "[a]"]),
        ("bk_start_check_secs", "600", json!(600), &["0", "10001", "'3'", "1.5"]),
        ("bk_start_param_regex", "-c .*conf", json!("-c .*conf"), &["[a]"]),
        ("description", "a b", json!("a b"), &["[a]"]),
        ("face_stop_cmd", "kill -9", json!("kill -9"), &["[a]"]),
        ("pid_file", "/run/x.pid", json!("/run/x.pid"), &["[a]"]),
        ("priority", "-100", json!(-100), &["-101", "10001"]),
        ("proc_num", "10000", json!(10000), &["0", "10001", "many"]),
        ("reload_cmd", "./reload", json!("./reload"), &["[a]"]),
        ("restart_cmd", "./restart", json!("./restart"), &["[a]"]),
        ("start_cmd", "' ./start '", json!(" ./start "), &["[a]"]),
        ("stop_cmd", "''", json!(""), &["[a]"]),
        ("timeout", "1", json!(1), &["0", "10001"]),
        ("user", "0042", json!("0042"), &["[a]"]),
        ("work_path", "/data", json!("/data"), &["[a]"]),
    ]
}

fn document(name: &str, process: &str, properties: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: {name}}}\nspec:\n  {process}\n  business: \
         demo\n  properties: {{{properties}}}\n---\n"
    )
}

fn nginx(properties: &str) -> String {
    document("p", "serviceTemplate: nginx\n  process: nginx", properties)
}

/// A state with one process template of nothing but its names.
fn bare() -> Value {
    let mut state = state();
    let property = state["bk-cmdb"]["process_templates"][0]["property"].as_object_mut().expect("properties");
    property.retain(|name, _| name == "bk_process_name" || name == "bk_func_name");
    state
}

/// Applies properties to a state, which takes the calls that are expected, and returns the site.
fn check(state: &Value, properties: &str, sent: &[Value]) -> Site {
    let site = Site::with(state, &[("one.yaml", &nginx(properties))]);
    let sent: Vec<_> = sent
        .iter()
        .map(|property| json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": property}))
        .collect();
    assert_eq!(bodies(&site.apply()), json!(sent), "{properties}");
    site.assert_converged();
    site
}

#[test]
fn every_property_converges_in_both_forms() {
    let table = table();
    assert_eq!(table.len(), 18);
    for (name, text, value, _) in &table {
        let (is_name, is_fixed) = (["bk_process_name", "bk_func_name"].contains(name), *name == "bk_func_name");
        let sent = |value: &Value, lock: bool| vec![json!({*name: {"value": value, "as_default_value": lock}})];
        let none = |list: Vec<Value>| if is_fixed { Vec::new() } else { list };
        // Where no lock was it is set, or the value would never reach a process that exists.
        check(&bare(), &format!("{name}: {text}"), &none(sent(value, true)));
        check(&bare(), &format!("{name}: {{value: {text}}}"), &none(sent(value, true)));
        check(&bare(), &format!("{name}: {{value: {text}, as_default_value: true}}"), &none(sent(value, true)));
        // One half alone takes the other as it is.
        if is_name {
            check(&bare(), &format!("{name}: {{as_default_value: true}}"), &[]);
            continue;
        }
        let open = format!("{name}: {{value: {text}, as_default_value: false}}");
        let there = check(&bare(), &open, &sent(value, false)).sandbox().state();
        let stored = &there["bk-cmdb"]["process_templates"][0]["property"][name]["value"];
        let lock = format!("{name}: {{as_default_value: true}}");
        let locked = check(&there, &lock, &sent(stored, true)).sandbox().state();
        check(&locked, &format!("{name}: {text}"), &[]);
        // Cleared, the lock stays.
        let nothing = if *name == "bind_info" { json!([]) } else { Value::Null };
        check(&locked, &format!("{name}: null"), &sent(&nothing, true));
    }
    // All at once are one call too.
    let all: Vec<_> = table.iter().map(|(name, text, _, _)| format!("{name}: {text}")).collect();
    let site = Site::with(&bare(), &[("one.yaml", &nginx(&all.join(", ")))]);
    assert_eq!(site.apply().len(), 1);
    site.assert_converged();
}

#[test]
fn values_that_the_server_would_refuse_are_told_at_their_line() {
    let site = Site::new(&bare());
    for (name, _, _, wrong) in table() {
        for text in wrong {
            site.write("one.yaml", &nginx(&format!("{name}: {text}")));
            let output = site.run(&["validate"]);
            assert_eq!(output.code, Some(1), "{name}: {text}\n{output}");
            assert!(output.stderr.contains("one.yaml:8:"), "{name}: {text}\n{output}");
        }
    }
    let fixed = plan(&bare(), &nginx("bk_func_name: other"));
    assert_eq!(fixed.code, Some(1), "{fixed}");
    assert!(fixed.stderr.contains("P110") && fixed.stderr.contains("one.yaml:8:"), "{fixed}");
}

/// A state with two more process templates of the function `java`, with these regexes: #60 `one` and #61 `two`.
fn java(entry: &Value, two: &Value) -> Value {
    let mut state = state();
    for (id, name, regex) in [(60, "one", entry), (61, "two", two)] {
        let locked = |value: Value| json!({"value": value, "as_default_value": true});
        let row = json!({"id": id, "bk_process_name": name, "bk_biz_id": 3, "service_template_id": 51, "property": {
            "bk_process_name": locked(json!(name)), "bk_func_name": locked(json!("java")),
            "bk_start_param_regex": {"value": regex, "as_default_value": false}}});
        state["bk-cmdb"]["process_templates"].as_array_mut().expect("a list").push(row);
    }
    state
}

fn named(process: &str, properties: &str) -> String {
    document(process, &format!("serviceTemplate: nginx\n  process: {process}"), properties)
}

fn plan(state: &Value, manifest: &str) -> Output {
    Site::with(state, &[("one.yaml", manifest)]).plan()
}

/// Returns true if the server would take an update of #60.
fn takes(state: &Value, property: &Value) -> Value {
    let body = json!({"bk_biz_id": 3, "process_template_id": 60, "process_property": property});
    Site::new(state).ask("update_proc_template", &body)["code"].clone()
}

#[test]
fn a_pair_of_function_and_regex_that_another_has_is_foreseen() {
    let set = |regex: &Value| json!({"bk_start_param_regex": {"value": regex}});
    let check = |(row, two): (Value, Value), declared: &str, sent: &Value, pair: &str| {
        let state = java(&row, &two);
        assert_eq!(takes(&state, sent), 1_113_020, "{row} {two} {declared}");
        let output = plan(&state, &named("one", declared));
        assert_eq!(output.code, Some(1), "{row} {two} {declared}\n{output}");
        for text in ["P130", "process template #61 has the function `java`", pair, "one.yaml:8:"] {
            assert!(output.stderr.contains(text), "{text}: {row} {two} {declared}\n{output}");
        }
    };
    check((json!("-a"), json!("-b")), "bk_start_param_regex: -b", &set(&json!("-b")), "regex `-b`");
    check((json!("-a"), json!("")), "bk_start_param_regex: null", &set(&Value::Null), "none counts as empty");
    check((Value::Null, json!("-b")), "bk_start_param_regex: -b", &set(&json!("-b")), "regex `-b`");
    // It is there already: whatever else is to change is refused.
    let other = json!({"proc_num": {"value": 4}});
    check((Value::Null, json!("")), "proc_num: 4", &other, "no change of another that has them");
    // By id, where the regex changes.
    let by_id = document("one", "id: 60", "bk_start_param_regex: -b");
    let output = plan(&java(&json!("-a"), &json!("-b")), &by_id);
    assert!(output.stderr.contains("process template #61 has the function `java`"), "{output}");
    // A new one meets it as well.
    let new = "ensure: present\n  serviceTemplate: nginx\n  process: three";
    for (regex, code) in [("bk_start_param_regex: -b", 1), ("bk_start_param_regex: -c", 2), ("proc_num: 1", 2)] {
        let output =
            plan(&java(&json!("-a"), &json!("-b")), &document("n", new, &format!("bk_func_name: java, {regex}")));
        assert_eq!(output.code, Some(code), "{regex}\n{output}");
    }
}

#[test]
fn pairs_that_do_not_meet_are_left_alone() {
    let check = |(row, two): (Value, Value), declared: &str| {
        let state = java(&row, &two);
        let site = Site::with(&state, &[("one.yaml", &named("one", declared))]);
        assert_eq!(site.apply().len(), 1, "{row} {two} {declared}");
        site.assert_converged();
    };
    check((Value::Null, Value::Null), "proc_num: 4");
    check((json!("-a"), json!("-b")), "proc_num: 4");
    check((json!("-a"), Value::Null), "bk_start_param_regex: ''");
    check((Value::Null, json!("")), "bk_start_param_regex: -a");
    // Where nothing changes, nothing is refused.
    let site = Site::with(&java(&Value::Null, &json!("")), &[("one.yaml", &named("one", "proc_num: null"))]);
    site.assert_converged();
    // The other gives it up in the same run: it goes first.
    for (first, second) in [("one", "two"), ("two", "one")] {
        let (a, b) = if first == "one" { (json!("-a"), json!("-b")) } else { (json!("-b"), json!("-a")) };
        let manifest = named(first, "bk_start_param_regex: -b") + &named(second, "bk_start_param_regex: -c");
        let site = Site::with(&java(&a, &b), &[("one.yaml", &manifest)]);
        assert_eq!(site.apply().len(), 2);
        site.assert_converged();
    }
    // Both want it.
    let both = named("one", "bk_start_param_regex: -c") + &named("two", "bk_start_param_regex: -c");
    let output = plan(&java(&json!("-a"), &json!("-b")), &both);
    assert!(output.code == Some(1) && output.stderr.contains("P131"), "{output}");
}

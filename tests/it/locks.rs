//! Locks of process templates: what reaches processes that exist, what does not, and the sync that is left to people.

use serde_json::{Value, json};

use crate::harness::{Output, Site, bodies, state};

const SYNC: &str = "sync the modules of the service template: web-1 (#34)";

/// A state whose service template has a module, and whose process has these properties beside its names.
fn site_state(properties: &Value) -> Value {
    let mut state = state();
    let modules = state["bk-cmdb"]["modules"].as_array_mut().expect("a list");
    modules.push(json!({"bk_module_id": 34, "bk_module_name": "web-1", "bk_set_id": 11, "bk_biz_id": 3,
        "bk_module_type": "1", "service_template_id": 51}));
    let property = state["bk-cmdb"]["process_templates"][0]["property"].as_object_mut().expect("properties");
    property.retain(|name, _| name == "bk_process_name" || name == "bk_func_name");
    property.extend(properties.as_object().cloned().unwrap_or_default());
    state
}

fn document(spec: &str) -> String {
    format!(
        "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {{name: p}}\nspec:\n  business: demo\n  \
         serviceTemplate: nginx\n  {spec}\n"
    )
}

fn nginx(properties: &str) -> String {
    document(&format!("process: nginx\n  properties: {{{properties}}}"))
}

fn plan(live: &Value, manifest: &str) -> Output {
    Site::with(&site_state(live), &[("p.yaml", manifest)]).plan()
}

fn cell(value: impl Into<Value>, lock: impl Into<Value>) -> Value {
    json!({"value": value.into(), "as_default_value": lock.into()})
}

/// A row whose cells all have one lock.
fn row(id: i64, port: &str, lock: bool) -> Value {
    json!({"row_id": id, "ip": cell("2", lock), "port": cell(port, lock), "protocol": cell("1", lock),
        "enable": cell(true, lock)})
}

#[test]
fn what_had_no_lock_is_locked_unless_the_manifest_says_otherwise() {
    let check = |live: &Value, properties: &str, expected: &Value| {
        let site = Site::with(&site_state(live), &[("p.yaml", &nginx(properties))]);
        let sent: Vec<_> = site.apply().iter().map(|call| call.body["process_property"].clone()).collect();
        assert_eq!(json!(sent), json!([expected]), "{live} {properties}");
        site.assert_converged();
    };
    let none = json!({});
    check(&none, "timeout: 30", &json!({"timeout": cell(30, true)}));
    check(&none, "timeout: {value: 30, as_default_value: false}", &json!({"timeout": cell(30, false)}));
    check(&json!({"timeout": cell(20, Value::Null)}), "timeout: 30", &json!({"timeout": cell(30, true)}));
    check(&json!({"timeout": cell(20, false)}), "timeout: 30", &json!({"timeout": cell(30, false)}));
    let declared = "bind_info: [{ip: 0.0.0.0, port: 80, protocol: tcp, enable: true}]";
    check(&none, declared, &json!({"bind_info": cell(json!([row(1, "80", true)]), true)}));
    let mut live = row(1, "80", true);
    live["enable"] = cell(Value::Null, Value::Null);
    let rows = |row: &Value| json!({"bind_info": cell(json!([row]), true)});
    check(&rows(&live), declared, &rows(&row(1, "80", true)));
}

#[test]
fn a_new_process_template_is_locked_throughout() {
    let created = |extra: &str| {
        let manifest = document(&format!(
            "process: new\n  ensure: present{extra}\n  properties: {{bk_func_name: new, proc_num: 2, user: {{value: u, \
             as_default_value: false}}, bind_info: [{{ip: 0.0.0.0, port: 80, protocol: tcp, enable: true}}]}}"
        ));
        let site = Site::with(&site_state(&json!({})), &[("p.yaml", &manifest)]);
        let sent = bodies(&site.apply())[0]["processes"][0]["spec"].clone();
        site.assert_converged();
        sent
    };
    let names = |spec: &mut Value| {
        spec["bk_process_name"] = cell("new", true);
        spec["bk_func_name"] = cell("new", true);
    };
    let mut expected = json!({"proc_num": cell(2, true), "user": cell("u", false),
        "bind_info": cell(json!([row(1, "80", true)]), true)});
    names(&mut expected);
    assert_eq!(created(""), expected);
    let mut expected = json!({"proc_num": cell(2, false), "user": cell("u", false),
        "bind_info": cell(json!([row(1, "80", false)]), false)});
    names(&mut expected);
    assert_eq!(created("\n  as_default_value: false"), expected);
}

#[test]
fn a_sync_is_called_for_only_where_processes_can_follow() {
    let check = |live: &Value, properties: &str, syncs: bool, remark: &str| {
        let output = plan(live, &nginx(properties));
        assert_eq!(output.code, Some(2), "{output}");
        assert_eq!(output.stdout.contains(SYNC), syncs, "{live} {properties}\n{output}");
        let remarks = ["not locked: reaches new processes only", "`bind_info` is not locked"];
        for text in remarks {
            assert_eq!(output.stdout.contains(text), text == remark, "{live} {properties}\n{output}");
        }
    };
    let [open, unseen] = ["not locked: reaches new processes only", "`bind_info` is not locked"];
    let mixed = json!({"timeout": cell(20, false), "user": cell("root", true)});
    check(&mixed, "timeout: 30", false, open);
    check(&mixed, "user: app", true, "");
    check(&mixed, "timeout: 30, user: app", true, open);
    check(&mixed, "timeout: {as_default_value: true}", true, "");
    check(&mixed, "user: {as_default_value: false}", false, "");
    check(&mixed, "bk_process_name: front", true, "");
    let rows =
        |list: bool, first: bool| json!({"bind_info": cell(json!([row(1, "80", first), row(2, "81", true)]), list)});
    let edit = "bind_info: [{ip: 0.0.0.0, port: 8080, protocol: tcp}, {port: 81}]";
    check(&rows(true, true), edit, true, "");
    check(&rows(true, false), edit, false, open);
    check(&rows(false, true), edit, false, unseen);
    check(&rows(true, false), "bind_info: [{port: 80}]", true, "");
    check(&rows(false, false), "bind_info: [{port: 80}]", false, unseen);
    check(&rows(true, true), "bind_info: [{port: 81}, {port: 80}]", false, "");
    let absent = plan(&mixed, &document("process: nginx\n  ensure: absent"));
    assert!(absent.stdout.contains(SYNC), "{absent}");
}

#[test]
fn a_template_that_is_not_locked_at_all_is_told_of_and_one_line_locks_it() {
    let open = json!({"timeout": cell(20, false), "user": cell("root", Value::Null),
        "bind_info": cell(json!([row(1, "80", true)]), false)});
    let declared = "process: nginx\n  properties: {timeout: 20, user: root, bind_info: [{port: 80}]}";
    let site = Site::with(&site_state(&open), &[("p.yaml", &document(declared))]);
    let output = site.plan();
    assert_eq!(output.code, Some(0), "{output}");
    assert!(
        output.stderr.contains("warning[P160]: `bind_info`, `timeout`, `user` of demo/nginx #50 are not locked"),
        "{output}"
    );
    // It is as it is on purpose.
    site.write("p.yaml", &document(&format!("as_default_value: false\n  {declared}")));
    assert_eq!(site.plan().stderr, "");
    site.write("p.yaml", &document(&format!("as_default_value: true\n  {declared}")));
    let sent = bodies(&site.apply())[0]["process_property"].clone();
    let rows = cell(json!([row(1, "80", true)]), true);
    assert_eq!(sent, json!({"timeout": cell(20, true), "user": cell("root", true), "bind_info": rows}));
    site.assert_converged();
    assert_eq!(site.plan().stderr, "");
    // Some locks are set: what is not locked is so by choice.
    let chosen = json!({"timeout": cell(20, false), "user": cell("root", true), "bind_info": rows});
    assert_eq!(plan(&chosen, &document(declared)).stderr, "");
}

#[test]
fn a_new_row_without_enable_is_told_to_be_disabled() {
    let told = "enable not set: the process will be disabled";
    let row = |enable: &str| format!("bind_info: [{{ip: 127.0.0.1, port: 15000, protocol: tcp{enable}}}]");
    for (enable, is_told) in
        [("", true), (", enable: null", true), (", enable: true", false), (", enable: false", false)]
    {
        let output = plan(&json!({}), &nginx(&row(enable)));
        assert_eq!(output.stdout.contains(told), is_told, "{output}");
        let new = format!("process: new\n  ensure: present\n  properties: {{bk_func_name: new, {}}}", row(enable));
        let output = plan(&json!({}), &document(&new));
        assert_eq!(output.stdout.contains(told), is_told, "{output}");
        // The server makes a disabled binding of it; a locked null would ask for a sync for ever.
        let site = Site::with(&site_state(&json!({})), &[("p.yaml", &nginx(&row(enable)))]);
        let stored = site.apply()[0].body["process_property"]["bind_info"]["value"][0]["enable"].clone();
        assert_ne!(stored, cell(Value::Null, true));
    }
}

#[test]
fn steps_that_are_left_to_people_stand_at_the_end_of_every_report() {
    let live = json!({"timeout": cell(20, true)});
    let site = Site::with(&site_state(&live), &[("p.yaml", &nginx("timeout: 30"))]);
    let last = format!("1 manual follow-up is left: {SYNC}\n");
    let planned = site.plan();
    assert!(planned.stdout.ends_with(&last), "{planned}");
    let expected = json!([{"text": SYNC, "addresses": ["ProcessTemplate/p"]}]);
    assert_eq!(site.run(&["plan", "-o", "json"]).json()["follow_ups"], expected);
    for form in ["markdown", "github", "gitlab-code-quality", "sarif", "junit", "yaml"] {
        let output = site.run(&["plan", "-o", form]);
        assert!(output.stdout.matches(SYNC).count() >= 2, "{form}: {output}");
    }
    let refused = json!([{"operation": "update_proc_template", "fault": "code", "code": 1_199_006, "message": "no"}]);
    site.faults(&refused);
    let output = site.run(&["apply", "-y", "-o", "json"]);
    assert_eq!((output.code, &output.json()["follow_ups"]), (Some(1), &json!([])), "{output}");
    site.faults(&json!([]));
    let output = site.run(&["apply", "-y", "--events", "events.ndjson"]);
    assert!(output.stdout.ends_with(&last), "{output}");
    let events = std::fs::read_to_string(site.path().join("events.ndjson")).expect("there are events");
    let end: Value = serde_json::from_str(events.lines().last().expect("a last line")).expect("JSON");
    assert_eq!(end["follow_ups"], json!([SYNC]));
}

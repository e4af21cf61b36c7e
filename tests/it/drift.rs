//! Attribution of changes: `drift` against what really happened, and its words where the platform says less.

use serde_json::{Value, json};

use crate::harness::{Site, http, state, switch};

/// A state whose server keeps the time zone that its target names.
fn zoned() -> Value {
    let mut state = state();
    state["bk-cmdb"]["time_zone"] = json!("Asia/Shanghai");
    state
}

fn document(kind: &str, spec: &str) -> String {
    let platform = if kind == "App" { "roma-connect" } else { "bk-cmdb" };
    format!("apiVersion: {platform}/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{{spec}}}\n---\n")
}

/// Lets a call in the name of the target's own account arrive, as an earlier run would have made it.
fn ours(site: &Site, operation: &str, body: &Value) {
    let edit = json!({"user": "admin", "operation": operation, "body": body});
    let address = site.url().trim_start_matches("http://").parse().expect("an address");
    let answer = http(address, "POST", "/_sandbox/edit", &edit.to_string());
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Returns the differences by path (empty for an object that is created or deleted): `[verdict, what, by, source,
/// was]`.
fn seen(site: &Site) -> Value {
    let before = site.writes().len();
    let output = site.run(&["drift", "-o", "json"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(site.writes().len(), before, "drift wrote");
    let document = output.json();
    let mut seen = serde_json::Map::new();
    let told = |shown: &Value| {
        let changed = &shown["changed"];
        json!([shown["verdict"], changed["what"], changed["by"], changed["source"], changed["was"]])
    };
    for change in document["changes"].as_array().expect("a list") {
        if change["action"] != "update" {
            seen.insert(String::new(), told(change));
            continue;
        }
        for field in change["fields"].as_array().expect("a list") {
            seen.insert(field["path"].as_str().expect("a path").to_owned(), told(field));
        }
    }
    Value::Object(seen)
}

/// An operation that is refused for good.
fn refused(operation: &str) -> Value {
    json!({"operation": operation, "fault": "code", "code": 9_900_403, "message": "no permission"})
}

fn refuse_audits(site: &Site) {
    site.faults(&json!([refused("list_operation_audit"), refused("find_inst_audit"), refused("find_audit_by_id")]));
}

const SW: &str = "bk_inst_name: sw-1";

#[test]
fn an_edit_and_drift_of_an_instance_as_people_read_them() {
    let site = Site::with(&zoned(), &[("a.yaml", &switch("core", SW, "operator: alice, ports: 48"))]);
    site.apply();
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "bob"}));
    // A call that changes nothing leaves a record too.
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 48, "operator": "bob"}));
    site.write("a.yaml", &switch("core", SW, "operator: alice, ports: 96, bk_sn: S1"));
    let output = site.run(&["drift", "--detailed-exitcode"]).to_string();
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").expect("it is right");
    insta::assert_snapshot!(time.replace_all(&output, "[moment]"), @r#"
    ~ Instance core  (cmdb, bk_switch #1)                               a.yaml:1
        drift    operator: live "bob", declared "alice", changed [moment] +08:00 by zoe (audit record)  a.yaml:7:22
        edit     ports: live 48, declared 96, changed [moment] +08:00 by admin, the account of this target, before 24 (audit record)  a.yaml:7:36
        edit     bk_sn: live "", declared "S1", not changed since [moment] +08:00 (audit record)  a.yaml:7:47

    Drift: 1 drifted, 0 edited, 0 unknown which, 0 unchanged.   4 reads, [time]
    [exit status: 2]
    "#);
    let document = site.run(&["drift", "-o", "json"]).json();
    assert_eq!(document["kind"], "Drift");
    assert_eq!(document["summary"], json!({"drift": 1, "edit": 0, "unknown": 0, "unchanged": 0, "blocked": 0}));
    assert_eq!(document["cost"]["reads"], 4);
}

#[test]
fn an_instance_through_each_door() {
    for (access, first, second) in [
        ("esb", "list_operation_audit", "find_audit_by_id"),
        ("gateway", "find_inst_audit", ""),
        ("direct", "find_inst_audit", ""),
    ] {
        let manifest = switch("core", SW, "operator: alice, ports: 1");
        let site = Site::with(&zoned(), &[("a.yaml", &manifest)]);
        let auth = if access == "direct" {
            "{username: admin}"
        } else {
            "{appCode: reconcile, appSecret: {file: app-secret.txt}, username: admin}"
        };
        site.write(
            "reconcile.yaml",
            &format!("apiVersion: reconcile/v1\nkind: Config\ntargets:\n  cmdb: {{platform: bk-cmdb, access: {access}, endpoint: '{}', auth: {auth}, timeZone: Asia/Shanghai}}\n", site.url()),
        );
        let update = |ports: i64| json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": ports});
        site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "bob"}));
        ours(&site, "update_inst", &update(48));
        site.edit("update_inst", &update(7));
        ours(&site, "update_inst", &update(48));
        let expected = json!({
            "operator": ["drift", "changed", "zoe", "audit", "alice"],
            "ports": ["edit", "changed", "admin", "audit", 7],
        });
        assert_eq!(seen(&site), expected, "{access}");
        let reads = site.reads();
        assert_eq!((&reads[first], reads.get(second).is_some()), (&json!(1), !second.is_empty()), "{access}: {reads}");
    }
}

#[test]
fn an_instance_whose_records_cannot_be_had() {
    let site = Site::with(&zoned(), &[("a.yaml", &switch("core", SW, "operator: alice, ports: 1"))]);
    // As it was loaded, it has no records; nobody has changed it.
    assert_eq!(seen(&site), json!({"ports": ["edit", "made", "admin", "object", null]}));
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "bob"}));
    refuse_audits(&site);
    let by = |verdict: &str, by: &str| {
        let row = json!([verdict, "changed", by, "object", null]);
        json!({"operator": row, "ports": row})
    };
    // Zoe edited the operator alone, which the row does not tell.
    assert_eq!(seen(&site), by("unknown", "zoe"));
    let output = site.run(&["drift"]);
    let told = regex::Regex::new(
        r"its object last changed \S+ \S+ \S+ by zoe; which field is not on record \(the object's own fields\)",
    );
    assert!(told.expect("it is right").is_match(&output.stdout), "{output}");
    assert!(output.stdout.contains("Drift: 0 drifted, 0 edited, 1 unknown which"), "{output}");
    ours(&site, "update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "remark": "x"}));
    assert_eq!(seen(&site), by("edit", "admin"));
    // One read of the columns for all of them; the refusals are asked for once.
    site.sandbox().clear_calls();
    let more = switch("core", SW, "ports: 1") + &switch("b", "bk_inst_name: sw-2", "ports: 1");
    site.write("a.yaml", &more);
    seen(&site);
    assert_eq!(site.reads()["search_object_instances"], 2);
    assert_eq!(site.reads()["list_operation_audit"], 1);
    // Neither records nor columns: not known, and no error.
    let rows = json!({"operation": "search_object_instances", "nth": 2, "fault": "code", "code": 1, "message": "no"});
    site.faults(&json!([refused("list_operation_audit"), rows]));
    assert_eq!(seen(&site), json!({"ports": ["unknown", "unknown", null, "none", null]}));
}

#[test]
fn an_older_server() {
    let mut state = zoned();
    state["bk-cmdb"]["version"] = json!("3.9");
    let site = Site::with(&state, &[("a.yaml", &switch("core", SW, "operator: alice, ports: 1"))]);
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "operator": "bob"}));
    let ports = json!(["edit", "kept", null, "audit", null]);
    let told = json!({"operator": ["drift", "changed", "zoe", "audit", "alice"], "ports": ports});
    assert_eq!(seen(&site), told);
    refuse_audits(&site);
    let row = json!(["unknown", "changed", "zoe", "object", null]);
    assert_eq!(seen(&site), json!({"operator": row, "ports": row}));
}

#[test]
fn an_instance_that_is_missing_or_in_the_way() {
    let new = document("Instance", "ensure: present, model: bk_switch, match: {bk_inst_name: new}, fields: {ports: 1}");
    let site = Site::with(&zoned(), &[("a.yaml", &new)]);
    assert_eq!(seen(&site), json!({"": ["edit", "never", null, "audit", null]}));
    site.apply();
    let id = site.row("/bk-cmdb/instances/bk_switch", "bk_inst_name", "new")["bk_inst_id"].clone();
    let gone = new.replace("present", "absent").replace(", fields: {ports: 1}", "");
    site.write("a.yaml", &gone);
    assert_eq!(seen(&site), json!({"": ["edit", "made", "admin", "audit", null]}));
    site.write("a.yaml", &new);
    site.edit("delete_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": id}));
    assert_eq!(seen(&site), json!({"": ["drift", "removed", "zoe", "audit", null]}));
    site.edit("create_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_name": "new"}));
    site.write("a.yaml", &gone);
    assert_eq!(seen(&site), json!({"": ["drift", "made", "zoe", "audit", null]}));
    refuse_audits(&site);
    assert_eq!(seen(&site), json!({"": ["drift", "made", "zoe", "object", null]}));
    site.write("a.yaml", &new.replace("new", "newer"));
    assert_eq!(seen(&site), json!({"": ["unknown", "unknown", null, "none", null]}));
}

/// A name that somebody else used again: who removed the first one is not to blame.
#[test]
fn a_name_that_was_used_again() {
    let spec = "ensure: present, model: bk_switch, match: {bk_inst_name: new}, fields: {ports: 1}";
    let site = Site::with(&zoned(), &[("a.yaml", &document("Instance", spec))]);
    let id = || site.row("/bk-cmdb/instances/bk_switch", "bk_inst_name", "new")["bk_inst_id"].clone();
    site.apply();
    site.edit("delete_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": id()}));
    assert_eq!(seen(&site), json!({"": ["drift", "removed", "zoe", "audit", null]}));
    site.edit("create_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_name": "new"}));
    ours(&site, "update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": id(), "bk_inst_name": "other"}));
    assert_eq!(seen(&site), json!({"": ["unknown", "unknown", null, "none", null]}));
    // The same of modules, where another set does not count.
    let spec = "ensure: present, business: demo, set: public, module: fresh";
    site.write("a.yaml", &document("Module", spec));
    let id = || site.row("/bk-cmdb/modules", "bk_module_name", "fresh")["bk_module_id"].clone();
    site.apply();
    site.edit("delete_module", &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": id()}));
    assert_eq!(seen(&site), json!({"": ["drift", "removed", "zoe", "audit", null]}));
    let data = json!({"bk_module_name": "fresh", "bk_parent_id": 11});
    site.edit("create_module", &json!({"bk_biz_id": 3, "bk_set_id": 11, "data": data}));
    let renamed = json!({"bk_module_name": "stale"});
    site.edit("update_module", &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": id(), "data": renamed}));
    assert_eq!(seen(&site), json!({"": ["unknown", "unknown", null, "none", null]}));
}

/// An object that somebody makes again has their values, which nobody declared.
#[test]
fn an_object_that_was_removed_and_made_again() {
    let manifest = |ports: i64| {
        let spec =
            format!("ensure: present, model: bk_switch, match: {{bk_inst_name: new}}, fields: {{ports: {ports}}}");
        document("Instance", &spec)
    };
    let mut state = zoned();
    let set = json!({"bk_set_id": 13, "bk_set_name": "other", "bk_biz_id": 3, "bk_parent_id": 3});
    state["bk-cmdb"]["sets"].as_array_mut().expect("a list").push(set);
    let site = Site::with(&state, &[("a.yaml", &manifest(8))]);
    let id = || site.row("/bk-cmdb/instances/bk_switch", "bk_inst_name", "new")["bk_inst_id"].clone();
    // One that was there before is as it was made, whoever made it.
    site.edit("create_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_name": "new", "ports": 9}));
    assert_eq!(seen(&site), json!({"ports": ["edit", "made", "zoe", "audit", null]}));
    site.edit("delete_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": id()}));
    site.apply();
    site.edit("delete_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": id()}));
    site.edit("create_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_name": "new", "ports": 9}));
    assert_eq!(seen(&site), json!({"ports": ["drift", "remade", "zoe", "audit", null]}));
    let output = site.run(&["drift"]);
    let told = "its object was removed and made again ";
    assert!(output.stdout.contains(told) && output.stdout.contains("+08:00 by zoe (audit record)"), "{output}");
    // Once it was brought in line, what the manifest says anew is an edit.
    site.apply();
    site.write("a.yaml", &manifest(8).replace("ports: 8", "ports: 8, operator: alice"));
    assert_eq!(seen(&site), json!({"operator": ["edit", "made", "zoe", "audit", null]}));
    // Under another name nothing tells it from one that is new: records of removals are found by the name alone.
    let by_serial = |ports: i64| {
        let spec = format!("model: bk_switch, match: {{bk_asset_id: A1}}, fields: {{ports: {ports}}}");
        document("Instance", &spec)
    };
    site.write("a.yaml", &by_serial(8));
    site.apply();
    site.edit("delete_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1}));
    let again = json!({"bk_obj_id": "bk_switch", "bk_inst_name": "sw-1-new", "bk_asset_id": "A1", "ports": 9});
    site.edit("create_inst", &again);
    assert_eq!(seen(&site), json!({"ports": ["edit", "made", "zoe", "audit", null]}));
    // Of modules those of the same set count.
    let spec = "ensure: present, business: demo, set: public, module: fresh, fields: {operator: alice}";
    site.write("a.yaml", &document("Module", spec));
    let id = || site.row("/bk-cmdb/modules", "bk_module_name", "fresh")["bk_module_id"].clone();
    let make = |set: i64| {
        let data = json!({"bk_module_name": "fresh", "bk_parent_id": set, "operator": "bob"});
        site.edit("create_module", &json!({"bk_biz_id": 3, "bk_set_id": set, "data": data}));
    };
    let remove = |set: i64| {
        site.edit("delete_module", &json!({"bk_biz_id": 3, "bk_set_id": set, "bk_module_id": id()}));
    };
    make(13);
    remove(13);
    make(11);
    assert_eq!(seen(&site), json!({"operator": ["edit", "made", "zoe", "audit", null]}));
    remove(11);
    make(11);
    assert_eq!(seen(&site), json!({"operator": ["drift", "remade", "zoe", "audit", null]}));
}

#[test]
fn a_module() {
    let module = document("Module", "business: demo, set: public, module: web, fields: {operator: alice}");
    let site = Site::with(&zoned(), &[("a.yaml", &module)]);
    let update = |who: &str| json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": 31, "data": {"operator": who}});
    site.edit("update_module", &update("bob"));
    assert_eq!(seen(&site), json!({"operator": ["drift", "changed", "zoe", "audit", null]}));
    ours(&site, "update_module", &update("carol"));
    assert_eq!(seen(&site), json!({"operator": ["edit", "changed", "admin", "audit", "bob"]}));
    refuse_audits(&site);
    assert_eq!(seen(&site), json!({"operator": ["edit", "changed", "admin", "object", null]}));
    // An older server keeps times, and no names: it is not known which side moved, unless nobody moved what is live.
    let row = |made: &str| {
        let row = json!({"bk_module_id": 31, "create_time": made, "last_time": "2026-11-20T06:02:03.5Z"});
        let body = json!({"result": true, "code": 0, "message": "", "data": [row]});
        let old = json!({"operation": "find_module_batch", "fault": "status", "status": 200, "body": body});
        site.faults(&json!([refused("list_operation_audit"), old]));
    };
    row("2026-11-19T00:00:00Z");
    assert_eq!(seen(&site), json!({"operator": ["unknown", "changed", null, "time", null]}));
    let told = "its object last changed 2026-11-20 14:02:03 +08:00 (the object's own time; nothing tells by whom)";
    let output = site.run(&["drift"]);
    assert!(output.stdout.contains(told), "{output}");
    row("2026-11-20T06:02:03.5Z");
    assert_eq!(seen(&site), json!({"operator": ["edit", "made", null, "time", null]}));
    site.faults(&json!([]));
    // One of the same name in another set does not count.
    let new = document("Module", "ensure: present, business: demo, set: public, module: fresh");
    site.write("a.yaml", &new);
    assert_eq!(seen(&site), json!({"": ["edit", "never", null, "audit", null]}));
    site.apply();
    let id = site.row("/bk-cmdb/modules", "bk_module_name", "fresh")["bk_module_id"].clone();
    site.edit("delete_module", &json!({"bk_biz_id": 3, "bk_set_id": 11, "bk_module_id": id}));
    assert_eq!(seen(&site), json!({"": ["drift", "removed", "zoe", "audit", null]}));
}

#[test]
fn a_row_of_an_association() {
    let row = document(
        "InstanceAssociation",
        "association: switch_rack, source: {model: bk_switch, id: 1}, targets: [{model: bk_rack, id: 21}]",
    );
    let site = Site::with(&zoned(), &[("a.yaml", &row)]);
    assert_eq!(seen(&site), json!({"": ["edit", "never", null, "audit", null]}));
    site.apply();
    let id = site.row("/bk-cmdb/instance_associations", "bk_asst_inst_id", 21)["id"].clone();
    site.edit("delete_instance_association", &json!({"bk_obj_id": "bk_switch", "id": id}));
    assert_eq!(seen(&site), json!({"": ["drift", "removed", "zoe", "audit", null]}));
    site.edit(
        "add_instance_association",
        &json!({"bk_obj_asst_id": "switch_rack", "bk_inst_id": 1, "bk_asst_inst_id": 21}),
    );
    site.write("a.yaml", &row.replace("targets", "ensure: absent, targets"));
    assert_eq!(seen(&site), json!({"": ["drift", "made", "zoe", "audit", null]}));
    refuse_audits(&site);
    assert_eq!(seen(&site), json!({"": ["unknown", "unknown", null, "none", null]}));
}

#[test]
fn a_process_template() {
    let spec = "business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 4}";
    let site = Site::with(&zoned(), &[("a.yaml", &document("ProcessTemplate", spec))]);
    let update = |count: i64| json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": {"proc_num": {"value": count, "as_default_value": true}}});
    ours(&site, "update_proc_template", &update(5));
    assert_eq!(seen(&site), json!({"proc_num": ["edit", "changed", "admin", "object", null]}));
    // Somebody who touches another property is not to blame for this one.
    let user = json!({"user": {"value": "nobody", "as_default_value": true}});
    site.edit("update_proc_template", &json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": user}));
    assert_eq!(seen(&site), json!({"proc_num": ["unknown", "changed", "zoe", "object", null]}));
    site.edit("update_proc_template", &update(6));
    site.sandbox().clear_calls();
    assert_eq!(seen(&site), json!({"proc_num": ["unknown", "changed", "zoe", "object", null]}));
    assert_eq!(site.reads(), json!({"search_business": 1, "list_service_template": 1, "list_proc_template": 1}));
    // By its id too.
    site.write("a.yaml", &document("ProcessTemplate", "business: 3, id: 50, properties: {proc_num: 4}"));
    site.sandbox().clear_calls();
    assert_eq!(seen(&site), json!({"proc_num": ["unknown", "changed", "zoe", "object", null]}));
    assert_eq!(site.reads(), json!({"list_proc_template": 1}));
    site.write(
        "a.yaml",
        &document(
            "ProcessTemplate",
            &format!(
                "ensure: present, {}",
                spec.replace("process: nginx", "process: other").replace("{proc_num", "{bk_func_name: other, proc_num")
            ),
        ),
    );
    assert_eq!(seen(&site), json!({"": ["unknown", "unknown", null, "none", null]}));
}

#[test]
fn an_app() {
    let app = document("App", "app: orders, fields: {remark: declared}, members: [{id: u1, roles: [read]}]");
    let site = Site::with(&zoned(), &[("a.yaml", &app)]);
    site.edit("UpdateRomaApp", &json!({"app_id": "a1", "name": "orders", "remark": "theirs", "favorite": false}));
    // Nothing tells who changes members.
    let members = json!(["unknown", "unknown", null, "none", null]);
    let seen_remark = |verdict: &str, what: &str, by: &str| json!({"remark": [verdict, what, by, "object", null], "members[u1]": members});
    assert_eq!(seen(&site), seen_remark("unknown", "changed", "zoe"));
    site.sandbox().clear_calls();
    seen(&site);
    let reads = json!({"CheckRomaInstanceListV2": 1, "ListRomaApp": 1, "CheckAuthUsersOfApp": 1});
    assert_eq!(site.reads(), reads, "no more than a plan");
    site.apply();
    let again = document("App", "app: orders, fields: {remark: moved}, members: []");
    site.write("a.yaml", &again);
    let seen = seen(&site);
    assert_eq!((&seen["remark"][0], &seen["remark"][1]), (&json!("edit"), &json!("changed")), "{seen}");
}

/// A key or a ready token does not tell whose it is; without an app of the caller's own it stays open.
#[test]
fn an_app_where_nothing_tells_who_we_are() {
    let mut state = zoned();
    for app in state["roma-connect"]["apps"].as_array_mut().expect("a list") {
        app["created_user"] = json!({"user_id": "u9", "user_name": "yan"});
    }
    let app = document("App", "app: orders, fields: {remark: declared}");
    let site = Site::with(&state, &[("a.yaml", &app)]);
    assert_eq!(seen(&site), json!({"remark": ["edit", "made", "yan", "object", null]}));
    site.edit("UpdateRomaApp", &json!({"app_id": "a1", "name": "orders", "remark": "theirs", "favorite": false}));
    assert_eq!(seen(&site), json!({"remark": ["unknown", "changed", "zoe", "object", null]}));
    let output = site.run(&["drift"]);
    assert!(
        output.stdout.contains(" by zoe, perhaps the account of this target (the object's own fields)"),
        "{output}"
    );
    let row = json!({"id": "a1", "name": "orders", "remark": "theirs", "favorite": false,
        "create_time": "2019-12-06T06:49:04Z", "update_time": "2019-12-06T06:49:05.000Z"});
    let body = json!({"total": 1, "size": 1, "apps": [row]});
    site.faults(&json!([{"operation": "ListRomaApp", "fault": "status", "status": 200, "body": body}]));
    assert_eq!(seen(&site), json!({"remark": ["unknown", "changed", null, "time", null]}));
    site.faults(&json!([]));
    site.write("a.yaml", &document("App", "app: fresh, ensure: present, fields: {}"));
    assert_eq!(seen(&site), json!({"": ["unknown", "unknown", null, "none", null]}));
}

#[test]
fn what_is_reported_counts_and_what_is_ignored_does_not() {
    let spec = "model: bk_switch, match: {bk_inst_name: sw-1}, fields: {operator: bob, ports: 1}";
    let site = Site::with(
        &zoned(),
        &[("a.yaml", &document("Instance", &format!("{spec}, fieldPolicy: {{ports: ignore, operator: report}}")))],
    );
    let output = site.run(&["drift", "--detailed-exitcode"]);
    assert_eq!(output.code, Some(2), "{output}");
    assert!(output.stdout.contains("only reported (policy: report)"), "{output}");
    assert_eq!(seen(&site), json!({"operator": ["edit", "made", "admin", "object", null]}));
    site.write("a.yaml", &document("Instance", &format!("{spec}, policy: ignore")));
    let output = site.run(&["drift", "--detailed-exitcode"]);
    assert_eq!(output.code, Some(0), "{output}");
    // Unread objects show in the exit code, as in a plan.
    site.write("a.yaml", &document("Instance", spec));
    site.faults(&json!([refused("search_object_instances")]));
    assert_eq!(site.run(&["drift"]).code, Some(5));
}

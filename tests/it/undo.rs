//! `reconcile undo`: what a run changed comes back, and what others changed since stays.

use serde_json::{Value, json};

use crate::{
    forms::check_document,
    harness::{Output, Site, state, switch},
    sets::with_sets,
};

/// Documents of all kinds that update, create and delete.
const ALL: &str = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: one}
spec: {model: bk_switch, match: {bk_asset_id: A1}, fields: {bk_inst_name: core, ports: 48, operator: [bob, alice], remark: new}}
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: new}
spec: {model: bk_switch, ensure: present, match: {bk_asset_id: A9}, fields: {bk_inst_name: sw-9, ports: 8}}
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: old}
spec: {model: bk_switch, ensure: absent, match: {bk_asset_id: A3}}
---
apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: cable}
spec: {association: switch_rack, source: {ref: new}, targets: [{model: bk_rack, match: {bk_inst_name: rack-1}}]}
---
apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: unplugged}
spec: {association: switch_rack, ensure: absent, source: {model: bk_switch, match: {bk_asset_id: A2}}, targets: [{model: bk_rack, id: 22}]}
---
apiVersion: bk-cmdb/v1
kind: Set
metadata: {name: public}
spec: {business: demo, set: public, fields: {description: new, bk_set_env: formal}}
---
apiVersion: bk-cmdb/v1
kind: Set
metadata: {name: night}
spec: {business: demo, set: night, ensure: present, fields: {bk_capacity: 7}}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: owl}
spec: {business: demo, set: night, module: owl, ensure: present}
---
apiVersion: bk-cmdb/v1
kind: Set
metadata: {name: spare}
spec: {business: demo, set: spare, ensure: absent}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: web}
spec: {business: demo, set: public, module: web, serviceCategory: Web, fields: {bk_module_name: front, operator: [erin]}}
---
apiVersion: bk-cmdb/v1
kind: ServiceTemplate
metadata: {name: nginx}
spec: {business: demo, template: nginx, fields: {category: Web}}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: batch}
spec: {business: demo, set: public, module: batch, ensure: present, fields: {operator: [erin]}}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: cache}
spec: {business: demo, set: public, module: cache, ensure: absent}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec:
  business: demo
  serviceTemplate: nginx
  process: nginx
  properties:
    proc_num: 4
    user: {value: nginx, as_default_value: false}
    bind_info:
      - {row_id: 1, ip: 0.0.0.0, port: 8080, protocol: tcp}
      - {ip: 0.0.0.0, port: 9000, protocol: udp}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: helper}
spec: {business: demo, serviceTemplate: nginx, process: helper, ensure: absent}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: new, favorite: true}, members: [{id: u1, roles: [read, modify]}, {id: u3, roles: [read]}]}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: fresh}
spec: {app: fresh, ensure: present, fields: {remark: made}}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: gone}
spec: {app: gone, ensure: absent}
";

fn cell(value: &str) -> Value {
    json!({"value": value, "as_default_value": true})
}

fn row(id: i64, port: &str) -> Value {
    json!({"row_id": id, "ip": cell("1"), "port": cell(port), "protocol": cell("1")})
}

/// A site in which `ALL` has something to change for each of its documents.
fn site() -> Site {
    let mut state = with_sets(state());
    let spare = json!({"bk_set_id": 12, "bk_set_name": "spare", "bk_biz_id": 3, "bk_parent_id": 3, "bk_capacity": 5,
        "bk_set_env": "1", "description": "for the night"});
    state["bk-cmdb"]["sets"].as_array_mut().expect("a list").push(spare);
    let web = json!({"id": 3, "name": "Web", "bk_biz_id": 0, "bk_parent_id": 1, "bk_root_id": 1, "is_built_in": true});
    state["bk-cmdb"]["service_categories"].as_array_mut().expect("a list").push(web);
    state["bk-cmdb"]["modules"][0]["service_category_id"] = json!(2);
    let rows = json!([row(1, "80"), row(2, "443")]);
    state["bk-cmdb"]["process_templates"][0]["property"]["bind_info"]["value"] = rows;
    let mut helper = state["bk-cmdb"]["process_templates"][0].clone();
    helper["id"] = json!(60);
    helper["bk_process_name"] = json!("helper");
    helper["property"]["bk_process_name"]["value"] = json!("helper");
    helper["property"]["bk_func_name"]["value"] = json!("helper");
    helper["property"]["bind_info"]["value"] = json!([row(1, "7000")]);
    state["bk-cmdb"]["process_templates"].as_array_mut().expect("a list").push(helper);
    let association = json!({"id": 1, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch", "bk_inst_id": 2,
        "bk_asst_obj_id": "bk_rack", "bk_asst_inst_id": 22, "bk_asst_id": "connect"});
    state["bk-cmdb"]["instance_associations"] = json!([association]);
    let app = |id: &str, name: &str| {
        json!({"id": id, "name": name, "instance_id": "i1", "remark": "old", "favorite": false,
            "users": [{"id": "u1", "roles": ["read"]}, {"id": "u2", "roles": ["admin"]}]})
    };
    state["roma-connect"]["apps"] = json!([app("a1", "orders"), app("a2", "gone")]);
    Site::with(&state, &[("all.yaml", ALL)])
}

fn apply(site: &Site) {
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(0), "{output}");
}

/// Plans the way back of the last run.
pub(crate) fn undo(site: &Site) -> Output {
    let output = site.run(&["undo", "latest", "--out", "undo.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    output
}

/// Applies the saved way back, with the acknowledgement that was printed with it.
pub(crate) fn apply_undo(site: &Site, undo: &Output) -> Output {
    let acknowledgement = undo.stderr.split("--ack '").nth(1).and_then(|rest| rest.split('\'').next());
    let mut arguments = vec!["apply", "-y", "undo.json"];
    arguments.extend(acknowledgement.iter().flat_map(|text| ["--ack", text]));
    site.run(&arguments)
}

/// Returns the state without what no undo can put back: ids of objects that were made again, times and names of those who
/// changed something, and counters.
fn essence(site: &Site) -> Value {
    fn strip(value: &mut Value) {
        const PASSING: &[&str] = &[
            "id",
            "row_id",
            "bk_inst_id",
            "bk_module_id",
            "bk_set_id",
            "last_time",
            "create_time",
            "bk_created_at",
            "bk_updated_at",
            "bk_created_by",
            "bk_updated_by",
            "creator",
            "modifier",
            "update_time",
            "key",
            "secret",
            "app_key",
            "app_secret",
        ];
        match value {
            Value::Object(entries) => {
                PASSING.iter().for_each(|key| drop(entries.remove(*key)));
                entries.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
                entries.values_mut().for_each(strip);
            }
            Value::Array(items) => {
                items.iter_mut().for_each(strip);
                items.sort_by_key(ToString::to_string);
            }
            _ => {}
        }
    }
    let state = site.sandbox().state();
    let pick = |list: &str| state.pointer(list).cloned().unwrap_or_default();
    let mut essence = json!({
        "switches": pick("/bk-cmdb/instances/bk_switch"),
        "associations": pick("/bk-cmdb/instance_associations"),
        "sets": pick("/bk-cmdb/sets"),
        "modules": pick("/bk-cmdb/modules"),
        "templates": pick("/bk-cmdb/service_templates"),
        "processes": pick("/bk-cmdb/process_templates"),
        "apps": pick("/roma-connect/apps"),
    });
    strip(&mut essence);
    essence
}

#[test]
fn all_kinds_come_back() {
    let site = site();
    let before = essence(&site);
    apply(&site);
    assert_ne!(essence(&site), before);
    let undone = undo(&site);
    let plan: Value =
        serde_json::from_str(&std::fs::read_to_string(site.path().join("undo.json")).expect("read")).expect("JSON");
    check_document(&plan);
    let summary = &plan["summary"];
    assert_eq!(
        (&summary["blocked"], &summary["create"], &summary["delete"]),
        (&json!(0), &json!(6), &json!(6)),
        "{undone}"
    );
    // Each object that is made again is named.
    assert_eq!(undone.stderr.matches("is made again").count(), 6, "{undone}");
    let shown = site.run(&["show", "undo.json"]);
    assert_eq!(shown.code, Some(0), "{shown}");
    // Deletions are behind the limits.
    let refused = site.run(&["apply", "-y", "undo.json"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    let applied = apply_undo(&site, &undone);
    assert_eq!(applied.code, Some(0), "{applied}");
    let mut expected = before;
    // An app that was made again has nobody to share it with.
    for app in expected["apps"].as_array_mut().expect("apps") {
        if app["name"] == "gone" {
            app["users"] = essence(&site)["apps"]
                .as_array()
                .expect("apps")
                .iter()
                .find(|now| now["name"] == "gone")
                .expect("made again")["users"]
                .clone();
        }
    }
    let now = essence(&site);
    for part in ["switches", "associations", "sets", "modules", "templates", "processes", "apps"] {
        assert_eq!(now[part], expected[part], "{part}");
    }
}

#[test]
fn what_others_changed_since_stays() {
    let site = site();
    apply(&site);
    // A field of the run, a field of nobody, a row, a member, a created object, a deleted one that is there again.
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 96, "bk_sn": "S1"}));
    let new = site.row("/bk-cmdb/instances/bk_switch", "bk_asset_id", "A9")["bk_inst_id"].clone();
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": new, "ports": 16}));
    site.edit("create_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_name": "sw-3", "bk_asset_id": "A3"}));
    let mut property = site.row("/bk-cmdb/process_templates", "id", 50)["property"].clone();
    property["bind_info"]["value"].as_array_mut().expect("rows").push(row(70, "5000"));
    let body =
        json!({"bk_biz_id": 3, "process_template_id": 50, "process_property": {"bind_info": property["bind_info"]}});
    site.edit("update_proc_template", &body);
    let undone = undo(&site);
    for part in [
        "`ports` of Instance/one is left as it is: it was changed since: it is 96",
        "Instance/new is left as it is: it was created, and changed since: ports",
        "Instance/old is left as it is: it is there again",
    ] {
        assert!(undone.stderr.contains(part), "{part}: {undone}");
    }
    let applied = apply_undo(&site, &undone);
    assert_eq!(applied.code, Some(0), "{applied}");
    let one = site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1);
    assert_eq!((&one["bk_inst_name"], &one["ports"], &one["bk_sn"]), (&json!("sw-1"), &json!(96), &json!("S1")));
    assert_eq!(site.row("/bk-cmdb/instances/bk_switch", "bk_asset_id", "A9")["ports"], 16);
    let nginx = site.row("/bk-cmdb/process_templates", "id", 50);
    let rows = nginx["property"]["bind_info"]["value"].as_array().expect("rows").clone();
    let ports: Vec<&str> = rows.iter().filter_map(|row| row["port"]["value"].as_str()).collect();
    assert_eq!(ports, ["80", "443", "5000"]);
    assert_eq!((&nginx["property"]["proc_num"]["value"], &nginx["property"]["user"]), (&json!(2), &cell("root")));
}

#[test]
fn a_plan_that_was_overtaken_is_stale() {
    let site = Site::with(&state(), &[("all.yaml", &switch("one", "bk_asset_id: A1", "ports: 48"))]);
    apply(&site);
    let undone = undo(&site);
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 96}));
    let applied = apply_undo(&site, &undone);
    assert_eq!(applied.code, Some(4), "{applied}");
    assert_eq!(site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1)["ports"], 96);
}

#[test]
fn an_undo_can_be_undone_and_nothing_is_undone_twice() {
    let site = Site::with(&state(), &[("all.yaml", &switch("one", "bk_asset_id: A1", "ports: 48, operator: [bob]"))]);
    apply(&site);
    let run = site.runs().pop().expect("a run");
    let undone = undo(&site);
    assert_eq!(apply_undo(&site, &undone).code, Some(0));
    let ports = || site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1)["ports"].clone();
    assert_eq!(ports(), 24);
    // All is as before that run.
    let again = site.run(&["undo", &run, "--out", "again.json"]);
    assert!(again.code == Some(0) && again.stderr.contains("nothing is left to put back"), "{again}");
    let undone = undo(&site);
    assert_eq!(apply_undo(&site, &undone).code, Some(0));
    assert_eq!(ports(), 48);
}

#[test]
fn protected_objects_are_not_removed() {
    let manifest = switch("new", "bk_asset_id: A9", "bk_inst_name: sw-9");
    let manifest = manifest.replace("spec:\n", "spec:\n  ensure: present\n  protect: true\n");
    let site = Site::with(&state(), &[("all.yaml", &manifest)]);
    apply(&site);
    let output = site.run(&["undo", "latest", "--out", "undo.json"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("is protected"), "{output}");
}

#[test]
fn runs_that_cannot_be_put_back_say_why() {
    let site = Site::with(&state(), &[("all.yaml", &switch("one", "bk_asset_id: A1", "ports: 48"))]);
    apply(&site);
    let run = site.runs().pop().expect("a run");
    let check = |part: &str| {
        let output = site.run(&["undo", &run, "--out", "undo.json"]);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(output.stderr.contains(part), "{part}: {output}");
        assert!(!site.path().join("undo.json").exists());
    };
    let path = site.run_file(&run, "journal");
    let text = std::fs::read_to_string(&path).expect("read");
    let cut = text.trim_end().rfind('\n').expect("several lines");
    std::fs::write(&path, &text[..=cut]).expect("written");
    check("is unfinished: `reconcile resume`");
    std::fs::write(&path, text.replace("48", "49")).expect("written");
    check("was edited or damaged");
    std::fs::write(&path, &text).expect("written");
    let configuration = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("read");
    site.write("reconcile.yaml", &configuration.replace(&site.url(), "http://127.0.0.1:1"));
    check("so that other objects may be meant");
    site.write("reconcile.yaml", &configuration);
    let plan = site.run_file(&run, "plan.json");
    let saved = std::fs::read_to_string(&plan).expect("read");
    std::fs::write(&plan, saved.replace("48", "49")).expect("written");
    check("its digest does not fit");
}

//! `reconcile snapshot`, and plans that need neither network nor credentials.

use reconcile::model::Request;
use serde_json::{Value, json};

use crate::{
    harness::{Output, Site, operations, repository, state, switch},
    snapshot_property::plan_of,
};

pub(crate) const FILE: &str = "state.snapshot";

/// One of each kind.
fn base() -> String {
    switch("core", "bk_asset_id: A1", "ports: 48")
        + "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: core-racks}
spec: {association: switch_rack, source: {ref: core}, targets: [{model: bk_rack, match: {bk_inst_name: rack-1}}]}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: web}
spec: {business: demo, set: public, module: web, fields: {operator: [alice]}}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec: {business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 2}}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: new}}
"
}

/// Returns documents of a pull request: objects that come and go, fields that no document named before, references.
fn more() -> String {
    switch("second", "bk_inst_name: sw-2", "bk_sn: S2, remark: null")
        + "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: third}
spec: {model: bk_switch, ensure: absent, match: {bk_asset_id: A3}}
---
apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: ninth}
spec: {model: bk_switch, ensure: present, match: {bk_asset_id: A9}, fields: {bk_inst_name: sw-9, ports: 8}}
---
apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: ninth-racks}
spec: {association: switch_rack, source: {ref: ninth}, targets: [{model: bk_rack, match: {bk_inst_name: 机柜-2}}]}
---
apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: nginx}
spec: {ensure: present, business: demo, set: public, module: nginx, serviceTemplate: nginx}
---
apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: exporter}
spec:
  ensure: present
  business: demo
  serviceTemplate: nginx
  process: exporter
  properties: {proc_num: 1, bk_func_name: exporter, bind_info: [{ip: 0.0.0.0, port: 9113, protocol: tcp}]}
---
apiVersion: roma-connect/v1
kind: App
metadata: {name: billing}
spec: {ensure: present, app: billing, fields: {remark: made, favorite: true}}
"
}

/// Takes a snapshot of what the manifests touch.
pub(crate) fn seal(site: &Site) -> Output {
    let taken = site.run(&["snapshot", "--out", FILE]);
    assert_eq!(taken.code, Some(0), "{taken}");
    taken
}

/// Takes away what a connection would need: the secrets.
pub(crate) fn unplug(site: &Site) {
    for secret in ["app-secret.txt", "token.txt"] {
        std::fs::remove_file(site.path().join(secret)).expect("it was there");
    }
    site.sandbox().clear_calls();
}

pub(crate) fn text_of(site: &Site) -> String {
    std::fs::read_to_string(site.path().join(FILE)).expect("it was written")
}

#[test]
fn a_plan_needs_neither_network_nor_credentials() {
    let site = Site::with(&state(), &[("all.yaml", &base())]);
    let live = site.run(&["plan", "-o", "json", "--detailed-exitcode"]);
    assert_eq!(live.code, Some(2), "{live}");
    let taken = seal(&site);
    assert!(taken.stdout.is_empty() && taken.stderr.starts_with("Snapshot: "), "{taken}");
    unplug(&site);
    let target_snapshot = site.run(&["plan", "-o", "json", "--detailed-exitcode", "--against", FILE]);
    assert_eq!((plan_of(&target_snapshot), target_snapshot.code), (plan_of(&live), live.code), "{target_snapshot}");
    assert!(target_snapshot.stderr.starts_with("Planning against state.snapshot, taken 20"), "{target_snapshot}");
    assert_eq!(operations(&site.sandbox().calls()), json!({}));
    // The file is no manifest, and the live way is shut.
    let shut = site.run(&["plan"]);
    assert_eq!(shut.code, Some(5), "{shut}");
    // By the environment, for people.
    let mut command = site.command(&["plan"]);
    command.env("RECONCILE_AGAINST", FILE);
    let shown = site.end(command, "");
    assert_eq!(shown.code, Some(0), "{shown}");
    assert!(shown.stdout.contains("24 → 48") && shown.stdout.contains("0 reads"), "{shown}");
}

#[test]
fn a_snapshot_goes_to_stdout_and_two_of_one_state_differ_in_the_time_alone() {
    let site = Site::with(&state(), &[("all.yaml", &(base() + "---\n" + &more()))]);
    seal(&site);
    let first = text_of(&site);
    let second = site.run(&["snapshot"]);
    let lasting = |text: &str| {
        let passing = |line: &&str| !line.contains("\"taken\": ") && !line.contains("\"digest\": ");
        text.lines().filter(passing).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lasting(&first), lasting(&second.stdout), "{second}");
    assert_eq!(lasting(&first).len() + 2, first.lines().count());
    assert!(serde_json::from_str::<Value>(&first).is_ok_and(|document| document["kind"] == "Snapshot"));
    // A manifest directory may hold one.
    site.write("snapshot.json", &first);
    let plan = site.run(&["plan"]);
    assert_eq!(plan.code, Some(0), "{plan}");
}

#[test]
fn what_a_pull_request_brings_is_planned() {
    for version in ["3.9", "3.14"] {
        let mut state = state();
        state["bk-cmdb"]["version"] = json!(version);
        let rows = &mut state["bk-cmdb"]["instance_associations"];
        *rows = json!([{"id": 7, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch", "bk_asst_obj_id": "bk_rack",
            "bk_asst_id": "connect", "bk_inst_id": 3, "bk_asst_inst_id": 21}]);
        let site = Site::with(&state, &[("base.yaml", &base())]);
        seal(&site);
        site.write("more.yaml", &more());
        let live = site.run(&["plan", "-o", "json"]);
        // Instance third holds a row, and that blocks its removal alone.
        assert_eq!(live.json()["changes"].as_array().map(Vec::len), Some(10), "{live}");
        unplug(&site);
        let target_snapshot = site.run(&["plan", "-o", "json", "--against", FILE]);
        assert_eq!((plan_of(&target_snapshot), target_snapshot.code), (plan_of(&live), live.code), "{target_snapshot}");
        assert_eq!(operations(&site.sandbox().calls()), json!({}));
        // Nobody was asked who else could have the name.
        let warning = "warning: target `roma`: the snapshot answers ValidateRomaApp \
                       {\"instance_id\":\"i1\",\"name\":\"billing\"} from ListRomaApp";
        assert!(target_snapshot.stderr.contains(warning), "{target_snapshot}");
    }
}

#[test]
fn large_models_are_sealed_to_their_last_page() {
    for version in ["3.9", "3.13", "3.14"] {
        let mut state = state();
        state["bk-cmdb"]["version"] = json!(version);
        let many = |at: i64| json!({"bk_inst_id": at, "bk_inst_name": format!("sw-{at}"), "bk_asset_id": format!("A{}", at % 700), "ports": at % 2});
        state["bk-cmdb"]["instances"]["bk_switch"] = (1..=1_100).map(many).collect();
        let row = |at: i64| {
            json!({"id": at, "bk_obj_asst_id": "switch_rack", "bk_obj_id": "bk_switch", "bk_asst_obj_id": "bk_rack",
            "bk_asst_id": "connect", "bk_inst_id": at, "bk_asst_inst_id": 21 + at % 2})
        };
        state["bk-cmdb"]["instance_associations"] = (1..=1_050).map(row).collect();
        // By name, by two fields of which each fits several, by one that fits more than a page, and one that goes.
        let named = (1..=600).map(|at| switch(&format!("n{at}"), &format!("bk_inst_name: sw-{at}"), "remark: x"));
        let pairs = (601..=700).map(|at| {
            switch(&format!("p{at}"), &format!("bk_asset_id: A{}, ports: {}", at % 700, at % 2), "remark: y")
        });
        let rack = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: rack}\nspec: {model: bk_rack, ensure: absent, id: 22}\n---\n";
        let wide = switch("wide", "ports: 1", "remark: z");
        let manifests: String = named.chain(pairs).chain([rack.to_owned(), wide]).collect();
        let site = Site::with(&state, &[("all.yaml", &manifests)]);
        let live = site.run(&["plan", "-o", "json"]);
        assert_eq!(
            live.json()["summary"],
            json!({"create": 0, "update": 700, "delete": 0, "sync": 0, "unchanged": 0, "blocked": 2, "reported": 0})
        );
        seal(&site);
        unplug(&site);
        let target_snapshot = site.run(&["plan", "-o", "json", "--against", FILE]);
        assert_eq!((plan_of(&target_snapshot), target_snapshot.code), (plan_of(&live), live.code), "{version}");
    }
}

#[test]
fn what_a_snapshot_lacks_is_unknown_and_never_absent() {
    let app = "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: x}\n";
    let cases = [
        (switch("x", "bk_inst_name: fw-1", "ports: 1").replace("bk_switch", "bk_rack"), "cmdb", "search_object_attribute {\"bk_obj_id\":\"bk_rack\"}"),
        (
            "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {name: x}\nspec: {ensure: present, business: demo, set: public, \
             module: x}\n"
                .to_owned(),
            "cmdb",
            "search_object_attribute {\"bk_obj_id\":\"module\"}",
        ),
        (
            "apiVersion: bk-cmdb/v1\nkind: ProcessTemplate\nmetadata: {name: x}\nspec: {ensure: absent, business: 3, \
             serviceTemplate: 51, process: x}\n"
                .to_owned(),
            "cmdb",
            "list_proc_template {\"bk_biz_id\":3}",
        ),
        (
            format!("{app}spec: {{ensure: present, instance: i2, app: x}}\n").replace("app: x", "app: x, fields: {}"),
            "roma",
            "ListRomaApp {\"instance_id\":\"i2\"}",
        ),
    ];
    let known = switch("core", "bk_asset_id: A1", "ports: 48")
        + "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: orders}\nspec: {app: orders, fields: {remark: new}}\n";
    let mut state = state();
    let instances = &mut state["roma-connect"]["instances"];
    *instances = json!([instances[0], {"id": "i2", "project_id": "p1", "status": "RUNNING"}]);
    let site = Site::with(&state, &[("known.yaml", &known)]);
    seal(&site);
    unplug(&site);
    for (document, target, lacking) in cases {
        site.write("more.yaml", &document);
        let plan = site.run(&["plan", "-o", "json", "--against", FILE]);
        assert_eq!(plan.code, Some(5), "{document}{plan}");
        let told = plan.json();
        assert_eq!(told["blocked"][0]["cause"], "unread", "{plan}");
        assert_eq!(told["blocked"][0]["target"], target, "{plan}");
        assert_eq!(told["blocked"][0]["message"], format!("the snapshot does not hold {lacking}"));
        assert_eq!(told["changes"].as_array().map(Vec::len), Some(2), "{plan}");
    }
    // A target that it knows nothing of, and one that was another project's.
    let only_roma = site.run(&["plan", "-o", "json", "--against", FILE, "--target", "roma"]);
    assert_eq!(only_roma.code, Some(5), "{only_roma}");
    site.write("more.yaml", "");
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it was written");
    for (now, why) in [
        (config.replace("projectId: p1", "projectId: p2"), "the snapshot was taken with the projectId `p1`, not `p2`"),
        (config.replace("  roma:", "  other:"), "the snapshot does not hold the target `other`"),
        (config.replace("instanceId: i1", "instanceId: i2"), "the snapshot does not hold ListRomaApp"),
    ] {
        site.write("reconcile.yaml", &now);
        let plan = site.run(&["plan", "-o", "json", "--against", FILE]);
        assert_eq!(plan.code, Some(5), "{plan}");
        let told = plan.json();
        assert!(told["blocked"][0]["message"].as_str().is_some_and(|told| told.contains(why)), "{why}: {plan}");
        assert_eq!(told["changes"][0]["address"], "Instance/core", "{plan}");
    }
}

#[test]
fn apps_of_others_are_known_as_far_as_they_were_asked_for() {
    let mut state = state();
    state["roma-connect"]["credentials"] = json!({
        "users": [{"id": "u1", "name": "ops", "administrator": true}, {"id": "u2", "name": "ann"}],
        "tokens": {"hush": {"user": "u2", "project_id": "p1"}}});
    state["roma-connect"]["apps"][0]["users"] = json!([{"id": "u2", "name": "ann", "roles": ["read"]}]);
    let check = |spec: &str, code: i32| {
        let document = format!("apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: x}}\nspec: {spec}\n");
        let site = Site::with(&state, &[("app.yaml", &document)]);
        let live = site.run(&["plan", "-o", "json"]);
        seal(&site);
        unplug(&site);
        let target_snapshot = site.run(&["plan", "-o", "json", "--against", FILE]);
        assert_eq!(
            (plan_of(&target_snapshot), target_snapshot.code),
            (plan_of(&live), live.code),
            "{spec}: {target_snapshot}"
        );
        assert_eq!(live.code, Some(code), "{live}");
        assert!(!target_snapshot.stderr.contains("warning"), "{target_snapshot}");
    };
    // ann sees `orders` only.
    check("{ensure: present, app: invoices, fields: {}}", 1);
    check("{app: invoices, fields: {remark: x}}", 1);
    check("{id: a2, fields: {remark: x}}", 1);
    check("{app: orders, fields: {name: invoices}}", 1);
    check("{ensure: present, app: new, fields: {}}", 0);
    check("{app: orders, fields: {remark: x}}", 0);
}

#[test]
fn what_could_not_be_read_is_said_and_stays_unknown() {
    let site = Site::with(&state(), &[("all.yaml", &base())]);
    site.faults(&json!([{"operation": "search_module", "fault": "code", "code": 1_199_006, "message": "no"}]));
    let taken = site.run(&["snapshot", "--out", FILE]);
    assert_eq!(taken.code, Some(5), "{taken}");
    assert!(taken.stderr.contains("search_module {\"bk_biz_id\":3} could not be read: no (code 1199006"), "{taken}");
    assert!(taken.stderr.contains(", 1 missing, "), "{taken}");
    unplug(&site);
    let plan = site.run(&["plan", "-o", "json", "--against", FILE]);
    assert_eq!(plan.code, Some(5), "{plan}");
    let told = plan.json();
    assert_eq!(told["blocked"][0]["message"], "the snapshot does not hold search_module {\"bk_biz_id\":3}");
    assert_eq!(told["blocked"].as_array().map(Vec::len), Some(1), "{plan}");
    assert!(plan.stderr.contains("the snapshot is incomplete: it lacks cmdb: search_module"), "{plan}");
}

#[test]
fn a_refusal_that_tells_nothing_of_an_app_is_no_answer() {
    let mut state = state();
    state["roma-connect"]["credentials"] = json!({
        "users": [{"id": "u1", "name": "ops", "administrator": true}, {"id": "u2", "name": "ann"}],
        "tokens": {"hush": {"user": "u2", "project_id": "p1"}}});
    state["roma-connect"]["apps"][0]["users"] = json!([{"id": "u2", "name": "ann", "roles": ["read"]}]);
    let app = "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: x}\nspec: {id: a2, fields: {remark: x}}\n";
    let site = Site::with(&state, &[("app.yaml", app)]);
    seal(&site);
    site.faults(
        &json!([{"operation": "CheckRomaAppDetails", "fault": "code", "code": "ROMA.00019999", "message": "no"}]),
    );
    let taken = site.run(&["snapshot", "--out", FILE]);
    assert_eq!(taken.code, Some(5), "{taken}");
    assert!(taken.stderr.contains("CheckRomaAppDetails"), "{taken}");
}

#[test]
fn what_nobody_asked_for_may_be_missing() {
    let site = Site::with(&state(), &[("all.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
    let fault = |code: i64| json!([{"operation": "search_instance_associations", "fault": "code", "code": code, "message": "no"}]);
    site.faults(&fault(9_900_403));
    let taken = seal(&site);
    let warning = "warning: target `cmdb`: search_instance_associations {\"bk_obj_id\":\"bk_switch\"} is left out: no";
    assert!(taken.stderr.contains(warning), "{taken}");
    // A removal would have to know what hangs on the instance.
    let removal = "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: x}\nspec: {model: bk_switch, ensure: absent, id: 3}\n";
    site.write("more.yaml", removal);
    let plan = site.run(&["plan", "--against", FILE]);
    assert_eq!(plan.code, Some(5), "{plan}");
    assert!(plan.stdout.contains("the snapshot does not hold search_instance_associations"), "{plan}");
}

/// Each read that a kind makes can be answered from a snapshot.
/// Reads that no snapshot answers.
const MOMENTARY: &[&str] = &["list_service_template_difference", "list_service_template_sync_status"];

#[test]
fn every_read_of_a_kind_has_a_scope() {
    let pattern = regex::Regex::new(r#"operation: "(\w+)""#).expect("the expression is right");
    let mut seen = 0;
    for platform in reconcile::platform::ALL {
        let folder = format!("src/platform/{}", platform.name().replace('-', "_"));
        let mut open: Vec<_> =
            ["kinds", "lookup", "lookup.rs"].map(|name| repository().join(&folder).join(name)).into();
        open.retain(|path| path.exists());
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(
                    std::fs::read_dir(&path).expect("it can be read").map(|entry| entry.expect("an entry").path()),
                );
                continue;
            }
            if path.file_name().is_some_and(|name| name == "author.rs") {
                // Asked by `drift` alone, which has no snapshots.
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("it can be read");
            for (_, [name]) in pattern.captures_iter(&text).map(|found| found.extract()) {
                // A snapshot holds rows, and not what the server makes of them at a moment: the parts of roll-outs are
                // unknown to it.
                if !platform.is_read(name) || MOMENTARY.contains(&name) {
                    continue;
                }
                seen += 1;
                let operation: &'static str = String::from(name).leak();
                let request = Request { operation, arguments: json!({"bk_biz_id": 3}), repeatable: true };
                let snapshot_scopes = platform.snapshot_scopes().expect("both platforms have snapshots");
                assert!(!snapshot_scopes.scopes(&request).is_empty(), "{}: no scope answers {name}", path.display());
            }
        }
    }
    assert!(seen > 20, "only {seen} reads were found");
}

#[test]
fn nothing_secret_and_nobody_is_in_a_snapshot() {
    const CANARY: &str = "canary-4f1d";
    let mut state = state();
    state["bk-cmdb"]["credentials"] = json!({"apps": {"reconcile": CANARY}, "users": ["admin"]});
    state["roma-connect"]["credentials"] = json!({
        "users": [{"id": "u1", "name": format!("{CANARY}-caller"), "administrator": true}],
        "tokens": {CANARY: {"user": "u1", "project_id": "p1"}}});
    // No attribute, so no document can name it.
    state["bk-cmdb"]["instances"]["bk_switch"][0]["root_password"] = json!(CANARY);
    for list in ["attributes", "businesses", "sets", "modules", "service_templates", "object_associations"] {
        for row in state["bk-cmdb"][list].as_array_mut().expect("a list") {
            row["creator"] = json!(CANARY);
            row["bk_created_by"] = json!(CANARY);
            row["description_of_people"] = json!(CANARY);
        }
    }
    state["roma-connect"]["apps"][0]["secret"] = json!(CANARY);
    state["roma-connect"]["apps"][0]["key"] = json!(format!("{CANARY}-key"));
    state["roma-connect"]["apps"][0]["users"] = json!([{"id": "u2", "name": CANARY, "roles": ["read"]}]);
    let members = "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: shared}\nspec: {app: orders, members: [{id: u2, \
                   roles: [modify]}]}\n";
    let manifests = base().replace("spec: {app: orders,", "spec: {app: invoices,");
    let site = Site::with(&state, &[("all.yaml", &manifests), ("members.yaml", members)]);
    site.write("app-secret.txt", CANARY);
    site.write("token.txt", CANARY);
    let live = site.run(&["plan", "-o", "json"]);
    assert_eq!(live.code, Some(0), "{live}");
    let taken = site.run(&["snapshot", "-vv", "--out", FILE]);
    assert_eq!(taken.code, Some(0), "{taken}");
    let text = text_of(&site);
    assert!(!text.contains("canary") && !taken.all().contains("canary"), "{text}\n{taken}");
    assert!(!text.contains("admin") && !text.contains("127.0.0.1"), "{text}");
    // Everything that plans read is there, though.
    assert!(text.contains("\"operator\":\"alice\"") && text.contains("{\"id\":\"u2\",\"roles\":[\"read\"]}"), "{text}");
    unplug(&site);
    let target_snapshot = site.run(&["plan", "-o", "json", "--against", FILE]);
    assert_eq!(plan_of(&target_snapshot), plan_of(&live), "{target_snapshot}");
}

#[test]
fn a_file_that_is_not_as_it_was_taken_is_refused_by_name() {
    let site = Site::with(&state(), &[("all.yaml", &base())]);
    seal(&site);
    let text = text_of(&site);
    let check = |file: &str, expected: &str| {
        let plan = site.run(&["plan", "--against", file]);
        assert_eq!((plan.code, plan.stdout.as_str()), (Some(1), ""), "{plan}");
        assert!(plan.stderr.contains(&format!("{file}: ")) && plan.stderr.contains(expected), "{plan}");
    };
    site.write("cut", &text[..text.len() / 2]);
    check("cut", "cannot use cut: it is cut short or damaged");
    site.write("edited", &text.replace("\"ports\":24", "\"ports\":48"));
    check("edited", "cannot use edited: it was changed or cut after it was taken: its digest does not fit");
    site.write("later", &text.replace("\"format_version\": \"2.0\"", "\"format_version\": \"1.0\""));
    check("later", "cannot use later: it has the format 1.0; this program reads 2.0");
    site.write("other", "{}");
    check("other", "cannot use other: it is no snapshot");
    check("nowhere", "cannot read nowhere");
    let both = site.run(&["plan", "--against", FILE, "--sandbox"]);
    assert_eq!(both.code, Some(64), "{both}");
}

//! The impact of changes is in a snapshot too, for everything that a pull request may change.

use serde_json::{Value, json};

use crate::{
    harness::{Output, Site, operations, switch},
    impact::busy,
    snapshot::{FILE, seal, text_of, unplug},
    snapshot_property::plan_of,
};

fn document(platform: &str, kind: &str, name: &str, spec: &str) -> String {
    format!("apiVersion: {platform}/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n---\n")
}

fn module(name: &str) -> String {
    document(
        "bk-cmdb",
        "Module",
        name,
        &format!("business: demo, set: public, module: {name}, fields: {{operator: zoe}}"),
    )
}

/// A template that is as declared, a module, a switch and an app.
fn base() -> String {
    let nginx = "business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 2}";
    document("bk-cmdb", "ProcessTemplate", "nginx", nginx)
        + &module("web")
        + &switch("one", "bk_inst_name: sw-1", "ports: 48")
        + "---\n"
        + &document("roma-connect", "App", "invoices", "app: invoices, fields: {remark: new}")
}

/// Returns documents of a pull request: another process template, other modules, another switch, an app that goes.
fn more(modules: i64) -> String {
    let second =
        "ensure: present, business: demo, serviceTemplate: nginx, process: second, properties: {bk_func_name: x}";
    document("bk-cmdb", "ProcessTemplate", "second", second)
        + &(0..modules).map(|at| module(&format!("m{at}"))).collect::<String>()
        + &switch("two", "bk_inst_name: sw-2", "ports: 48")
        + "---\n"
        + &document("roma-connect", "App", "orders", "ensure: absent, app: orders")
}

/// A site's state with so many modules of so many hosts each, and somebody with whom an app is shared.
fn shared(modules: i64, hosts: i64) -> Value {
    let mut state = busy(modules, hosts);
    state["roma-connect"]["apps"][0]["users"] = json!([{"id": "u1", "name": "zoe", "roles": ["read"]}]);
    state
}

fn below(plan: &Output) -> Vec<String> {
    let plan = plan.json();
    let changes = plan["changes"].as_array().into_iter().flatten();
    changes.map(|change| format!("{} {}", change["address"].as_str().unwrap_or_default(), change["impact"])).collect()
}

/// Checks that a plan is the same against the snapshot, which connects to nothing, and returns it.
fn same(site: &Site) -> Output {
    let live = site.run(&["plan", "-o", "json"]);
    site.sandbox().clear_calls();
    let target_snapshot = site.run(&["plan", "-o", "json", "--against", FILE]);
    assert_eq!((plan_of(&target_snapshot), target_snapshot.code), (plan_of(&live), live.code), "{target_snapshot}");
    assert_eq!(operations(&site.sandbox().calls()), json!({}));
    live
}

#[test]
fn what_hangs_below_the_changes_of_a_pull_request_is_counted() {
    for version in ["3.9", "3.14"] {
        let mut state = shared(3, 5);
        state["bk-cmdb"]["version"] = json!(version);
        let stock = json!({"instance_id": "i1", "id": "a3", "name": "stock", "remark": "", "favorite": true});
        state["roma-connect"]["apps"].as_array_mut().expect("a list").push(stock);
        let site = Site::with(&state, &[("base.yaml", &base())]);
        seal(&site);
        let share = document("roma-connect", "App", "share", "app: stock, members: [{id: u7, roles: [read]}]");
        site.write("more.yaml", &(more(2) + &share));
        let below = below(&same(&site)).join("\n");
        insta::allow_duplicates! { insta::assert_snapshot!(below, @r#"
        Instance/one {"associations":2,"hosts":0,"modules":0}
        Instance/two {"associations":1,"hosts":0,"modules":0}
        Module/m0 {"hosts":5,"serviceInstances":5}
        Module/m1 {"hosts":5,"serviceInstances":5}
        Module/web {"hosts":1,"serviceInstances":0}
        ProcessTemplate/second {"hosts":13,"modules":3,"serviceInstances":15}
        App/invoices {"apis":0,"members":0}
        App/orders {"apis":null,"members":1}
        App/share → members {"apis":0,"members":0}
        "#); }
        unplug(&site);
        let limited = site.run(&["plan", "--against", FILE, "--max-impact", "hosts=12"]);
        assert_eq!(limited.code, Some(3), "{limited}");
        let limited = site.run(&["plan", "--against", FILE, "--max-impact", "hosts=13"]);
        assert_eq!(limited.code, Some(0), "{limited}");
    }
}

#[test]
fn numbers_come_in_the_same_ways_as_from_the_server() {
    // Pages or numbers, as few as there are of either: one module, a page and numbers, two pages and four.
    for (modules, hosts, changed, expected) in
        [(30, 101, 1, (101, 101)), (30, 101, 2, (201, 202)), (30, 101, 10, (1001, 1010)), (2, 1000, 2, (1999, 2000))]
    {
        let site = Site::with(&shared(modules, hosts), &[("base.yaml", &module("web"))]);
        seal(&site);
        site.write("base.yaml", &(0..changed).map(|at| module(&format!("m{at}"))).collect::<String>());
        let plan = same(&site).json();
        let total = |unit: &str| {
            let totals = plan["impact"].as_array().into_iter().flatten();
            totals
                .filter(|total| total["kind"] == "Module" && total["unit"] == unit)
                .map(|total| total["count"].clone())
                .next()
        };
        let (all, instances) = (total("hosts"), total("serviceInstances"));
        assert_eq!((all, instances), (Some(json!(expected.0)), Some(json!(expected.1))), "{modules} of {hosts}");
    }
}

const BELOW: &[(&str, &str)] = &[
    ("find_host_topo_relation", "{\"bk_biz_id\":3}"),
    ("list_service_instance", "{\"bk_biz_id\":3}"),
    ("find_module_with_relation", "{\"bk_biz_id\":3}"),
    ("search_instance_associations", "{\"bk_obj_id\":\"bk_switch\"}"),
    ("CheckAuthUsersOfApp", "{\"instance_id\":\"i1\"}"),
];

#[test]
fn what_is_refused_for_good_is_unknown_here_as_there() {
    for (operation, scope) in BELOW {
        // A changed process template, so that live plans ask which modules need a sync.
        let base = base().replace("proc_num: 2", "proc_num: 4");
        let site = Site::with(&shared(3, 5), &[("base.yaml", &base)]);
        let body = json!({"error_code": "ROMA.1", "error_msg": "no"});
        site.faults(&if operation.starts_with("Check") {
            json!([{"operation": operation, "fault": "status", "status": 400, "body": body}])
        } else {
            json!([{"operation": operation, "fault": "code", "code": 1_199_034, "message": "no"}])
        });
        let taken = seal(&site);
        assert!(taken.stderr.contains(&format!("{operation} {scope} is left out: ")), "{taken}");
        assert!(!text_of(&site).contains(&format!("\"{operation}\"")), "{operation}");
        site.write("more.yaml", &more(2));
        let live = same(&site);
        assert!(below(&live).iter().any(|text| text.contains("null")), "{live}");
        assert_eq!(live.code, Some(0), "{live}");
    }
}

#[test]
fn members_that_only_others_may_see_are_unknown() {
    let site = Site::with(&shared(0, 0), &[("base.yaml", &base())]);
    let body = json!({"error_code": "ROMA.00012000", "error_msg": "not yours"});
    site.faults(&json!([{"operation": "CheckAuthUsersOfApp", "fault": "status", "status": 403, "body": body}]));
    seal(&site);
    site.write("more.yaml", &more(0));
    assert_eq!(below(&same(&site)).last().map(String::as_str), Some("App/orders {\"apis\":null,\"members\":null}"));
    // A list that nobody may see is not taken for an empty one.
    site.write("more.yaml", &document("roma-connect", "App", "share", "app: orders, members: []"));
    let plan = site.run(&["plan", "--against", FILE]);
    assert_eq!(plan.code, Some(5), "{plan}");
    assert!(plan.stdout.contains("the snapshot does not hold CheckAuthUsersOfApp"), "{plan}");
}

#[test]
fn what_fails_for_now_is_missing() {
    for (operation, scope) in BELOW.iter().filter(|(operation, _)| !operation.starts_with("Check")) {
        let site = Site::with(&shared(3, 5), &[("base.yaml", &base())]);
        // No word of the platform's own: something on the way said it, and may not tomorrow.
        site.faults(&json!([{"operation": operation, "fault": "status", "status": 418, "body": {}}]));
        let taken = site.run(&["snapshot", "--out", FILE]);
        assert_eq!(taken.code, Some(5), "{operation}: {taken}");
        assert!(taken.stderr.contains(&format!("{operation} {scope} could not be read: ")), "{taken}");
        site.write("more.yaml", &more(2));
        let live = same(&site);
        assert!(below(&live).iter().any(|text| text.contains("null")), "{live}");
    }
}

#[test]
fn a_large_business_is_sealed_in_pages_and_only_where_it_is_touched() {
    let site = Site::with(&shared(20, 501), &[("all.yaml", &base())]);
    site.sandbox().clear_calls();
    seal(&site);
    let reads = site.reads();
    let of = |operation: &str| reads[operation].as_u64().unwrap_or_default();
    // 10,021 pairs and 10,020 service instances by 1,000, and 22 modules.
    let asked = ["find_host_topo_relation", "list_service_instance", "find_module_with_relation"].map(of);
    assert_eq!(asked, [11, 11, 1], "{reads}");
    // Each app's list is a read of its own.
    assert_eq!(of("CheckAuthUsersOfApp"), 2, "{reads}");
    let text = text_of(&site);
    assert_eq!(text.matches("\"bk_host_id\"").count(), 10_021 + 10_020);
    let rows = |has: &str| {
        text.lines().find(|line| line.contains(has)).map(|line| line.trim().trim_end_matches(',').to_owned())
    };
    assert_eq!(rows("\"bk_host_id\":77,"), Some("{\"bk_host_id\":77,\"bk_module_id\":100}".to_owned()));
    // Of each of the 10,020 service instances also the rows that its processes hold.
    assert!(text.len() < 2_500_000, "{} bytes", text.len());
    site.write("more.yaml", &more(20));
    let live = same(&site);
    assert_eq!(below(&live).last().map(String::as_str), Some("App/orders {\"apis\":null,\"members\":1}"), "{live}");
    // Instances and apps hang on no business.
    let site = Site::with(&shared(20, 501), &[("all.yaml", &switch("one", "bk_inst_name: sw-1", "ports: 48"))]);
    seal(&site);
    let none = ["find_host_topo_relation", "list_service_instance", "find_module_with_relation", "search_module"];
    assert!(none.iter().all(|operation| site.reads().get(*operation).is_none()), "{}", site.reads());
}

//! Lists that never end: each read of them ends soon, and says why.

use serde_json::{Value, json};

use crate::harness::{Site, state, switch};

const APP: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: new}}
";
const PROCESS: &str = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec: {business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 4}}
";
const GONE: &str = "apiVersion: bk-cmdb/v1
kind: Instance
metadata: {name: core}
spec: {ensure: absent, model: bk_switch, match: {bk_asset_id: A1}}
";

/// An answer of BlueKing with these rows and this count.
fn rows(count: impl Into<Value>, key: &str, ids: std::ops::Range<usize>) -> Value {
    let rows: Vec<_> = ids.map(|id| json!({"id": id, key: id})).collect();
    json!({"result": true, "code": 0, "message": "success", "data": {"count": count.into(), "info": rows}})
}

/// Has each call of an operation answered with the same, runs, and returns what was said and how often it was called.
fn run(manifest: &str, operation: &str, body: &Value, arguments: &[&str]) -> (String, u64) {
    let site = Site::with(&state(), &[("one.yaml", manifest)]);
    site.faults(&json!([{"operation": operation, "fault": "status", "status": 200, "body": body}]));
    let output = site.run(arguments);
    (output.all(), site.reads()[operation].as_u64().unwrap_or(0))
}

#[test]
fn a_list_that_never_ends_is_not_read_for_ever() {
    let apps = |total: u64| {
        let apps: Vec<_> = (0..500).map(|id| json!({"id": format!("a{id}"), "name": format!("n{id}")})).collect();
        json!({"total": total, "apps": apps})
    };
    let switch = switch("core", "bk_asset_id: A1", "ports: 48");
    let (plan, snapshot) = (&["plan"][..], &["snapshot", "--out", "state.json"][..]);
    let again = "the server sends the same rows again behind row 500: the list cannot be read";
    let moved = "moved each of 5 times";
    let many = "the server counts 18446744073709551615 rows, more than 1000000: the list is not read";
    let cases = [
        (APP, "ListRomaApp", apps(90_000), plan, moved, 5 * 41),
        (APP, "ListRomaApp", apps(90_000), snapshot, moved, 5 * 41),
        (APP, "ListRomaApp", apps(u64::MAX), plan, "apps, more than 100000: the list is not read", 1),
        (APP, "ListRomaApp", apps(u64::MAX), snapshot, "apps, more than 100000: the list is not read", 1),
        (GONE, "search_instance_associations", rows(Value::Null, "bk_inst_id", 0..500), plan, again, 2),
        (PROCESS, "find_module_with_relation", rows(9, "bk_module_id", 0..500), plan, "", 2),
        (PROCESS, "list_service_template", rows(9, "x", 0..1000), plan, "row 1000: the list cannot be read", 2),
        (&switch, "search_object_instances", rows(Value::Null, "bk_inst_id", 0..500), snapshot, moved, 10),
        (PROCESS, "search_business", rows(u64::MAX, "bk_biz_id", 0..200), snapshot, many, 1),
    ];
    for (manifest, operation, body, arguments, expected, calls) in cases {
        let (told, called) = run(manifest, operation, &body, arguments);
        assert!(told.contains(expected), "{operation} {arguments:?}: {told}");
        assert!((1..=calls).contains(&called), "{operation} {arguments:?}: {called} calls: {told}");
    }
}

#[test]
fn service_instances_without_end_are_not_read() {
    let manifest = PROCESS.replace("proc_num: 4", "bind_info: [{ip: 0.0.0.0, port: 80, protocol: tcp}]");
    let body = rows(u64::MAX, "id", 1..2);
    // Of one module, and of several, where those of the whole business may be fewer reads.
    for (modules, calls) in [(1, 1), (2, 3)] {
        let mut state = state();
        for module in 0..modules {
            state["bk-cmdb"]["modules"][module]["service_template_id"] = json!(51);
        }
        let site = Site::with(&state, &[("one.yaml", &manifest)]);
        site.faults(
            &json!([{"operation": "list_service_instance_detail", "fault": "status", "status": 200, "body": body}]),
        );
        let output = site.run(&["plan"]);
        assert_eq!(output.code, Some(0), "{output}");
        for part in
            ["warning[P161]", "the server counts 18446744073709551615 rows, more than 1000000: the list is not read"]
        {
            assert!(output.all().contains(part), "{modules} {part}: {output}");
        }
        assert_eq!(site.reads()["list_service_instance_detail"], calls, "{modules}: {output}");
    }
}

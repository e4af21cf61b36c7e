//! Rows that come and go while a snapshot is taken.

use serde_json::{Value, json};

use crate::{
    harness::{Site, state, switch},
    snapshot::{FILE, seal, unplug},
    snapshot_property::plan_of,
};

#[test]
fn rows_that_move_between_pages_are_read_again() {
    let mut state = state();
    let many = |at: i64| json!({"bk_inst_id": at, "bk_inst_name": format!("sw-{at}"), "bk_asset_id": format!("A{at}"), "ports": 24});
    state["bk-cmdb"]["instances"]["bk_switch"] = (1..900).map(many).collect();
    let documents: String = (495..506)
        .map(|at| switch(&format!("d{at}"), &format!("bk_asset_id: A{at}"), "ports: 24"))
        .map(|text| text.replace("spec:\n", "spec:\n  ensure: present\n"))
        .collect();
    for version in ["3.9", "3.14"] {
        state["bk-cmdb"]["version"] = json!(version);
        let operation = if version == "3.9" { "search_inst_by_object" } else { "search_object_instances" };
        let site = Site::with(&state, &[("all.yaml", &documents)]);
        let live = site.run(&["plan", "-o", "json"]);
        assert_eq!(live.json()["summary"]["unchanged"], 11, "{live}");
        // Once only.
        site.faults(&json!([{"operation": operation, "nth": 2, "fault": "page_shift", "skip": true}]));
        seal(&site);
        // All the time.
        site.faults(&json!([{"operation": operation, "fault": "page_shift", "skip": true}]));
        let taken = site.run(&["snapshot", "--out", "moved.snapshot"]);
        assert_eq!(taken.code, Some(5), "{taken}");
        let said =
            format!("{operation} {{\"bk_obj_id\":\"bk_switch\"}} could not be read: the rows moved each of 5 times");
        assert!(taken.stderr.contains(&said), "{taken}");
        unplug(&site);
        let target_snapshot = site.run(&["plan", "-o", "json", "--against", FILE]);
        assert_eq!(plan_of(&target_snapshot), plan_of(&live), "{version}");
        let plan = site.run(&["plan", "-o", "json", "--against", "moved.snapshot"]);
        assert_eq!((plan.code, &plan.json()["changes"]), (Some(5), &Value::Array(Vec::new())), "{plan}");
    }
}

//! Limits on what one run may change.

use serde_json::json;

use crate::harness::{Site, operations, state, switch};

/// A switch that stands in one rack and is to stand in another one only.
const EXACT: &str = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: link}
spec:
  association: switch_rack
  source: {model: bk_switch, id: 1}
  mode: exact
  targets: [{model: bk_rack, id: 22}]
";

/// A site in which the exact list of [`EXACT`] takes a row away.
fn site() -> Site {
    let site = Site::with(&state(), &[("link.yaml", EXACT)]);
    site.edit(
        "add_instance_association",
        &json!({"bk_obj_asst_id": "switch_rack", "bk_inst_id": 1, "bk_asst_inst_id": 21}),
    );
    site
}

#[test]
fn a_delete_that_no_document_spells_out_needs_a_word() {
    let site = site();
    let refused = site.run(&["apply", "-y"]);
    assert_eq!(refused.code, Some(3), "{refused}");
    assert_eq!(operations(&site.writes()), json!({}));
    assert_eq!(site.run(&["plan"]).code, Some(3));
    let document = site.run(&["plan", "-o", "json"]).json();
    assert_eq!(document["limits"].as_array().map(Vec::len), Some(1), "{document}");
    assert_eq!(
        site.run(&["plan", "--ack", document["acknowledgement"].as_str().unwrap_or_default()]).code,
        Some(0),
        "{document}"
    );
    assert_eq!(site.run(&["apply", "-y", "--max-deletes", "1"]).code, Some(0));
    assert_eq!(operations(&site.writes()), json!({"add_instance_association": 1, "delete_instance_association": 1}));
    site.assert_converged();
}

#[test]
fn an_acknowledgement_passes_its_own_plan_alone() {
    let site = site();
    let refused = site.run(&["plan"]);
    let acknowledgement = refused.stderr.split('\'').nth(1).expect("the text to give").to_owned();
    assert_eq!(site.run(&["apply", "-y", "--ack", "1 changes, 1 deletes@000000000000000000000000"]).code, Some(3));
    site.write("more.yaml", &switch("more", "bk_inst_name: sw-2", "bk_inst_name: other"));
    assert_eq!(site.run(&["apply", "-y", "--ack", &acknowledgement]).code, Some(3));
    assert_eq!(operations(&site.writes()), json!({}));
    site.write("more.yaml", "");
    assert_eq!(site.run(&["apply", "-y", "--ack", &acknowledgement]).code, Some(0));
}

#[test]
fn shares_count_from_ten_objects_on() {
    let check = |count: i64, limit: &str, expected: i32| {
        let mut state = state();
        let rows: Vec<_> =
            (1..=count).map(|id| json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}")})).collect();
        state["bk-cmdb"]["instances"]["bk_switch"] = json!(rows);
        let manifests: Vec<String> =
            (1..=count).map(|id| switch(&format!("s{id}"), &format!("bk_inst_name: sw-{id}"), "ports: 24")).collect();
        let site = Site::with(&state, &[("all.yaml", &manifests.concat())]);
        let output = site.run(&["plan", "--max-changes", limit]);
        assert_eq!(output.code, Some(expected), "{count} objects, {limit}: {output}");
    };
    check(9, "30%", 0);
    check(10, "30%", 3);
    check(10, "100%", 0);
    check(3, "2", 3);
    check(3, "3", 0);
}

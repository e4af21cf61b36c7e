//! What others change is looked at as soon as the platform tells of it.

use std::{thread::sleep, time::Duration};

use serde_json::{Value, json};

use crate::{
    harness::{Site, bodies, operations, state, switch, wait_until},
    watch::{Watch, ports, sets_ports},
};

/// Long enough that a test fails where only the resync would help.
const NEVER: [&str; 3] = ["manifests", "--resync", "1h"];

fn edit(site: &Site, fields: &Value) {
    let mut body = json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1});
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    site.edit("update_inst", &body);
}

/// Returns how many calls read instances.
fn reads(site: &Site) -> usize {
    let is_read = |operation: &str| ["search_object_instances", "search_inst_by_object"].contains(&operation);
    site.sandbox().calls().iter().filter(|call| is_read(&call.operation)).count()
}

/// Starts to watch, and waits until its own first writes were told and taken in.
fn start(site: &Site, arguments: &[&str]) -> Watch {
    let watch = Watch::start(site, arguments);
    wait_until("events are followed", || !watch.lines("events are followed").is_empty());
    sleep(Duration::from_millis(500));
    site.sandbox().clear_calls();
    watch
}

#[test]
fn an_edit_of_somebody_else_is_taken_back_at_once() {
    let names: Vec<String> = (0..20).map(|number| format!("sw{number:02}")).collect();
    let mut state = state();
    let row = |number: usize| {
        json!({"bk_inst_id": number + 1, "bk_inst_name": names[number], "bk_asset_id": format!("A{number}"),
            "bk_sn": format!("S{number}"), "ports": 24})
    };
    state["bk-cmdb"]["instances"]["bk_switch"] = (0..names.len()).map(row).collect();
    let site = Site::with(&state, &[]);
    for name in &names {
        let text = switch(name, &format!("bk_inst_name: {name}"), "ports: 24");
        site.write(&format!("manifests/{name}.yaml"), &text);
    }
    let watch = start(&site, &NEVER);
    edit(&site, &json!({"ports": 7}));
    wait_until("it is taken back", || bodies(&site.writes()) == json!([sets_ports(24)]));
    wait_until("the pass has ended", || !watch.lines("trigger=\"event\"").is_empty());
    assert!(watch.lines("trigger=\"event\"")[0].contains("whole=false"), "{:?}", watch.lines("trigger"));
    let calls = site.sandbox().calls();
    let others = calls.iter().filter(|call| names[1..].iter().any(|name| call.body.to_string().contains(&**name)));
    assert_eq!(others.count(), 0, "only what changed is read");
    // The event of its own write asks for nothing, and neither does a change of what is not declared.
    sleep(Duration::from_millis(500));
    let before = reads(&site);
    edit(&site, &json!({"remark": "theirs"}));
    sleep(Duration::from_secs(1));
    assert_eq!((reads(&site), watch.lines("trigger=\"event\"").len()), (before, 1));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn what_comes_to_be_meant_is_looked_at() {
    let missing = switch("late", "bk_inst_name: late", "ports: 12").replace("spec:", "spec:\n  ensure: existing");
    let site = Site::with(&state(), &[("manifests/late.yaml", &missing)]);
    let watch = start(&site, &NEVER);
    assert_eq!(operations(&site.writes()), json!({}));
    let row = json!({"bk_obj_id": "bk_switch", "bk_inst_name": "late", "bk_asset_id": "L1", "bk_sn": "L1", "ports": 1});
    site.edit("create_inst", &row);
    wait_until("it is brought in line", || operations(&site.writes()) == json!({"update_inst": 1}));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn rows_of_associations_are_followed() {
    let row = "apiVersion: bk-cmdb/v1\nkind: InstanceAssociation\nmetadata: {name: stands}\nspec:\n  association: \
               switch_rack\n  source: {ref: core}\n  targets:\n    - {model: bk_rack, match: {bk_inst_name: rack-1}}\n";
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(24)), ("manifests/row.yaml", row)]);
    let watch = start(&site, &NEVER);
    let id = site.row("/bk-cmdb/instance_associations", "bk_inst_id", 1)["id"].clone();
    site.edit("delete_instance_association", &json!({"bk_obj_id": "bk_switch", "id": id}));
    wait_until("it is there again", || operations(&site.writes()) == json!({"add_instance_association": 1}));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_lagging_replica_hides_nothing() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(24))]);
    let watch = start(&site, &NEVER);
    site.sandbox().set_option("replica_lag", &json!(600_000)).expect("there is such an option");
    edit(&site, &json!({"ports": 7}));
    wait_until("it is taken back", || bodies(&site.writes()) == json!([sets_ports(24)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_cursor_that_has_expired_leads_to_a_look_at_everything() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(24))]);
    let watch = start(&site, &NEVER);
    let expired = json!({"fault": "code", "code": 1_103_007, "message": "Event chain node not exist"});
    let mut fault = expired.clone();
    fault["operation"] = json!("resource_watch");
    fault["nth"] = json!(1);
    site.faults(&json!([fault]));
    // The first ends the request that waits already, and the next one meets the fault.
    edit(&site, &json!({"ports": 7}));
    edit(&site, &json!({"ports": 8}));
    wait_until("it is taken back", || site.writes().iter().any(|call| call.body["ports"] == json!(24)));
    wait_until("all was looked at", || watch.lines("trigger=\"event\"").iter().any(|line| line.contains("whole=true")));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn without_events_the_resync_finds_what_others_change() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(24))]);
    site.faults(&json!([{"operation": "resource_watch", "fault": "code", "code": 1_199_006, "message": "no"}]));
    let watch = Watch::start(&site, &["manifests", "--resync", "1s"]);
    wait_until("it is said", || !watch.lines("events cannot be followed").is_empty());
    edit(&site, &json!({"ports": 7}));
    wait_until("it is taken back", || bodies(&site.writes()) == json!([sets_ports(24)]));
    watch.settle();
    assert_eq!(watch.lines("events cannot be followed").len(), 1, "it is said once");
    assert_eq!(watch.end(), Some(0));
}

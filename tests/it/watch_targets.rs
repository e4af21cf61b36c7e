//! Each target has passes of its own: what one does not answer delays no other, and each object has the time of its rule.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    harness::{Site, bodies, state, wait_until},
    watch::{Watch, ports, sets_ports},
};

fn app(name: &str, app: &str, site: &str) -> String {
    format!(
        "apiVersion: roma-connect/v1\nkind: App\nmetadata: {{name: {name}, labels: {{site: {site}}}}}\nspec: {{app: {app}, \
         fields: {{remark: {name}}}}}\n---\n"
    )
}

/// The longest time to wait for a change that nothing delays, on a machine that does many other things.
const USUAL: Duration = Duration::from_secs(10);

#[test]
fn a_target_that_hangs_delays_no_other() {
    let files = [("manifests/core.yaml", &*ports(48)), ("manifests/app.yaml", &*app("orders", "orders", "sz"))];
    let site = Site::with(&state(), &files);
    // Far longer than the test waits.
    site.faults(&json!([{"operation": "ListRomaApp", "fault": "delay", "ms": 60_000}]));
    let watch = Watch::start(&site, &["manifests", "--resync", "1h", "--timeout", "60s"]);
    wait_until("the first change is made", || bodies(&site.writes()) == json!([sets_ports(48)]));
    assert!(watch.page("/readyz").contains("no pass was completed yet"), "one target was not looked at");
    let start = Instant::now();
    site.write("manifests/core.yaml", &ports(96));
    wait_until("a save is answered", || site.writes().len() == 2);
    let edit = json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7});
    site.edit("update_inst", &edit);
    wait_until("an edit is taken back", || site.writes().len() == 3);
    assert!(start.elapsed() < USUAL, "it took {:?}", start.elapsed());
    assert_eq!(bodies(&site.writes()), json!([sets_ports(48), sets_ports(96), sets_ports(96)]));
    let metrics = watch.page("/metrics");
    assert!(metrics.contains("reconcile_requests_in_flight{target=\"roma\"} 1"), "{metrics}");
    assert!(metrics.lines().any(|line| line.starts_with("reconcile_event_lag_seconds{target=\"cmdb\"}")), "{metrics}");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn objects_are_looked_at_in_the_time_of_their_rule() {
    let text = app("orders", "orders", "lab") + &app("invoices", "invoices", "sz");
    let site = Site::with(&state(), &[("manifests/apps.yaml", &text)]);
    site.configure("watch: {resync: {default: 1h, rules: [{selector: site=lab, every: 200ms}]}}\n");
    let watch = Watch::start(&site, &["manifests"]);
    let remark = |id: &str| site.row("/roma-connect/apps", "id", id)["remark"].clone();
    wait_until("the first pass has made them", || remark("a2") == json!("invoices"));
    // What somebody else changes is found by the resync alone: there are no events.
    for id in ["a1", "a2"] {
        site.edit("UpdateRomaApp", &json!({"app_id": id, "remark": "other"}));
    }
    wait_until("the one with a rule is taken back", || remark("a1") == json!("orders"));
    thread::sleep(Duration::from_secs(1));
    assert_eq!(remark("a2"), json!("other"));
    watch.signal("HUP");
    wait_until("a look at all finds the other one", || remark("a2") == json!("invoices"));
    assert_eq!(watch.end(), Some(0));
}

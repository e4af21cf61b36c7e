//! `watch` in the mode `ignore`: it checks manifests and serves its pages, and sends nothing to any server.

use std::{thread::sleep, time::Duration};

use serde_json::{Value, json};

use crate::{
    harness::{Site, bodies, http_with, state, wait_until},
    watch::{Watch, expect, ports, sets_ports},
};

/// More than a resync, a rescan after a save and a few passes take.
const WHILE: Duration = Duration::from_secs(2);

fn ready(watch: &Watch) -> Value {
    let page = watch.page("/readyz");
    let (head, body) = page.split_once("\r\n\r\n").expect("a head");
    let mut body: Value = serde_json::from_str(body).expect("JSON");
    body["code"] = head.split(' ').nth(1).expect("a code").into();
    body
}

fn drift(site: &Site) {
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
}

/// The operations that were asked for, but for the waiting for events that ended.
fn asked(site: &Site) -> Vec<String> {
    site.sandbox().calls().into_iter().map(|call| call.operation).collect()
}

#[test]
fn ignoring_asks_for_nothing_and_checks_the_manifests() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48)), ("manifests/bad.yaml", "kind: [\n")]);
    site.configure("watch: {resync: 200ms, token: {file: token}}\n");
    site.write("token", "a-token-of-the-test");
    let watch = Watch::launch(&site, &["manifests", "--mode", "ignore"]);
    wait_until("the manifests were read", || ready(&watch)["code"] == "200");
    let page = ready(&watch);
    assert_eq!((&page["mode"], &page["lastPass"]), (&"ignore".into(), &Value::Null));
    assert_eq!(page["diagnostics"].as_array().map(Vec::len), Some(1), "{page}");
    assert_eq!(watch.metric("reconcile_manifest_errors"), 1);
    assert!(watch.page("/metrics").contains("reconcile_mode{mode=\"ignore\"} 1\n"));
    assert_eq!(watch.lines("the mode is `ignore`").len(), 1, "{:?}", watch.all());

    site.write("manifests/bad.yaml", "");
    wait_until("it is mended", || watch.metric("reconcile_manifest_errors") == 0);
    watch.signal("HUP");
    wait_until("all is read anew", || watch.lines("because of a signal").len() == 1);
    let headers = [("authorization", "Bearer a-token-of-the-test")];
    let answer = http_with(watch.pages(), "POST", "/api/reconcile", &headers, "");
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("the mode is `ignore`"), "{answer}");
    sleep(WHILE);
    let objects = watch.page("/api/objects");
    assert!(objects.contains("\"state\":\"pending\"") && objects.contains("Instance/core"), "{objects}");
    assert_eq!((asked(&site), watch.metric("reconcile_passes_total")), (Vec::new(), 0));

    // Manifests that vanish are an error all the same.
    std::fs::rename(site.path().join("manifests"), site.path().join("away")).expect("it can be moved");
    wait_until("it is not ready", || ready(&watch)["code"] == "503");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn the_mode_can_be_changed_to_ignore_and_back() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    site.configure("watch: {mode: enforce, resync: 200ms}\n");
    let watch = Watch::start(&site, &["manifests"]);
    expect(&site, &watch, &json!([sets_ports(48)]));
    assert_eq!(watch.metric("reconcile_objects"), 1);

    site.configure("watch: {mode: ignore, resync: 200ms}\n");
    wait_until("the mode is another", || watch.page("/metrics").contains("reconcile_mode{mode=\"ignore\"} 1\n"));
    wait_until("what was found is forgotten", || watch.metric("reconcile_objects") == 0);
    assert_eq!((&ready(&watch)["lastPass"], &ready(&watch)["code"]), (&Value::Null, &"200".into()));
    // The pass that ran may have asked for something at that time.
    sleep(WHILE);
    let passes = watch.metric("reconcile_passes_total");
    site.sandbox().clear_calls();
    drift(&site);
    site.write("manifests/core.yaml", &ports(50));
    wait_until("the save is read", || watch.lines("manifests read").len() == 3);
    sleep(WHILE);
    assert_eq!((asked(&site), watch.metric("reconcile_passes_total")), (Vec::new(), passes));

    site.configure("watch: {mode: enforce, resync: 1h}\n");
    wait_until("it is as declared", || bodies(&site.writes()) == json!([sets_ports(50)]));
    wait_until("it is known", || watch.metric("reconcile_objects") == 1);
    assert_eq!((&ready(&watch)["mode"], &ready(&watch)["code"]), (&"enforce".into(), &"200".into()));
    assert!(!watch.page("/metrics").contains("mode=\"ignore\""));
    // Events are followed again.
    drift(&site);
    wait_until("it is taken back", || site.writes().len() == 2);
    assert_eq!(watch.end(), Some(0));
}

//! The configuration and the files of values are taken over while `watch` runs.

use serde_json::{Value, json};

use crate::{
    harness::{Site, bodies, state, wait_until},
    watch::{Watch, expect, ports, sets_ports, swap},
};

/// A document that gives the first switch as many ports as a variable says.
fn ports_of_variable() -> String {
    ports(1).replace("{ports: 1}", "\n      ports: ${ports}")
}

fn drift(site: &Site) {
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
}

#[test]
fn a_changed_configuration_is_taken_over_and_a_broken_one_is_not() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    site.configure("watch: {mode: report, resync: 1h}\n");
    let watch = Watch::start(&site, &["manifests"]);
    expect_no_writes(&site);

    site.configure("watch: {mode: enforce, resync: 300ms}\n");
    expect(&site, &watch, &json!([sets_ports(48)]));
    drift(&site);
    expect(&site, &watch, &json!([sets_ports(48)]));

    // A broken one is named with its place, and the one before stays in force.
    site.configure("watch: {mode: enforce, resnyc: 1s}\n");
    wait_until("the mistake is counted", || watch.metric("reconcile_configuration_errors") == 1);
    let said = watch.lines("the configuration is broken: the last good one stays in force");
    assert_eq!(said.len(), 1, "{:?}", watch.lines(""));
    assert!(!watch.lines("reconcile.yaml:16:24").is_empty(), "{:?}", watch.lines(""));
    let page = watch.page("/readyz");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("resnyc"), "{page}");
    drift(&site);
    expect(&site, &watch, &json!([sets_ports(48)]));

    // So does the one before a file that is gone.
    std::fs::remove_file(site.path().join("reconcile.yaml")).expect("it was there");
    wait_until("it is said", || {
        watch.lines("the configuration is broken: the last good one stays in force").len() == 2
    });
    drift(&site);
    expect(&site, &watch, &json!([sets_ports(48)]));

    site.configure("watch: {mode: report, resync: 300ms}\n");
    wait_until("it is mended", || watch.metric("reconcile_configuration_errors") == 0);
    watch.settle();
    site.sandbox().clear_calls();
    drift(&site);
    watch.settle();
    assert_eq!(bodies(&site.writes()), json!([]));
    assert_eq!(watch.end(), Some(0));
}

fn expect_no_writes(site: &Site) {
    assert_eq!(bodies(&site.writes()), json!([]));
}

#[test]
fn a_target_that_moves_is_followed() {
    let (site, other) = (Site::with(&state(), &[("manifests/core.yaml", &ports(48))]), Site::new(&state()));
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    assert_eq!(bodies(&site.writes()), json!([sets_ports(48)]));
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    site.write("reconcile.yaml", &config.replace(&site.url(), &other.url()));
    wait_until("the other server is written to", || bodies(&other.writes()) == json!([sets_ports(48)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn changed_values_are_taken_over() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports_of_variable()), ("values.yaml", "ports: 48\n")]);
    let watch = Watch::start(&site, &["manifests", "--values", "values.yaml", "--resync", "1h"]);
    assert_eq!(bodies(&site.writes()), json!([sets_ports(48)]));
    site.write("values.yaml", "ports: 96\n");
    wait_until("the value is applied", || bodies(&site.writes()) == json!([sets_ports(48), sets_ports(96)]));
    site.write("values.yaml", "ports: [96\n");
    wait_until("the mistake is counted", || watch.metric("reconcile_configuration_errors") == 1);
    wait_until("the log names it", || !watch.lines("values.yaml:").is_empty());
    site.write("values.yaml", "ports: 12\n");
    wait_until("the value is applied", || site.writes().len() == 3);
    assert_eq!(bodies(&site.writes()[2..]), json!([sets_ports(12)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_configuration_in_a_config_map_is_followed() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    site.configure("watch: {mode: report}\n");
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    std::fs::remove_file(site.path().join("reconcile.yaml")).expect("it was there");
    let config = config.replace("{file: ", "{file: ../../");
    site.write("map/..one/reconcile.yaml", &config);
    site.write("map/..two/reconcile.yaml", &config.replace("report", "enforce"));
    let map = site.path().join("map");
    swap(&map.join("..data"), "..one");
    std::os::unix::fs::symlink("..data/reconcile.yaml", map.join("reconcile.yaml")).expect("a link can be made");
    let arguments = ["manifests", "--config", "map/..data/reconcile.yaml", "--resync", "1h"];
    let watch = Watch::start(&site, &arguments);
    expect_no_writes(&site);
    swap(&map.join("..data"), "..two");
    wait_until("the second is in force", || bodies(&site.writes()) == json!([sets_ports(48)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_hangup_makes_a_pass_at_once() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    site.sandbox().clear_calls();
    drift(&site);
    watch.signal("HUP");
    wait_until("the drift is taken back", || bodies(&site.writes()) == json!([sets_ports(48)]));
    wait_until("the pass has ended", || watch.lines("trigger=\"signal\"").len() == 1);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_hangup_reads_settings_anew_that_lie_in_other_files() {
    let app = "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: orders}\nspec: {app: orders, fields: {remark: \
               new}}\n";
    let site = Site::with(&state(), &[("manifests/app.yaml", app), ("instance.txt", "i0")]);
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    assert!(config.contains("instanceId: i1"), "{config}");
    site.write("reconcile.yaml", &config.replace("instanceId: i1", "instanceId: {file: instance.txt}"));
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    expect_no_writes(&site);
    site.write("instance.txt", "i1");
    watch.signal("HUP");
    wait_until("the app of that instance is written", || site.writes().len() == 1);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_log_of_json_is_one_document_a_line() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48)), ("manifests/b.yaml", "kind: [\n")]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h", "--log-format", "json"]);
    site.configure("watch: {mode: of, resync: 1h}\n");
    wait_until("the mistake is counted", || watch.metric("reconcile_configuration_errors") == 1);
    let lines: Vec<Value> = watch.all().iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(lines.iter().all(|line| line["message"].is_string() && line["level"].is_string()), "{lines:#?}");
    let headline = |text: &str| lines.iter().find(|line| line["message"].as_str().is_some_and(|m| m.contains(text)));
    for text in ["the last good version of what is broken", "the configuration is broken"] {
        let line = headline(text).unwrap_or_else(|| panic!("{text}: {lines:#?}"));
        assert_eq!(line["diagnostics"].as_array().map(Vec::len), Some(1), "{line}");
        assert!(line["diagnostics"][0]["code"].is_string() && line["diagnostics"][0]["at"].is_object(), "{line}");
        assert!(line["problems_text"].is_null(), "{line}");
    }
    assert_eq!(watch.end(), Some(0));
}

//! The journal and the log of a long run about its writes.

use serde_json::{Value, json};

use crate::{
    harness::{Site, state, wait_until},
    watch::{Watch, expect, ports, sets_ports},
};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Makes the edit of somebody else that `watch` takes back, and waits for that.
fn take_back(site: &Site, watch: &Watch) {
    expect(site, watch, &json!([sets_ports(48)]));
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    site.sandbox().clear_calls();
    expect(site, watch, &json!([sets_ports(48)]));
}

#[test]
fn each_write_is_recorded() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48)), (".git/HEAD", COMMIT)]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1s"]);
    take_back(&site, &watch);
    assert_eq!(watch.end(), Some(0));
    let journal = site.journal();
    let types: Vec<_> = journal.iter().map(|line| &line["type"]).collect();
    assert_eq!(types, ["run", "started", "change", "ended", "started", "change", "ended"]);
    let run = &journal[0];
    assert!(journal.iter().all(|line| line["run"] == run["run"]), "{journal:?}");
    assert_eq!((&run["command"], &run["commit"]), (&json!("watch"), &json!(COMMIT)));
    assert_eq!(run["version"], env!("RECONCILE_VERSION"));
    assert!(run["user"].is_string() && run["host"].is_string(), "{run}");
    for (at, before) in [(2, 24), (5, 7)] {
        let change = &journal[at];
        assert_eq!(change["address"], "Instance/core");
        assert_eq!((&change["target"], &change["action"]), (&json!("cmdb"), &json!("update")));
        assert!(change["id"].to_string().contains('1') && change["label"] == "bk_switch #1", "{change}");
        assert_eq!(change["fields"], json!([{"path": "ports", "before": before, "after": 48}]));
        assert_eq!(change["outcome"], "applied");
        assert_eq!(journal[at - 1]["objects"][0]["fields"], change["fields"]);
    }
}

#[test]
fn the_log_says_what_was_overwritten_and_whose_it_was() {
    for format in ["text", "json"] {
        let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
        let watch = Watch::start(&site, &["manifests", "--resync", "1s", "--log-format", format]);
        take_back(&site, &watch);
        let lines = watch.lines("ports: 7 → 48");
        assert_eq!(lines.len(), 1, "{format}: {:?}", watch.lines(""));
        let run = site.journal()[0]["run"].as_str().unwrap_or_default().to_owned();
        for part in ["update applied: ", "ports changed by zoe at 2", "manifests/core.yaml:1:1", "cmdb", "core", &run] {
            assert!(lines[0].contains(part), "{format} {part}: {}", lines[0]);
        }
        if format == "json" {
            let line: Value = serde_json::from_str(&lines[0]).expect("a line is JSON");
            assert_eq!((&line["target"], &line["changes"]), (&json!("cmdb"), &json!("ports: 7 → 48")));
            assert!(line["id"].as_str().is_some_and(|id| id.contains('1')), "{line}");
        }
        assert_eq!(watch.end(), Some(0));
    }
}

#[test]
fn what_is_only_reported_is_named_with_its_author() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(24))]);
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    let watch = Watch::start(&site, &["manifests", "--mode", "report", "--resync", "1h"]);
    wait_until("the drift is said", || {
        !watch.lines("would update: ports: 7 → 24; ports changed by zoe at ").is_empty()
    });
    assert_eq!(watch.end(), Some(0));
    assert_eq!(site.journal(), [] as [Value; 0], "nothing was to be done");
}

#[test]
fn a_journal_that_cannot_be_written_stops_nothing() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1s", "--state-dir", "app-secret.txt"]);
    take_back(&site, &watch);
    assert_eq!(watch.lines("this run is not recorded").len(), 1, "{:?}", watch.lines(""));
    assert_eq!(watch.end(), Some(0));
}

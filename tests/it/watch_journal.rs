//! The journal and the log of a long run about its writes.

use serde_json::{Value, json};

use crate::{
    harness::{Site, operations, state, wait_until},
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
    let runs = site.runs();
    assert_eq!(runs.len(), 2, "each pass that writes is a run of its own");
    for (run, before) in runs.iter().zip([24, 7]) {
        let journal = site.journal_of(run);
        let types: Vec<_> = journal.iter().map(|line| &line["type"]).collect();
        assert_eq!(types, ["run", "intent", "outcome", "ended"]);
        let origin = &journal[0]["origin"];
        assert_eq!((&journal[0]["run"], &journal[0]["targets"][0]["name"]), (&json!(run), &json!("cmdb")));
        assert_eq!((&origin["command"], &origin["commit"]), (&json!("watch"), &json!(COMMIT)));
        assert_eq!(origin["version"], env!("RECONCILE_VERSION"));
        assert!(origin["user"].is_string() && origin["host"].is_string(), "{origin}");
        let (intent, outcome) = (&journal[1], &journal[2]);
        assert_eq!((&intent["operation"], &intent["attempt"]), (&json!("update_inst"), &json!(1)));
        let object = &intent["objects"][0];
        assert_eq!((&object["address"], &outcome["address"]), (&json!("Instance/core"), &json!("Instance/core")));
        assert_eq!(object["fields"], json!([{"path": "ports", "from": before, "to": 48}]));
        assert_eq!((&outcome["outcome"], &journal[3]["verdict"]), (&json!("applied"), &json!("converged")));
        let plan = std::fs::read_to_string(site.run_file(run, "plan.json")).expect("a run has a plan");
        let plan: Value = serde_json::from_str(&plan).expect("a plan is JSON");
        assert_eq!((&plan["digest"], &plan["changes"][0]["label"]), (&journal[0]["plan"], &json!("bk_switch #1")));
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
        let run = site.runs().pop().expect("a run");
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
fn nothing_is_written_unrecorded() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1s", "--state-dir", "app-secret.txt"]);
    wait_until("the reason is said", || !watch.lines("app-secret.txt").is_empty());
    assert_eq!(watch.end(), Some(0));
    assert_eq!(operations(&site.writes()), json!({}));
}

//! Windows and suspensions: what they hold back is shown and not sent, and made once they end.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    harness::{Site, bodies, operations, state, switch, wait_until},
    watch::{Watch, ports, sets_ports},
};

/// A time so many seconds from now.
fn soon(seconds: u64) -> String {
    (Timestamp::now() + Duration::from_secs(seconds)).to_string()
}

/// A window that denies all changes at any time.
const FREEZE: &str = "windows: {freeze: {deny: '* * * * *', duration: 1h}}\n";

fn changes(site: &Site) -> usize {
    site.run(&["plan", "-o", "json"]).json()["changes"].as_array().map_or(0, Vec::len)
}

#[test]
fn apply_is_refused_while_changes_are_held_back() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    site.configure(FREEZE);
    let held = "1 change on cmdb is held back: the window `freeze` denies changes";
    // A plan is not refused: it may be made later.
    let output = site.run(&["plan", "manifests", "--out", "plan.json"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert!(output.stderr.contains(held), "{output}");
    let plan = site.run(&["plan", "manifests", "-o", "json"]).json();
    assert_eq!(plan["held"], json!([held]));
    for command in [["apply", "manifests", "-y"], ["apply", "plan.json", "-y"]] {
        let output = site.run(&command);
        assert_eq!(output.code, Some(3), "{output}");
        assert!(output.stderr.contains(&format!("error: {held}")), "{output}");
        assert!(output.stderr.contains("`--override-holds REASON`"), "{output}");
        assert_eq!(site.writes().len(), 0);
    }
    // Only a reason lets it pass, and it is recorded.
    let output = site.run(&["apply", "manifests", "-y", "--override-holds", " "]);
    assert_eq!((output.code, site.writes().len()), (Some(3), 0), "{output}");
    let output = site.run(&["apply", "plan.json", "-y", "--override-holds", "INC-7: the core is down"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(bodies(&site.writes()), json!([sets_ports(48)]));
    let run = site.runs().pop().expect("it is recorded");
    let record = &site.journal_of(&run)[0];
    assert_eq!((&record["held"], &record["override_reason"]), (&json!([held]), &json!("INC-7: the core is down")));
    let history = site.run(&["history", &run]);
    assert!(history.stdout.contains("INC-7: the core is down"), "{history}");
}

#[test]
fn a_window_holds_only_its_objects() {
    let labelled = |name: &str, id: u32, site: &str| {
        switch(name, &format!("bk_asset_id: A{id}"), "ports: 48")
            .replace("metadata: {", &format!("metadata: {{labels: {{site: {site}}}, "))
    };
    let site = Site::with(
        &state(),
        &[("manifests/a.yaml", &labelled("a", 1, "sz")), ("manifests/b.yaml", &labelled("b", 2, "bj"))],
    );
    site.configure("windows: {freeze: {deny: '* * * * *', duration: 1h, target: cmdb, selector: site=sz}}\n");
    assert_eq!(changes(&site), 2);
    let output = site.run(&["apply", "-y"]);
    assert!(output.code == Some(3) && output.stderr.contains("1 change on cmdb is held back"), "{output}");
    let output = site.run(&["apply", "-y", "-l", "site!=sz"]);
    assert_eq!((output.code, site.writes().len()), (Some(0), 1), "{output}");
}

#[test]
fn a_target_may_be_reported_only() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    site.configure("");
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    let check = |policy: &str, expected: [usize; 2]| {
        site.write("reconcile.yaml", &config.replace("access: esb", &format!("access: esb\n    policy: {policy}")));
        let plan = site.run(&["plan", "-o", "json"]).json();
        let count = |key: &str| plan[key].as_array().map_or(0, Vec::len);
        assert_eq!([count("changes"), count("reported")], expected, "{policy}: {plan}");
    };
    check("report", [0, 1]);
    check("ignore", [0, 0]);
    check("enforce", [1, 0]);
}

#[test]
fn watch_reports_what_is_suspended_and_makes_it_afterwards() {
    let site = Site::with(&state(), &[]);
    let end = soon(6);
    let suspended =
        ports(48).replace("spec:", &format!("spec:\n  suspend: {{reason: a fan is broken, until: '{end}'}}"));
    assert!(suspended.contains("suspend"), "{suspended}");
    site.write("manifests/core.yaml", &suspended);
    site.write("manifests/other.yaml", &switch("other", "bk_asset_id: A2", "ports: 12"));
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    let held = || watch.lines("would update: ports: 24 → 48");
    wait_until("it is said", || !held().is_empty());
    assert!(held()[0].contains("; held back until "), "{held:?}", held = held());
    assert!(held()[0].contains("suspended: a fan is broken"), "{held:?}", held = held());
    assert_eq!(watch.metric("reconcile_held"), 1);
    // A pass whose only differences are held back has succeeded.
    let page = watch.page("/metrics");
    let success = page.lines().find_map(|line| line.strip_prefix("reconcile_last_success_timestamp_seconds "));
    assert!(success.is_some_and(|time| time.parse::<f64>().is_ok_and(|time| time > 0.0)), "{page}");
    assert!(watch.page("/readyz").starts_with("HTTP/1.1 200"), "{}", watch.page("/readyz"));
    let object = watch.page("/api/object?address=Instance/core");
    assert!(object.contains("suspended: a fan is broken"), "{object}");
    // The other one is not held back.
    assert_eq!(operations(&site.writes()), json!({"update_inst": 1}));
    wait_until("it is made", || site.writes().len() == 2);
    assert!(Timestamp::now() >= end.parse().expect("a time"), "it waited");
    assert_eq!(site.writes()[1].body, sets_ports(48));
    wait_until("it counts no more", || watch.metric("reconcile_held") == 0);
    assert_eq!(held().len(), 1);
    assert_eq!(watch.lines("trigger=\"window\"").len(), 1, "{:?}", watch.lines("pass ended"));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn watch_takes_over_a_freeze_while_it_runs() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    wait_until("it is made", || site.writes().len() == 1);
    site.configure(FREEZE);
    wait_until("it is read", || !watch.lines("the configuration was read anew").is_empty());
    site.write("manifests/core.yaml", &ports(96));
    wait_until("it is said", || !watch.lines("held back: the window `freeze` denies changes").is_empty());
    assert_eq!(site.writes().len(), 1);
    site.configure("");
    wait_until("it is made", || site.writes().len() == 2);
    assert_eq!(bodies(&site.writes()), Value::from(vec![sets_ports(48), sets_ports(96)]));
    assert_eq!(watch.end(), Some(0));
}

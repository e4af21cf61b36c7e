//! What Prometheus and Grafana see: the metrics of a running `watch`, and the rules and the dashboard of
//! `examples/deploy`.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

use regex::Regex;
use serde_json::Value;

use crate::{
    harness::{Site, repository, skip, state},
    watch::{Watch, ports},
};

/// Runs `promtool`; returns nothing where it is not installed.
fn promtool(arguments: &[&str], input: &str) -> Option<(bool, String)> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(repository().join("examples/deploy/prometheus"));
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        skip("promtool is not installed (Debian package `prometheus`)");
        return None;
    };
    let written = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    assert!(written.is_none_or(|written| written.is_ok()) || !output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), text))
}

#[test]
fn promtool_finds_no_fault_in_the_metrics() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48)), ("manifests/broken.yaml", "kind: [\n")]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    let page = watch.page("/metrics");
    let (head, metrics) = page.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(metrics.contains(
        "reconcile_calls_total{target=\"cmdb\",operation=\"update_inst\",write=\"true\",result=\"answered\"} 1"
    ));
    for gauge in ["waiting", "in_flight"] {
        assert!(metrics.contains(&format!("reconcile_requests_{gauge}{{target=\"cmdb\"}} 0")), "{metrics}");
    }
    assert_eq!(watch.end(), Some(0));
    let Some((passed, text)) = promtool(&["check", "metrics"], metrics) else { return };
    assert!(passed && text.trim().is_empty(), "{text}\n{metrics}");
    // It does find faults.
    let (passed, text) = promtool(&["check", "metrics"], "# TYPE a counter\na 1\n").expect("it is there");
    assert!(!passed, "{text}");
}

#[test]
fn the_alert_rules_fire_when_they_should() {
    let Some((passed, text)) = promtool(&["test", "rules", "rules_test.yaml"], "") else { return };
    assert!(passed, "{text}");
}

#[test]
fn the_rules_and_the_dashboard_name_metrics_that_exist() {
    let page = std::fs::read_to_string(repository().join("docs/src/watch.md")).expect("it is there");
    let row = Regex::new(r"(?m)^\| `(reconcile_[a-z_]+)` \|").expect("right");
    let known: BTreeSet<&str> = row.captures_iter(&page).filter_map(|row| Some(row.get(1)?.as_str())).collect();
    let name = Regex::new(r"\breconcile_[a-z_]+\b").expect("right");
    let check = |file: &str, text: &str, least: usize| {
        let named: BTreeSet<&str> = name.find_iter(text).map(|name| name.as_str()).collect();
        assert!(named.len() >= least, "{file}: {named:?}");
        for metric in named {
            assert!(known.contains(metric.trim_end_matches("_bucket")), "{file}: {metric} is no metric");
        }
    };
    let text = |file: &str| std::fs::read_to_string(repository().join("examples/deploy").join(file)).expect("there");
    check("rules.yaml", &text("prometheus/rules.yaml"), 7);
    let dashboard: Value = serde_json::from_str(&text("grafana/dashboard.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let expressions: Vec<&str> = targets.filter_map(|target| target["expr"].as_str()).collect();
    assert!(expressions.len() >= panels.len());
    // A metric that no panel shows is seen by nobody.
    check("dashboard.json", &expressions.join("\n"), known.len());
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].to_string()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one id");
}

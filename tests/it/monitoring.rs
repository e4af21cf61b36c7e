//! What Prometheus and Grafana see: the metrics of a running `watch`, and the rules and the dashboard of
//! `examples/deploy`.

use std::{
    collections::BTreeSet,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use regex::Regex;
use serde_json::{Value, json};

use crate::{
    harness::{Site, http, repository, skip, state, wait_until},
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
fn the_example_configuration_is_sound() {
    let Some((passed, text)) = promtool(&["check", "config", "prometheus.yaml"], "") else { return };
    assert!(passed && text.contains("1 rule files found") && !text.contains("FAILED"), "{text}");
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

/// A Prometheus that scrapes a page each second, with the configuration and the alert rules of the examples.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Prometheus {
    /// Returns nothing where it is not installed.
    fn start(page: SocketAddr) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let examples = repository().join("examples/deploy/prometheus");
        let mut config = std::fs::read_to_string(examples.join("prometheus.yaml")).expect("it is there");
        let rules = examples.join("rules.yaml").display().to_string();
        for (from, to) in [("30s", "1s"), ("rules.yaml", &rules), ("127.0.0.1:8321", &page.to_string())] {
            assert!(config.contains(from), "{from}: {config}");
            config = config.replacen(from, to, if from == "30s" { 2 } else { 1 });
        }
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("written");
        // It does not tell which port it chose, so a free one is looked for.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            skip("prometheus is not installed (Debian package `prometheus`)");
            return None;
        };
        Some(Self { child, address, _directory: directory })
    }

    /// Returns an answer of its API, null before it listens.
    fn get(&self, path: &str) -> Value {
        if TcpStream::connect(self.address).is_err() {
            return Value::Null;
        }
        let answer = http(self.address, "GET", path, "");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        // The body comes in chunks, whose sizes stand on lines of their own.
        let body = body.find('{').zip(body.rfind('}')).map(|(start, end)| &body[start..=end]).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_default()
    }

    /// Returns the values of a query.
    fn values(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/api/v1/query?query={query}"));
        let found = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        found.iter().filter_map(|one| Some(one["value"][1].as_str()?.to_owned())).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_real_prometheus_scrapes_it() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    let Some(prometheus) = Prometheus::start(watch.pages()) else { return };
    wait_until("it is scraped", || prometheus.values("up") == ["1"]);
    wait_until("the change is counted", || {
        prometheus.values("reconcile_changes_total{outcome=%22applied%22}") == ["1"]
    });
    assert_eq!(prometheus.values("reconcile_target_up"), ["1"]);
    assert_eq!(prometheus.values("count(reconcile_request_duration_seconds_bucket)").len(), 1);
    let targets = prometheus.get("/api/v1/targets");
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!((&target["health"], &target["lastError"]), (&"up".into(), &"".into()), "{target}");
    // An outage shows within one interval of scrapes and the next answer.
    site.faults(&json!([{"fault": "status", "status": 503}]));
    watch.signal("HUP");
    wait_until("the outage is seen", || prometheus.values("reconcile_target_up") == ["0"]);
    let is_well = |rule: &Value| rule["health"] == "ok";
    wait_until("all rules are evaluated", || {
        let rules = prometheus.get("/api/v1/rules");
        let rules = rules["data"]["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
        rules.len() > 5 && rules.iter().all(is_well)
    });
    assert_eq!(watch.end(), Some(0));
}

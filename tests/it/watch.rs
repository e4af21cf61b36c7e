//! The long run: each event is followed by exactly the call that it needs.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::harness::{Site, bodies, http, operations, state, switch, wait_until};

/// A running `watch` and where its pages are.
pub(crate) struct Watch {
    child: Child,
    pages: SocketAddr,
    /// The lines on stderr.
    log: Arc<Mutex<Vec<String>>>,
    /// Its own sandbox, where it has one.
    sandbox: Option<SocketAddr>,
}

impl Watch {
    /// Starts to watch and waits until the first pass is done.
    pub(crate) fn start(site: &Site, arguments: &[&str]) -> Self {
        let watch = Self::launch(site, arguments);
        wait_until("the first pass is done", || watch.passes() > 0);
        watch
    }

    /// Starts to watch and waits until it listens.
    pub(crate) fn launch(site: &Site, arguments: &[&str]) -> Self {
        let all: Vec<_> = ["watch", "--listen", "127.0.0.1:0"].iter().chain(arguments).copied().collect();
        let mut command = site.command(&all);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it was piped")).lines();
        let log = Arc::new(Mutex::new(Vec::new()));
        let written = log.clone();
        let note = move |line: &String| written.lock().expect("no test panics here").push(line.clone());
        let mut address = |start: &str| -> SocketAddr {
            let line = lines.by_ref().map_while(Result::ok).inspect(&note).find(|line| line.contains(start));
            let line = line.unwrap_or_else(|| panic!("it never said `{start}`"));
            // In a log of JSON the line is a record.
            let rest = line.split_once(start).map(|(_, rest)| rest).unwrap_or_default();
            rest.split('"').next().unwrap_or_default().parse().expect("an address")
        };
        let pages = address("listening on http://");
        let sandbox = all.contains(&"--sandbox").then(|| address("sandbox listening on http://"));
        // Its later output must not fill the pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| note(&line)));
        Self { child, pages, log, sandbox }
    }

    /// Where its pages are.
    pub(crate) fn pages(&self) -> SocketAddr {
        self.pages
    }

    /// The lines on stderr that hold a text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let log = self.log.lock().expect("no test panics here");
        log.iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// All lines on stderr so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lines("")
    }

    /// The answer to a GET, with its head.
    pub(crate) fn page(&self, path: &str) -> String {
        http(self.pages, "GET", path, "")
    }

    /// The sum of a metric over its labels.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let page = self.page("/metrics");
        let lines = page.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// How many passes have ended.
    fn passes(&self) -> u64 {
        self.metric("reconcile_passes_total")
    }

    /// Waits until two more passes have ended: the first of them may have begun before.
    pub(crate) fn settle(&self) {
        let before = self.passes();
        wait_until("two more passes have ended", || self.passes() >= before + 2);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
    }

    /// Tells it to end, and returns its exit code.
    pub(crate) fn end(mut self) -> Option<i32> {
        self.signal("TERM");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Watch {
    /// A test that failed leaves nothing behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A document that gives the first switch so many ports.
pub(crate) fn ports(number: u32) -> String {
    switch("core", "bk_asset_id: A1", &format!("ports: {number}"))
}

/// The call that gives the first switch so many ports.
pub(crate) fn sets_ports(number: u32) -> Value {
    json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": number})
}

/// Waits for writes, then for two passes that write nothing more, and checks that these were all.
pub(crate) fn expect(site: &Site, watch: &Watch, expected: &Value) {
    let count = expected.as_array().map_or(0, Vec::len);
    wait_until("the writes are there", || site.writes().len() >= count);
    watch.settle();
    assert_eq!(bodies(&site.writes()), *expected);
    site.sandbox().clear_calls();
}

/// The part of an overlay that gives the first switch so many ports.
fn over(number: u32) -> String {
    format!("kind: Instance\nmetadata: {{name: core}}\nspec: {{fields: {{ports: {number}}}}}\n")
}

#[test]
fn an_overlay_is_watched_too() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48)), ("prod/core.yaml", &over(96))]);
    let watch = Watch::start(&site, &["manifests", "--overlay", "prod", "--resync", "1s"]);
    expect(&site, &watch, &json!([sets_ports(96)]));
    site.write("prod/core.yaml", &over(12));
    expect(&site, &watch, &json!([sets_ports(12)]));
    // While it is broken what it said stays in force, whatever the base says.
    site.write("prod/core.yaml", "a: [\n");
    site.write("manifests/core.yaml", &ports(1));
    expect(&site, &watch, &json!([]));
    assert!(watch.page("/healthz").starts_with("HTTP/1.1 200"));
    site.write("prod/core.yaml", "# nothing any more\n");
    expect(&site, &watch, &json!([sets_ports(1)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn applies_at_the_start_on_a_save_and_on_drift() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1s"]);
    expect(&site, &watch, &json!([sets_ports(48)]));
    assert!(watch.page("/healthz").starts_with("HTTP/1.1 200"));
    assert!(watch.page("/readyz").starts_with("HTTP/1.1 200"));

    site.write("manifests/core.yaml", &ports(96));
    expect(&site, &watch, &json!([sets_ports(96)]));

    // Saved again as it is: an event, and nothing to do.
    site.write("manifests/core.yaml", &ports(96));
    expect(&site, &watch, &json!([]));

    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7, "remark": "theirs"}));
    expect(&site, &watch, &json!([sets_ports(96)]));
    assert_eq!(site.row("/bk-cmdb/instances/bk_switch", "bk_inst_id", 1)["remark"], "theirs");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_save_is_seen_without_waiting_for_the_resync() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    site.write("manifests/core.yaml", &ports(96));
    wait_until("it is applied", || bodies(&site.writes()) == json!([sets_ports(48), sets_ports(96)]));
    site.write(
        "manifests/more/second.yaml",
        &ports(24).replace("core", "second").replace("A1", "A2").replace("24", "25"),
    );
    wait_until("a file in a new directory is applied", || site.writes().len() == 3);
    assert_eq!(watch.end(), Some(0));
}

/// Swaps a link as Kubernetes and git-sync do: a new link is renamed over the old one.
pub(crate) fn swap(link: &Path, to: &str) {
    let new = link.with_file_name("..new");
    symlink(to, &new).expect("a link can be made");
    std::fs::rename(&new, link).expect("a link can be renamed");
}

#[test]
fn a_config_map_that_is_swapped_is_followed() {
    let site = Site::with(&state(), &[("map/..one/core.yaml", &ports(48)), ("map/..two/core.yaml", &ports(96))]);
    let map = site.path().join("map");
    swap(&map.join("..data"), "..one");
    symlink("..data/core.yaml", map.join("core.yaml")).expect("a link can be made");
    let watch = Watch::start(&site, &["map", "--resync", "1h"]);
    wait_until("the first is applied", || bodies(&site.writes()) == json!([sets_ports(48)]));
    swap(&map.join("..data"), "..two");
    wait_until("the second is applied", || bodies(&site.writes()) == json!([sets_ports(48), sets_ports(96)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_directory_behind_a_link_that_is_swapped_is_followed() {
    let site = Site::with(&state(), &[("rev-1/m/core.yaml", &ports(48)), ("rev-2/m/core.yaml", &ports(96))]);
    let link = site.path().join("current");
    swap(&link, "rev-1");
    let watch = Watch::start(&site, &["current/m", "--config", "reconcile.yaml", "--resync", "1h"]);
    wait_until("the first is applied", || bodies(&site.writes()) == json!([sets_ports(48)]));
    swap(&link, "rev-2");
    wait_until("the second is applied", || bodies(&site.writes()) == json!([sets_ports(48), sets_ports(96)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_broken_document_keeps_its_last_good_version_in_force() {
    let other = switch("other", "bk_asset_id: A2", "ports: 48");
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48)), ("manifests/other.yaml", &other)]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1s"]);
    wait_until("both are applied", || site.writes().len() == 2);
    watch.settle();
    site.sandbox().clear_calls();

    site.write("manifests/core.yaml", "apiVersion: bk-cmdb/v1\nkind: Instance\nmetadata: {name: core\n");
    wait_until("the mistake is told", || watch.metric("reconcile_manifest_errors") > 0);
    expect(&site, &watch, &json!([]));
    // The last good version is still enforced, and the other document is not held up.
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    expect(&site, &watch, &json!([sets_ports(48)]));
    site.write("manifests/other.yaml", &other.replace("48", "96"));
    expect(&site, &watch, &json!([{"bk_obj_id": "bk_switch", "bk_inst_id": 2, "ports": 96}]));

    site.write("manifests/core.yaml", &ports(12));
    expect(&site, &watch, &json!([sets_ports(12)]));
    wait_until("the mistake is gone", || watch.metric("reconcile_manifest_errors") == 0);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn manifests_that_vanish_stay_in_force_and_are_no_success() {
    let site = Site::with(&state(), &[("m/a.yaml", &ports(30))]);
    let watch = Watch::start(&site, &["m", "--resync", "200ms"]);
    assert!(watch.page("/readyz").starts_with("HTTP/1.1 200"));
    std::fs::remove_file(site.path().join("m/a.yaml")).expect("removed");
    wait_until("it is not ready", || watch.page("/readyz").starts_with("HTTP/1.1 503"));
    assert!(watch.page("/readyz").contains("no manifest in m"), "{}", watch.page("/readyz"));
    watch.settle();
    assert!(watch.page("/readyz").contains("\"verdict\":\"failed\""), "{}", watch.page("/readyz"));
    site.write("m/a.yaml", &ports(30));
    wait_until("it is ready again", || watch.page("/readyz").starts_with("HTTP/1.1 200"));
    assert_eq!(watch.end(), Some(0));
    // Nothing from the start.
    let site = Site::with(&state(), &[("m/notes.md", "")]);
    let watch = Watch::start(&site, &["m", "--resync", "200ms"]);
    watch.settle();
    assert!(watch.page("/readyz").starts_with("HTTP/1.1 503"));
    let allowed = Watch::start(&site, &["m", "--resync", "200ms", "--allow-empty"]);
    assert!(allowed.page("/readyz").starts_with("HTTP/1.1 200"));
}

#[test]
fn report_tells_of_drift_and_writes_nothing() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    site.configure("watch: {mode: report, resync: 1s}\n");
    let watch = Watch::start(&site, &["manifests"]);
    wait_until("the drift is told", || watch.metric("reconcile_drift") == 1);
    expect(&site, &watch, &json!([]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_difference_that_is_left_is_said_when_it_changes() {
    let reported = ports(48).replace("---", "  policy: report\n---");
    for (mode, manifest) in [("report", ports(48)), ("enforce", reported)] {
        let missing = switch("gone", "bk_asset_id: A9", "ports: 1").replace("spec:", "spec:\n  ensure: existing");
        let site = Site::with(&state(), &[("manifests/core.yaml", &manifest), ("manifests/gone.yaml", &missing)]);
        let sets = |number: u32| {
            site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": number}));
        };
        let watch = Watch::start(&site, &["manifests", "--resync", "300ms", "--mode", mode]);
        // The line of each pass, which names the first error, is another matter.
        let lines = |text: &str| watch.lines(text).into_iter().filter(|line| !line.contains(" result=")).count();
        let said = |text: &str, times: usize| {
            wait_until(text, || lines(text) >= times);
            // Two more passes find the same.
            watch.settle();
            assert_eq!(lines(text), times, "{mode} {text}: {:?}", watch.lines(""));
        };
        said("ports: 24 → 48", 1);
        assert_eq!(watch.lines("outcome=\"blocked\"").len(), 1, "{:?}", watch.lines(""));
        sets(7);
        said("ports: 7 → 48", 1);
        assert!(watch.lines("ports: 7 → 48")[0].contains("ports changed by zoe at 2"), "{:?}", watch.lines(""));
        sets(48);
        said("no longer differs", 1);
        sets(7);
        said("ports: 7 → 48", 2);
        // It differs as before once it can be read again.
        let down =
            json!([{"operation": "search_object_instances", "fault": "code", "code": 1_199_006, "message": "no"}]);
        site.faults(&down);
        said("it could not be read", 2);
        site.faults(&json!([]));
        said("no longer blocked", 1);
        assert_eq!(watch.lines("ports: 7 → 48").len(), 2, "{mode}: {:?}", watch.lines(""));
        assert_eq!(bodies(&site.writes()), json!([]));
        assert_eq!(watch.end(), Some(0));
    }
}

#[test]
fn what_is_only_reported_is_left_as_it_is() {
    let spec = |more: &str| switch("core", "bk_asset_id: A1", "ports: 48, operator: bob").replace("---", more);
    let site = Site::with(&state(), &[("manifests/core.yaml", &spec("  fieldPolicy: {operator: report}"))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1s"]);
    expect(&site, &watch, &json!([sets_ports(48)]));
    wait_until("the drift is told", || watch.metric("reconcile_drift") == 1);
    assert!(
        watch.page("/metrics").contains("reconcile_objects{target=\"cmdb\",kind=\"Instance\",state=\"drifted\"} 1")
    );
    site.write("manifests/core.yaml", &spec("  policy: report"));
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    expect(&site, &watch, &json!([]));
    site.write("manifests/core.yaml", &spec("  policy: ignore"));
    wait_until("nothing is looked at", || watch.metric("reconcile_drift") == 0);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_platform_that_is_away_for_a_while_is_no_reason_to_end() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let down = json!([{"operation": "search_object_instances", "fault": "code", "code": 1_199_006, "message": "no"}]);
    site.faults(&down);
    let watch = Watch::start(&site, &["manifests", "--resync", "1s"]);
    expect(&site, &watch, &json!([]));
    site.faults(&json!([]));
    expect(&site, &watch, &json!([sets_ports(48)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn metrics_say_which_target_is_down_and_which_drifted() {
    let app = "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: orders}\nspec: {app: orders, fields: {remark: \
               orders}}\n";
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48)), ("manifests/app.yaml", app)]);
    let watch = Watch::start(&site, &["manifests", "--resync", "500ms", "--mode", "report"]);
    let has = |line: &str| watch.page("/metrics").lines().any(|found| found == line);
    let all = [
        "reconcile_drift{target=\"cmdb\",kind=\"Instance\"} 1",
        "reconcile_drift{target=\"roma\",kind=\"App\"} 0",
        "reconcile_objects{target=\"cmdb\",kind=\"Instance\",state=\"drifted\"} 1",
        "reconcile_objects{target=\"roma\",kind=\"App\",state=\"in_sync\"} 1",
        "reconcile_target_up{target=\"cmdb\"} 1",
        "reconcile_target_up{target=\"roma\"} 1",
        "reconcile_requests_total{target=\"roma\",outcome=\"failed\"} 0",
    ];
    all.iter().for_each(|line| wait_until(line, || has(line)));
    let version = format!("reconcile_build_info{{version=\"{}\",commit=\"", env!("CARGO_PKG_VERSION"));
    assert!(watch.page("/metrics").contains(&version), "{}", watch.page("/metrics"));
    for family in ["request_duration_seconds_count", "target_last_read_timestamp_seconds", "retries_total"] {
        assert!(watch.page("/metrics").contains(&format!("reconcile_{family}{{target=\"roma\"}} ")), "{family}");
    }
    // The first request that fails tells, while the pass still waits to try again.
    let start = std::time::Instant::now();
    site.faults(&json!([{"operation": "ListRomaApp", "fault": "status", "status": 503}]));
    wait_until("ROMA is down", || has("reconcile_target_up{target=\"roma\"} 0"));
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(has("reconcile_target_up{target=\"cmdb\"} 1"), "{}", watch.page("/metrics"));
    assert!(!has("reconcile_requests_total{target=\"roma\",outcome=\"failed\"} 0"));
    wait_until("it is sent again", || !has("reconcile_retries_total{target=\"roma\"} 0"));
    site.faults(&json!([]));
    wait_until("ROMA is up", || has("reconcile_target_up{target=\"roma\"} 1"));
    assert_eq!(watch.end(), Some(0));
}

/// Checks metrics in the older format as `promtool check metrics` does: each sample stands behind the type and the help
/// of its own name.
fn check_classic(text: &str) {
    let described = |line: &str, start: &str| Some(line.strip_prefix(start)?.split(' ').next()?.to_owned());
    let (mut helped, mut types) = (Vec::new(), std::collections::BTreeMap::new());
    for line in text.lines() {
        if let Some(name) = described(line, "# HELP ") {
            helped.push(name);
        } else if let Some(name) = described(line, "# TYPE ") {
            assert!(types.insert(name, line.rsplit(' ').next().unwrap_or_default()).is_none(), "{line}");
        } else {
            let sample = line.split(['{', ' ']).next().unwrap_or_default();
            let ends = ["_bucket", "_sum", "_count"].iter().find_map(|end| sample.strip_suffix(end));
            let name = ends.filter(|name| types.get(*name) == Some(&"histogram")).unwrap_or(sample);
            assert!(types.contains_key(name) && helped.iter().any(|helped| helped == name), "{line}\n{text}");
            assert_eq!(types[name] == "counter", name.ends_with("_total"), "{line}");
            assert!(line.rsplit(' ').next().is_some_and(|value| value.parse::<f64>().is_ok()), "{line}");
        }
    }
    let histograms = types.values().filter(|kind| **kind == "histogram").count();
    assert_eq!(text.matches("le=\"+Inf\"").count(), histograms, "{text}");
    assert!(types.len() > 10 && !text.contains("# EOF"), "{text}");
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    let ask = |accept: &str| {
        let mut stream = std::net::TcpStream::connect(watch.pages).expect("it listens");
        let head = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\n{accept}connection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, head.as_bytes()).expect("sent");
        let answer = std::io::read_to_string(stream).expect("answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_owned(), body.to_owned())
    };
    for accept in ["", "accept: */*\r\n", "accept: text/plain\r\n"] {
        let (head, text) = ask(accept);
        assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{accept}{head}");
        check_classic(&text);
    }
    let (head, text) = ask("accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n");
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(text.contains("# TYPE reconcile_passes counter\n") && text.ends_with("# EOF\n"), "{text}");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn it_brings_its_own_sandbox() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48)), ("state.json", &state().to_string())]);
    site.configure("sandbox: {state: [state.json]}\n");
    let watch = Watch::start(&site, &["manifests", "--sandbox", "--resync", "1s"]);
    let sandbox = watch.sandbox.expect("it says where");
    let writes = || http(sandbox, "GET", "/_sandbox/calls", "").matches("\"operation\":\"update_inst\"").count();
    wait_until("the first is applied", || writes() == 1);
    let edit = json!({"operation": "update_inst", "body": {"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}});
    assert!(http(sandbox, "POST", "/_sandbox/edit", &edit.to_string()).starts_with("HTTP/1.1 200"));
    wait_until("the edit is undone", || writes() == 2);
    watch.settle();
    assert_eq!(writes(), 2);
    assert_eq!(site.sandbox().calls(), [], "the platforms themselves are left alone");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_plan_over_a_limit_is_held_and_said_once() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    site.configure("safety: {maxChanges: 0}\n");
    let mut command = site.command(&["watch", "--listen", "127.0.0.1:0", "manifests", "--resync", "1s"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = child.expect("it starts");
    let stderr = BufReader::new(child.stderr.take().expect("it was piped"));
    let said = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = said.clone();
    let listener = std::thread::spawn(move || {
        stderr.lines().map_while(Result::ok).for_each(|line| heard.lock().expect("not poisoned").push(line));
    });
    let lines = |word: &str| {
        let said = said.lock().expect("not poisoned");
        said.iter().filter(|line| line.contains(word)).cloned().collect::<Vec<_>>()
    };
    wait_until("three passes have ended", || lines("pass ended").len() >= 3);
    let [address] = &lines("listening on http://")[..] else { panic!("it says where it listens") };
    let pages = address.trim_start_matches("listening on http://").parse().expect("an address");
    let watch = Watch { child, pages, log: Arc::default(), sandbox: None };
    assert_eq!(operations(&site.writes()), json!({}));
    let [refusal] = &lines("over the limit")[..] else { panic!("said once: {:?}", lines("over the limit")) };
    assert!(refusal.contains("changes on cmdb: 1 of 1 Instance, over the limit of 0: nothing is sent"), "{refusal}");
    let metrics = watch.page("/metrics");
    assert!(metrics.contains("reconcile_passes_total{result=\"refused\"}"), "{metrics}");
    assert!(metrics.contains("reconcile_objects{target=\"cmdb\",kind=\"Instance\",state=\"drifted\"} 1"), "{metrics}");
    assert!(watch.page("/readyz").starts_with("HTTP/1.1 200"));
    // By hand the same plan may pass.
    let acknowledgement = refusal.split('\'').nth(1).expect("the text to give").to_owned();
    let by_hand = site.run(&["apply", "-y", "manifests", "--ack", &acknowledgement]);
    assert_eq!(by_hand.code, Some(0), "{by_hand}");
    let sent = || lines("result=\"converged\"").len() + lines("result=converged").len();
    wait_until("a pass finds all as declared", || sent() > 0);
    // It is said again once it happens again.
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    wait_until("it is said again", || lines("over the limit").len() == 2);
    assert_eq!(watch.end(), Some(0));
    listener.join().expect("it ended");
}

#[test]
fn what_hangs_below_holds_a_plan_too() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let row = json!({"bk_obj_asst_id": "switch_rack", "bk_inst_id": 1, "bk_asst_inst_id": 21});
    site.edit("add_instance_association", &row);
    site.sandbox().clear_calls();
    site.configure("safety: {maxImpact: {associations: 0}}\n");
    let watch = Watch::start(&site, &["manifests", "--resync", "1s"]);
    expect(&site, &watch, &json!([]));
    assert!(watch.page("/metrics").contains("reconcile_passes_total{result=\"refused\"}"));
    let id = site.row("/bk-cmdb/instance_associations", "bk_inst_id", 1)["id"].clone();
    site.edit("delete_instance_association", &json!({"bk_obj_id": "bk_switch", "id": id}));
    site.sandbox().clear_calls();
    expect(&site, &watch, &json!([sets_ports(48)]));
    assert_eq!(watch.end(), Some(0));
}

//! A pass that hangs is broken off, makes `/healthz` fail, and names what it waits for.

use std::net::TcpListener;

use serde_json::json;

use crate::{
    harness::{Site, bodies, state, wait_until},
    watch::{Watch, ports, sets_ports},
};

const APP: &str = "apiVersion: roma-connect/v1\nkind: App\nmetadata: {name: a}\nspec: {app: a, fields: {remark: b}}\n";

/// Returns the configuration with a part of it put in place of another, and a short deadline.
fn configuration(site: &Site, from: &str, to: &str) -> String {
    site.configure("watch: {deadline: 1s, resync: 1s}\n");
    let text = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    assert!(text.contains(from), "{text}");
    text.replace(from, to)
}

/// Returns the answer of `/healthz` once it fails.
fn failure(watch: &Watch) -> String {
    wait_until("it is not healthy", || watch.page("/healthz").starts_with("HTTP/1.1 503"));
    watch.page("/healthz")
}

#[test]
fn a_program_that_hangs_is_named_and_ended() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let sound = configuration(&site, "{file: app-secret.txt}", "{command: [echo, hush]}");
    site.write("reconcile.yaml", &sound.replace("[echo, hush]", "[sleep, '50']"));
    let watch = Watch::start(&site, &["manifests"]);
    let answer = failure(&watch);
    assert!(answer.contains("a pass has not ended within 1 s and is broken off: waiting for "), "{answer}");
    assert!(answer.contains("target `cmdb`: its settings and secrets, for "), "{answer}");
    assert!(answer.contains("the program `sleep`, for "), "{answer}");
    assert!(!watch.lines("the program `sleep`").is_empty());
    assert_eq!(bodies(&site.writes()), json!([]));
    site.write("reconcile.yaml", &sound);
    wait_until("it is healthy again", || watch.page("/healthz").starts_with("HTTP/1.1 200"));
    wait_until("the change is made", || bodies(&site.writes()) == json!([sets_ports(48)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_server_that_hangs_is_named() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    site.configure("watch: {deadline: 1s, resync: 1s}\n");
    site.faults(&json!([{"operation": "search_object_instances", "fault": "delay", "ms": 20_000}]));
    let watch = Watch::start(&site, &["manifests"]);
    let answer = failure(&watch);
    assert!(answer.contains("target `cmdb`: search_object_instances, for "), "{answer}");
    site.faults(&json!([]));
    wait_until("it is healthy again", || watch.page("/healthz").starts_with("HTTP/1.1 200"));
    wait_until("the change is made", || bodies(&site.writes()) == json!([sets_ports(48)]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_login_that_hangs_is_named() {
    let site = Site::with(&state(), &[("manifests/app.yaml", APP)]);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", silent.local_addr().expect("bound"));
    let iam = format!("{{iam: {{user: ops, domain: acme, password: {{file: token.txt}}, endpoint: {url}}}}}");
    let text = configuration(&site, "{token: {file: token.txt}}", &iam);
    site.write("reconcile.yaml", &text);
    let watch = Watch::start(&site, &["manifests"]);
    let answer = failure(&watch);
    assert!(answer.contains("target `roma`: "), "{answer}");
    assert!(!answer.contains("its settings and secrets"), "{answer}");
    assert_eq!(watch.end(), Some(0));
}

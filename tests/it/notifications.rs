//! Messages of `watch` to webhooks: each meaning once, those of one cause together, and never in the way of the work.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::{
    harness::{Site, state, switch, wait_until},
    watch::{Watch, expect, ports, sets_ports},
};

/// A part of the address that only its owner may know.
const CANARY: &str = "canary-of-the-webhook";

/// A server that takes messages.
struct Receiver {
    url: String,
    messages: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Receiver {
    /// Starts a server that answers each request with a status, or never where that is 0.
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/{CANARY}", listener.local_addr().expect("bound"));
        let messages = Arc::new(Mutex::new(Vec::new()));
        let taken = messages.clone();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in listener.incoming().map_while(Result::ok) {
                let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
                let message = loop {
                    let Ok(length @ 1..) = stream.read(&mut buffer) else { break None };
                    text.extend_from_slice(&buffer[..length]);
                    let all = String::from_utf8_lossy(&text);
                    if let Some((head, body)) = all.split_once("\r\n\r\n")
                        && let Ok(body) = serde_json::from_str(body)
                    {
                        break Some((head.lines().next().unwrap_or_default().to_owned(), body));
                    }
                };
                taken.lock().expect("no test panics here").extend(message);
                if status == 0 {
                    open.push(stream);
                } else {
                    let body = "{\"errcode\": 0}";
                    let length = body.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                    );
                }
            }
        });
        Self { url, messages }
    }

    fn messages(&self) -> Vec<(String, Value)> {
        self.messages.lock().expect("no test panics here").clone()
    }

    /// The events, targets and counts of all generic messages.
    fn told(&self) -> Vec<Value> {
        let messages = self.messages();
        let told = messages.iter().map(|(_, body)| &body["notification"]);
        told.map(|notice| json!([notice["event"], notice["target"], notice["count"]])).collect()
    }
}

/// A site that sends its messages to some receivers: `(name, format, receiver)`.
fn site(files: &[(&str, &str)], receivers: &[(&str, &str, &Receiver)]) -> Site {
    let site = Site::with(&state(), files);
    let mut more = "notify:\n".to_owned();
    for (name, format, receiver) in receivers {
        site.write(&format!("{name}.url"), &receiver.url);
        let secret = if *format == "dingtalk" { ", secret: {file: ding.secret}" } else { "" };
        more = format!("{more}  {name}: {{format: {format}, url: {{file: {name}.url}}{secret}}}\n");
    }
    site.write("ding.secret", CANARY);
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    site.write("reconcile.yaml", &format!("{config}\n{more}"));
    site
}

#[test]
fn a_difference_is_told_once_and_its_end_too() {
    let receiver = Receiver::start(200);
    let site = site(&[("manifests/core.yaml", &ports(48))], &[("ops", "json", &receiver)]);
    let watch = Watch::start(&site, &["manifests", "--resync", "300ms", "--mode", "report", "-vv"]);
    wait_until("it is told", || !receiver.messages().is_empty());
    watch.settle();
    assert_eq!(receiver.told(), [json!(["drifted", "cmdb", 1])]);
    let (head, body) = receiver.messages().remove(0);
    assert_eq!(head, format!("POST /{CANARY} HTTP/1.1"));
    let object = &body["notification"]["objects"][0];
    assert_eq!(json!([object["address"], object["fields"][0]["path"]]), json!(["Instance/core", "ports"]));
    assert_eq!(json!([object["fields"][0]["from"], object["fields"][0]["to"]]), json!([24, 48]));
    // Other values are another meaning.
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    wait_until("it is told", || receiver.messages().len() == 2);
    site.write("manifests/core.yaml", &ports(7));
    wait_until("its end is told", || receiver.messages().len() == 3);
    assert_eq!(receiver.told()[1..], [json!(["drifted", "cmdb", 1]), json!(["resolved", "cmdb", 1])]);
    assert_eq!(watch.lines(CANARY), Vec::<String>::new());
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_target_that_is_down_is_one_message() {
    let receiver = Receiver::start(200);
    let many: String =
        (1..=3).map(|number| switch(&format!("s{number}"), &format!("bk_asset_id: A{number}"), "ports: 24")).collect();
    let site = site(&[("manifests/all.yaml", &many)], &[("ops", "json", &receiver)]);
    let watch = Watch::start(&site, &["manifests", "--resync", "300ms"]);
    assert_eq!(receiver.told(), Vec::<Value>::new(), "all is well");
    site.faults(&json!([{"operation": "search_inst", "fault": "status", "status": 403}, {"operation": "search_object_attribute", "fault": "status", "status": 403}]));
    wait_until("it is told", || !receiver.messages().is_empty());
    watch.settle();
    assert_eq!(receiver.told(), [json!(["unknown", "cmdb", 3])]);
    site.faults(&json!([]));
    wait_until("its end is told", || receiver.messages().len() == 2);
    assert_eq!(receiver.told()[1], json!(["resolved", "cmdb", 3]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn webhooks_that_hang_or_refuse_hold_up_nothing() {
    let (hangs, refuses, works) = (Receiver::start(0), Receiver::start(500), Receiver::start(200));
    let receivers = [("a", "wecom", &hangs), ("b", "slack", &refuses), ("c", "dingtalk", &works)];
    let site = site(&[("manifests/core.yaml", &ports(48))], &receivers);
    let watch = Watch::start(&site, &["manifests", "--resync", "300ms"]);
    expect(&site, &watch, &json!([sets_ports(48)]));
    site.write("manifests/core.yaml", &ports(96));
    expect(&site, &watch, &json!([sets_ports(96)]));
    wait_until("the one that works has both", || works.messages().len() == 2);
    let (head, body) = works.messages().remove(1);
    assert!(head.contains("?timestamp=") && head.contains("&sign="), "{head}");
    let text = body["markdown"]["text"].as_str().expect("a text");
    assert!(text.contains("ports: 48 → 96") && text.contains("manifests/core.yaml:1:1"), "{text}");
    wait_until("the one that refuses was asked again", || refuses.messages().len() > 1);
    assert_eq!(hangs.messages().len(), 1);
    assert_eq!(watch.lines(CANARY), Vec::<String>::new());
    let start = std::time::Instant::now();
    assert_eq!(watch.end(), Some(0));
    assert!(start.elapsed() < std::time::Duration::from_secs(10), "it waits for no webhook");
}

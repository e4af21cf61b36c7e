//! A target that stops answering: it is left alone soon, and the others finish.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::harness::{Site, state, switch};

const APP: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: new}}
";
const MODULE: &str = "apiVersion: bk-cmdb/v1
kind: Module
metadata: {name: web}
spec: {business: demo, set: public, module: web, fields: {operator: alice}}
";
const PROCESS: &str = "apiVersion: bk-cmdb/v1
kind: ProcessTemplate
metadata: {name: nginx}
spec: {business: demo, serviceTemplate: nginx, process: nginx, properties: {proc_num: 4}}
";
const LINK: &str = "apiVersion: bk-cmdb/v1
kind: InstanceAssociation
metadata: {name: rack}
spec:
  association: switch_rack
  source: {model: bk_switch, id: 1}
  targets: [{model: bk_rack, id: 21}]
";

/// The way to a server, which breaks.
struct Relay {
    address: SocketAddr,
    state: Arc<RelayState>,
}

#[derive(Default)]
struct RelayState {
    is_down: AtomicBool,
    /// It breaks when so many writes have passed.
    breaks_at: AtomicUsize,
    writes: AtomicUsize,
    /// Connections that were made while it was broken.
    refused: AtomicUsize,
}

impl RelayState {
    /// Notes what goes to the server; returns false once the way is broken.
    fn passes(&self, bytes: &[u8]) -> bool {
        let writes = String::from_utf8_lossy(bytes).matches("/update_inst/").count();
        let all = self.writes.fetch_add(writes, Ordering::SeqCst) + writes;
        if all >= self.breaks_at.load(Ordering::SeqCst) {
            self.is_down.store(true, Ordering::SeqCst);
        }
        !self.is_down.load(Ordering::SeqCst)
    }
}

impl Relay {
    /// Returns a way to the server of a site that breaks with a write; the first is number 1.
    fn new(site: &Site, breaks_at: usize) -> Self {
        let server = site.url().trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(RelayState { breaks_at: breaks_at.into(), ..RelayState::default() });
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.is_down.load(Ordering::SeqCst) {
                    shared.refused.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let ends = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
                let (there, back) = (shared.clone(), shared.clone());
                thread::spawn(move || copy(client, server, |bytes| there.passes(bytes)));
                thread::spawn(move || copy(ends.1, ends.0, |_| !back.is_down.load(Ordering::SeqCst)));
            }
        });
        Self { address, state }
    }

    fn mend(&self) {
        self.state.breaks_at.store(usize::MAX, Ordering::SeqCst);
        self.state.is_down.store(false, Ordering::SeqCst);
    }
}

/// Copies what comes until it ends or may not pass.
fn copy(mut from: TcpStream, mut to: TcpStream, passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..count]) || to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Sends the requests of the target `cmdb` through a relay.
fn redirect(site: &Site, relay: &Relay) {
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    let (url, address) = (site.url(), relay.address);
    let config = config.replacen(&format!("endpoint: {url}"), &format!("endpoint: http://{address}"), 1);
    site.write("reconcile.yaml", &config);
}

#[test]
fn a_target_where_nothing_answers_is_left_alone_and_the_others_are_planned() {
    let manifests =
        [("a.yaml", APP), ("b.yaml", MODULE), ("c.yaml", PROCESS), ("d.yaml", LINK), ("e.yaml", &switches(3))];
    let site = Site::with(&state(), &manifests);
    let relay = Relay::new(&site, 0);
    redirect(&site, &relay);
    relay.state.is_down.store(true, Ordering::SeqCst);
    let output = site.run(&["plan"]);
    assert_eq!(output.code, Some(5), "{output}");
    assert_eq!(output.stderr.matches("target `cmdb` is down: nothing has answered since ").count(), 1, "{output}");
    assert!(output.stdout.contains("~ App orders") && output.stdout.contains("1 to update"), "{output}");
    // Some had left already when the fifth failed.
    let count = relay.state.refused.load(Ordering::SeqCst);
    assert!((5..=12).contains(&count), "{count} connections: {output}");
}

/// Manifests of so many switches.
fn switches(count: usize) -> String {
    (1..=count).map(|id| switch(&format!("sw-{id}"), &format!("bk_asset_id: A{id}"), "ports: 48")).collect()
}

#[test]
fn an_apply_ends_early_where_its_target_goes_away_and_finishes_the_others() {
    const SWITCHES: usize = 300;
    let mut state = state();
    let rows = (1..=SWITCHES)
        .map(|id| json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}"), "bk_asset_id": format!("A{id}"), "ports": 24}));
    state["bk-cmdb"]["instances"]["bk_switch"] = rows.collect::<Vec<_>>().into();
    let site = Site::with(&state, &[("a.yaml", APP), ("b.yaml", &switches(SWITCHES))]);
    let relay = Relay::new(&site, 40);
    redirect(&site, &relay);
    let output = site.run(&["apply", "-y", "--output-file", "json=report.json"]);
    assert_eq!(output.code, Some(5), "{output}");
    // It has answered before, so it is waited for; then all else is left unsent, with one message.
    assert_eq!(output.stderr.matches("target `cmdb` is down: nothing has answered since ").count(), 1, "{output}");
    assert_eq!(output.stdout.matches(" more: not sent: nothing has answered since ").count(), 1, "{output}");
    let report: Value =
        serde_json::from_slice(&std::fs::read(site.path().join("report.json")).expect("written")).expect("JSON");
    let outcomes = report["outcomes"].as_array().expect("outcomes");
    let count = |name: &str| outcomes.iter().filter(|outcome| outcome["outcome"] == name).count();
    let app = outcomes.iter().find(|outcome| outcome["address"] == "App/orders").expect("an app");
    assert_eq!(app["outcome"], "applied", "{output}");
    // Calls that had been sent when the target went are unknown, for they were not read back; no others are.
    let (unsent, unknown) = (count("unsent"), count("unknown"));
    assert!(unsent > 200 && (40..60).contains(&unknown), "{unsent} unsent, {unknown} unknown: {output}");
    assert_eq!(unsent + unknown + 1, outcomes.len(), "{output}");
    let refused = relay.state.refused.load(Ordering::SeqCst);
    assert!(refused < 150, "{refused} connections while it was down");
    relay.mend();
    let output = site.run(&["apply", "-y"]);
    assert_eq!(output.code, Some(0), "{output}");
    site.assert_converged();
}

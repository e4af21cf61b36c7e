//! The status page of `watch`: what it answers, and what people see in a real browser.

use std::{io::Write as _, net::SocketAddr};

use serde_json::{Value, json};

use crate::{
    browser::Browser,
    harness::{Site, http_with, repository, skip, state, switch, wait_until},
    watch::{Watch, ports},
};

const TOKEN: &str = "canary-of-the-page";

/// A configuration with a token for the controls, at the end of that of the site.
fn site(files: &[(&str, &str)]) -> Site {
    let site = Site::with(&state(), files);
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    site.write("reconcile.yaml", &format!("{config}\nwatch: {{token: {{file: token}}}}\n"));
    site.write("token", TOKEN);
    site
}

/// Sends a request with headers; returns the status and the document.
fn ask(server: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let answer = http_with(server, method, path, headers, "");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a code");
    (code, serde_json::from_str(body).unwrap_or(Value::Null))
}

fn get(watch: &Watch, path: &str) -> Value {
    let (code, document) = ask(watch.pages(), "GET", path, &[]);
    assert_eq!(code, 200, "{path}: {document}");
    document
}

/// One object that differs, one that is as declared, one that is blocked.
fn three() -> Vec<(&'static str, String)> {
    let second = switch("second", "bk_asset_id: A2", "ports: 24");
    let lost = switch("lost", "bk_asset_id: A9", "ports: 1");
    vec![("manifests/core.yaml", ports(48)), ("manifests/second.yaml", second), ("manifests/lost.yaml", lost)]
}

fn site_of_three() -> Site {
    let files = three();
    site(&files.iter().map(|(path, text)| (*path, text.as_str())).collect::<Vec<_>>())
}

#[test]
fn objects_are_found_by_state_and_words() {
    let site = site_of_three();
    let watch = Watch::start(&site, &["manifests", "--resync", "1h", "--mode", "report"]);
    let check = |query: &str, expected: Value| {
        let page = get(&watch, &format!("/api/objects?{query}"));
        let rows = page["rows"].as_array().expect("rows");
        let found: Vec<_> = rows.iter().map(|row| json!([row["name"], row["state"], row["at"]])).collect();
        assert_eq!(json!([page["total"], page["matched"], found]), expected, "{query}");
    };
    let core = json!(["core", "drifted", "manifests/core.yaml:1:1"]);
    let lost = json!(["lost", "blocked", "manifests/lost.yaml:1:1"]);
    let second = json!(["second", "in_sync", "manifests/second.yaml:1:1"]);
    check("", json!([3, 3, [core, lost, second]]));
    check("state=drifted", json!([3, 1, [core]]));
    check("state=drifted,blocked", json!([3, 2, [core, lost]]));
    check("q=SECOND+instance", json!([3, 1, [second]]));
    check("q=cmdb&offset=1&limit=1", json!([3, 3, [lost]]));
    check("target=roma", json!([3, 0, []]));
    check("kind=Instance&state=in_sync", json!([3, 1, [second]]));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn differences_name_their_lines_and_runs_their_outcomes() {
    let site = site_of_three();
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    let object = get(&watch, "/api/object?address=Instance/core");
    let detail = &object["detail"];
    assert_eq!((&object["state"], &detail["outcome"]), (&json!("changed"), &json!("applied")), "{object}");
    assert_eq!(detail["fields"][0]["at"], "manifests/core.yaml:7:19", "{object}");
    assert_eq!(json!([detail["fields"][0]["from"], detail["fields"][0]["to"]]), json!([24, 48]));
    let run = detail["run"].as_str().expect("a run");
    let blocked = get(&watch, "/api/object?address=Instance/lost");
    assert!(blocked["detail"]["reason"].as_str().is_some_and(|reason| reason.contains("does not exist")), "{blocked}");
    assert_eq!(ask(watch.pages(), "GET", "/api/object?address=Instance/nothing", &[]).0, 404);
    let error = &get(&watch, "/api/status")["state"]["last"]["error"];
    assert_eq!(error, "Instance/lost does not exist");

    let runs = get(&watch, "/api/runs");
    let listed = &runs["runs"][0];
    assert_eq!(json!([listed["id"], listed["targets"], listed["outcomes"]]), json!([run, ["cmdb"], {"applied": 1}]));
    let shown = get(&watch, &format!("/api/run?id={run}"));
    assert_eq!(shown["changes"][0]["address"], "Instance/core", "{shown}");
    assert_eq!(ask(watch.pages(), "GET", "/api/run?id=../../etc/passwd", &[]).0, 404);
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn controls_need_the_token_and_pause_all_writing() {
    let site = site_of_three();
    let watch = Watch::start(&site, &["manifests", "--resync", "1s"]);
    let bearer = format!("Bearer {TOKEN}");
    let auth = ("authorization", bearer.as_str());
    let post = |path: &str, headers: &[(&str, &str)]| ask(watch.pages(), "POST", path, headers).0;
    assert_eq!(post("/api/pause", &[]), 401);
    assert_eq!(post("/api/pause", &[("authorization", "Bearer other")]), 401);
    assert_eq!(post("/api/pause", &[auth, ("origin", "http://evil.example.com")]), 403);
    assert_eq!(ask(watch.pages(), "GET", "/api/pause", &[auth]).0, 405);
    assert!(get(&watch, "/api/status")["paused"].is_null());

    assert_eq!(post("/api/pause?reason=a+test", &[auth]), 200);
    assert_eq!(get(&watch, "/api/status")["paused"]["reason"], "a test");
    site.sandbox().clear_calls();
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    wait_until("the edit is seen", || get(&watch, "/api/object?address=Instance/core")["state"] == "drifted");
    watch.settle();
    assert_eq!(site.writes().len(), 0, "nothing is written while it is paused");
    assert_eq!(watch.metric("reconcile_paused"), 1);

    assert_eq!(post("/api/resume", &[auth]), 200);
    wait_until("it is set back", || site.writes().len() == 1);
    wait_until("the metric follows", || watch.metric("reconcile_paused") == 0);
    assert!(watch.lines(TOKEN).is_empty() && !watch.page("/").contains(TOKEN));
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn without_a_token_the_controls_are_off() {
    let site = Site::with(&state(), &[("manifests/core.yaml", &ports(48))]);
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    let (code, answer) = ask(watch.pages(), "POST", "/api/pause", &[("authorization", "Bearer ")]);
    assert_eq!(code, 403, "{answer}");
    let page = watch.page("/").to_lowercase();
    for header in ["content-security-policy: default-src 'none'; script-src 'nonce-", "x-frame-options: deny"] {
        assert!(page.contains(header), "{header}");
    }
    assert_eq!(watch.end(), Some(0));
}

/// The texts whose contrast is below 4.5, by the colours that the browser computed.
const CONTRAST: &str = r#"(() => {
  const channels = color => (color.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const back = node => {
    for (let at = node; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color[3] === undefined || color[3] > 0) return color;
    }
    return channels(getComputedStyle(document.body).backgroundColor);
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || ["SCRIPT", "STYLE", "OPTION"].includes(node.tagName)) continue;
    const [one, other] = [light(channels(getComputedStyle(node).color)), light(back(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) low.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return low;
})()"#;

/// Checks colours, and all that axe knows, where it is installed.
fn check_accessible(browser: &mut Browser, view: &str) {
    assert_eq!(browser.value(CONTRAST), json!([]), "{view}");
    let lib = repository().join("target/interop/lib");
    let found = std::fs::read_dir(lib).into_iter().flatten().flatten();
    let mut scripts = found.map(|entry| entry.path().join("site-packages/axe_core_python/axe.min.js"));
    let Some(script) = scripts.find_map(|path| std::fs::read_to_string(path).ok()) else {
        skip("axe is not installed (tests/interop/requirements.txt)");
        return;
    };
    browser.value(&format!("{script}; 0"));
    let violations = browser.value(
        "axe.run().then(found => found.violations.map(one => `${one.id}: ${one.nodes.map(node => node.html).join(' | ')}`))",
    );
    assert_eq!(violations, json!([]), "{view}");
}

#[test]
fn people_find_what_differs_in_a_browser() {
    let site = site_of_three();
    let watch = Watch::start(&site, &["manifests", "--resync", "1h", "--mode", "report"]);
    let Some(mut browser) = Browser::start() else { return };
    browser.look(1600, 1000, false);
    browser.open(watch.pages(), "/");
    browser.wait("document.querySelectorAll('#body [data-index]').length === 3");
    browser.wait("document.querySelector('#live').textContent.includes('live')");
    check_accessible(&mut browser, "objects, light");
    browser.picture("objects-light-1600");

    // By keys alone: search, go into the table, open the object that differs.
    browser.press("/");
    browser.write("core");
    browser.wait("document.querySelector('#count').textContent === '1 of 3 objects'");
    browser.value("document.querySelector('#grid').focus()");
    browser.press("Enter");
    browser.wait("document.querySelector('#detail .diff.plus')");
    let detail = browser.value("document.querySelector('#detail').innerText");
    let detail = detail.as_str().expect("a text");
    for text in ["ports", "24", "48", "manifests/core.yaml:7:19", "cmdb"] {
        assert!(detail.contains(text), "{text} is not in\n{detail}");
    }
    check_accessible(&mut browser, "an object, light");
    browser.picture("object-light-1600");
    browser.look(1600, 1000, true);
    check_accessible(&mut browser, "an object, dark");
    browser.picture("object-dark-1600");
    browser.look(390, 844, true);
    check_accessible(&mut browser, "an object, dark, on a phone");
    browser.picture("object-dark-390");
    assert_eq!(browser.value("document.documentElement.scrollWidth <= innerWidth"), json!(true), "it fits a phone");
    browser.press("Escape");
    browser.wait("document.querySelector('#detail').hidden");

    // A filter is part of the address, and what changes shows by itself.
    browser.look(390, 844, false);
    browser.open(watch.pages(), "/?again#state=drifted");
    browser.wait("document.querySelector('#count').textContent === '1 of 3 objects'");
    check_accessible(&mut browser, "objects, light, on a phone");
    browser.picture("objects-light-390");
    site.write("manifests/core.yaml", &ports(24));
    browser.wait("document.querySelector('#count').textContent === '0 of 3 objects'");
    site.write("manifests/broken.yaml", "kind: [\n");
    browser.wait("document.querySelector('#tab-manifests').textContent === 'Manifests (1)'");
    browser.look(1600, 1000, false);
    browser.value("document.querySelector('#tab-manifests').click()");
    browser.wait("document.querySelector('#manifests').innerText.includes('manifests/broken.yaml:')");
    check_accessible(&mut browser, "manifests");
    browser.picture("manifests-light-1600");

    let (complaints, requests) = browser.told();
    assert_eq!(complaints, Vec::<String>::new());
    let own = format!("http://{}/", watch.pages());
    let elsewhere: Vec<_> = requests.iter().filter(|url| !url.starts_with(&own) && !url.starts_with("data:")).collect();
    assert!(requests.len() > 5 && elsewhere.is_empty(), "{elsewhere:?}");
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn people_pause_and_look_at_runs_in_a_browser() {
    let site = site_of_three();
    let watch = Watch::start(&site, &["manifests", "--resync", "1h"]);
    let Some(mut browser) = Browser::start() else { return };
    browser.look(1600, 1000, true);
    browser.open(watch.pages(), "/");
    browser.wait("!document.querySelector('#controls').hidden");
    browser.value("document.querySelector('#pause').click()");
    browser.wait("document.querySelector('#ask').open");
    check_accessible(&mut browser, "a question, dark");
    browser.picture("pause-dark-1600");
    let answer = |browser: &mut Browser, token: &str| {
        browser.value("document.querySelector('#token').focus()");
        browser.write(token);
        browser.press("Enter");
    };
    answer(&mut browser, "wrong");
    browser.wait("document.querySelector('#ask-error').innerText === 'the token is wrong'");
    answer(&mut browser, TOKEN);
    browser.wait("document.querySelector('#banners').innerText.startsWith('Paused')");
    browser.wait("!document.querySelector('#ask').open");
    site.edit("update_inst", &json!({"bk_obj_id": "bk_switch", "bk_inst_id": 1, "ports": 7}));
    browser.value("document.querySelector('#now').click()");
    browser.value("document.querySelector('#ask-ok').click()");
    browser.wait("document.querySelector('[data-state=drifted]').innerText === 'Drifted 1'");
    browser.value("document.querySelector('#pause').click()");
    browser.value("document.querySelector('#ask-ok').click()");
    browser.wait("document.querySelector('[data-state=drifted]').innerText === 'Drifted 0'");
    browser.value("document.querySelector('#tab-runs').click()");
    browser.wait("document.querySelectorAll('#runs [data-run]').length === 2");
    browser.value("document.querySelector('#runs [data-run]').click()");
    browser.wait("document.querySelector('#runs .diff.plus')");
    check_accessible(&mut browser, "runs, dark");
    browser.picture("runs-dark-1600");
    // The refused token is the only complaint.
    let (complaints, _) = browser.told();
    assert!(
        complaints.iter().all(|complaint| complaint.contains("/api/pause") && complaint.contains("401")),
        "{complaints:?}"
    );
    assert_eq!(watch.end(), Some(0));
}

/// A number of objects that `RECONCILE_PAGE_OBJECTS` sets. By hand and in a release build it may be 100,000.
fn many() -> usize {
    std::env::var("RECONCILE_PAGE_OBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

/// Scrolls through all rows in two seconds; returns the longest time between two frames and between a jump and its rows.
const SCROLL: &str = r##"(async () => {
  const grid = document.querySelector("#grid"), frame = () => new Promise(requestAnimationFrame);
  let longest = 0, last = performance.now(), most = 0;
  for (let step = 1; step <= 120; step++) {
    grid.scrollTop = (grid.scrollHeight - grid.clientHeight) * step / 120;
    await frame();
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
    most = Math.max(most, document.querySelectorAll("#body .row").length);
  }
  const start = performance.now();
  grid.scrollTop = grid.scrollHeight / 2;
  while (!document.querySelectorAll("#body .badge").length) await frame();
  return { longest, most, jump: performance.now() - start };
})()"##;

#[test]
fn many_objects_scroll_without_being_in_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let count = many();
    let mut state = state();
    let rows = (1..=count).map(|id| {
        json!({"bk_inst_id": id, "bk_inst_name": format!("sw-{id}"), "bk_asset_id": format!("A{id}"), "ports": 24})
    });
    state["bk-cmdb"]["instances"]["bk_switch"] = rows.collect();
    let manifests: String = (1..=count)
        .map(|id| switch(&format!("core-{id:06}"), &format!("bk_asset_id: A{id}"), &format!("ports: {}", 24 + id % 2)))
        .collect();
    let site = Site::with(&state, &[("manifests/all.yaml", &manifests)]);
    let start = std::time::Instant::now();
    let watch = Watch::start(&site, &["manifests", "--resync", "1h", "--mode", "report"]);
    let _ = writeln!(std::io::stderr(), "the first pass of {count} objects took {:?}", start.elapsed());
    browser.look(1600, 1000, false);
    browser.open(watch.pages(), "/");
    browser.wait("document.querySelectorAll('#body .badge').length > 10");
    let shown = browser.value("document.querySelector('#count').textContent.replaceAll(',', '')");
    assert_eq!(shown, json!(format!("{count} objects")));
    let scrolled = browser.value(SCROLL);
    let _ = writeln!(std::io::stderr(), "{scrolled}");
    assert!(scrolled["most"].as_u64().is_some_and(|most| (10..120).contains(&most)), "{scrolled}");
    browser.value("document.querySelector('#grid').focus()");
    browser.press("End");
    browser.wait(&format!("document.querySelector('#body').innerText.includes('core-{count:06}')"));
    browser.picture("many-light-1600");
    let start = std::time::Instant::now();
    browser.press("/");
    browser.write(&format!("core-{count:06}"));
    browser.wait("document.querySelector('#count').textContent.startsWith('1 of')");
    let _ = writeln!(std::io::stderr(), "a search took {:?}", start.elapsed());
    let (complaints, _) = browser.told();
    assert_eq!(complaints, Vec::<String>::new());
    assert_eq!(watch.end(), Some(0));
}

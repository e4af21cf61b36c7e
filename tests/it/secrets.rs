//! Secrets come from elsewhere and go to the platform only.

use serde_json::json;

use crate::{
    harness::{Site, state, switch},
    watch::Watch,
};

const CANARY: &str = "canary-f3a91c";

const APP: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: new}}
";

/// A site whose platforms accept one secret only, which comes from the given sources.
fn site(app_secret: &str, token: &str) -> Site {
    let mut state = state();
    state["bk-cmdb"]["credentials"] = json!({"apps": {"reconcile": CANARY}, "users": ["admin"]});
    state["roma-connect"]["credentials"] = json!({"tokens": {CANARY: {}}});
    let site = Site::with(&state, &[("a.yaml", APP), ("b.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
    let url = site.url();
    site.write(
        "reconcile.yaml",
        &format!(
            "apiVersion: reconcile/v1
kind: Config
targets:
  cmdb:
    platform: bk-cmdb
    access: esb
    endpoint: {url}
    auth: {{appCode: reconcile, appSecret: {app_secret}, username: admin}}
  roma:
    platform: roma-connect
    endpoint: {url}
    projectId: p1
    instanceId: i1
    auth: {{token: {token}}}
"
        ),
    );
    site.write("secret.txt", &format!("{CANARY}\n"));
    site
}

#[test]
fn secrets_from_everywhere_are_used_and_never_shown() {
    let command = format!("{{command: [/bin/echo, {CANARY}]}}");
    for source in ["{env: SECRET}", "{file: secret.txt}", &command] {
        let site = site(source, source);
        let run = |arguments: &[&str]| {
            let mut command = site.command(arguments);
            command.env("SECRET", CANARY);
            let output = site.end(command, "");
            assert_eq!(output.code, Some(0), "{source}: {output}");
            assert!(!output.all().contains(CANARY), "{source} {arguments:?}: {output}");
        };
        run(&["plan", "-vv", "--calls"]);
        run(&["plan", "-vv", "-o", "json"]);
        run(&["validate", "-vv", "-o", "json"]);
        run(&["apply", "-vv", "-y", "--log-format", "json"]);
        assert_eq!(site.writes().len(), 2);
    }
}

/// Files that the program writes are read by others than those who may know its secrets.
#[test]
fn secrets_are_in_no_file_that_is_written() {
    let forms = ["text", "json", "yaml", "markdown", "github", "gitlab", "gitlab-code-quality", "sarif", "junit"];
    let reports = |name: &str| {
        let files = forms.iter().map(|form| format!("--output-file={form}=written/{name}.{form}"));
        files.chain([format!("--events=written/{name}.ndjson")]).collect::<Vec<_>>()
    };
    let site = site("{file: secret.txt}", "{file: secret.txt}");
    std::fs::create_dir(site.path().join("written")).expect("a directory can be made");
    let run = |arguments: &[&str], name: &str, code: i32| {
        let more = if name.is_empty() { Vec::new() } else { reports(name) };
        let arguments: Vec<&str> = arguments.iter().copied().chain(more.iter().map(String::as_str)).collect();
        let output = site.run(&arguments);
        assert_eq!(output.code, Some(code), "{arguments:?}: {output}");
        assert!(!output.all().contains(CANARY), "{arguments:?}: {output}");
    };
    run(&["snapshot", "--out", "written/snapshot.json"], "", 0);
    run(&["plan", "--out", "written/saved.json"], "plan", 0);
    run(&["plan", "--against", "written/snapshot.json"], "against", 0);
    run(&["drift"], "drift", 0);
    run(&["explain", "b.yaml:7"], "", 0);
    site.faults(&json!([{"operation": "update_inst", "fault": "status", "status": 500,
        "body": format!("no: {CANARY} is wrong")}]));
    run(&["apply", "written/saved.json", "-y", "--state-dir", "written/state"], "apply", 5);
    let (mut open, mut seen) = (vec![site.path().join("written")], Vec::new());
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("it is there").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let bytes = std::fs::read(&path).expect("it can be read");
        assert!(!String::from_utf8_lossy(&bytes).contains(CANARY), "{}", path.display());
        seen.push(path);
    }
    for name in ["journal", "plan.json", "key"] {
        assert!(seen.iter().any(|path| path.ends_with(name)), "{name}: {seen:?}");
    }
    seen.retain(|path| !path.starts_with(site.path().join("written/state")));
    assert_eq!(seen.len(), 2 + 4 * (forms.len() + 1), "all were written");
}

#[test]
fn secrets_are_in_no_journal_and_log_of_watch() {
    let site = site("{file: secret.txt}", "{file: secret.txt}");
    site.faults(&json!([{"operation": "update_inst", "fault": "code", "code": 1_199_006,
        "message": format!("no: {CANARY} is wrong")}]));
    let watch = Watch::start(&site, &["-vv", "--resync", "1s"]);
    assert_eq!(watch.lines(CANARY), [""; 0]);
    assert_eq!(watch.lines("outcome=\"refused\"").len(), 1);
    assert_eq!(watch.end(), Some(0));
    let journal = site.journal();
    assert!(journal.iter().any(|line| line["outcome"] == "refused" && line["detail"] != json!(null)), "{journal:?}");
    assert!(!json!(journal).to_string().contains(CANARY), "{journal:?}");
}

#[test]
fn secrets_do_not_show_when_something_goes_wrong() {
    let site = site("{file: secret.txt}", "{file: secret.txt}");
    for fault in [
        json!({"fault": "status", "status": 500, "body": format!("no: {CANARY} is wrong")}),
        json!({"fault": "reset_after"}),
        json!({"fault": "garbage"}),
    ] {
        let mut fault = fault;
        fault["operation"] = json!("update_inst");
        site.faults(&json!([fault]));
        let output = site.run(&["apply", "-vv", "-y", "--timeout", "5s"]);
        assert!(!output.all().contains(CANARY), "{output}");
    }
    // A secret in the file itself is refused and not shown.
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    site.write("reconcile.yaml", &config.replace("{file: secret.txt}", CANARY));
    for command in [&["validate"][..], &["validate", "-o", "json"], &["plan", "-vv"]] {
        let output = site.run(command);
        assert_eq!(output.code, Some(1), "{output}");
        assert!(!output.all().contains(CANARY), "{output}");
    }
}

#[test]
fn a_secret_that_cannot_be_had_is_told_by_its_source() {
    let check = |source: &str, hint: &str| {
        let site = site(source, "{file: secret.txt}");
        let output = site.run(&["plan"]);
        assert_eq!(output.code, Some(5), "{output}");
        assert!(output.all().contains(hint), "{output}");
        assert!(!output.all().contains(CANARY), "{output}");
        // The other target is planned all the same.
        assert!(output.stdout.contains("~ App orders"), "{output}");
    };
    check("{env: NOT_SET}", "NOT_SET");
    check("{file: not-there.txt}", "not-there.txt");
    check("{command: [/not/there]}", "/not/there");
}

#[test]
fn a_sandbox_needs_no_secret() {
    let site = site("{env: NOT_SET}", "{env: NOT_SET}");
    site.write("state.yaml", &state().to_string());
    let config = std::fs::read_to_string(site.path().join("reconcile.yaml")).expect("it is there");
    site.write("reconcile.yaml", &format!("{config}sandbox: {{state: [state.yaml]}}\n"));
    let output = site.run(&["apply", "--sandbox", "-y"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(site.sandbox().calls(), [], "the platforms themselves are left alone");
}

/// The part of the echoed secret that no encoding changes.
const CORE: &str = "q7Zk93VbT1mW";

/// Starts a server that gives every request the same answer, and returns its address.
fn echo(answer: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request: Vec<u8> = Vec::new();
            let mut buffer = [0; 4096];
            // The head, and the body as far as it came along: the answer is the same.
            while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => request.extend(&buffer[..count]),
                }
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[test]
fn a_server_that_echoes_a_secret_does_not_spread_it() {
    let secret = format!("x\"\\{CORE}/ y&z");
    let json = json!(secret).to_string();
    let (text, twice) = (&json[1..json.len() - 1], json!(json).to_string());
    let encoded = secret.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
    let partly =
        secret.replace('"', "%22").replace('\\', "%5C").replace('/', "%2F").replace(' ', "%20").replace('&', "%26");
    let envelope = |code: &str, message: &str| {
        format!(r#"{{"result":false,"code":{code},"message":"{message}","data":null,"request_id":"r"}}"#)
    };
    let request_id = format!(r#"{{"result":false,"code":1199000,"message":"no","data":null,"request_id":{json}}}"#);
    let echoes = [
        ("a message", "", envelope("1199000", text)),
        ("a message that is cut", "", format!("<html>{}{secret}</html>", "a".repeat(185))),
        ("a code", "", envelope(&json, "no")),
        ("an id in the body", "", request_id),
        (
            "an id in a header",
            &*format!("X-Bkapi-Request-Id: {secret}\r\nX-Request-Id: {secret}\r\n"),
            envelope("1199000", "no"),
        ),
        ("a page", "", format!("<html>bk_app_secret={secret}</html>")),
        ("a body sent back", "", format!("<pre>{{\"bk_app_secret\":{json}}}</pre>")),
        ("a body sent back in a message", "", envelope("1199000", &twice[1..twice.len() - 1])),
        ("an address", "", envelope("1199000", &format!("GET /?secret={partly} and {encoded}"))),
        ("where it leads", &*format!("Location: https://example.com/{partly}?s={partly}\r\n"), String::new()),
    ];
    for (what, headers, body) in echoes {
        let status = if headers.starts_with("Location") { "302 Found" } else { "200 OK" };
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        let address = echo(answer);
        let site = Site::with(&state(), &[("b.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
        site.write("secret.txt", &secret);
        site.write(
            "reconcile.yaml",
            &format!(
                "apiVersion: reconcile/v1\nkind: Config\ntargets:\n  cmdb: {{platform: bk-cmdb, access: esb, endpoint: '{address}', \
                 auth: {{appCode: reconcile, appSecret: {{file: secret.txt}}, username: admin}}}}\n"
            ),
        );
        for arguments in [
            &["plan", "-vv", "--calls"][..],
            &["plan", "-vv", "--log-format", "json", "-o", "json", "--events", "events.json"],
            &["apply", "-y", "-o", "markdown", "--output-file", "sarif=report.sarif"],
        ] {
            let output = site.run(arguments);
            assert_eq!(output.code, Some(5), "{what} {arguments:?}: {output}");
            assert!(!output.all().contains(CORE), "{what} {arguments:?}: {output}");
        }
        let journals = site.runs().into_iter().map(|run| format!(".state/runs/{run}/journal"));
        for file in ["events.json", "report.sarif"].map(str::to_owned).into_iter().chain(journals) {
            let text = std::fs::read_to_string(site.path().join(&file)).unwrap_or_default();
            assert!(!text.contains(CORE), "{what} {file}: {text}");
        }
    }
}

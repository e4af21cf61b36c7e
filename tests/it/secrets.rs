//! Secrets come from elsewhere and go to the platform only.

use serde_json::json;

use crate::harness::{Site, state, switch};

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
    door: esb
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
    run(&["apply", "written/saved.json", "-y", "--state-dir", "written"], "apply", 5);
    let mut seen = 0;
    for entry in std::fs::read_dir(site.path().join("written")).expect("it is there") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("it is text");
        assert!(!text.contains(CANARY), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 3 + 4 * (forms.len() + 1), "all were written");
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

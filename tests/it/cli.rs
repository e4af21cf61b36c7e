//! The command line itself: exit codes, output forms, help, stdin, signals.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Site, operations, program, state, switch, wait_until};

const APP: &str = "apiVersion: roma-connect/v1
kind: App
metadata: {name: orders}
spec: {app: orders, fields: {remark: new}}
";

/// Returns the exit code of a run in a site with one app to change.
fn code(arguments: &[&str]) -> i32 {
    let output = Site::with(&state(), &[("app.yaml", APP)]).run(arguments);
    output.code.unwrap_or_else(|| panic!("no exit code: {output}"))
}

#[test]
fn exit_codes() {
    assert_eq!(code(&["validate"]), 0);
    assert_eq!(code(&["plan"]), 0);
    assert_eq!(code(&["plan", "--detailed-exitcode"]), 2);
    assert_eq!(code(&["plan", "--non-zero-exit-code"]), 2);
    assert_eq!(code(&["apply", "-y"]), 0);
    assert_eq!(code(&["apply", "-y", "--detailed-exitcode"]), 2);
    assert_eq!(code(&["apply", "--dry-run"]), 0);
    assert_eq!(code(&["apply", "--dry-run", "--detailed-exitcode"]), 2);
    assert_eq!(code(&["apply", "-y", "--verify=false"]), 0);
    assert_eq!(code(&["version"]), 0);
    assert_eq!(code(&["--version"]), 0);
    for wrong in [&["aply"][..], &["plan", "--no-such-flag"], &["plan", "-l", "=="], &["plan", "-o", "xml"], &[]] {
        assert_eq!(code(wrong), 64, "{wrong:?}");
    }
    for wrong in [&["plan", "no-such-directory"][..], &["validate", "no-such-directory"]] {
        assert_eq!(code(wrong), 1, "{wrong:?}");
    }
}

#[test]
fn a_flag_may_come_from_the_environment() {
    let site = Site::with(&state(), &[("app.yaml", APP)]);
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = site.command(arguments);
        command.envs(variables.iter().copied());
        site.end(command, "")
    };
    assert_eq!(run(&["plan"], &[("RECONCILE_DETAILED_EXITCODE", "true")]).code, Some(2));
    assert_eq!(run(&["plan"], &[("RECONCILE_OUTPUT", "json")]).json()["kind"], "Plan");
    let text = run(&["plan", "-o", "text"], &[("RECONCILE_OUTPUT", "json")]);
    assert!(text.stdout.starts_with("~ App orders"), "a flag is above the environment: {text}");
    assert_eq!(run(&["apply"], &[("RECONCILE_AUTO_APPROVE", "1")]).code, Some(0));
    // CI systems set what nobody set to nothing.
    let unset = ["TARGET", "OVERLAY", "MAX", "OUT", "CONFIG", "ACK", "OUTPUT", "VALUES", "RATE", "SELECTOR", "AGAINST"];
    let unset: Vec<_> = unset.iter().map(|name| format!("RECONCILE_{name}")).collect();
    let output = run(&["plan"], &unset.iter().map(|name| (name.as_str(), "")).collect::<Vec<_>>());
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn without_a_terminal_nothing_is_sent_unasked() {
    let site = Site::with(&state(), &[("app.yaml", APP)]);
    let output = site.run_on("yes\n", &["apply"]);
    assert_eq!(output.code, Some(64), "{output}");
    assert!(output.stderr.contains("no terminal"), "{output}");
    assert_eq!(operations(&site.writes()), json!({}));
    // The report is written on this path too.
    let output = site.run(&["apply", "-o", "json"]);
    assert_eq!(output.code, Some(64), "{output}");
    assert_eq!(output.json()["summary"]["update"], 1);
    // Nothing to do needs nobody's word.
    site.apply();
    let output = site.run(&["apply"]);
    assert_eq!(output.code, Some(0), "{output}");
}

#[test]
fn manifests_come_from_stdin_too() {
    let site = Site::new(&state());
    let output = site.run_on(APP, &["plan", "-", "--config", "reconcile.yaml"]);
    insta::assert_snapshot!(output, @r#"
    ~ App orders  (roma, app a1)                                        <stdin>:1
        remark         "orders" → "new"                                 <stdin>:4:38

    Plan: 0 to add, 1 to update, 0 to delete, 0 unchanged.   1 call, 2 reads, [time]
    "#);
    let output = site.run_on("kind: [", &["validate", "-"]);
    assert_eq!(output.code, Some(1), "{output}");
    assert!(output.stderr.contains("<stdin>:1:"), "{output}");
    let output = site.run_on(APP, &["apply", "-y", "-f", "-", "--config", "reconcile.yaml"]);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(operations(&site.writes()), json!({"UpdateRomaApp": 1}));
}

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|entries| entries.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn assert_has(value: &Value, expected: &[&str]) {
    let keys = keys(value);
    expected.iter().for_each(|key| assert!(keys.contains(key), "`{key}` is missing: {value:#}"));
}

#[test]
fn json_is_one_document_with_the_keys_that_are_promised() {
    let wrong = switch("wrong", "bk_inst_name: sw-0", "ports: 48");
    let site = Site::with(&state(), &[("app.yaml", APP), ("wrong.yaml", &wrong)]);
    let check = |arguments: &[&str], code: i32| {
        let output = site.run(arguments);
        assert_eq!(output.code, Some(code), "{output}");
        let plan = output.json();
        assert_eq!((&plan["apiVersion"], &plan["kind"]), (&json!("reconcile/v1"), &json!("Plan")));
        assert_has(&plan, &["format_version", "summary", "changes", "reported", "calls", "cost", "diagnostics"]);
        assert_eq!(keys(&plan["summary"]), ["blocked", "create", "delete", "reported", "sync", "unchanged", "update"]);
        assert_has(&plan["changes"][0], &["address", "target", "id", "action", "reason", "fields"]);
        assert_has(&plan["changes"][0]["fields"][0], &["path", "before", "after", "owner", "at"]);
        assert_eq!(plan["changes"][0]["fields"][0]["at"], json!({"file": "app.yaml", "line": 4, "column": 38}));
        assert_has(&plan["calls"][0], &["operation", "target", "arguments", "serves"]);
        assert_has(&plan["cost"], &["reads", "writes", "lower_bound"]);
        assert_has(&plan["diagnostics"][0], &["code", "severity", "message", "at", "hint"]);
        plan
    };
    let plan = check(&["plan", "-o", "json"], 1);
    let summary =
        json!({"create": 0, "update": 1, "delete": 0, "sync": 0, "unchanged": 0, "blocked": 1, "reported": 0});
    assert_eq!(plan["summary"], summary);
    assert_eq!(plan["calls"][0]["operation"], "UpdateRomaApp");
    let applied = check(&["apply", "-y", "-o", "json"], 5);
    assert_eq!(applied["outcomes"], json!([{"address": "App/orders", "outcome": "applied", "message": null}]));
    assert_eq!(applied["sent"]["writes"], json!({"UpdateRomaApp": 1}));
}

#[test]
fn json_has_no_colours_and_stdout_nothing_else() {
    let site = Site::with(&state(), &[("app.yaml", APP)]);
    for arguments in
        [&["plan", "-o", "json", "--color", "always", "-vv"][..], &["apply", "-y", "-o", "json", "--color", "always"]]
    {
        let output = site.run(arguments);
        output.json();
        assert!(!output.stdout.contains('\u{1b}'), "{output}");
    }
    let output = site.run(&["plan", "--color", "always"]);
    assert!(output.stdout.contains('\u{1b}'), "{output}");
    assert!(!site.run(&["plan"]).all().contains('\u{1b}'));
}

#[test]
fn ci_gets_one_line_for_each_finished_object() {
    let site = Site::with(&state(), &[("app.yaml", APP)]);
    insta::assert_snapshot!(site.run(&["apply", "-y"]), @r#"
    ~ App orders  (roma, app a1)                                        app.yaml:1
        remark         "orders" → "new"                                 app.yaml:4:38

    Plan: 0 to add, 1 to update, 0 to delete, 0 unchanged.   1 call, 2 reads, [time]

    Applied: 1 of 1.   [time]
    Calls: UpdateRomaApp 1; 2 reads
    ------- stderr -------
    ✓ ~ App/orders  applied [time]  app.yaml:1
    "#);
}

#[test]
fn every_command_has_help() {
    let help = |arguments: &[&str]| {
        let output = program().args(arguments).output().expect("the program runs");
        assert!(output.status.success(), "{arguments:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let all = help(&["--help"]);
    assert!(all.contains("Exit codes:"), "{all}");
    let commands = all.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a list");
    let commands: Vec<_> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    for wanted in ["validate", "plan", "apply", "watch", "sandbox", "version"] {
        assert!(commands.contains(&wanted), "{wanted} is missing: {commands:?}");
    }
    for command in commands {
        let text = help(&[command, "--help"]);
        assert!(text.lines().next().is_some_and(|line| line.len() > 10), "{command}: {text}");
        assert!(text.contains("Usage: reconcile"), "{command}: {text}");
    }
}

/// Starts an apply of three slow updates, one at a time, and sends it a signal after the first has arrived.
fn signalled(signal: &str) -> (Site, crate::harness::Output) {
    let manifests: String =
        (1..=3).map(|id| switch(&format!("s{id}"), &format!("bk_asset_id: A{id}"), "ports: 48")).collect();
    let site = Site::with(&state(), &[("all.yaml", &manifests)]);
    site.faults(&json!([{"operation": "update_inst", "fault": "delay", "ms": 1500}]));
    let mut command = site.command(&["apply", "-y", "--parallelism", "1"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_until("a write is done", || !site.writes().is_empty());
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
    let output = site.collect(child);
    (site, output)
}

#[test]
fn a_signal_ends_an_apply_after_the_calls_on_their_way() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let (site, output) = signalled(signal);
        assert_eq!(output.code, Some(code), "{output}");
        let writes = site.writes();
        assert!((1..3).contains(&writes.len()), "{} writes: {output}", writes.len());
        // Sent calls are accounted for, all others are said to be open.
        assert!(output.stdout.contains(&format!("update_inst {}", writes.len())), "{output}");
        assert!(output.stdout.contains("not sent: the run was interrupted"), "{output}");
        site.faults(&json!([]));
        assert_eq!(operations(&site.apply()), json!({"update_inst": 3 - writes.len()}));
    }
}

#[test]
fn a_sandbox_serves_until_it_is_told_to_end() {
    use std::io::BufRead;

    let site = Site::with(&state(), &[("state.json", &state().to_string())]);
    let mut command = site.command(&["sandbox", "--listen", "127.0.0.1:0", "--state", "state.json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().expect("it was piped"));
    stdout.read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("sandbox listening on http://").expect("the address").parse().expect("it");
    let answer = crate::harness::http(address, "GET", "/_sandbox/state", "");
    assert!(answer.contains("机柜-2"), "{answer}");
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was sent");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn each_call_is_told_on_demand() {
    let site = Site::with(&state(), &[("a.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
    let calls = |arguments: &[&str]| -> Vec<String> {
        let output = site.run(arguments);
        assert_eq!(output.code, Some(0), "{output}");
        output.stderr.lines().filter(|line| line.contains("search_object_attribute")).map(str::to_owned).collect()
    };
    assert_eq!(calls(&["plan"]), Vec::<String>::new());
    let short = calls(&["plan", "-v"]);
    assert_eq!(short.len(), 1, "{short:?}");
    assert!(short[0].contains("search_object_attribute answered") && !short[0].contains("http://"), "{short:?}");
    let long = calls(&["plan", "-vv"]);
    assert_eq!(long.len(), 1, "{long:?}");
    for part in ["method=\"POST\"", "url=\"http://127.0.0.1:", "status=200", "request_id=\"rec", "ms="] {
        assert!(long[0].contains(part), "{part}: {long:?}");
    }
}

#[test]
fn a_log_in_json_is_json_from_the_first_line() {
    let site = Site::with(&state(), &[("a.yaml", &switch("core", "bk_asset_id: A1", "ports: 48"))]);
    site.write("b.yaml", "apiVersion: bk-cmdb/v1\nkind: Module\nmetadata: {name: x}\nspec: {}\n");
    let records = |arguments: &[&str]| -> Vec<Value> {
        let output = site.run(arguments);
        let lines = output.stderr.lines();
        let records: Vec<Value> =
            lines.map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
        for record in &records {
            let message = record["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty() && record["level"].is_string() && record["timestamp"].is_string(), "{record}");
        }
        records
    };
    let broken = records(&["plan", "--log-format", "json"]);
    assert!(broken.iter().any(|record| record["diagnostic"]["code"].is_string()), "{broken:?}");
    site.write("b.yaml", "");
    let calls = records(&["apply", "-y", "-vv", "--log-format", "json"]);
    let call = calls.iter().find(|record| record["operation"] == "update_inst").expect("the write is there");
    assert_eq!((&call["status"], call["ms"].is_u64(), &call["target"]), (&json!(200), true, &json!("cmdb")), "{call}");
}
